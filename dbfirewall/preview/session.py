"""Transactions that leave nothing behind: short timeouts, the agent's settings, ROLLBACK at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from dbfirewall.preview.ask import text
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.talk import ServerError, Talk

LOCK_TIMEOUT_MS: Final = 500
"""Security limit: how long a preview waits for a lock."""

STATEMENT_TIMEOUT_MS: Final = 3000
"""Security limit: how long each statement of a preview may run."""

IDLE_TIMEOUT_MS: Final = 5000
"""Security limit: how long a preview's transaction stays open where the firewall does not end it."""

_SETTINGS: Final = ("search_path", "datestyle", "intervalstyle", "timezone")
"""What of a session's settings changes the meaning of a statement, and is taken over."""

_LIMITS = (
    f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS};"
    f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}"
)
_SET = qualified("SELECT set_config($1, $2, true)")


@asynccontextmanager
async def nothing_stays(talk: Talk, settings: Mapping[str, str], *, write: bool) -> AsyncIterator[None]:
    """A transaction that is rolled back, read-only unless `write`. Raises ServerError, ConnectionError.

    After a ConnectionError or a cancellation `talk` must be closed.
    """
    mode = "WRITE" if write else "ONLY"
    await talk.script(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ {mode}; {_LIMITS}".encode())
    try:
        for name in _SETTINGS:
            if name in settings:
                await talk.run(_SET, (text(name), text(settings[name])))
        yield
    except (ConnectionError, asyncio.CancelledError):
        # Nobody can use the connection any more: the server rolls back when it is closed.
        raise
    except BaseException:
        await talk.run("ROLLBACK")
        raise
    await talk.run("ROLLBACK")


@asynccontextmanager
async def attempt(talk: Talk) -> AsyncIterator[None]:
    """Inside a transaction: what fails in here leaves the transaction usable. Lets the ServerError through."""
    await talk.run("SAVEPOINT dbfirewall_attempt")
    try:
        yield
    except ServerError:
        await talk.script(b"ROLLBACK TO dbfirewall_attempt; RELEASE dbfirewall_attempt")
        raise
    await talk.run("RELEASE dbfirewall_attempt")
