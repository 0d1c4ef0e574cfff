"""Cutting the byte stream into messages before a session runs: startup packets and authentication.

The hot path does not come here: a running session walks its chunks itself (`type, length` by unpack_from) and
relays whole runs of messages. Here every byte may come from anybody, so:
1. a type that does not belong to the phase is refused at its first byte;
2. a length outside the phase's limit is refused as soon as the header is there, without waiting for its body;
3. never more than the capacity (by default one message of the largest size) is held.
After a ProtocolError the framer is of no more use: the connection is to be closed.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from dbfirewall.errors import ProtocolError
from dbfirewall.wire import limits
from dbfirewall.wire import messages as m

_LENGTH: Final = struct.Struct(">I")


class Phase(IntEnum):
    """What a peer may send now."""

    STARTUP = 0
    """A client's startup packets, which have no type byte."""
    CLIENT_AUTH = 1
    """A client's answers to Authentication… messages."""
    SERVER_STARTUP = 2
    """A server's messages from the startup packet to the first ReadyForQuery."""


_TYPES: Final[dict[Phase, frozenset[int]]] = {
    Phase.CLIENT_AUTH: frozenset((m.PASSWORD, m.TERMINATE)),
    Phase.SERVER_STARTUP: frozenset(
        (m.AUTHENTICATION, m.NEGOTIATE_PROTOCOL_VERSION, m.ERROR_RESPONSE, m.NOTICE_RESPONSE,
         m.PARAMETER_STATUS, m.BACKEND_KEY_DATA, m.READY_FOR_QUERY)
    ),
}  # fmt: skip

_LIMITS: Final[dict[Phase, int]] = {
    Phase.STARTUP: limits.STARTUP_PACKET,
    Phase.CLIENT_AUTH: limits.AUTH_MESSAGE,
    Phase.SERVER_STARTUP: limits.AUTH_MESSAGE,
}


class Frame(NamedTuple):
    """One message. `type`: its type code, 0 for a startup packet."""

    type: int
    body: bytes


class Framer:
    """Bytes in by `feed`, messages out by `next`; raises ProtocolError and nothing else."""

    __slots__ = ("_buffer", "_capacity", "_header", "_limit", "_phase")

    def __init__(self, phase: Phase, *, limit: int | None = None, capacity: int | None = None) -> None:
        """`limit`: the longest body, in bytes; `capacity`: the most bytes held unread.

        Both are security limits. The defaults are those of `limits.py` for the phase, and a capacity of one
        message of that size.
        """
        self._buffer = bytearray()
        self.enter(phase, limit=limit, capacity=capacity)

    def enter(self, phase: Phase, *, limit: int | None = None, capacity: int | None = None) -> None:
        """Go on to another phase; what is buffered is read by its rules."""
        self._phase = phase
        self._header = 4 if phase is Phase.STARTUP else m.HEADER
        self._limit = _LIMITS[phase] if limit is None else limit
        default = (
            limits.SERVER_STARTUP_BUFFER if phase is Phase.SERVER_STARTUP else self._limit + self._header
        )
        self._capacity = default if capacity is None else capacity

    @property
    def buffered(self) -> int:
        """How many bytes are held. After an SSLRequest it must be 0: what came before TLS is not trusted."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what was received. ProtocolError, and nothing is kept, when it is more than the capacity."""
        if len(self._buffer) + len(data) > self._capacity:
            self._buffer.clear()
            raise ProtocolError("too much data before authentication is complete")
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole message, or None until more is fed."""
        buffer = self._buffer
        if not buffer:
            return None
        header = self._header
        kind = 0
        if header == m.HEADER:
            kind = buffer[0]
            if kind not in _TYPES[self._phase]:
                raise ProtocolError(f"invalid message type {kind} during startup")
        if len(buffer) < header:
            return None
        size = _LENGTH.unpack_from(buffer, header - 4)[0] - 4
        if not 0 <= size <= self._limit:
            raise ProtocolError("invalid message length during startup")
        if len(buffer) < header + size:
            return None
        frame = Frame(kind, bytes(buffer[header : header + size]))
        del buffer[: header + size]
        return frame

    def take(self) -> bytes:
        """All that is held, which is handed over to whoever reads the stream from here on."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest
