"""Statements that well-known clients send on their own, known by their exact text, and why each is harmless.

As an agent's own statements they would be refused. The tables are short on purpose: a text is here only where
its client cannot work without it, and where what it does is undone or reaches nothing. docs/rules.md has them.
"""

from __future__ import annotations

from dbfirewall.policy.decision import Context
from dbfirewall.policy.fields import TIMEOUTS
from dbfirewall.policy.models import Role
from dbfirewall.policy.session import PG_DUMP as APPLICATION

ANY_SESSION = frozenset({
    # asyncpg's pool, whenever a connection is released. RESET ALL goes back to what the session began with,
    # where the firewall puts its pins; the rest drops what this session alone holds.
    b"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
    # asyncpg, before and after it looks up a type: the JIT compiler is off meanwhile.
    (b"\n                    SELECT\n                        current_setting('jit') AS cur,\n"
     b"                        set_config('jit', 'off', false) AS new\n                    "),
    b"\n                SELECT\n                    set_config('jit', $1, false)\n                ",
})  # fmt: skip
"""Harmless in every session."""

EMPTIES_PATH = b"SELECT pg_catalog.set_config('search_path', '', false);"
"""pg_dump's text after which the server reports another search_path than the pinned one (PostgreSQL 18)."""

PG_DUMP = frozenset({
    # An empty path finds nothing that the pinned path would not find, and pg_dump qualifies every name.
    EMPTIES_PATH,
    b"RESET search_path",
    # Without row security a query that it would have filtered fails: no row appears that was hidden.
    b"SET row_security = off",
    # Fewer relations are usable afterwards, not more.
    (b"SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings "
     b"WHERE name = 'restrict_nonsystem_relation_kind'"),
    # PostgreSQL 18: where the sequences stand that the login may read; no rows of any table.
    (b"SELECT seqrelid, format_type(seqtypid, NULL), seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle, "
     b"last_value, is_called FROM pg_catalog.pg_sequence, pg_get_sequence_data(seqrelid) ORDER BY seqrelid;"),
})  # fmt: skip
"""Harmless, and needed, in a session that calls itself pg_dump."""

PG_DUMP_TIMEOUTS = {b"SET %s = 0" % name.encode(): name for name in TIMEOUTS}
"""pg_dump switches the timeouts off: harmless where the role sets no limit of that name."""


def housekeeping(sql: bytes, role: Role, context: Context) -> bool:
    """Whether `sql` is a client's own housekeeping, to be forwarded as it is in a session like this."""
    if sql in ANY_SESSION:
        return True
    if context.application_name != APPLICATION:
        return False
    timeout = PG_DUMP_TIMEOUTS.get(sql)
    return sql in PG_DUMP if timeout is None else getattr(role.limits, timeout) is None


def loosened(sql: bytes) -> frozenset[str]:
    """The parameters whose report may change after a housekeeping text: no reason to end the session."""
    return frozenset({"search_path"}) if sql == EMPTIES_PATH else frozenset()
