"""Utilities of the session and the transaction: SET, SHOW, BEGIN, PREPARE's kin, cursors, LISTEN."""

from __future__ import annotations

from dbfirewall.sql.calls import setting_action
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.constants import constant
from dbfirewall.sql.expressions import NO_CTES
from dbfirewall.sql.lexer import fold
from dbfirewall.sql.nodes import Tree, each
from dbfirewall.sql.scopes import Level
from dbfirewall.sql.shapes import Handler, Shape

_RESETS = {"VAR_SET_DEFAULT": "set", "VAR_RESET": "reset"}
_ISOLATION = {"transaction_isolation", "transaction_deferrable"}


def change_setting(x: Changes, node: Tree) -> Shape:
    """SET, RESET and SET TRANSACTION. An effect's object is the parameter's folded name."""
    kind = str(node.get("kind"))
    parameter = fold(str(node.get("name", "")))
    if kind == "VAR_RESET_ALL":
        x.add("reset", (("all",),))
        return Shape("reset")
    if kind in _RESETS:
        action = setting_action(parameter, "reset")
        object_name = ("none" if action == "set_role" else "default") if action != "reset" else parameter
        x.add(action, ((object_name,),), detail="reset" if action != "reset" else "")
        return Shape(_RESETS[kind])
    if kind == "VAR_SET_MULTI":
        _change_transaction(x, parameter, node.get("args", []))
        return Shape("set")
    _set_value(x, parameter, node)
    return Shape("set")


def _set_value(x: Changes, parameter: str, node: Tree) -> None:
    texts = [constant(argument) for argument in node.get("args", [])]
    known = [text for text in texts if text is not None]
    value = ", ".join(known) if known and len(known) == len(texts) else None
    action = setting_action(parameter)
    local = "local" if node.get("is_local") else ""
    if action == "set":
        x.add(action, ((parameter,),), value=value, detail=local)
    else:
        x.add(action, ((value,),), detail=local)


def _change_transaction(x: Changes, scope: str, arguments: list[Tree]) -> None:
    """SET TRANSACTION …, SET SESSION CHARACTERISTICS AS TRANSACTION …, SET TRANSACTION SNAPSHOT …."""
    if scope == "transaction snapshot":
        x.add("set", (("transaction_snapshot",),), value=constant(arguments[0]) if arguments else None)
        return
    prefix = "default_" if scope == "session characteristics" else ""
    for name, value in _modes(arguments):
        if name == "transaction_read_only" or name in _ISOLATION:
            x.add("set", ((prefix + name,),), value=value)
        else:
            x.unknown("VariableSetStmt")


def _modes(options: list[Tree]) -> list[tuple[str, str | None]]:
    """(name, value) of transaction modes, on/off for the boolean ones."""
    modes = []
    for option in each("DefElem", options):
        name, value = str(option.get("defname")), constant(option.get("arg", {}))
        boolean = name != "transaction_isolation" and value is not None
        modes.append((name, {"0": "off", "1": "on"}.get(str(value)) if boolean else value))
    return modes


def _show(x: Changes, node: Tree) -> Shape:
    x.add("show", ((fold(str(node.get("name", ""))),),))
    return Shape("show", returns_rows=True)


def _transaction(x: Changes, node: Tree) -> Shape:
    kind = str(node.get("kind")).removeprefix("TRANS_STMT_")
    chained = "and chain" if node.get("chain") else ""
    savepoint = ((str(node.get("savepoint_name", "")),),)
    if kind in ("BEGIN", "START"):
        modes = dict(_modes(node.get("options", [])))
        access = {"on": "read only", "off": "read write"}.get(str(modes.get("transaction_read_only")))
        level = modes.get("transaction_isolation")
        asked = [f"isolation level {level}"] if level is not None else []
        asked += ["deferrable"] if modes.get("transaction_deferrable") == "on" else []
        x.add("begin", value=access, detail=", ".join(asked))
        return Shape("begin", tags=("BEGIN", "START"))
    if kind == "COMMIT":
        x.add("commit", detail=chained)
        # In a failed transaction COMMIT answers ROLLBACK.
        return Shape("commit", tags=("COMMIT", "ROLLBACK"))
    if kind == "ROLLBACK":
        x.add("rollback", detail=chained)
        return Shape("rollback")
    if kind == "ROLLBACK_TO":
        x.add("savepoint", savepoint, detail="rollback to")
        return Shape("rollback to savepoint", tags=("ROLLBACK",))
    if kind in ("SAVEPOINT", "RELEASE"):
        x.add("savepoint", savepoint, detail="release" if kind == "RELEASE" else "")
        return Shape(kind.lower())
    if kind in ("PREPARE", "COMMIT_PREPARED", "ROLLBACK_PREPARED"):
        words = kind.replace("_", " ").lower()
        x.add("two_phase", ((str(node.get("gid", "")),),), detail=words)
        shape = words if " " in words else "prepare transaction"
        return Shape(shape, tags=("PREPARE", "COMMIT", "ROLLBACK"))
    x.unknown("TransactionStmt")
    return Shape("transaction")


def _execute(x: Changes, node: Tree) -> Shape:
    """EXECUTE. What it runs was decided at PREPARE, under its name; which tag it answers is not known here."""
    x.add("execute", ((str(node.get("name", "")),),))
    x.expressions(node.get("params"), Level([]), NO_CTES)
    return Shape("execute", tags=())


def _deallocate(x: Changes, node: Tree) -> Shape:
    name = "all" if node.get("isall") or "name" not in node else str(node["name"])
    x.add("deallocate", ((name,),))
    return Shape("deallocate")


def _close(x: Changes, node: Tree) -> Shape:
    x.add("close", ((str(node.get("portalname", "all")),),))
    return Shape("close")


def _fetch(x: Changes, node: Tree) -> Shape:
    x.add("fetch", ((str(node.get("portalname", "")),),))
    moves = bool(node.get("ismove"))
    return Shape("move" if moves else "fetch", returns_rows=not moves)


def _listen(x: Changes, node: Tree) -> Shape:
    x.add("listen", ((str(node.get("conditionname", "")),),))
    return Shape("listen")


def _unlisten(x: Changes, node: Tree) -> Shape:
    x.add("listen", ((str(node.get("conditionname", "*")),),), detail="unlisten")
    return Shape("unlisten")


def _notify(x: Changes, node: Tree) -> Shape:
    x.add("notify", ((str(node.get("conditionname", "")),),))
    return Shape("notify")


def _discard(x: Changes, node: Tree) -> Shape:
    x.add("discard", ((str(node.get("target")).removeprefix("DISCARD_").lower(),),))
    return Shape("discard")


def _constraints(x: Changes, node: Tree) -> Shape:
    x.add("set", (("constraints",),), value="deferred" if node.get("deferred") else "immediate")
    return Shape("set constraints")


HANDLERS: dict[str, Handler] = {
    "VariableSetStmt": change_setting,
    "VariableShowStmt": _show,
    "TransactionStmt": _transaction,
    "ExecuteStmt": _execute,
    "DeallocateStmt": _deallocate,
    "ClosePortalStmt": _close,
    "FetchStmt": _fetch,
    "ListenStmt": _listen,
    "UnlistenStmt": _unlisten,
    "NotifyStmt": _notify,
    "DiscardStmt": _discard,
    "ConstraintsSetStmt": _constraints,
}
