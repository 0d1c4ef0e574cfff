"""Texts made of what scanners trip over, and the comparison of our lexer with libpg_query's on any text."""

from __future__ import annotations

import re

from dbfirewall.sql import lexer
from dbfirewall.sql.lexer import LexError, cut
from tests.sql import oracle

PIECES = [
    *"""
    ' '' " "" E' e' \\' \\ $$ $a$ $b$ $ $1 $12 U&' U&" u& B' x' N' -- /* */ / * /*/ */* + - @ ~ ! #
    ^ & | ` ? % < > = :: : := .. . 1 12 1.5 1. 1e5 1e 1e- 0x1F 0b1 0o7 0x 1_000 1_ _1 a A1 select é
    x b e n U uescape '!' ( ) [ ] , ; { } a$b $é$ É K {{ -1 'a' 1a $1a #- ->> <-> ||/ |/
    """.split(),  # noqa: SIM905  read as SQL, not as Python
    *["\n", "\r", " ", "\t", "\f", "\v", "\u00a0", "\u2028", "\ufeff", "'a'\n'b'", "'a'\n--c\n'b'", "--c\n"],
]


def boundaries(sql: str) -> list[tuple[int, int]]:
    """Byte ranges of the tokens, as libpg_query numbers them."""
    found = []
    for kind, text, start, _ in cut(sql):
        first = len(sql[:start].encode())
        last = first + len(text.encode())
        # the scanner hands N'…' on as the key word NCHAR and a string
        found += [(first, first + 1), (first + 1, last)] if kind == lexer.NSTRING else [(first, last)]
    return found


def agree(sql: str) -> bool:
    """Whether both scanners cut `sql` alike, or ours refuses it; and what theirs refuses, ours does too."""
    try:
        theirs = oracle.boundaries(sql)
    except oracle.OracleError as error:
        # What a string's escapes mean is not looked at here: libpg_query checks that for us.
        return bool(re.search("escape|surrogate|encoding|Unicode", str(error))) or cut_or_none(sql) is None
    ours = cut_or_none(sql)
    return ours is None or ours == theirs


def cut_or_none(sql: str) -> list[tuple[int, int]] | None:
    """Our boundaries, None where the lexer refuses the text."""
    try:
        return boundaries(sql)
    except LexError:
        return None
