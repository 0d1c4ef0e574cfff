"""Transactions that leave nothing behind: short timeouts, the agent's settings, ROLLBACK at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from dbfirewall.errors import DbfirewallError
from dbfirewall.preview.ask import ask_one, text
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.talk import ServerError, Talk

LOCK_TIMEOUT_MS: Final = 500
"""Security limit: how long a preview waits for a lock."""

STATEMENT_TIMEOUT_MS: Final = 3000
"""Security limit: how long each statement of a preview may run."""

IDLE_TIMEOUT_MS: Final = 5000
"""Security limit: how long a preview's transaction stays open where the firewall does not end it."""

_OURS: Final = frozenset(
    {
        "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
        "transaction_isolation", "transaction_read_only", "transaction_deferrable", "current_user", "session_user",
        "session_authorization", "role",
    }
)  # fmt: skip
"""What is not taken over from the agent's session as a setting."""

_LIMITS = (
    f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS};"
    f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}"
)
_SET = qualified("SELECT set_config($1, $2, true)")
_USER = "SELECT CURRENT_USER::pg_catalog.text"


class OtherSessionError(DbfirewallError):
    """The agent's session is one that can't be had here: `str()` is a clause on why, for people."""


@asynccontextmanager
async def nothing_stays(talk: Talk, settings: Mapping[str, str], *, write: bool) -> AsyncIterator[None]:
    """A transaction that is rolled back, read-only unless `write`, with an agent's `settings`.

    Raises OtherSessionError, ServerError, ConnectionError.

    After a ConnectionError or a cancellation `talk` must be closed.
    """
    mode = "WRITE" if write else "ONLY"
    try:
        await talk.script(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ {mode}; {_LIMITS}".encode())
        await _be_like(talk, settings)
        yield
    except (ConnectionError, asyncio.CancelledError):
        # Nobody can use the connection any more: the server rolls back when it is closed.
        raise
    except BaseException:
        await talk.run("ROLLBACK")
        raise
    await talk.run("ROLLBACK")


async def _be_like(talk: Talk, settings: Mapping[str, str]) -> None:
    """Take over what the agent's session had set, its role included. Raises OtherSessionError where that fails."""
    try:
        user = settings.get("current_user")
        if user is not None and user != await ask_one(talk, _USER):
            await talk.run(_SET, (text("role"), text(user)))
        for name in sorted(settings.keys() - _OURS):
            await talk.run(_SET, (text(name), text(settings[name])))
    except ServerError as error:
        raise OtherSessionError(
            f"the agent's session has settings that can't be had here ({error})"
        ) from error


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
