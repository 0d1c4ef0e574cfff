"""The second witness: what sqlglot reads in a statement's canonical text. The only importer of sqlglot.

sqlglot has an opinion on queries and on INSERT, UPDATE, DELETE and MERGE. It abstains (None) where it raises,
where the statement is of another kind, where its tree holds a node that is not on the list below, and where
reading would take long: then lexer and libpg_query must do, as for whatever sqlglot cannot parse.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from dbfirewall.sql import caps
from dbfirewall.sql.canonical import MARK, canonical
from dbfirewall.sql.keywords import COL_NAME, RESERVED, words
from dbfirewall.sql.outline import Outline
from dbfirewall.sql.reading import RawName, Summary

logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)  # it logs statements, literals and all


class _Unshifted(Postgres):
    """PostgreSQL's dialect, less the arithmetic on subscripts.

    sqlglot counts from 0 and simplifies `a[b]` to `a[b - 1]`; what can be simplified away (`false AND f()`) would
    be missing from its facts.
    """

    INDEX_OFFSET = 0


_DIALECT = _Unshifted()

KEYWORDS = frozenset({"select", "with", "values", "insert", "update", "delete", "merge"})
"""First words of the statements that sqlglot is asked about."""

_KINDS: dict[type[exp.Expr], str] = {
    exp.Insert: "insert",
    exp.Update: "update",
    exp.Delete: "delete",
    exp.Merge: "merge",
}
_GRAMMAR = RESERVED | COL_NAME
_QUERIES = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)

_KNOWN = words(
    """
    Add Alias All And Anonymous Any Array AtTimeZone Between Boolean Bracket CTE Case Cast Coalesce
    Collate Column ColumnConstraint ColumnDef Count Cube CurrentCatalog CurrentDate CurrentSchema
    CurrentTime CurrentTimestamp CurrentUser DataType DataTypeParam Default Delete Distinct Div Dot EQ
    Escape Except Exists Extract Fetch Filter From GT GTE Greatest Group Grouping GroupingSets Having
    ILike Identifier If In Insert Intersect Interval IntervalSpan Is JSONKeyValue JSONObject Join Kwarg
    LT LTE Lateral Least Like Limit LimitOptions Literal Localtime Localtimestamp Lock Merge Mul NEQ Neg
    Normalize Not Null NullSafeEQ NullSafeNEQ Nullif ObjectIdentifier Offset OnConflict Operator Or
    Order Ordered Overlaps Overlay Parameter PseudoType Paren ParseJSON Placeholder PropertyEQ RecursiveWithSearch
    Returning Rollup Schema Second Select SessionUser SimilarTo Slice Star StrPosition Sub Subquery
    Substring Table TableAlias TableSample Trim Tuple Union Unnest Update Values Var Variadic When Whens
    Where Window WindowSpec With WithinGroup XMLElement XMLNamespace XMLTable Xor
    """
)


class _UnknownNodeError(Exception):
    """The tree holds what is not on the list, or a name in an unforeseen place."""


def summarise(outline: Outline) -> Summary | None:
    """sqlglot's facts of one statement, in the terms of libpg_query's, or None where it abstains."""
    if outline.keyword not in KEYWORDS or _too_costly(outline):
        return None
    return read_text(canonical(outline.tokens))


def read_text(text: str) -> Summary | None:
    """The facts of canonical `text`, or None where sqlglot abstains."""
    try:
        trees = _DIALECT.parse(text)
        if len(trees) != 1 or trees[0] is None:
            return None
        return _summary(trees[0])
    except Exception:  # noqa: BLE001  sqlglot raises TypeError, AssertionError, RecursionError and more: it abstains
        return None


def _too_costly(outline: Outline) -> bool:
    return (
        len(outline.tokens) > caps.GLOT_MAX_TOKENS
        or outline.depth > caps.GLOT_MAX_DEPTH
        or outline.subscripts > caps.GLOT_MAX_SUBSCRIPTS
    )


def _summary(root: exp.Expr) -> Summary:
    kind = "select" if isinstance(root, _QUERIES) else _KINDS.get(type(root))
    if kind is None:
        raise _UnknownNodeError
    reads: set[RawName] = set()
    writes: set[tuple[str, RawName]] = set()
    calls: set[str] = set()
    locks = False
    for node in root.walk():
        cls = type(node)
        if cls.__name__ not in _KNOWN:
            raise _UnknownNodeError(cls.__name__)
        if isinstance(node, exp.Table):
            _table(node, reads, writes)
        elif cls is exp.Anonymous:
            if node.this not in _GRAMMAR:
                calls.add(_name(node.this))
        elif cls is exp.Lock:
            locks = True
    return Summary(kind, frozenset(reads), frozenset(writes), frozenset(calls), locks)


def _table(node: exp.Table, reads: set[RawName], writes: set[tuple[str, RawName]]) -> None:
    if not isinstance(node.this, exp.Identifier):
        return  # a function in FROM: its call is met on its own
    name = _name(node.this)
    schema = _name(node.args["db"]) if node.args.get("db") else None
    parent: Any = node.parent
    if isinstance(parent, exp.Lock):
        return
    if isinstance(parent, exp.Schema):
        parent = parent.parent
    kind = _KINDS.get(type(parent))
    if kind is not None and _is_target(node, parent):
        writes.add((kind, (schema, name)))
    elif schema is not None or not _is_cte(node, name):
        reads.add((schema, name))


def _is_target(node: exp.Expr, statement: exp.Expr) -> bool:
    target = statement.this
    return target is node or (isinstance(target, exp.Schema) and target.this is node)


def _is_cte(node: exp.Expr, name: str) -> bool:
    """Whether a CTE of this name is visible where `node` stands.

    A query sees the CTEs of its own WITH and of those around it; a CTE sees those before it, in WITH
    RECURSIVE all of them.
    """
    child: Any = node
    parent: Any = node.parent
    while parent is not None:
        if isinstance(parent, exp.With):
            seen = parent.expressions
            if not parent.args.get("recursive"):
                seen = seen[: child.index]
            if any(_name(cte.args["alias"].this) == name for cte in seen):
                return True
            parent, child = parent.parent, parent  # its WITH was just looked at
        elif (clause := parent.args.get("with_")) is not None and any(
            _name(cte.args["alias"].this) == name for cte in clause.expressions
        ):
            return True
        child, parent = parent, parent.parent
    return False


def _name(identifier: Any) -> str:
    if not isinstance(identifier, exp.Identifier):
        raise _UnknownNodeError
    return str(identifier.this).removeprefix(MARK)
