"""libpg_query's tree → `Summary`: what a statement names, before any catalog, for the agreement of witnesses.

CTE names are resolved by Postgres' scope rules: in a plain WITH a query sees the CTEs before it, in WITH
RECURSIVE all of them, in nested queries the outer ones too; a qualified name and the target of a
data-modifying statement are never a CTE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dbfirewall.sql.nodes import Tree, UnexpectedNodeError, children, each, unknown_in, unwrap
from dbfirewall.sql.reading import RawName, Summary

Names = frozenset[str]

DML_KINDS = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "merge",
}
# A relation is read where one of these holds it in a list or a wrapper. The target of a statement, the
# relation of DDL and the names after FOR UPDATE OF are held otherwise.
_READERS = frozenset({"SelectStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "JoinExpr"})


@dataclass(slots=True)
class _Found:
    reads: set[RawName] = field(default_factory=set)
    writes: set[tuple[str, RawName]] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    locks: bool = False


def summarise(tree: Tree) -> Summary:
    """The raw facts of one statement, `{"SelectStmt": {…}}`.

    `calls` holds what is written as `name(…)`, and the few that the grammar itself turns into such a call
    (`like_escape`, `similar_to_escape`); not what has a syntax of its own (EXTRACT, POSITION, AT TIME ZONE,
    COALESCE). `reads` has the relation of COPY … TO; other utilities' own relations are in neither set.
    A tree with unknown parts gives kind `unknown` and nothing else.
    """
    kind, node = unwrap(tree)
    if not kind or unknown_in(tree) is not None:
        return Summary(kind="unknown")
    found = _Found()
    pending: list[tuple[str, Tree, Names]] = [(kind, node, frozenset())]
    while pending:
        try:
            _visit(*pending.pop(), found, pending)
        except UnexpectedNodeError:
            return Summary(kind="unknown")
    return Summary(
        kind=DML_KINDS.get(kind, kind.removesuffix("Stmt").lower()),
        reads=frozenset(found.reads),
        writes=frozenset(found.writes),
        calls=frozenset(found.calls),
        locks=found.locks,
    )


def raw_name(relation: Tree) -> RawName:
    """The name of a RangeVar. A database in front of the schema is left out: it must be the current one."""
    return relation.get("schemaname"), relation.get("relname", "")


def last_name(names: list[Any]) -> str:
    """The last part of a list of String nodes, `""` where that is none."""
    _, node = unwrap(names[-1]) if names else ("", {})
    return str(node.get("sval", ""))


def _visit(kind: str, node: Tree, ctes: Names, found: _Found, pending: list[tuple[str, Tree, Names]]) -> None:
    if kind in DML_KINDS:
        if kind != "SelectStmt" and "relation" in node:
            found.writes.add((DML_KINDS[kind], raw_name(node["relation"])))
        if "withClause" in node:
            ctes = _enter_with(node["withClause"], ctes, pending)
    elif kind == "FuncCall" and node.get("funcformat") != "COERCE_SQL_SYNTAX":
        found.calls.add(last_name(node.get("funcname", [])))
    elif kind == "LockingClause":
        found.locks = True
    for field_name, child, inner in children(kind, node):
        if child == "WithClause":
            continue
        if child == "RangeVar":
            if _is_read(kind, field_name, node) and not (
                "schemaname" not in inner and inner.get("relname") in ctes
            ):
                found.reads.add(raw_name(inner))
        else:
            pending.append((child, inner, ctes))


def _is_read(parent: str, field_name: str, node: Tree) -> bool:
    if field_name == "relation":
        return parent == "RangeTableSample" or (parent == "CopyStmt" and not node.get("is_from"))
    return parent in _READERS


def _enter_with(clause: Tree, outer: Names, pending: list[tuple[str, Tree, Names]]) -> Names:
    """Queue each CTE's query with the names it sees; return the names that the statement itself sees."""
    queries = list(each("CommonTableExpr", clause.get("ctes")))
    names = [str(query.get("ctename", "")) for query in queries]
    everything = outer | frozenset(names)
    for index, query in enumerate(queries):
        seen = everything if clause.get("recursive") else outer | frozenset(names[:index])
        pending.append(("CommonTableExpr", query, seen))
    return everything
