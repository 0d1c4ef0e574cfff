"""Rules (YAML → models) and the decision (facts → allow, deny or gate). Reads files, does no other IO."""
