"""Reading and writing message bodies: the few primitive types of the protocol.

Decoders take `(buf, start, end)`: the body is `buf[start:end]`, and the caller has checked that it is whole.
A body that is too short, too long or not terminated is a ProtocolError; a decoder never raises anything else.
Encoders raise ValueError for a value that the format cannot carry: that is a bug of the caller.
"""

from __future__ import annotations

import struct
from typing import Final

from dbfirewall.errors import ProtocolError

_HEADER: Final = struct.Struct(">BI")
_UINT16: Final = struct.Struct(">H")
_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")
_UINT32: Final = struct.Struct(">I")
_MAX_LENGTH: Final = 0x7FFF_FFFF


def message(type_code: int, body: bytes) -> bytes:
    """A whole message: type byte, length (which counts itself), body."""
    if len(body) > _MAX_LENGTH - 4:
        raise ValueError("the body is too long for a message")
    return _HEADER.pack(type_code, len(body) + 4) + body


def cstring(value: bytes) -> bytes:
    """`value` as a String: NUL-terminated, so it cannot hold a NUL itself."""
    if 0 in value:
        raise ValueError("a NUL byte cannot be part of a String")
    return value + b"\x00"


def uint16(value: int) -> bytes:
    """`value` as an unsigned Int16: the protocol's counts and format codes."""
    if not 0 <= value <= 0xFFFF:
        raise ValueError("out of range for an Int16")
    return _UINT16.pack(value)


def int16(value: int) -> bytes:
    """`value` as a signed Int16."""
    if not -0x8000 <= value <= 0x7FFF:
        raise ValueError("out of range for an Int16")
    return _INT16.pack(value)


def int32(value: int) -> bytes:
    """`value` as a signed Int32."""
    if not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        raise ValueError("out of range for an Int32")
    return _INT32.pack(value)


def uint32(value: int) -> bytes:
    """`value` as an unsigned Int32: OIDs, process ids, request codes."""
    if not 0 <= value <= 0xFFFF_FFFF:
        raise ValueError("out of range for an unsigned Int32")
    return _UINT32.pack(value)


def value(item: bytes | None) -> bytes:
    """A value with its length before it; None is NULL (length -1)."""
    return b"\xff\xff\xff\xff" if item is None else int32(len(item)) + item


def values(items: tuple[bytes | None, ...]) -> bytes:
    """A counted list of values."""
    return uint16(len(items)) + b"".join([value(item) for item in items])


def formats(codes: tuple[int, ...]) -> bytes:
    """A counted list of format codes."""
    return uint16(len(codes)) + b"".join([uint16(code) for code in codes])


class Reader:
    """Reads one body from front to back. Every method raises ProtocolError where the body ends too early."""

    __slots__ = ("_buf", "_end", "_name", "_pos")

    def __init__(self, name: str, buf: bytes, start: int, end: int) -> None:
        """`name`: the message's name in the protocol's words, for error texts."""
        self._name = name
        self._buf = buf
        self._pos = start
        self._end = end

    def error(self, problem: str) -> ProtocolError:
        """The exception for `problem` in this message, to be raised by the caller."""
        return ProtocolError(f"invalid {self._name} message: {problem}")

    def remaining(self) -> int:
        """How many bytes have not been read."""
        return self._end - self._pos

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        pos = self._advance(size)
        return self._buf[pos : pos + size]

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self._end - self._pos)

    def uint8(self) -> int:
        """One byte."""
        return self._buf[self._advance(1)]

    def uint16(self) -> int:
        """An unsigned Int16."""
        value: int = _UINT16.unpack_from(self._buf, self._advance(2))[0]
        return value

    def int16(self) -> int:
        """A signed Int16."""
        value: int = _INT16.unpack_from(self._buf, self._advance(2))[0]
        return value

    def int32(self) -> int:
        """A signed Int32."""
        value: int = _INT32.unpack_from(self._buf, self._advance(4))[0]
        return value

    def uint32(self) -> int:
        """An unsigned Int32."""
        value: int = _UINT32.unpack_from(self._buf, self._advance(4))[0]
        return value

    def cstring(self) -> bytes:
        """The bytes up to the next NUL, which is read too."""
        pos = self._pos
        stop = self._buf.find(0, pos, self._end)
        if stop < 0:
            raise self.error("a string is not terminated")
        self._pos = stop + 1
        return self._buf[pos:stop]

    def text(self) -> str:
        """A String that must be UTF-8."""
        try:
            return self.cstring().decode("utf-8")
        except UnicodeDecodeError:
            raise self.error("a string is not valid UTF-8") from None

    def formats(self) -> tuple[int, ...]:
        """A counted list of format codes."""
        return tuple([self.uint16() for _ in range(self._count(2))])

    def oids(self) -> tuple[int, ...]:
        """A counted list of OIDs."""
        return tuple([self.uint32() for _ in range(self._count(4))])

    def value(self) -> bytes | None:
        """A value with its length before it; NULL (length -1) is None."""
        size = self.int32()
        return None if size == -1 else self.take(size)

    def values(self) -> tuple[bytes | None, ...]:
        """A counted list of values; NULL is None."""
        return tuple([self.value() for _ in range(self._count(4))])

    def finish(self) -> None:
        """Refuse what is left over."""
        if self._pos != self._end:
            raise self.error(f"{self._end - self._pos} bytes too long")

    def _count(self, least: int) -> int:
        """A count of items of at least `least` bytes each: one that cannot fit is refused before the loop."""
        count = self.uint16()
        if count * least > self._end - self._pos:
            raise self.error("it ends too early")
        return count

    def _advance(self, size: int) -> int:
        """Move `size` bytes on; gives the position before. A negative size is as wrong as one too large."""
        pos = self._pos
        if not 0 <= size <= self._end - pos:
            raise self.error("it ends too early")
        self._pos = pos + size
        return pos


def check_empty(name: str, start: int, end: int) -> None:
    """Refuse a body where there must be none."""
    if start != end:
        raise ProtocolError(f"invalid {name} message: it must be empty")
