"""Decoding of `U&"…"` identifiers: str_udeescape in src/backend/parser/parser.c, for a UTF-8 server."""

from __future__ import annotations

import re

_ESCAPE_FORBIDDEN = frozenset("0123456789abcdefABCDEF+'\" \t\n\r\f\v")
_HEX4 = re.compile(r"[0-9A-Fa-f]{4}")
_HEX6 = re.compile(r"\+([0-9A-Fa-f]{6})")


class UescapeError(ValueError):
    """PostgreSQL would refuse the escape."""


def unescape(text: str, escape: str) -> str:
    """`text` (doubled quotes already single) with its Unicode escapes replaced.

    Raises UescapeError for an invalid escape character or sequence, a lone surrogate, or code point 0.
    """
    if len(escape) != 1 or escape in _ESCAPE_FORBIDDEN:
        raise UescapeError("invalid Unicode escape character")
    out: list[str] = []
    high = 0
    position, end = 0, len(text)
    while position < end:
        code, position = _next(text, position, escape)
        if high:
            if not 0xDC00 <= code <= 0xDFFF:
                raise UescapeError("invalid Unicode surrogate pair")
            out.append(chr(0x10000 + ((high & 0x3FF) << 10) + (code & 0x3FF)))
            high = 0
        elif 0xD800 <= code <= 0xDBFF:
            high = code
        elif 0xDC00 <= code <= 0xDFFF:
            raise UescapeError("invalid Unicode surrogate pair")
        else:
            out.append(chr(code))
    if high:
        raise UescapeError("invalid Unicode surrogate pair")
    return "".join(out)


def _next(text: str, position: int, escape: str) -> tuple[int, int]:
    """The code point at `position`, and the position after it."""
    if text[position] != escape:
        return ord(text[position]), position + 1
    position += 1
    if text.startswith(escape, position):
        return ord(escape), position + 1
    if found := _HEX4.match(text, position):
        code = int(found[0], 16)
    elif found := _HEX6.match(text, position):
        code = int(found[1], 16)
    else:
        raise UescapeError("invalid Unicode escape")
    if not 0 < code <= 0x10FFFF:
        raise UescapeError("invalid Unicode escape value")
    return code, found.end()
