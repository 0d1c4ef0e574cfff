"""What the tokens alone say: how many statements, the first word of each, and every `identifier (`.

This is the lexer's testimony against which both parsers' trees are held (`agreement.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from dbfirewall.sql import caps
from dbfirewall.sql.keywords import COL_NAME, RESERVED
from dbfirewall.sql.lexer import IDENT, PUNCT, QUOTED, LexError, Token

_NOT_A_CALL = (RESERVED | COL_NAME) - {"merge_action"}
_BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}
_CASES = {"case": 1, "end": -1}
_NOTHING: Token = (0, "", 0, "")


@dataclass(frozen=True, slots=True)
class Outline:
    """One non-empty statement as its tokens show it.

    `tokens`: its tokens, without the `;`. `keyword`: its first word, folded, past opening brackets; "" where
    that is no unquoted word. `calls`: the folded names before a `(` that could be a function's: every
    identifier but unquoted, unqualified key words by which PostgreSQL lets no function be called.
    `depth`: the deepest nesting of brackets and CASE. `subscripts`: how many `[` there are.
    """

    tokens: tuple[Token, ...]
    keyword: str
    calls: frozenset[str]
    depth: int
    subscripts: int


def outline(tokens: list[Token]) -> list[Outline]:
    """`tokens` cut into statements. Raises LexError beyond the caps."""
    statements: list[Outline] = []
    first = 0
    for last in [*_boundaries(tokens), len(tokens)]:
        if last > first:
            statements.append(_statement(tokens[first:last]))
        first = last + 1
    if len(statements) > caps.MAX_STATEMENTS:
        raise LexError("the text holds too many statements", "too-long")
    return statements


def explained(statement: Outline) -> Outline | None:
    """The statement that an EXPLAIN explains, past its options; None where that can't be told."""
    tokens = list(statement.tokens)
    first = 1
    if len(tokens) > 2 and tokens[1][1] == "(" and tokens[2][1] != "(" and tokens[2][3] not in _QUERY_WORDS:
        while first < len(tokens) and tokens[first][1] != ")":  # options hold no brackets
            first += 1
        first += 1
    while first < len(tokens) and tokens[first][3] in _EXPLAIN_WORDS:
        first += 1
    return _statement(tokens[first:]) if first < len(tokens) else None


_QUERY_WORDS = frozenset({"select", "with", "values", "table"})
_EXPLAIN_WORDS = frozenset({"analyze", "analyse", "verbose"})


def _boundaries(tokens: list[Token]) -> list[int]:
    """Where the semicolons are that end a statement: outside brackets and BEGIN ATOMIC … END bodies."""
    depth = 0
    found = []
    body = _Body()
    for index, (kind, text, _, name) in enumerate(tokens):
        if kind == PUNCT:
            if text == "(":
                depth += 1
            elif text == ")":
                depth -= 1
            elif text == ";" and depth <= 0 and not body.open:
                found.append(index)
                body = _Body()
                depth = 0
        elif kind == IDENT and name in _BODY_WORDS:
            body.word(name, tokens[index - 1] if index else None)
    return found


_BODY_WORDS = frozenset({"create", "atomic", "case", "end"})


class _Body:
    """Whether the tokens so far are inside a CREATE FUNCTION's BEGIN ATOMIC … END, with its CASE … END."""

    def __init__(self) -> None:
        self.open = 0
        self._create = False

    def word(self, name: str, before: Token | None) -> None:
        """Take one of `_BODY_WORDS` into account; `before` is the token in front of it."""
        if name == "create":
            self._create = True
        elif name == "atomic":
            if self._create and before is not None and before[0] == IDENT and before[3] == "begin":
                self.open += 1
        elif self.open:
            self.open += 1 if name == "case" else -1


def _statement(tokens: list[Token]) -> Outline:
    calls = set()
    brackets = cases = deepest = subscripts = constructors = 0
    constructed: list[int] = []
    before: Token = _NOTHING
    qualified = False
    for token in tokens:
        kind, text, _, name = token
        if kind == PUNCT:
            step = _BRACKETS.get(text, 0)
            brackets += step
            if step < 0:
                if constructed and constructed[-1] > brackets:
                    constructed.pop()
            elif step > 0:
                deepest = max(deepest, brackets + cases)
                subscripts += text == "["
                if before[3] in _CONSTRUCTORS and before[0] == IDENT:
                    constructed.append(brackets)
                    constructors = max(constructors, len(constructed))
                if text == "(" and _may_call(before, qualified):
                    calls.add(before[3])
        elif kind <= QUOTED:
            qualified = before[1] == "."
            if kind == IDENT and name in _CASES:
                cases = max(0, cases + _CASES[name])
                deepest = max(deepest, brackets + cases)
        before = token
    if deepest > caps.MAX_DEPTH:
        raise LexError("brackets are nested too deeply", "too-deep")
    if constructors > caps.MAX_CONSTRUCTOR_DEPTH:
        raise LexError("array or type constructors are nested too deeply", "too-deep")
    return Outline(tuple(tokens), _keyword(tokens), frozenset(calls), deepest, subscripts)


_CONSTRUCTORS = frozenset(
    {"array", "char", "character", "date", "dec", "decimal", "int", "numeric", "timestamp", "varchar"}
)
"""What opens a bracket that sqlglot, unaided, reads in exponential time."""


def _may_call(name: Token, qualified: bool) -> bool:
    """Whether an opening bracket after this token can call a function by its name."""
    return bool(name[3]) and (qualified or name[0] == QUOTED or name[3] not in _NOT_A_CALL)


def _keyword(tokens: list[Token]) -> str:
    for kind, text, _, name in tokens:
        if text != "(":
            return name if kind == IDENT else ""
    return ""
