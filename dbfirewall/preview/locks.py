"""The lock that a statement takes on each table that it names, strongest first. Pure.

Source: AlterTableGetLockLevel in PostgreSQL's tablecmds.c, and
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dbfirewall.preview.text import Piece
from dbfirewall.sql.nodes import Tree, unwrap

ACCESS_EXCLUSIVE: Final = "ACCESS EXCLUSIVE"
EXCLUSIVE: Final = "EXCLUSIVE"
SHARE_ROW_EXCLUSIVE: Final = "SHARE ROW EXCLUSIVE"
SHARE: Final = "SHARE"
SHARE_UPDATE_EXCLUSIVE: Final = "SHARE UPDATE EXCLUSIVE"

_STRENGTH: Final = (SHARE_UPDATE_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE, EXCLUSIVE, ACCESS_EXCLUSIVE)

_MEANING: Final = {
    ACCESS_EXCLUSIVE: "nobody can read or write it meanwhile.",
    EXCLUSIVE: "nobody can write it meanwhile.",
    SHARE_ROW_EXCLUSIVE: "nobody can write it meanwhile.",
    SHARE: "nobody can write it meanwhile.",
    SHARE_UPDATE_EXCLUSIVE: "it can be read and written meanwhile, but not maintained.",
}

_LIGHT: Final = frozenset(
    {
        "AT_SetStatistics", "AT_ClusterOn", "AT_DropCluster", "AT_SetOptions", "AT_ResetOptions",
        "AT_ValidateConstraint", "AT_AttachPartition", "AT_DetachPartitionFinalize",
    }
)  # fmt: skip
_TRIGGERS: Final = frozenset(
    {
        "AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig", "AT_EnableTrigAll", "AT_EnableTrigUser",
        "AT_DisableTrig", "AT_DisableTrigAll", "AT_DisableTrigUser",
    }
)  # fmt: skip
_REWRITES: Final = frozenset({"AT_AlterColumnType", "AT_SetTableSpace", "AT_SetLogged", "AT_SetUnLogged",
                              "AT_SetAccessMethod"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lock:
    """`relation`: the bare name of the table. `mode`: of the lock, empty where none is known of.

    `rewrites`: the table may be written anew under it.
    """

    relation: str
    mode: str
    rewrites: bool = False

    @property
    def meaning(self) -> str:
        """A clause on what others can do meanwhile."""
        return _MEANING[self.mode]


def locks(piece: Piece) -> tuple[Lock, ...]:
    """Every lock on a named table, the strongest of each."""
    strongest: dict[str, Lock] = {}
    for lock in _locks(piece.kind, piece.node):
        before = strongest.get(lock.relation)
        if before is None or _STRENGTH.index(before.mode) < _STRENGTH.index(lock.mode):
            strongest[lock.relation] = lock
    return tuple(strongest.values())


def _locks(kind: str, node: Tree) -> Iterator[Lock]:
    if kind in _HANDLERS:
        yield from _HANDLERS[kind](node)
    elif kind in _OF_RELATION and node.get("relation"):
        yield Lock(_name(node["relation"]), _OF_RELATION[kind], kind == "ClusterStmt")


def _drop(node: Tree) -> Iterator[Lock]:
    if node.get("removeType") not in _DROPS_TABLES:
        return
    mode = SHARE_UPDATE_EXCLUSIVE if node.get("concurrent") else ACCESS_EXCLUSIVE
    for item in node.get("objects", []):
        parts = unwrap(item)[1].get("items", [])
        if parts:
            yield Lock(str(unwrap(parts[-1])[1].get("sval", "")), mode)


def _truncate(node: Tree) -> Iterator[Lock]:
    for relation in node.get("relations", []):
        yield Lock(_name(unwrap(relation)[1]), ACCESS_EXCLUSIVE)


def _vacuum(node: Tree) -> Iterator[Lock]:
    full = any(unwrap(option)[1].get("defname") == "full" for option in node.get("options", []))
    for relation in node.get("rels", []):
        name = _name(unwrap(relation)[1].get("relation", {}))
        yield Lock(name, ACCESS_EXCLUSIVE if full else SHARE_UPDATE_EXCLUSIVE, full)


def _index(node: Tree) -> Iterator[Lock]:
    yield Lock(_name(node.get("relation", {})), SHARE_UPDATE_EXCLUSIVE if node.get("concurrent") else SHARE)


def _refresh(node: Tree) -> Iterator[Lock]:
    yield Lock(_name(node.get("relation", {})), EXCLUSIVE if node.get("concurrent") else ACCESS_EXCLUSIVE)


def _policy(node: Tree) -> Iterator[Lock]:
    yield Lock(_name(node.get("table", {})), ACCESS_EXCLUSIVE)


_OF_RELATION: Final = {
    "RenameStmt": ACCESS_EXCLUSIVE,
    "AlterObjectSchemaStmt": ACCESS_EXCLUSIVE,
    "ClusterStmt": ACCESS_EXCLUSIVE,
    "RuleStmt": ACCESS_EXCLUSIVE,
    "ReindexStmt": SHARE,
    "CreateTrigStmt": SHARE_ROW_EXCLUSIVE,
}
_DROPS_TABLES: Final = frozenset(
    {
        "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE",
    }
)  # fmt: skip


def _alter_table(node: Tree) -> Iterator[Lock]:
    name = _name(node.get("relation", {}))
    for command in node.get("cmds", []):
        _, alter = unwrap(command)
        subtype = str(alter.get("subtype"))
        mode = ACCESS_EXCLUSIVE
        if subtype in _LIGHT:
            mode = SHARE_UPDATE_EXCLUSIVE
        elif subtype in _TRIGGERS:
            mode = SHARE_ROW_EXCLUSIVE
        elif subtype == "AT_AddConstraint" and _foreign_key(alter):
            mode = SHARE_ROW_EXCLUSIVE
            yield Lock(_name(unwrap(alter.get("def"))[1].get("pktable", {})), SHARE_ROW_EXCLUSIVE)
        elif subtype == "AT_DetachPartition" and unwrap(alter.get("def"))[1].get("concurrent"):
            mode = SHARE_UPDATE_EXCLUSIVE
        yield Lock(name, mode, subtype in _REWRITES)


def _foreign_key(command: Tree) -> bool:
    return unwrap(command.get("def"))[1].get("contype") == "CONSTR_FOREIGN"


def _name(relation: Tree) -> str:
    return str(relation.get("relname", ""))


_HANDLERS: Final[dict[str, Callable[[Tree], Iterator[Lock]]]] = {
    "DropStmt": _drop,
    "TruncateStmt": _truncate,
    "AlterTableStmt": _alter_table,
    "VacuumStmt": _vacuum,
    "IndexStmt": _index,
    "RefreshMatViewStmt": _refresh,
    "CreatePolicyStmt": _policy,
    "AlterPolicyStmt": _policy,
}
