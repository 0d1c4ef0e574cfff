"""The parts of DDL that name other things: column defaults, checks, foreign keys, LIKE, parent tables."""

from __future__ import annotations

from collections.abc import Sequence

from dbfirewall.sql.calls import strings
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.expressions import NO_CTES
from dbfirewall.sql.functions import harmless
from dbfirewall.sql.nodes import Tree, children, each, unwrap
from dbfirewall.sql.objects import relation_named
from dbfirewall.sql.scopes import Columns, Item, Level, Table

# What holds expressions without being one.
_CONTAINERS = frozenset(
    """ColumnDef Constraint List DefElem IndexElem StatsElem PartitionSpec PartitionElem PartitionBoundSpec
    PartitionRangeDatum PartitionCmd AlterTableCmd CreateStmt""".split()  # noqa: SIM905  a list reads worse
)
# Their names of types, roles and other objects run nothing.
_NAMES_ONLY = frozenset({"TypeName", "RoleSpec", "CollateClause", "ReplicaIdentityStmt", "ATAlterConstraint"})


def stored_row(x: Changes, relation: Tree) -> tuple[Table, Level]:
    """The level of expressions that are evaluated at once for every row of an existing table.

    Errors quote the values (a duplicate key, a failed cast, a violated check), so that these columns are read.
    """
    table = x.table(relation, read=False)
    return table, Level([Item.base(table, str(relation.get("relname", "")))])


def own_row(*names: str) -> Level:
    """The level of a definition's expressions: they see the defined table's row, and read no stored one."""
    return Level([Item(name, Columns(open=True)) for name in names])


def define(x: Changes, kind: str, node: Tree, level: Level) -> None:
    """The effects of a definition's parts: calls in its expressions, and other tables that it refers to."""
    pending = [(kind, node)] if kind else []
    while pending:
        kind, node = pending.pop()
        if kind == "TableLikeClause":
            # Copies the structure, for which Postgres asks SELECT; no row is read.
            x.table(node.get("relation", {}), read=True)
        elif kind == "RangeVar":
            _belongs_to(x, node)
        elif kind in _CONTAINERS:
            if "pktable" in node:
                _references(x, node)
            parts = [(f, k, n) for f, k, n in children(kind, node) if f not in ("relation", "pktable")]
            pending.extend((child, inner) for _, child, inner in reversed(parts))
        elif kind not in _NAMES_ONLY:
            x.walk(kind, node, level, NO_CTES)


def _references(x: Changes, constraint: Tree) -> None:
    """FOREIGN KEY … REFERENCES: inserting into the new table tells which values the other one has."""
    table = x.table(constraint["pktable"], read=True)
    for column in strings(constraint.get("pk_attrs", [])) or ["*"]:
        table.touch(column)


def _belongs_to(x: Changes, relation: Tree) -> None:
    """INHERITS, PARTITION OF, ATTACH PARTITION: whoever reads one table then reads the other's rows too."""
    parent = relation_named(x, relation, "table")
    x.add("alter", parent.objects, parent.kind, detail="inheritance or partition")


def uses_function(x: Changes, name: Sequence[str], detail: str, *, required: bool = True) -> None:
    """A function that a new object is going to run under another name: as a call of it.

    `required`: the name is surely a function's, so an unknown one is an effect as well.
    """
    if not name:
        return
    schema, last = (name[-2] if len(name) > 1 else None), name[-1]
    found = x.names.functions(schema, last)
    for function in found:
        if not harmless(function):
            x.run(function, detail)
    if required and not found:
        x.add("call", x.names.function_objects(schema, last), "function", detail=detail)


def uses_functions(x: Changes, options: list[Tree], detail: str) -> None:
    """Functions among the options of CREATE AGGREGATE, OPERATOR or TYPE (`sfunc = f`)."""
    for option in each("DefElem", options):
        shape, argument = unwrap(option.get("arg"))
        names = argument.get("names" if shape == "TypeName" else "items", [])
        uses_function(x, strings(names), detail, required=False)
