"""What an authenticated agent sends: encoders and decoders.

The decoders of Query, Parse, Bind, Execute, Describe and Close are on the hot path of every statement: they
work on the chunk in place, and give tuples. All of them are strict, so that what is judged is what Postgres
reads: exactly one NUL where one belongs, no byte missing, no byte left over.
Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from dbfirewall.errors import ProtocolError
from dbfirewall.wire import body
from dbfirewall.wire import messages as m

_UINT16: Final = struct.Struct(">H")
_INT32: Final = struct.Struct(">i")


class Parse(NamedTuple):
    """`oids`: the parameter type OIDs as sent, 4 bytes each, big-endian; may be fewer than the parameters."""

    name: bytes
    sql: bytes
    oids: bytes = b""


class Bind(NamedTuple):
    """`parameters`: everything after the names, as sent: parameter formats, values, result formats.

    It is not looked into (see `decode_bind_parameters`), but it is all that a hash needs.
    """

    portal: bytes
    statement: bytes
    parameters: bytes


class BindParameters(NamedTuple):
    """`formats`, `result_formats`: 0 text, 1 binary; none, one for all, or one each. NULL is None."""

    formats: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()


class Target(NamedTuple):
    """What Describe or Close is about. `kind`: TARGET_STATEMENT or TARGET_PORTAL."""

    kind: int
    name: bytes


class Execute(NamedTuple):
    """`max_rows`: 0 (or less) means all."""

    portal: bytes
    max_rows: int = 0


class FunctionCall(NamedTuple):
    """A fast-path call of the function with this OID. `result_format`: 0 text, 1 binary."""

    oid: int
    formats: tuple[int, ...]
    arguments: tuple[bytes | None, ...]
    result_format: int


def encode_query(sql: bytes) -> bytes:
    """The whole message."""
    return body.message(m.QUERY, body.cstring(sql))


def decode_query(buf: bytes, start: int, end: int) -> bytes:
    """The text, without its terminator."""
    stop = buf.find(0, start, end)
    if stop < 0 or stop != end - 1:
        raise ProtocolError("invalid Query message: one NUL byte must end the text, and nothing follow it")
    return buf[start:stop]


def encode_parse(msg: Parse) -> bytes:
    """The whole message."""
    count, odd = divmod(len(msg.oids), 4)
    if odd:
        raise ValueError("parameter type OIDs have 4 bytes each")
    names = body.cstring(msg.name) + body.cstring(msg.sql)
    return body.message(m.PARSE, names + body.uint16(count) + msg.oids)


def decode_parse(buf: bytes, start: int, end: int) -> Parse:
    """The statement's name, its text and the raw OIDs."""
    name_stop = buf.find(0, start, end)
    sql_stop = buf.find(0, name_stop + 1, end) if name_stop >= 0 else -1
    if sql_stop < 0:
        raise ProtocolError("invalid Parse message: a string is not terminated")
    oids = sql_stop + 3
    if oids > end or end - oids != 4 * _UINT16.unpack_from(buf, sql_stop + 1)[0]:
        raise ProtocolError("invalid Parse message: its parameter types do not fit its length")
    return Parse(buf[start:name_stop], buf[name_stop + 1 : sql_stop], buf[oids:end])


def encode_bind(msg: Bind) -> bytes:
    """The whole message."""
    return body.message(m.BIND, body.cstring(msg.portal) + body.cstring(msg.statement) + msg.parameters)


def decode_bind(buf: bytes, start: int, end: int) -> Bind:
    """The names, and the rest as it is."""
    portal_stop = buf.find(0, start, end)
    statement_stop = buf.find(0, portal_stop + 1, end) if portal_stop >= 0 else -1
    if statement_stop < 0:
        raise ProtocolError("invalid Bind message: a string is not terminated")
    return Bind(buf[start:portal_stop], buf[portal_stop + 1 : statement_stop], buf[statement_stop + 1 : end])


def encode_bind_parameters(parameters: BindParameters) -> bytes:
    """The part of a Bind after its names: `Bind.parameters`."""
    head = body.formats(parameters.formats) + body.values(parameters.values)
    return head + body.formats(parameters.result_formats)


def decode_bind_parameters(parameters: bytes) -> BindParameters:
    """All of `Bind.parameters`."""
    reader = body.Reader("Bind", parameters, 0, len(parameters))
    decoded = BindParameters(reader.formats(), reader.values(), reader.formats())
    reader.finish()
    return decoded


def encode_describe(msg: Target) -> bytes:
    """The whole message."""
    return _encode_target(m.DESCRIBE, msg)


def decode_describe(buf: bytes, start: int, end: int) -> Target:
    """Which statement or portal is to be described."""
    return _decode_target("Describe", buf, start, end)


def encode_close(msg: Target) -> bytes:
    """The whole message."""
    return _encode_target(m.CLOSE, msg)


def decode_close(buf: bytes, start: int, end: int) -> Target:
    """Which statement or portal is to be closed."""
    return _decode_target("Close", buf, start, end)


def encode_execute(msg: Execute) -> bytes:
    """The whole message."""
    return body.message(m.EXECUTE, body.cstring(msg.portal) + body.int32(msg.max_rows))


def decode_execute(buf: bytes, start: int, end: int) -> Execute:
    """The portal and the most rows that are asked for."""
    stop = buf.find(0, start, end)
    if stop < 0 or stop + 5 != end:
        raise ProtocolError("invalid Execute message: it must be a terminated name and a row count")
    return Execute(buf[start:stop], _INT32.unpack_from(buf, stop + 1)[0])


def encode_function_call(msg: FunctionCall) -> bytes:
    """The whole message."""
    head = body.uint32(msg.oid) + body.formats(msg.formats) + body.values(msg.arguments)
    return body.message(m.FUNCTION_CALL, head + body.uint16(msg.result_format))


def decode_function_call(buf: bytes, start: int, end: int) -> FunctionCall:
    """All of it. (dbfirewall refuses the message, and names the function in the audit record.)"""
    reader = body.Reader("FunctionCall", buf, start, end)
    call = FunctionCall(reader.uint32(), reader.formats(), reader.values(), reader.uint16())
    reader.finish()
    return call


def encode_copy_data(data: bytes) -> bytes:
    """The whole message, either direction."""
    return body.message(m.COPY_DATA, data)


def decode_copy_data(buf: bytes, start: int, end: int) -> bytes:
    """The body is the data."""
    return buf[start:end]


def encode_copy_fail(reason: bytes) -> bytes:
    """The whole message."""
    return body.message(m.COPY_FAIL, body.cstring(reason))


def decode_copy_fail(buf: bytes, start: int, end: int) -> bytes:
    """The client's reason."""
    reader = body.Reader("CopyFail", buf, start, end)
    reason = reader.cstring()
    reader.finish()
    return reason


def _encode_target(type_code: int, msg: Target) -> bytes:
    if msg.kind not in (m.TARGET_STATEMENT, m.TARGET_PORTAL):
        raise ValueError("neither a statement nor a portal")
    return body.message(type_code, bytes((msg.kind,)) + body.cstring(msg.name))


def _decode_target(message_name: str, buf: bytes, start: int, end: int) -> Target:
    stop = buf.find(0, start + 1, end)
    if stop < 0 or stop != end - 1:
        raise ProtocolError(f"invalid {message_name} message: it must be a kind and a terminated name")
    kind = buf[start]
    if kind != m.TARGET_STATEMENT and kind != m.TARGET_PORTAL:
        raise ProtocolError(f"invalid {message_name} message: its kind must be S or P")
    return Target(kind, buf[start + 1 : stop])
