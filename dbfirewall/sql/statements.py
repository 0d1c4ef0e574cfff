"""Every root node → its handler, and the statements that hold other statements."""

from __future__ import annotations

from dataclasses import replace

from dbfirewall.sql import utility_alter, utility_create, utility_data, utility_session
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.definitions import own_row
from dbfirewall.sql.expressions import NO_CTES
from dbfirewall.sql.nodes import Tree, each, number, unwrap
from dbfirewall.sql.objects import KINDS, relation_named, role_name
from dbfirewall.sql.scopes import Level
from dbfirewall.sql.shapes import Handler, Shape
from dbfirewall.sql.summary import DML_KINDS

_CURSOR_OPT_HOLD = 0x20
_MAY_DO_NOTHING = frozenset({"SelectStmt", "ExplainStmt", "CopyStmt"})
"""Statements that may be made of constants only, and so have no effect at all."""


def describe(x: Changes, kind: str, node: Tree) -> Shape:
    """Collect the effects of one statement in `x`; a node that no handler knows is an `unknown` effect."""
    handler = HANDLERS.get(kind)
    if handler is None:
        x.unknown(kind)
        return Shape("unknown", tags=())
    before = x.size
    shape = handler(x, node)
    if x.size == before and kind not in _MAY_DO_NOTHING:
        x.unknown(f"{kind} of nothing")
    return shape


def _select(x: Changes, node: Tree) -> Shape:
    x.query("SelectStmt", node, None, NO_CTES)
    into = "intoClause" in _leftmost(node)
    return Shape("select into" if into else "select", returns_rows=not into, plain=True)


def _leftmost(node: Tree) -> Tree:
    """The branch of a set operation that may have INTO."""
    while "larg" in node and "intoClause" not in node:
        node = node["larg"]
    return node


def _change(kind: str) -> Handler:
    def handler(x: Changes, node: Tree) -> Shape:
        x.query(kind, node, None, NO_CTES)
        return Shape(DML_KINDS[kind], returns_rows="returningClause" in node, plain=True)

    return handler


def _explain(x: Changes, node: Tree) -> Shape:
    """EXPLAIN is decided as the statement that it explains: ANALYZE runs it, and a plan tells of its data."""
    inner = describe(x, *unwrap(node.get("query")))
    runs = any(option.get("defname") == "analyze" for option in each("DefElem", node.get("options")))
    return replace(
        inner, kind="explain", returns_rows=True, tags=None, context="explain", plain=False, runs=runs
    )


def _prepare(x: Changes, node: Tree) -> Shape:
    name = str(node.get("name", ""))
    x.add("prepare", ((name,),))
    x.expressions(node.get("argtypes"), Level([]), NO_CTES)
    inner = describe(x, *unwrap(node.get("query")))
    return Shape("prepare", prepares=name, inner_tags=inner.answers, inner_rows=inner.returns_rows)


def _declare(x: Changes, node: Tree) -> Shape:
    hold = "with hold" if number(node, "options") & _CURSOR_OPT_HOLD else ""
    x.add("declare", ((str(node.get("portalname", "")),),), detail=hold)
    describe(x, *unwrap(node.get("query")))
    return Shape("declare cursor")


def _create_table_as(x: Changes, node: Tree) -> Shape:
    kind = KINDS.get(str(node.get("objtype")), "table")
    relation = node.get("into", {}).get("rel", {})
    detail = "temporary" if relation.get("relpersistence") == "t" else ""
    x.add("create", x.created(relation), kind, detail=detail)
    describe(x, *unwrap(node.get("query")))
    # With data the tag is SELECT, without it is that of CREATE; so it is for a table that exists already.
    return Shape(f"create {kind}" if kind != "table" else "create table as", tags=("SELECT", "CREATE"))


def _create_schema(x: Changes, node: Tree) -> Shape:
    """CREATE SCHEMA may create its first objects at once: unqualified names are the new schema's."""
    name = str(node.get("schemaname") or role_name(node.get("authrole", {})))
    x.add("create", ((name,),), "schema")
    outer = x.names
    x.names = outer.inside(name)
    for kind, element in map(unwrap, node.get("schemaElts", [])):
        describe(x, kind, element)
    x.names = outer
    return Shape("create schema")


def _create_rule(x: Changes, node: Tree) -> Shape:
    """CREATE RULE: its actions are decided as if they ran now, with the old and the new row in sight."""
    objects = relation_named(x, node.get("relation", {}), "table").objects
    x.add("create", objects, "rule", detail=f"rule {node.get('rulename', '')}")
    rows = own_row("old", "new")
    x.expression(node.get("whereClause"), rows, NO_CTES)
    for kind, action in map(unwrap, node.get("actions", [])):
        if kind in DML_KINDS:
            x.query(kind, action, rows, NO_CTES)
        else:
            describe(x, kind, action)
    return Shape("create rule")


HANDLERS: dict[str, Handler] = {
    "SelectStmt": _select,
    **{kind: _change(kind) for kind in DML_KINDS if kind != "SelectStmt"},
    "ExplainStmt": _explain,
    "PrepareStmt": _prepare,
    "DeclareCursorStmt": _declare,
    "CreateTableAsStmt": _create_table_as,
    "CreateSchemaStmt": _create_schema,
    "RuleStmt": _create_rule,
    **utility_session.HANDLERS,
    **utility_data.HANDLERS,
    **utility_create.HANDLERS,
    **utility_alter.HANDLERS,
}
"""Handlers by root node. What is not here is unknown."""
