"""Bytes ↔ messages of the PostgreSQL wire protocol 3.0 and 3.2. Standard library only, no IO."""
