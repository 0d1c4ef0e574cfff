"""Tokens written out again: the text that sqlglot reads, and the literal-free template.

The canonical text says the same to sqlglot as the original says to PostgreSQL, as far as the facts go that
are compared: no comments, one blank between tokens, key words bare and everything else quoted (so that no
word means something in another dialect), names that a bracket follows marked as such (so that sqlglot applies
no function's own grammar), operators reduced to a few, and every literal blanked (so that texts that differ
in literals only read the same).
"""

from __future__ import annotations

from collections.abc import Sequence

from dbfirewall.sql.keywords import COL_NAME, KEYWORDS, RESERVED, words
from dbfirewall.sql.lexer import (
    BITS,
    DOLLAR,
    ESTRING,
    IDENT,
    NSTRING,
    NUMBER,
    OPERATOR,
    PARAM,
    PUNCT,
    QUOTED,
    STRING,
    USTRING,
    Token,
)

MARK = "\x01"
"""First character of a name that an opening bracket follows."""

_LITERALS = {
    NUMBER: "1",
    STRING: "'x'",
    ESTRING: "'x'",
    BITS: "'x'",
    NSTRING: "'x'",
    DOLLAR: "'x'",
    USTRING: "'x'",
}
_VERBATIM = (PUNCT, PARAM)
_OPERATORS = {"+", "-", "*", "/", "<", ">", "=", "<=", ">=", "<>", "!=", "=>"}
_NOT_NAMES = (RESERVED | COL_NAME) - {"merge_action"}
_BEFORE_BRACKET = words(
    """
    by columns conflict cube escape filter groups ilike insert is join like materialized operator over
    overlaps partition passing range repeatable rollup rows set sets update value varying zone
    """
)
"""Words that grammar puts before a bracket, and that may name a function as well: never marked."""
_TYPE_WORDS = COL_NAME | {"double"}
_CONSTRUCTORS = ("row", "array")
_OPEN = ("(", "[")
_NOTHING: Token = (0, "", 0, "")
_BARE = _NOT_NAMES | _BEFORE_BRACKET


def canonical(tokens: Sequence[Token]) -> str:
    """The text for sqlglot of one statement's tokens; see the module's docstring."""
    out = []
    last = len(tokens) - 1
    for index, token in enumerate(tokens):
        kind, text, _, _ = token
        if kind <= QUOTED:
            before = tokens[index - 1] if index else _NOTHING
            after = tokens[index + 1] if index < last else _NOTHING
            out.append(_identifier(token, before, after))
        elif kind in _VERBATIM:
            out.append(text)
        elif kind == OPERATOR:
            out.append(text if text in _OPERATORS else "+")
        else:
            out.append(_LITERALS[kind])
    return " ".join(out)


def _identifier(token: Token, before: Token, after: Token) -> str:
    kind, _, _, name = token
    bracket_follows = after[1] == "("
    if before[3] == "tablesample":
        return ""  # whatever the sampling method
    if kind == IDENT and before[1] != ".":
        if before[1] == "::":
            if name in _TYPE_WORDS:
                return name
            if after[1] != ".":
                return "varchar"
        elif name in (_BARE if bracket_follows else KEYWORDS):
            # `row (…)`, and `array […]`, whose nesting sqlglot reads in exponential time.
            return "" if name in _CONSTRUCTORS and after[1] in _OPEN else name
        elif name == "second" and (before[3] == "to" or before[0] == STRING):
            return name  # `interval '1' second (3)`
        elif name in ("first", "next") and before[3] == "fetch":
            return name  # `fetch first (1) rows only`
        elif after[0] == STRING:
            return ""  # `point '(1,2)'`: a literal with its type in front
    if '"' in name:
        name = name.replace('"', '""')
    return f'"{MARK}{name}"' if bracket_follows else f'"{name}"'


def template(tokens: Sequence[Token]) -> str:
    """The statement with each literal blanked: `0` for a number, `''` for a string."""
    out = []
    for kind, text, _, name in tokens:
        if kind == IDENT:
            out.append(name)
        elif kind == QUOTED:
            out.append('"' + name.replace('"', '""') + '"')
        elif kind in _LITERALS:
            out.append("0" if kind == NUMBER else "''")
        else:
            out.append(text)
    return " ".join(out)
