"""A PostgreSQL client that sends whatever bytes a test wants to send, and reads whole messages.

It shares no code with the firewall, so that a mistake in `dbfirewall.wire` cannot hide itself.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from scramp import ScramClient

PROTOCOL_3_0 = 196608
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the server: its type byte and its body."""

    type: bytes
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """An ErrorResponse's or NoticeResponse's fields by their letters."""
        parts = [part.decode() for part in self.body.split(b"\0") if part]
        return {part[0]: part[1:] for part in parts}


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A frontend message with its length."""
    return kind + struct.pack("!i", len(body) + 4) + body


def query(sql: str | bytes) -> bytes:
    """Query."""
    return message(b"Q", (sql.encode() if isinstance(sql, str) else sql) + b"\0")


def parse(sql: str | bytes, name: bytes = b"") -> bytes:
    """Parse, without parameter types."""
    text = sql.encode() if isinstance(sql, str) else sql
    return message(b"P", name + b"\0" + text + b"\0\0\0")


def bind(portal: bytes = b"", name: bytes = b"") -> bytes:
    """Bind without parameters."""
    return message(b"B", portal + b"\0" + name + b"\0" + struct.pack("!hhh", 0, 0, 0))


def execute(portal: bytes = b"") -> bytes:
    """Execute, all rows."""
    return message(b"E", portal + b"\0" + struct.pack("!i", 0))


SYNC = message(b"S")


def startup(parameters: dict[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """A startup packet."""
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    body = struct.pack("!i", version) + pairs + b"\0"
    return struct.pack("!i", len(body) + 4) + body


class RawClient:
    """One TCP connection. Reading times out, so that an answer that never comes is an error."""

    def __init__(self, host: str, port: int, *, seconds: float = 15, source: str = "") -> None:
        """`source`: the address to come from, such as 127.0.0.2; the system's choice unless given."""
        self.socket = socket.create_connection(
            (host, port), timeout=seconds, source_address=(source, 0) if source else None
        )
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of `data`; a peer that has hung up in the middle of it is no error here."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes; fewer where the connection ends."""
        while len(self._buffer) < count:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                break
            self._buffer += more
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def read(self) -> Message | None:
        """The next message, or None where the connection has ended."""
        head = self.exactly(5)
        if len(head) < 5:
            return None
        return Message(head[:1], self.exactly(struct.unpack("!i", head[1:])[0] - 4))

    def until(self, *kinds: bytes) -> list[Message]:
        """Messages up to the first of one of `kinds`, or up to the end of the connection."""
        found = []
        while (one := self.read()) is not None:
            found.append(one)
            if one.type in kinds:
                break
        return found

    def error(self) -> dict[str, str]:
        """The fields of the next ErrorResponse; {} where the connection ends without one."""
        found = self.until(b"E")
        return found[-1].fields if found and found[-1].type == b"E" else {}

    def log_in(self, agent: str, password: str, **parameters: str) -> list[Message]:
        """Startup and SCRAM-SHA-256; the messages up to ReadyForQuery or an error."""
        self.send(startup({"user": agent, **parameters}))
        return self.authenticate(agent, password)

    def authenticate(self, agent: str, password: str) -> list[Message]:
        """SCRAM-SHA-256 after a startup packet was sent."""
        scram = ScramClient(["SCRAM-SHA-256"], agent, password)
        offered = self.until(b"R", b"E")
        if offered[-1].type == b"E":
            return offered
        first = scram.get_client_first().encode()
        self.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        challenge = self.until(b"R", b"E")
        if challenge[-1].type == b"E":
            return challenge
        scram.set_server_first(challenge[-1].body[4:].decode())
        self.send(message(b"p", scram.get_client_final().encode()))
        return self.until(b"Z", b"E")
