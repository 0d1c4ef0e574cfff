"""Text from agents and people, made safe and honest to look at.

Jinja escapes HTML. Here everything else is made visible that could make a reader see something other than what is
there: control characters (ANSI sequences among them), characters that turn the line around, and invisible ones
(CVE-2021-42574 and its like).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from markupsafe import Markup, escape

from dbfirewall.sql import lexer
from dbfirewall.sql.keywords import COL_NAME, RESERVED, TYPE_FUNC_NAME, UNRESERVED

MAX_COLOURED: Final = 20_000
"""Characters up to which a statement is highlighted; longer ones are shown whole, in one colour."""

KEYWORDS: Final = RESERVED | COL_NAME | TYPE_FUNC_NAME | UNRESERVED

_PLAIN: Final = re.compile(r"[ -~\n\t]*\Z")
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that look like a blank, or like nothing."""

_CLASSES: Final = {
    lexer.QUOTED: "q", lexer.UIDENT: "q", lexer.NUMBER: "n", lexer.STRING: "s", lexer.ESTRING: "s",
    lexer.BITS: "s", lexer.NSTRING: "s", lexer.DOLLAR: "s", lexer.USTRING: "s", lexer.PARAM: "p",
    lexer.PUNCT: "o", lexer.OPERATOR: "o",
}  # fmt: skip


def is_hidden(char: str) -> bool:
    """Whether a reader would not see `char`, or would see something else because of it."""
    if char in "\n\t ":
        return False
    category = unicodedata.category(char)
    return category in _HIDDEN_CATEGORIES or char in _BLANKS or (category == "Zs" and char != " ")


def hides(text: str) -> bool:
    """Whether `text` holds a character that a reader would not see."""
    return _PLAIN.match(text) is None and any(map(is_hidden, text))


def spelled(value: object) -> object:
    """`value` with each hidden character spelled as its code point: fit for an attribute, too. Markup stays."""
    if hasattr(value, "__html__"):
        return value
    plain = str(value)
    if not hides(plain):
        return plain
    return "".join(f"⟨U+{ord(char):04X}⟩" if is_hidden(char) else char for char in plain)


def visible(text: object) -> Markup:
    """`text` as HTML, each hidden character as its code point in a box."""
    plain = str(text)
    if not hides(plain):
        return escape(plain)
    return Markup("").join(_box(char) if is_hidden(char) else escape(char) for char in plain)


def clipped(text: object, limit: int) -> Markup:
    """The first `limit` characters of `text`, saying how many were left out."""
    plain = str(text)
    if len(plain) <= limit:
        return visible(plain)
    note = Markup('<span class="clip">… {} more characters</span>').format(len(plain) - limit)
    return visible(plain[:limit]) + note


def highlighted(sql: str) -> Markup:
    """`sql` as HTML, its tokens coloured as our own lexer cuts them; nothing of it is left out."""
    if len(sql) > MAX_COLOURED:
        return visible(sql)
    try:
        tokens = lexer.cut(sql)
    except lexer.LexError:
        return visible(sql)
    parts: list[Markup] = []
    position = 0
    for kind, text, start, name in tokens:
        parts += (_between(sql[position:start]), _token(kind, text, name))
        position = start + len(text)
    return Markup("").join([*parts, _between(sql[position:])])


def _box(char: str) -> Markup:
    name = unicodedata.name(char, "control character").lower()
    return Markup('<span class="hidden-char" title="{}">U+{}</span>').format(name, f"{ord(char):04X}")


def _token(kind: int, text: str, name: str) -> Markup:
    css = _CLASSES.get(kind, "k" if kind == lexer.IDENT and name in KEYWORDS else "")
    return Markup('<span class="t-{}">{}</span>').format(css, visible(text)) if css else visible(text)


def _between(text: str) -> Markup:
    """What stands between tokens: blanks and comments."""
    if not text or text.isspace():
        return visible(text)
    return Markup('<span class="t-c">{}</span>').format(visible(text))
