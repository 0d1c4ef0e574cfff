"""The parameters of a Bind as a request for approval keeps them: exact, and readable where their type is known."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dbfirewall.approvals.model import Parameter
from dbfirewall.errors import ProtocolError
from dbfirewall.wire.frontend import decode_bind_parameters

MAX_SHOWN: Final = 4096
"""Characters of one value that are shown."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL's binary dates and timestamps count from."""


def parameters_of(values: bytes, declared: bytes, types: Sequence[int]) -> tuple[Parameter, ...]:
    """`values`: a Bind after its names; `declared`: the OIDs of its Parse, as sent; `types`: as the server has them.

    Raises ProtocolError where the Bind is malformed.
    """
    if not values:
        return ()
    bound = decode_bind_parameters(values)
    count = len(bound.values)
    if len(bound.formats) not in (0, 1, count):
        raise ProtocolError("invalid Bind message: its formats do not fit its parameters")
    formats = bound.formats if len(bound.formats) == count and count != 1 else (bound.formats or (0,)) * count
    oids = struct.unpack(f">{len(declared) // 4}I", declared)
    padded = [*oids[:count], *[0] * (count - len(oids))]
    known = [*types[:count], *[0] * (count - len(types))]
    return tuple(
        Parameter(oid, form, value, shown(value, form, of or oid))
        for oid, form, value, of in zip(padded, formats, bound.values, known, strict=True)
    )


def shown(value: bytes | None, form: int, oid: int) -> str | None:
    """`value` for people; None for NULL, and where its type is not one that is known here."""
    if value is None:
        return None
    if form == 0:
        return value.decode("utf-8", "backslashreplace")[:MAX_SHOWN]
    decode = _BINARY.get(oid)
    if decode is None:
        return None
    try:
        return str(decode(value))[:MAX_SHOWN]
    except (struct.error, ValueError, OverflowError):
        return None


def _number(layout: str) -> Callable[[bytes], Any]:
    return lambda value: struct.unpack(layout, value)[0]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _date(value: bytes) -> str:
    return (_EPOCH + timedelta(days=struct.unpack(">i", value)[0])).date().isoformat()


def _moment(value: bytes) -> datetime:
    return _EPOCH + timedelta(microseconds=struct.unpack(">q", value)[0])


_BINARY: Final[dict[int, Callable[[bytes], Any]]] = {
    16: lambda value: "true" if struct.unpack(">?", value)[0] else "false",
    17: lambda value: "\\x" + value.hex(),
    20: _number(">q"),
    21: _number(">h"),
    23: _number(">i"),
    26: _number(">I"),
    700: _number(">f"),
    701: _number(">d"),
    1082: _date,
    1114: lambda value: _moment(value).replace(tzinfo=None).isoformat(sep=" "),
    1184: lambda value: _moment(value).isoformat(sep=" "),
    2950: lambda value: UUID(bytes=value),
    3802: lambda value: _text(value[1:]),
    **dict.fromkeys((18, 19, 25, 114, 142, 705, 1042, 1043), _text),
}
"""Binary forms of common types by their OIDs (pg_type.dat): numbers, texts, times, uuid, json and jsonb, bytea."""
