"""Text → facts: a Postgres-faithful lexer, sqlglot and libpg_query, and their agreement. No IO."""
