"""Startup packets: what a client sends before anything else, and the server's NegotiateProtocolVersion.

A startup packet has no type byte: Int32 length, then Int32 protocol version or request code.
Source: https://www.postgresql.org/docs/18/protocol-message-formats.html; Postgres' ProcessStartupPacket().
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dbfirewall.errors import ProtocolError, SqlState
from dbfirewall.wire import body, limits
from dbfirewall.wire import messages as m

_KEY_MIN: Final = 4
_KEY_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """`version`: e.g. PROTOCOL_3_2; the major number is 3, the minor one may be newer than ours.

    `parameters`: in the order sent; `user` may be missing. `_pq_.…` are protocol extensions.
    """

    version: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """Asks whether TLS may start: the answer is one byte, ENCRYPTION_ACCEPTED or ENCRYPTION_REFUSED."""


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """Asks whether GSSAPI encryption may start; answered like SSLRequest."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Asks to cancel what the session `pid` runs. `key`: 4 bytes in protocol 3.0, 4 to 256 in 3.2."""

    pid: int
    key: bytes


StartupPacket = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """`version`: the newest one the server speaks, whole (PROTOCOL_3_2), as Postgres sends it.

    `unsupported`: the names of protocol extensions (`_pq_.…`) that the server does not know.
    """

    version: int
    unsupported: tuple[str, ...] = ()


def encode_startup_message(msg: StartupMessage) -> bytes:
    """The whole packet. ValueError for an empty or NUL-carrying name, or more than limits.STARTUP_PACKET."""
    parts = [body.uint32(msg.version)]
    for name, value in msg.parameters.items():
        if not name:
            raise ValueError("a startup parameter must have a name")
        parts.append(body.cstring(name.encode()))
        parts.append(body.cstring(value.encode()))
    return _packet(b"".join(parts) + b"\x00")


def encode_cancel_request(msg: CancelRequest) -> bytes:
    """The whole packet."""
    if not _KEY_MIN <= len(msg.key) <= _KEY_MAX:
        raise ValueError("a cancel key has 4 to 256 bytes")
    return _packet(body.uint32(m.CANCEL_REQUEST_CODE) + body.uint32(msg.pid) + msg.key)


def encode_startup_packet(packet: StartupPacket) -> bytes:
    """The whole packet, whichever it is."""
    if isinstance(packet, StartupMessage):
        return encode_startup_message(packet)
    if isinstance(packet, CancelRequest):
        return encode_cancel_request(packet)
    return m.SSL_REQUEST_MESSAGE if isinstance(packet, SSLRequest) else m.GSSENC_REQUEST_MESSAGE


def decode_startup_packet(buf: bytes, start: int, end: int) -> StartupPacket:
    """`buf[start:end]`: the packet after its length.

    ProtocolError also for a protocol other than 3.x (SQLSTATE 0A000), a parameter given twice, text that is
    not UTF-8, and bytes after the terminator.
    """
    if end - start > limits.STARTUP_PACKET:
        raise ProtocolError("invalid length of startup packet")
    reader = body.Reader("startup", buf, start, end)
    code = reader.uint32()
    if code == m.SSL_REQUEST_CODE:
        reader.finish()
        return SSLRequest()
    if code == m.GSSENC_REQUEST_CODE:
        reader.finish()
        return GSSENCRequest()
    if code == m.CANCEL_REQUEST_CODE:
        return _decode_cancel_request(reader)
    if code >> 16 != 3:
        problem = f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.2"
        raise ProtocolError(problem, SqlState.NOT_UNDERSTOOD)
    return StartupMessage(code, _decode_parameters(reader))


def encode_negotiate_protocol_version(msg: NegotiateProtocolVersion) -> bytes:
    """The whole message."""
    names = b"".join([body.cstring(name.encode()) for name in msg.unsupported])
    head = body.uint32(msg.version) + body.int32(len(msg.unsupported))
    return body.message(m.NEGOTIATE_PROTOCOL_VERSION, head + names)


def decode_negotiate_protocol_version(buf: bytes, start: int, end: int) -> NegotiateProtocolVersion:
    """Refuses a count that does not fit the names that follow."""
    reader = body.Reader("NegotiateProtocolVersion", buf, start, end)
    version = reader.uint32()
    count = reader.int32()
    if not 0 <= count <= reader.remaining():
        raise reader.error("it ends too early")
    names = tuple([reader.text() for _ in range(count)])
    reader.finish()
    return NegotiateProtocolVersion(version, names)


def _packet(content: bytes) -> bytes:
    if len(content) > limits.STARTUP_PACKET:
        raise ValueError("the startup packet is too long")
    return body.int32(len(content) + 4) + content


def _decode_cancel_request(reader: body.Reader) -> CancelRequest:
    pid = reader.uint32()
    key = reader.rest()
    if not _KEY_MIN <= len(key) <= _KEY_MAX:
        raise reader.error("a cancel key has 4 to 256 bytes")
    return CancelRequest(pid, key)


def _decode_parameters(reader: body.Reader) -> dict[str, str]:
    parameters: dict[str, str] = {}
    while name := reader.text():
        if name in parameters:
            raise reader.error("a parameter is given twice")
        parameters[name] = reader.text()
    reader.finish()
    return parameters
