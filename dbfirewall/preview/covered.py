"""What undo covers: which tables' rows a message takes away or changes, and what else it does that stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dbfirewall.errors import DbfirewallError
from dbfirewall.preview.ask import as_json, ask, number, strings
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import Reach, Relation, effects_of, name_of, reach, relation_names
from dbfirewall.preview.safety import statement_problems
from dbfirewall.preview.talk import Talk
from dbfirewall.preview.text import Piece, function_names, rows_of_change, shown
from dbfirewall.sql.facts import Statement
from dbfirewall.sql.nodes import unwrap

_KINDS: Final = {"DeleteStmt": "delete", "UpdateStmt": "update", "TruncateStmt": "truncate"}
_TAKES_NOTHING: Final = frozenset(
    {
        "SelectStmt", "VariableShowStmt", "VariableSetStmt", "NotifyStmt", "ListenStmt", "LockStmt", "CreateStmt",
        "CreateTableAsStmt", "IndexStmt", "ViewStmt", "CreateSeqStmt", "CreateSchemaStmt", "CreateFunctionStmt",
        "CreateEnumStmt", "CreateDomainStmt", "CompositeTypeStmt", "CreateTrigStmt", "CreatePolicyStmt",
        "CreateStatsStmt", "CommentStmt", "GrantStmt", "GrantRoleStmt", "CreateRoleStmt", "RenameStmt",
        "RefreshMatViewStmt", "VacuumStmt",
    }
)  # fmt: skip
"""Statements that take no rows away and change none."""

_DROPS_NO_ROWS: Final = frozenset(
    {
        "OBJECT_INDEX", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_AGGREGATE",
        "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY",
    }
)  # fmt: skip
_REPEATABLE: Final = "REPEATABLE READ"

_TRIGGERS = qualified("""
SELECT t.tgrelid::text, t.tgname::text
FROM json_array_elements_text($1::json) AS x(oid)
JOIN pg_trigger t ON t.tgrelid = x.oid::oid
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgenabled::text <> 'D' AND p.oid::int8 >= 16384
ORDER BY 2
""")

_RULES = qualified("""
SELECT r.rulename::text
FROM json_array_elements_text($1::json) AS x(oid)
JOIN pg_rewrite r ON r.ev_class = x.oid::oid
WHERE r.ev_type::text <> '1'
""")


_KEYS = qualified("""
SELECT k.conrelid::text, k.confrelid::text
FROM json_array_elements_text($1::json) AS x(oid)
JOIN pg_constraint k ON k.conrelid = x.oid::oid AND k.contype::text = 'f' AND k.confrelid <> k.conrelid
""")


class UndoError(DbfirewallError):
    """Undo can't be had: `str()` is a clause on why, for people."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The one statement of a message that undo is about, at `index`.

    `kind`: delete, update, truncate or drop. `relations`: the tables whose rows are kept. `assigned`: the columns
    that an UPDATE sets. `notes`: sentences on what undo does not restore. `homes`: of each partition, its table.
    """

    piece: Piece
    index: int
    kind: str
    relations: tuple[Relation, ...]
    homes: dict[int, Relation]
    assigned: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def locks(self) -> bool:
        """Whether its tables must be locked first, because it does not heed snapshots."""
        return self.kind in ("truncate", "drop")

    @property
    def verb(self) -> str:
        """For messages."""
        return self.kind.upper()

    def home(self, oid: int) -> Relation:
        """The table as part of which a row of the table `oid` is kept. Raises UndoError for a stranger."""
        if oid not in self.homes:
            raise UndoError("it changes rows of a table that it does not name")
        return self.homes[oid]


def level(parts: Sequence[Piece]) -> str:
    """See `undo.isolation`."""
    kinds = [_kind(piece) for piece in parts if not _takes_nothing(piece)]
    if not kinds:
        return ""
    return "READ COMMITTED" if all(kind in ("truncate", "drop") for kind in kinds) else _REPEATABLE


async def subject_of(talk: Talk, parts: Sequence[Piece], statements: Sequence[Statement]) -> Subject | None:
    """What undo is about; None where nothing is taken away. Raises UndoError where it can't be had."""
    wanted = [index for index, piece in enumerate(parts) if not _takes_nothing(piece)]
    if not wanted:
        return None
    if len(wanted) > 1:
        raise UndoError("more than one statement of the message changes rows")
    if len(parts) != len(statements):
        raise UndoError("the message's statements can't be told apart")
    index = wanted[0]
    piece, statement = parts[index], statements[index]
    kind = _kind(piece)
    if not kind:
        raise UndoError("it is none of DELETE, UPDATE, TRUNCATE and DROP TABLE")
    if piece.changes_in_with:
        raise UndoError("a WITH query of it changes rows, too")
    reached = await reach(talk, relation_names(effects_of(statements)))
    targets = _targets(statement, kind, reached, missing_ok=bool(piece.node.get("missing_ok")))
    relations, homes = _homes(targets, reached, children=_children(piece, kind))
    await _check(talk, piece, statement, kind, targets, relations)
    relations = await _referencing_first(talk, relations)
    notes = await _notes(talk, piece, kind, targets, reached)
    assigned = frozenset(
        str(unwrap(column)[1].get("name", ""))
        for column in piece.node.get("targetList", [])
        if kind == "update"
    )
    return Subject(piece, index, kind, relations, homes, assigned, notes)


async def _referencing_first(talk: Talk, relations: Sequence[Relation]) -> tuple[Relation, ...]:
    """Tables before those that their foreign keys refer to; what is kept last is put back first."""
    if len(relations) < 2:
        return tuple(relations)
    keys: dict[int, list[int]] = {}
    for table, referenced in await ask(talk, _KEYS, as_json([relation.oid for relation in relations])):
        keys.setdefault(number(referenced), []).append(number(table))
    by_oid = {relation.oid: relation for relation in relations}
    done: dict[int, Relation] = {}

    def put(oid: int, above: frozenset[int]) -> None:
        for table in keys.get(oid, ()):
            if table in by_oid and table not in done and table not in above:
                put(table, above | {oid})
        done.setdefault(oid, by_oid[oid])

    for oid in by_oid:
        put(oid, frozenset({oid}))
    return tuple(done.values())


def _takes_nothing(piece: Piece) -> bool:
    """Whether a statement neither takes rows away nor changes any; an INSERT only adds."""
    if piece.changes_in_with:
        return False
    if piece.kind == "ExplainStmt":
        return unwrap(piece.node.get("query"))[0] == "SelectStmt"
    if piece.kind == "DropStmt":
        return piece.node.get("removeType") in _DROPS_NO_ROWS and piece.node.get("behavior") != "DROP_CASCADE"
    if piece.kind == "InsertStmt":
        return "onConflictClause" not in piece.node
    if piece.kind == "CopyStmt":
        return "query" not in piece.node
    return piece.kind in _TAKES_NOTHING


def _kind(piece: Piece) -> str:
    if piece.kind == "DropStmt" and piece.node.get("removeType") == "OBJECT_TABLE":
        return "drop"
    return _KINDS.get(piece.kind, "")


def _targets(statement: Statement, kind: str, reached: Reach, *, missing_ok: bool) -> list[Relation]:
    found: dict[int, Relation] = {}
    for effect in statement.effects:
        name = name_of(effect)
        if effect.action != kind or name is None:
            continue
        meant = reached.find(name)
        if not meant and missing_ok:
            continue
        if len(meant) != 1:
            raise UndoError(f"{effect.object_name} is not known, or may mean several tables")
        found[meant[0].oid] = meant[0]
    return list(found.values())


def _children(piece: Piece, kind: str) -> bool:
    """Whether children that inherit are meant, too. (Those of a dropped table go only by CASCADE.)"""
    if kind == "drop":
        return False
    if kind == "truncate":
        return any(unwrap(relation)[1].get("inh") for relation in piece.node.get("relations", []))
    return bool(piece.target.get("inh"))


def _homes(
    targets: Sequence[Relation], reached: Reach, *, children: bool
) -> tuple[tuple[Relation, ...], dict[int, Relation]]:
    """The tables whose rows are kept, and for each table with rows the one of those that it belongs to."""
    relations: dict[int, Relation] = {}
    homes: dict[int, Relation] = {}
    for target in targets:
        if target.kind not in ("r", "p"):
            raise UndoError(f"{shown(target.schema, target.name)} is no table")
        relations[target.oid] = homes[target.oid] = target
        if not children and target.kind != "p":
            continue
        for one in reached.tree(target.oid):
            if one.kind not in ("r", "p"):
                raise UndoError(f"{shown(one.schema, one.name)} is a foreign table")
            if target.kind == "p":
                homes[one.oid] = target
            else:
                relations[one.oid] = homes[one.oid] = one
    return tuple(relations.values()), homes


async def _check(
    talk: Talk,
    piece: Piece,
    statement: Statement,
    kind: str,
    targets: Sequence[Relation],
    kept: Sequence[Relation],
) -> None:
    """Raise UndoError for what would make the rows that are read other ones than those that are changed."""
    if kind in ("truncate", "drop"):
        for relation in kept:
            if relation.guarded:
                table = shown(relation.schema, relation.name)
                raise UndoError(f"row-level security may hide rows of {table} from this login")
        return
    rules = await ask(talk, _RULES, as_json([relation.oid for relation in targets]))
    if rules:
        raise UndoError(f"the rule {shown(*strings(rules[0]))} puts other statements in its place")
    query = rows_of_change(piece, "ctid")
    called = function_names(query) if query else frozenset()
    for problem in statement_problems(statement):
        if not problem.call or problem.call in called:
            raise UndoError(
                f"its rows can't be read beforehand, because that would do more than read ({problem.text})"
            )


async def _notes(
    talk: Talk, piece: Piece, kind: str, targets: Sequence[Relation], reached: Reach
) -> tuple[str, ...]:
    """What undo does not restore."""
    notes = []
    if kind == "drop":
        notes.append("Only rows are kept: the table itself must be created again first.")
    if kind in ("truncate", "drop") and piece.node.get("behavior") == "DROP_CASCADE":
        notes.append("What CASCADE takes along is not restored.")
    if kind == "truncate" and piece.node.get("restart_seqs"):
        notes.append("Sequences that are restarted are not set back.")
    event = {"drop": "", "truncate": ""}.get(kind, kind)
    if event:
        spread = reached.spread({target.oid: frozenset({event}) for target in targets})
        own = {one.oid for target in targets for one in reached.tree(target.oid)}
        others = sorted(
            shown(relation.schema, relation.name)
            for oid, relation in reached.relations.items()
            if oid in spread and oid not in own
        )
        if others:
            notes.append(f"What foreign keys change in {', '.join(others)} is not restored.")
    oids = [one.oid for target in targets for one in reached.tree(target.oid)]
    triggers = dict.fromkeys(row[1] or "" for row in await ask(talk, _TRIGGERS, as_json(oids)))
    if triggers:
        notes.append(f"What triggers do elsewhere is not restored ({', '.join(map(shown, triggers))}).")
    return tuple(notes)
