"""A snapshot of a server's names: relations, columns, functions, operators, casts."""
