"""A text as libpg_query can read it: no comment behind a word whose meaning the next word settles.

PostgreSQL's parser looks one word ahead of NOT, NULLS, WITH, WITHOUT and FORMAT, to tell `NOT IN` from `NOT`, and two
ahead of `U&'…'`, for its UESCAPE. libpg_query's does too, but takes a comment for that next word, and then refuses
`a NOT /* … */ IN (1)`. Such comments are moved in front of the word; all of their bytes stay, so libpg_query still
has to agree where they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dbfirewall.sql.lexer import IDENT, UIDENT, USTRING, Token, cut

_WORDS = frozenset({"not", "nulls", "with", "without", "format"})
_COMMENTS = ("--", "/*")


def readable(text: str, tokens: Sequence[Token]) -> str:
    """`text`, whose tokens are `tokens`, with those comments moved; the same text where there are none."""
    if not any(mark in text for mark in _COMMENTS):
        return text
    if "uescape" in text.lower():
        tokens = cut(text)  # in `tokens` it is part of the literal
    parts: list[str] = []
    done = 0
    for index in range(len(tokens) - 1):
        words = tokens[index : index + _looks_ahead(tokens, index) + 1]
        gaps = [text[start + len(word) : after[2]] for (_, word, start, _), after in pairwise(words)]
        if any(mark in gap for gap in gaps for mark in _COMMENTS):
            parts += text[done : words[0][2]], " ", " ".join(gaps), " "
            parts += (f"{word} " for _, word, _, _ in words[:-1])
            done = words[-1][2]
    return "".join([*parts, text[done:]]) if parts else text


def _looks_ahead(tokens: Sequence[Token], index: int) -> int:
    """How many tokens after this one PostgreSQL looks at before it goes on."""
    kind, _, _, name = tokens[index]
    if kind == IDENT and name in _WORDS:
        return 1
    after, _, _, escape = tokens[index + 1]
    explained = kind in (USTRING, UIDENT) and (after, escape) == (IDENT, "uescape")
    return 2 if explained and index + 2 < len(tokens) else 0
