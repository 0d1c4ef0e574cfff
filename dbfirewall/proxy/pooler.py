"""A connection pooler between the firewall and PostgreSQL: found out, and used only where sessions stay sessions.

Rules:
1. A pooler is recognised by its BackendKeyData: the process id in it is not the one that the server names. Unless
   the dsn says `pooler=session`, nobody gets a session through it.
2. With transaction or statement pooling another client's SET reaches the agent's next statement, so it is refused:
   one server connection that answers two clients which are both connected gives it away.
3. Poolers drop startup parameters. So the pins must be the login's own settings (ALTER ROLE … SET), where RESET goes
   back to; each new session is asked, and one that differs does not begin.
Source: https://www.pgbouncer.org/config.html (pool_mode, ignore_startup_parameters, server_reset_query)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from dbfirewall.errors import CatalogError, ProtocolError
from dbfirewall.proxy.peer import Peer
from dbfirewall.wire import backend, frontend
from dbfirewall.wire import messages as m

if TYPE_CHECKING:
    import asyncpg

OWN_SETTINGS: Final = frozenset(
    {"search_path", "default_transaction_read_only", "statement_timeout", "lock_timeout",
     "idle_in_transaction_session_timeout", "transaction_timeout"}
)  # fmt: skip
"""Parameters that a pooler drops, and that the login itself must have."""

_MOST_BYTES: Final = 64 * 1024
_HEADER: Final = struct.Struct(">BI")
_EXPECTED: Final = frozenset((m.ROW_DESCRIPTION, m.COMMAND_COMPLETE, m.NOTICE_RESPONSE))


async def demand_no_pooler(connection: asyncpg.Connection) -> None:
    """Raises CatalogError where something between us and the server hands out process ids of its own."""
    if await _server_pid(connection) != connection.get_server_pid():
        raise CatalogError(
            "a connection pooler stands before the database; with session pooling say pooler=session in the dsn, "
            "any other pooling is refused (docs/deployment.md, Connection poolers)"
        )


async def demand_own_session(first: asyncpg.Connection, second: asyncpg.Connection) -> None:
    """Raises CatalogError where two clients, both connected, are served by one server connection."""
    if await _server_pid(first) == await _server_pid(second):
        raise CatalogError(
            "the connection pooler shares server connections between sessions (transaction or statement pooling): "
            "what one session sets would reach another; use pool_mode=session"
        )


async def _server_pid(connection: asyncpg.Connection) -> int:
    # In one transaction, so that a pooler can't take the server away between its messages.
    async with connection.transaction():
        pid: int = await connection.fetchval("SELECT pg_catalog.pg_backend_pid()")
        return pid


async def confirm_own_settings(peer: Peer, wanted: Mapping[str, str]) -> None:
    """Ask the server for the parameters in `wanted`. Raises ProtocolError where one differs, or would after RESET."""
    names = ", ".join(f"'{name}'" for name in sorted(wanted))
    # Constants of ours alone: OWN_SETTINGS.
    sql = f"SELECT name, setting, reset_val FROM pg_catalog.pg_settings WHERE name IN ({names})"  # noqa: S608
    peer.send(frontend.encode_query(sql.encode()))
    found = {row[0]: row[1:] for row in await _rows(peer)}
    for name, value in sorted(wanted.items()):
        if found.get(name.encode()) != (value.encode(), value.encode()):
            raise ProtocolError(
                f"behind the connection pooler {name} is not {value!r}: set it for the login itself, "
                f"ALTER ROLE … SET {name} = {value if name == 'search_path' else repr(value)}"
            )


async def _rows(peer: Peer) -> list[tuple[bytes | None, ...]]:
    """The rows of a simple query's answer, up to ReadyForQuery."""
    rows: list[tuple[bytes | None, ...]] = []
    taken = 0
    while True:
        kind, length = _HEADER.unpack(await peer.read_exactly(_HEADER.size))
        taken += length
        if length < 4 or taken > _MOST_BYTES:
            raise ProtocolError("the server's settings came as a message of no sense")
        body = await peer.read_exactly(length - 4) if length > 4 else b""
        if kind == m.DATA_ROW:
            rows.append(backend.decode_data_row(body, 0, len(body)))
        elif kind == m.READY_FOR_QUERY:
            return rows
        elif kind not in _EXPECTED:
            raise ProtocolError("the server did not tell its settings")
