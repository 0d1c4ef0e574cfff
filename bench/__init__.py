"""`make bench`: direct, pgbouncer and dbfirewall, side by side in one interleaved run."""
