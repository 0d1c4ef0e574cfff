"""Security limits of the wire: how long a message may be, by phase and by type, in bytes.

All of them count a message's body, that is without its type byte and its four bytes of length. They are
smallest before authentication, when anybody may send. None is larger than Postgres' own (which count the
length too; src/include/libpq/pqcomm.h, libpq.h), so nothing that passes here is refused there for its size.
"""

from __future__ import annotations

from typing import Final

from dbfirewall.wire import messages as m

STARTUP_PACKET: Final = 10_000
"""A startup packet (Postgres: MAX_STARTUP_PACKET_LENGTH)."""

AUTH_MESSAGE: Final = 65_535 - 4
"""A message of the authentication exchange, in either direction (Postgres: PG_MAX_AUTH_TOKEN_LENGTH)."""

SERVER_STARTUP_BUFFER: Final = 1_048_576
"""What a server may have sent, unread, between the startup packet and its first ReadyForQuery."""

SMALL_MESSAGE: Final = 10_000 - 4
"""A message that only carries names (Postgres: PQ_SMALL_MESSAGE_LIMIT)."""

SQL_MESSAGE: Final = 16 * 1_048_576
"""Query, Parse and FunctionCall: messages that are held whole. (The SQL layer's own cap is far lower.)"""

LARGE_MESSAGE: Final = 0x3FFF_FFFE - 4
"""Bind and CopyData (Postgres: PQ_LARGE_MESSAGE_LIMIT)."""

FRONTEND: Final[dict[int, int]] = {
    m.QUERY: SQL_MESSAGE,
    m.PARSE: SQL_MESSAGE,
    m.BIND: LARGE_MESSAGE,
    m.FUNCTION_CALL: SQL_MESSAGE,
    m.COPY_DATA: LARGE_MESSAGE,
    m.EXECUTE: SMALL_MESSAGE,
    m.DESCRIBE: SMALL_MESSAGE,
    m.CLOSE: SMALL_MESSAGE,
    m.FLUSH: SMALL_MESSAGE,
    m.SYNC: SMALL_MESSAGE,
    m.TERMINATE: SMALL_MESSAGE,
    m.COPY_DONE: SMALL_MESSAGE,
    m.COPY_FAIL: SMALL_MESSAGE,
}
"""What an authenticated agent may send: the longest body by type. A type that is not here is refused."""
