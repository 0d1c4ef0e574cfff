"""What a server sends after authentication has begun: encoders and decoders.

(Authentication… has its own module.) Names and values stay bytes: they are in the session's client_encoding,
and only the session knows that.
Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from dbfirewall.errors import ProtocolError
from dbfirewall.wire import body
from dbfirewall.wire import messages as m

_KEY_MIN: Final = 4
_KEY_MAX: Final = 256
_STATUSES: Final = frozenset((m.STATUS_IDLE, m.STATUS_IN_TRANSACTION, m.STATUS_FAILED))


class ParameterStatus(NamedTuple):
    """A reported setting's current value."""

    name: bytes
    value: bytes


class BackendKeyData(NamedTuple):
    """What a CancelRequest must carry. `key`: 4 bytes in protocol 3.0, 4 to 256 in 3.2."""

    pid: int
    key: bytes


class Notification(NamedTuple):
    """A NOTIFY, sent by the session `pid`."""

    pid: int
    channel: bytes
    payload: bytes


class Column(NamedTuple):
    """One field of a RowDescription. `table_oid`, `column_number`: 0 where the field is no table's column.

    `type_size`: bytes, negative for variable width. `format`: 0 text, 1 binary.
    """

    name: bytes
    table_oid: int = 0
    column_number: int = 0
    type_oid: int = 25
    type_size: int = -1
    type_modifier: int = -1
    format: int = 0


class CopyResponse(NamedTuple):
    """CopyInResponse, CopyOutResponse, CopyBothResponse. `format`: 0 text, 1 binary; then one per column."""

    format: int
    column_formats: tuple[int, ...] = ()


def encode_parameter_status(msg: ParameterStatus) -> bytes:
    """The whole message."""
    return body.message(m.PARAMETER_STATUS, body.cstring(msg.name) + body.cstring(msg.value))


def decode_parameter_status(buf: bytes, start: int, end: int) -> ParameterStatus:
    """Name and value, in the session's client_encoding."""
    name_stop = buf.find(0, start, end)
    if name_stop < 0 or buf.find(0, name_stop + 1, end) != end - 1:
        raise ProtocolError("invalid ParameterStatus message: it must be two terminated strings")
    return ParameterStatus(buf[start:name_stop], buf[name_stop + 1 : end - 1])


def encode_backend_key_data(msg: BackendKeyData) -> bytes:
    """The whole message."""
    if not _KEY_MIN <= len(msg.key) <= _KEY_MAX:
        raise ValueError("a cancel key has 4 to 256 bytes")
    return body.message(m.BACKEND_KEY_DATA, body.uint32(msg.pid) + msg.key)


def decode_backend_key_data(buf: bytes, start: int, end: int) -> BackendKeyData:
    """The session's process id and cancel key."""
    reader = body.Reader("BackendKeyData", buf, start, end)
    pid = reader.uint32()
    key = reader.rest()
    if not _KEY_MIN <= len(key) <= _KEY_MAX:
        raise reader.error("a cancel key has 4 to 256 bytes")
    return BackendKeyData(pid, key)


def encode_ready_for_query(status: int) -> bytes:
    """The whole message. `status`: STATUS_IDLE, STATUS_IN_TRANSACTION or STATUS_FAILED."""
    if status not in _STATUSES:
        raise ValueError("unknown transaction status")
    return body.message(m.READY_FOR_QUERY, bytes((status,)))


def decode_ready_for_query(buf: bytes, start: int, end: int) -> int:
    """The transaction status."""
    if end - start != 1 or buf[start] not in _STATUSES:
        raise ProtocolError("invalid ReadyForQuery message: it must be one of I, T and E")
    return buf[start]


def encode_error_response(fields: Mapping[str, str]) -> bytes:
    """The whole message. `fields` by their one-letter codes, in this order: S, V, C, M, D, H, …."""
    return body.message(m.ERROR_RESPONSE, _encode_fields(fields))


def encode_notice_response(fields: Mapping[str, str]) -> bytes:
    """The whole message. `fields` as in `encode_error_response`."""
    return body.message(m.NOTICE_RESPONSE, _encode_fields(fields))


def decode_error_response(buf: bytes, start: int, end: int) -> dict[str, str]:
    """Fields by code. Text that is not UTF-8 is replaced: it is shown and logged, never judged."""
    return _decode_fields("ErrorResponse", buf, start, end)


def decode_notice_response(buf: bytes, start: int, end: int) -> dict[str, str]:
    """As `decode_error_response`."""
    return _decode_fields("NoticeResponse", buf, start, end)


def encode_command_complete(tag: bytes) -> bytes:
    """The whole message."""
    return body.message(m.COMMAND_COMPLETE, body.cstring(tag))


def decode_command_complete(buf: bytes, start: int, end: int) -> bytes:
    """The tag, e.g. `INSERT 0 5`."""
    stop = buf.find(0, start, end)
    if stop < 0 or stop != end - 1:
        raise ProtocolError("invalid CommandComplete message: one NUL byte must end the tag")
    return buf[start:stop]


def tag_rows(tag: bytes) -> int:
    """How many rows a command tag speaks of: its last word where that is a number, else 0."""
    word = tag[tag.rfind(b" ") + 1 :]
    return int(word) if word.isdigit() and len(word) < 20 else 0


def encode_row_description(columns: tuple[Column, ...]) -> bytes:
    """The whole message."""
    return body.message(
        m.ROW_DESCRIPTION,
        body.uint16(len(columns)) + b"".join([_encode_column(column) for column in columns]),
    )


def decode_row_description(buf: bytes, start: int, end: int) -> tuple[Column, ...]:
    """The fields, in order."""
    reader = body.Reader("RowDescription", buf, start, end)
    columns = tuple([_decode_column(reader) for _ in range(reader.uint16())])
    reader.finish()
    return columns


def encode_data_row(values: tuple[bytes | None, ...]) -> bytes:
    """The whole message. None is NULL."""
    return body.message(m.DATA_ROW, body.values(values))


def decode_data_row(buf: bytes, start: int, end: int) -> tuple[bytes | None, ...]:
    """The values, in order; None is NULL."""
    reader = body.Reader("DataRow", buf, start, end)
    row = reader.values()
    reader.finish()
    return row


def encode_parameter_description(oids: tuple[int, ...]) -> bytes:
    """The whole message."""
    return body.message(
        m.PARAMETER_DESCRIPTION, body.uint16(len(oids)) + b"".join([body.uint32(oid) for oid in oids])
    )


def decode_parameter_description(buf: bytes, start: int, end: int) -> tuple[int, ...]:
    """The OIDs of the parameters' types, in order."""
    reader = body.Reader("ParameterDescription", buf, start, end)
    oids = reader.oids()
    reader.finish()
    return oids


def encode_copy_response(type_code: int, msg: CopyResponse) -> bytes:
    """The whole message. `type_code`: COPY_IN_RESPONSE, COPY_OUT_RESPONSE or COPY_BOTH_RESPONSE."""
    if msg.format not in (0, 1):
        raise ValueError("a copy format is 0 or 1")
    return body.message(type_code, bytes((msg.format,)) + body.formats(msg.column_formats))


def decode_copy_response(buf: bytes, start: int, end: int) -> CopyResponse:
    """Any of the three."""
    reader = body.Reader("CopyResponse", buf, start, end)
    overall = reader.uint8()
    if overall > 1:
        raise reader.error("its format must be 0 or 1")
    columns = reader.formats()
    reader.finish()
    return CopyResponse(overall, columns)


def encode_notification(msg: Notification) -> bytes:
    """The whole NotificationResponse message."""
    strings = body.cstring(msg.channel) + body.cstring(msg.payload)
    return body.message(m.NOTIFICATION_RESPONSE, body.uint32(msg.pid) + strings)


def decode_notification(buf: bytes, start: int, end: int) -> Notification:
    """Sender, channel and payload."""
    reader = body.Reader("NotificationResponse", buf, start, end)
    notification = Notification(reader.uint32(), reader.cstring(), reader.cstring())
    reader.finish()
    return notification


def encode_function_call_response(value: bytes | None) -> bytes:
    """The whole message. None is NULL."""
    return body.message(m.FUNCTION_CALL_RESPONSE, body.value(value))


def decode_function_call_response(buf: bytes, start: int, end: int) -> bytes | None:
    """The function's result; None is NULL."""
    reader = body.Reader("FunctionCallResponse", buf, start, end)
    value = reader.value()
    reader.finish()
    return value


def _encode_fields(fields: Mapping[str, str]) -> bytes:
    parts: list[bytes] = []
    for code, text in fields.items():
        if len(code) != 1 or not code.isascii() or code == "\x00":
            raise ValueError("a field's code is one ASCII character")
        parts.append(code.encode() + body.cstring(text.encode()))
    return b"".join(parts) + b"\x00"


def _decode_fields(name: str, buf: bytes, start: int, end: int) -> dict[str, str]:
    reader = body.Reader(name, buf, start, end)
    fields: dict[str, str] = {}
    while code := reader.uint8():
        fields[chr(code)] = reader.cstring().decode("utf-8", errors="replace")
    reader.finish()
    return fields


def _encode_column(column: Column) -> bytes:
    return b"".join(
        (
            body.cstring(column.name),
            body.uint32(column.table_oid),
            body.int16(column.column_number),
            body.uint32(column.type_oid),
            body.int16(column.type_size),
            body.int32(column.type_modifier),
            body.uint16(column.format),
        )
    )


def _decode_column(reader: body.Reader) -> Column:
    return Column(
        reader.cstring(),
        reader.uint32(),
        reader.int16(),
        reader.uint32(),
        reader.int16(),
        reader.int32(),
        reader.uint16(),
    )
