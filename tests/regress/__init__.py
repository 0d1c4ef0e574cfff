"""Postgres' own regression statements, through a firewall and past it: `make regress`."""
