"""Our own SQL, made safe from what an agent may have created: no name in it is looked up on a search_path.

Queries are written plainly, with bare names of pg_catalog; `qualified` puts the schema in front of every function,
type, relation and operator of them. So neither the session's search_path nor a function `lower(name)` or an operator
`=` in an agent's schema changes what they mean, and the session's settings need not be touched.
Source: https://www.postgresql.org/docs/current/sql-expressions.html#SQL-EXPRESSIONS-OPERATOR-CALLS
"""

from __future__ import annotations

from dbfirewall.sql.lexer import IDENT, OPERATOR, PARAM, PUNCT, Token, tokenize


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NOT_CALLED = _words(
    """
    and or not in exists any all some select from where join on as case when then else end values array row with using
    recursive materialized filter over union coalesce nullif greatest least by having distinct interval lateral left
    right inner full cross limit offset returning set into
    """
)
_TYPES_AFTER_AS = frozenset({"text", "oid", "int4", "int8", "name", "bool", "json"})


def qualified(sql: str) -> str:
    """`sql` with pg_catalog in front of what is looked up by name.

    What is a call is told by the bracket after it (so `left(` and `right(` are written qualified, and WITH queries
    have no column lists), a type by `::` in front of it or by standing in a column definition list, a relation by its
    prefix `pg_`. Operators written as OPERATOR() all have one precedence: comparisons of computed values need
    brackets. `IN`, `LIKE`, NULLIF and IS DISTINCT FROM are operators in disguise and may not be used.
    """
    tokens = tokenize(sql)
    parts: list[str] = []
    done = 0
    for index, token in enumerate(tokens):
        _, text, start, _ = token
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        replacement = _replacement(token, before, after)
        if replacement != text:
            parts += sql[done:start], replacement
            done = start + len(text)
    return "".join([*parts, sql[done:]])


def _replacement(token: Token, before: Token | None, after: Token | None) -> str:
    kind, text, _, name = token
    previous = before[1] if before else ""
    following = after[1] if after else ""
    if kind == OPERATOR:
        return text if _is_star(text, before) else f"OPERATOR(pg_catalog.{text})"
    if kind != IDENT or previous == ".":
        return text
    if name in ("in", "like", "ilike", "between", "nullif") or (
        name == "distinct" and previous.lower() == "is"
    ):
        raise ValueError(f"{name} is looked up on the search_path")
    called = following == "(" and name not in _NOT_CALLED and previous.lower() != "as"
    defined = (
        name in _TYPES_AFTER_AS and before is not None and before[0] == IDENT and following in (",", ")", "[")
    )
    relation = name.startswith("pg_") and following != "."
    if previous == "::" or called or (defined and before and before[3] not in _NOT_CALLED) or relation:
        return f"pg_catalog.{text}"
    return text


def _is_star(text: str, before: Token | None) -> bool:
    """Whether `*` stands for all columns rather than for multiplication."""
    if text != "*" or before is None:
        return False
    kind, previous, _, name = before
    if kind == PUNCT:
        return previous in ("(", ",", ".")
    return kind not in (PARAM,) and name == "select"
