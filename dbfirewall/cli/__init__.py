"""The `dbfirewall` command."""
