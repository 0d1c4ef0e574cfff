"""Statements that well-known clients send on their own, recognised by their exact text, and why each is harmless.

They would be refused as statements of an agent. The table is short on purpose: a text is here only where a client
cannot work without it, and where what it does is undone, or cannot be used to reach anything.
"""

from __future__ import annotations

from dbfirewall.policy.decision import Context
from dbfirewall.policy.models import Role

ASYNCPG_RESET = frozenset({
    b"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
})  # fmt: skip
"""asyncpg's pool sends one of these when a connection is released. RESET ALL goes back to what the session began
with, and that is where the firewall puts its pins."""


def housekeeping(sql: bytes, role: Role, context: Context) -> bool:
    """Whether `sql` is a client's own housekeeping, to be forwarded as it is for a session like this."""
    return sql in ASYNCPG_RESET
