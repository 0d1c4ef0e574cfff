"""Rules (YAML → models) and the decision (facts → allow, deny or gate). Pure, no IO but reading rules files."""
