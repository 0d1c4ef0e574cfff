"""How much libpg_query is going to write: its tree repeats the source of `SET (a, b) = source` for each column.

Nested in one another (an UPDATE in a CTE of the source) the repetitions multiply: 800 bytes of SQL make gigabytes
of JSON. So the tokens are counted as often as they are going to be written, before the parser sees the text.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbfirewall.sql.lexer import OPERATOR, PUNCT, Token


@dataclass(slots=True)
class _Bracket:
    """An open bracket. `outer`: how often it is written itself; `items`: its commas and one."""

    outer: int
    factor: int = 1
    items: int = 1


def written_tokens(tokens: list[Token]) -> int:
    """An upper bound of the tokens that the parse tree of `tokens` stands for, repetitions counted.

    What follows `(x, y, …) =` counts once for each item, up to the end of the bracket around it. Comparisons of
    rows look the same and are counted alike.
    """
    open_brackets = [_Bracket(1)]
    total, closed_items = 0, 0
    for kind, text, _, _ in tokens:
        top = open_brackets[-1]
        total += top.outer * top.factor
        if kind == OPERATOR and text == "=" and closed_items:
            top.factor = max(top.factor, closed_items)
        closed_items = 0
        if kind != PUNCT:
            continue
        if text in "([":
            open_brackets.append(_Bracket(top.outer * top.factor))
        elif text in ")]" and len(open_brackets) > 1:
            closed_items = open_brackets.pop().items
        elif text == ",":
            top.items += 1
        elif text == ";" and len(open_brackets) == 1:
            top.factor = 1
    return total
