"""`python -m dbfirewall` is the `dbfirewall` command."""

from __future__ import annotations

from dbfirewall.cli import main

if __name__ == "__main__":
    main()
