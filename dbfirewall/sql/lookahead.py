"""A text as libpg_query can read it: no comment behind a word whose meaning the next word settles.

PostgreSQL's parser looks one word ahead of NOT, NULLS, WITH, WITHOUT and FORMAT, to tell `NOT IN` from `NOT`.
libpg_query's does too, but takes a comment for that next word, and then refuses `a NOT /* … */ IN (1)`. Such
comments are moved in front of the word; all of their bytes stay, so libpg_query still has to agree where they
end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dbfirewall.sql.lexer import IDENT, Token

_WORDS = frozenset({"not", "nulls", "with", "without", "format"})
_COMMENTS = ("--", "/*")


def readable(text: str, tokens: Sequence[Token]) -> str:
    """`text`, whose tokens are `tokens`, with those comments moved; the same text where there are none."""
    if not any(mark in text for mark in _COMMENTS):
        return text
    parts: list[str] = []
    done = 0
    for (kind, word, start, name), after in pairwise(tokens):
        if kind == IDENT and name in _WORDS:
            gap = text[start + len(word) : after[2]]
            if any(mark in gap for mark in _COMMENTS):
                parts += text[done:start], " ", gap, " ", word, " "
                done = after[2]
    return "".join([*parts, text[done:]]) if parts else text
