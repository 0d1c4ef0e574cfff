"""Test suites of other projects, run directly and through the firewall: `make suites` (docs/suites.md)."""
