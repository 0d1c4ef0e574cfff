"""Utilities that read, write or keep data: COPY, TRUNCATE, LOCK, VACUUM and the like, and running code."""

from __future__ import annotations

from dbfirewall.sql.calls import strings
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.expressions import NO_CTES
from dbfirewall.sql.nodes import Tree, each, number, only, unwrap
from dbfirewall.sql.objects import Named, named, relation_named
from dbfirewall.sql.scopes import Item, Level, spelled_out
from dbfirewall.sql.shapes import Handler, Shape

_LOCK_MODES = {
    1: "ACCESS SHARE",
    2: "ROW SHARE",
    3: "ROW EXCLUSIVE",
    4: "SHARE UPDATE EXCLUSIVE",
    5: "SHARE",
    6: "SHARE ROW EXCLUSIVE",
    7: "EXCLUSIVE",
    8: "ACCESS EXCLUSIVE",
}


def _copy(x: Changes, node: Tree) -> Shape:
    columns = set(strings(node.get("attlist", []))) or {"*"}
    incoming = bool(node.get("is_from"))
    if "query" in node:
        x.query(*unwrap(node["query"]), None, NO_CTES)
    elif "relation" in node:
        table = x.table(node["relation"], read=not incoming)
        level = Level([Item.base(table, str(node["relation"].get("relname", "")))])
        if incoming:
            x.write("copy_from", table, columns)
            # WHERE looks at the incoming rows, not at the table's.
            level = Level([])
        else:
            for column in columns:
                table.touch(column)
        x.expression(node.get("whereClause"), level, NO_CTES)
    else:
        x.unknown("CopyStmt")
    outside = "program" if node.get("is_program") else "file" if "filename" in node else ""
    if outside:
        x.add("egress", detail=f"copy {'from' if incoming else 'to'} {outside}")
    return Shape("copy", copy_from_stdin=incoming and not outside)


def _truncate(x: Changes, node: Tree) -> Shape:
    for relation in each("RangeVar", node.get("relations")):
        target = relation_named(x, relation, "table")
        x.add("truncate", target.objects, target.kind)
    if node.get("behavior") == "DROP_CASCADE":
        # Every table with a foreign key to these, wherever it is.
        x.add("truncate", ((None, None),), "table", detail="cascade")
    return Shape("truncate table")


def _lock(x: Changes, node: Tree) -> Shape:
    mode = _LOCK_MODES.get(number(node, "mode"), "unknown mode")
    for relation in each("RangeVar", node.get("relations")):
        target = relation_named(x, relation, "table")
        x.add("lock_table", target.objects, target.kind, detail=mode)
    return Shape("lock table")


def _vacuum(x: Changes, node: Tree) -> Shape:
    """VACUUM and ANALYZE; VACUUM (ANALYZE) is both. Without a table they take every table."""
    options = {str(option.get("defname")) for option in each("DefElem", node.get("options"))}
    actions = ["vacuum"] if node.get("is_vacuumcmd") else ["analyze"]
    if actions == ["vacuum"] and options & {"analyze", "analyse"}:
        actions.append("analyze")
    relations = list(each("VacuumRelation", node.get("rels")))
    for entry in relations:
        target = relation_named(x, entry.get("relation", {}), "table")
        columns = set(strings(entry.get("va_cols", [])))
        for action in actions:
            spelled = spelled_out(columns, None) if columns and action == "analyze" else None
            x.add(action, target.objects, target.kind, columns=spelled)
    if not relations:
        for action in actions:
            x.add(action)
    return Shape(actions[0])


def _cluster(x: Changes, node: Tree) -> Shape:
    if "relation" in node:
        target = relation_named(x, node["relation"], "table")
        x.add("cluster", target.objects, target.kind)
    else:
        x.add("cluster")
    return Shape("cluster")


def _reindex(x: Changes, node: Tree) -> Shape:
    kind = str(node.get("kind")).removeprefix("REINDEX_OBJECT_").lower()
    if "relation" in node:
        target = relation_named(x, node["relation"], kind)
    else:
        target = Named(kind, ((str(node.get("name", "")),),) if "name" in node else ((),))
    x.add("reindex", target.objects, target.kind)
    return Shape("reindex")


def _refresh(x: Changes, node: Tree) -> Shape:
    # Its query runs with its owner's rights: what it calls is the view's, as for a reader.
    table = x.table(node.get("relation", {}), read=False)
    x.add("refresh", table.objects, "materialized view")
    return Shape("refresh materialized view")


def _checkpoint(x: Changes, _node: Tree) -> Shape:
    x.add("checkpoint")
    return Shape("checkpoint")


def _load(x: Changes, node: Tree) -> Shape:
    x.add("load", ((str(node.get("filename", "")),),))
    return Shape("load")


def _alter_system(x: Changes, node: Tree) -> Shape:
    setting = node.get("setstmt", {})
    name = "all" if setting.get("kind") == "VAR_RESET_ALL" else str(setting.get("name", "")).lower()
    x.add("alter_system", ((name,),))
    return Shape("alter system")


def _do(x: Changes, node: Tree) -> Shape:
    options = dict(_options(node.get("args", [])))
    language = only("String", options.get("language"))
    x.add("code", detail=f"DO block in {language.get('sval', 'plpgsql')}")
    return Shape("do")


def _call(x: Changes, node: Tree) -> Shape:
    """CALL. Whether it returns a row depends on the procedure's OUT arguments: not known here."""
    call = node.get("funccall", {})
    arguments = call.get("args", [])
    x.call_procedure(strings(call.get("funcname", [])), arguments)
    x.expressions(arguments, Level([]), NO_CTES)
    return Shape("call")


def _comment(x: Changes, node: Tree) -> Shape:
    _about(x, "comment", node)
    return Shape("comment")


def _security_label(x: Changes, node: Tree) -> Shape:
    _about(x, "security_label", node)
    return Shape("security label")


def _about(x: Changes, action: str, node: Tree) -> None:
    target = named(x, str(node.get("objtype")), node.get("object"))
    if target is None:
        x.unknown(f"{action} on {node.get('objtype')}")
    else:
        x.add(action, target.objects, target.kind, detail=target.detail)


def _options(options: list[Tree]) -> list[tuple[str, Tree]]:
    return [(str(option.get("defname")), option.get("arg", {})) for option in each("DefElem", options)]


HANDLERS: dict[str, Handler] = {
    "CopyStmt": _copy,
    "TruncateStmt": _truncate,
    "LockStmt": _lock,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
    "ReindexStmt": _reindex,
    "RefreshMatViewStmt": _refresh,
    "CheckPointStmt": _checkpoint,
    "LoadStmt": _load,
    "AlterSystemStmt": _alter_system,
    "DoStmt": _do,
    "CallStmt": _call,
    "CommentStmt": _comment,
    "SecLabelStmt": _security_label,
}
