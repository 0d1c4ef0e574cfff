"""The names that Postgres gives to the output columns of a query.

Source: FigureColname in parse_target.c. Where its rules are not followed here to the end, the name counts as
unknown, which is the safe side: an unknown name may be any.
"""

from __future__ import annotations

from dbfirewall.sql.calls import strings
from dbfirewall.sql.nodes import Tree, each, unwrap

_NAMED_BY_SYNTAX = {
    "CaseExpr": None,
    "CoalesceExpr": "coalesce",
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
    "GroupingFunc": "grouping",
    "MergeSupportFunc": "merge_action",
}


def output_name(target: Tree) -> str | None:
    """The name of a ResTarget's column; None where it is unknown (and for `*`, which has many)."""
    if "name" in target:
        return str(target["name"])
    return _name_of(*unwrap(target.get("val")))


def is_star(target: Tree) -> bool:
    """Whether a ResTarget is `*`, `t.*` or `(x).*`."""
    kind, node = unwrap(target.get("val"))
    last = node.get("fields" if kind == "ColumnRef" else "indirection", [])[-1:]
    return kind in ("ColumnRef", "A_Indirection") and bool(last) and "A_Star" in last[0]


def _name_of(kind: str, node: Tree) -> str | None:
    if kind in ("ColumnRef", "FuncCall"):
        names = strings(node.get("fields" if kind == "ColumnRef" else "funcname", []))
        return names[-1] if names else None
    if kind == "A_Indirection":
        names = strings(node.get("indirection", []))
        return names[-1] if names else _name_of(*unwrap(node.get("arg")))
    if kind == "CollateClause":
        return _name_of(*unwrap(node.get("arg")))
    if kind == "SubLink" and node.get("subLinkType") == "EXPR_SUBLINK":
        query, select = unwrap(node.get("subselect"))
        first = select.get("targetList", [])[:1] if query == "SelectStmt" else []
        return next((output_name(target) for target in each("ResTarget", first)), None)
    if kind == "TypeCast":
        inner, arg = unwrap(node.get("arg"))
        return _name_of(inner, arg) if inner in ("ColumnRef", "FuncCall") else None
    return _NAMED_BY_SYNTAX.get(kind)
