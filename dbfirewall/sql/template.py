"""A literal-free form of a text, cheap enough to be computed for every statement: the decision cache's second key.

The template of a text is the text with every string literal replaced by `''` and every plain number by `0`, and
nothing else changed. It is given only for texts in which quoting is beyond doubt: valid UTF-8, no backslash, no
`$`, no comment, no prefixed string (`E''`, `B''`, `U&""`, …), quotes balanced.

Why two texts with one template hold the same tokens up to the values of literals: scanned from the left, the
first quote that is not inside a quoted identifier starts a string literal, since comments, dollar quotes and
escapes are excluded; so strings are found where PostgreSQL finds them. A string stays a string and a number a
number, and no characters come to touch that did not touch before. So a text and its template have equal tokens
up to literal values, and with that two texts of one template. `''` and `0` need no escape: they are their own
templates.
"""

from __future__ import annotations

import re

MAX_BYTES = 32 * 1024
"""Longer texts have no template: they are rare, and each would fill the cache."""

_STRING = rb"'[^']*+(?:''[^']*+)*+'"
# The lookbehind comes second, so that the search can skip to the next digit.
_NUMBER = rb"[0-9](?<![A-Za-z0-9_.\x80-\xff][0-9])[0-9]*+(?:\.[0-9]++)?+(?![A-Za-z0-9_.\x80-\xff])"

_STRINGS = re.compile(_STRING)
_NUMBERS = re.compile(_NUMBER)
_LITERALS = re.compile(rb'("[^"]*+")|(' + _STRING + rb")|(" + _NUMBER + rb")")
_PREFIXED = re.compile(rb"[A-Za-z0-9_&\x80-\xff]'")


def fast_template(sql: bytes) -> bytes | None:
    """The template of `sql`, or None where it has none (then only the exact text may be looked up)."""
    if (
        len(sql) > MAX_BYTES
        or b"\\" in sql
        or b"$" in sql
        or b"--" in sql
        or b"/*" in sql
        or b"\0" in sql
        or not (sql.isascii() or _is_utf8(sql))
    ):
        return None
    if b'"' in sql:
        found = None if b'&"' in sql else _LITERALS.sub(_blank, sql)
        if found is None or found.count(b'"') & 1:
            return None
    else:
        found = _NUMBERS.sub(b"0", _STRINGS.sub(b"''", sql) if b"'" in sql else sql)
    if b"'" in found and (found.count(b"'") & 1 or _PREFIXED.search(found)):
        return None
    return found


def _blank(found: re.Match[bytes]) -> bytes:
    kind = found.lastindex
    return found[0] if kind == 1 else b"''" if kind == 2 else b"0"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
