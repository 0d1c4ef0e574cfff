"""What DDL and its like would do: to which objects, how large, what goes along, under which lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dbfirewall.preview.ask import Row, as_json, ask, ask_one, number, strings
from dbfirewall.preview.locks import Lock, locks
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import Reach, Relation, effects_of, name_of
from dbfirewall.preview.session import attempt
from dbfirewall.preview.talk import ServerError, Talk
from dbfirewall.preview.text import Piece, quoted, shown
from dbfirewall.sql.facts import Statement
from dbfirewall.sql.nodes import Tree, unwrap

MAX_OBJECTS: Final = 50
"""Security limit: objects and dependants that are listed."""

COUNTED_BYTES: Final = 16 * 1024 * 1024
"""Security limit: a table is counted exactly only up to this size."""

KINDS: Final[Mapping[str, str]] = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table",
    "S": "sequence", "i": "index", "I": "partitioned index", "c": "composite type", "t": "TOAST table",
}  # fmt: skip

_SIZES = qualified("""
SELECT c.oid::text, pg_total_relation_size(c.oid)::text, pg_relation_size(c.oid)::text, c.reltuples::int8::text,
       has_table_privilege(c.oid, 'SELECT')::text, row_security_active(c.oid)::text
FROM json_array_elements_text($1::json) AS x(oid) JOIN pg_class c ON c.oid = x.oid::oid
""")

_DEPENDANTS = qualified("""
WITH RECURSIVE start AS (
    SELECT x.classid::oid AS classid, x.objid::oid AS objid
    FROM json_to_recordset($1::json) AS x(classid int8, objid int8)
), taken AS (
    SELECT classid, objid, 0 AS objsubid, 'start' AS how FROM start
  UNION
    SELECT n.classid, n.objid, n.objsubid, n.how
    FROM taken t, LATERAL (
        SELECT d.classid, d.objid, d.objsubid, CASE WHEN d.deptype::text = 'n' THEN 'cascade' ELSE 'along' END AS how
        FROM pg_depend d
        WHERE d.refclassid = t.classid AND d.refobjid = t.objid AND (t.objsubid = 0 OR d.refobjsubid = t.objsubid)
          AND d.deptype::text = ANY (ARRAY['n', 'a', 'i', 'P', 'S'])
      UNION ALL
        SELECT d.refclassid, d.refobjid, d.refobjsubid, t.how
        FROM pg_depend d
        WHERE d.classid = t.classid AND d.objid = t.objid AND d.deptype::text = 'i' AND t.how = 'cascade'
    ) AS n
)
SELECT DISTINCT pg_describe_object(t.classid, t.objid, t.objsubid)
FROM taken t
WHERE t.how = 'cascade' AND t.classid <> 'pg_catalog.pg_rewrite'::regclass::oid
  AND NOT EXISTS (SELECT FROM taken o WHERE o.classid = t.classid AND o.objid = t.objid AND o.how <> 'cascade')
ORDER BY 1
""")
"""What depends on objects so that only CASCADE takes it, and what depends on that.

A view hangs on its rule, which is a part of the view: hence the step from a part to its whole.
"""

_OBJECTS = qualified("""
SELECT 'pg_catalog.pg_namespace'::regclass::oid::text, n.oid::text
FROM json_array_elements_text($1::json) AS x(name) JOIN pg_namespace n ON n.nspname = x.name::name
UNION ALL
SELECT 'pg_catalog.pg_proc'::regclass::oid::text, p.oid::text
FROM json_to_recordset($2::json) AS x(schema text, name text)
JOIN pg_proc p ON p.proname = x.name::name
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = x.schema::name
UNION ALL
SELECT 'pg_catalog.pg_type'::regclass::oid::text, t.oid::text
FROM json_to_recordset($3::json) AS x(schema text, name text)
JOIN pg_type t ON t.typname = x.name::name
JOIN pg_namespace n ON n.oid = t.typnamespace AND n.nspname = x.schema::name
""")

_REFERENCING = qualified("""
SELECT DISTINCT n.nspname::text, c.relname::text
FROM json_array_elements_text($1::json) AS x(oid)
JOIN pg_constraint k ON k.confrelid = x.oid::oid AND k.contype::text = 'f' AND k.conrelid <> k.confrelid
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2
""")


@dataclass(slots=True)
class Found:
    """`objects`: as `Preview.objects`. `notes`: sentences."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def describe(talk: Talk, piece: Piece, statement: Statement, reached: Reach) -> Found:
    """What a statement that is no change of rows is about. Raises ServerError, ConnectionError."""
    found = Found()
    relations = _relations(statement, reached)
    taken = {lock.relation: lock for lock in locks(piece)}
    sizes = await _sizes(talk, relations)
    for relation in relations[:MAX_OBJECTS]:
        found.objects.append(await _object(talk, relation, sizes.get(relation.oid), taken))
    if len(relations) > MAX_OBJECTS:
        found.notes.append(f"{len(relations) - MAX_OBJECTS} more objects are not listed.")
    found.notes += _lock_notes(taken.values())
    if piece.kind == "ExplainStmt" and _runs(piece.node):
        found.notes.append("EXPLAIN ANALYZE runs the statement that it explains.")
    if piece.kind == "DropStmt":
        await _drop(talk, piece, statement, relations, found)
    elif piece.kind == "TruncateStmt":
        await _truncate(talk, piece, relations, found)
    elif piece.kind == "AlterTableStmt" and any(lock.rewrites for lock in taken.values()):
        found.notes.append("It may write the whole table anew, which takes time and space.")
    return found


def _runs(explain: Tree) -> bool:
    """Whether EXPLAIN runs its statement; an option with any value counts."""
    return any(unwrap(option)[1].get("defname") == "analyze" for option in explain.get("options", []))


async def _sizes(talk: Talk, relations: Sequence[Relation]) -> dict[int, Row]:
    """Rows of `_SIZES` by OID; none where somebody has locked one of them."""
    try:
        async with attempt(talk):
            rows = await ask(talk, _SIZES, as_json([relation.oid for relation in relations]))
    except ServerError:
        return {}
    return {number(row[0]): row for row in rows}


def _relations(statement: Statement, reached: Reach) -> list[Relation]:
    found: dict[int, Relation] = {}
    for effect in effects_of([statement]):
        name = name_of(effect)
        for relation in reached.find(name) if name else ():
            whole = effect.action == "truncate" or (effect.action == "drop" and relation.kind == "p")
            found.update((each.oid, each) for each in (reached.tree(relation.oid) if whole else (relation,)))
    return list(found.values())


async def _object(
    talk: Talk, relation: Relation, sizes: Row | None, taken: Mapping[str, Lock]
) -> dict[str, Any]:
    """One object for `Preview.objects`: `rows` is exact where `exact` says so, else what statistics say."""
    found: dict[str, Any] = {
        "object": shown(relation.schema, relation.name),
        "kind": KINDS.get(relation.kind, relation.kind),
    }
    lock = taken.get(relation.name)
    if lock is not None:
        found["lock"] = lock.mode
    if sizes is None or relation.kind not in "rmp":
        return found
    _, total, size, rows, readable, guarded = sizes
    found |= {"bytes": number(total), "rows": number(rows) if number(rows) >= 0 else None, "exact": False}
    if readable == "true" and guarded != "true" and number(size) <= COUNTED_BYTES and relation.kind != "p":
        try:
            async with attempt(talk):
                name = f"{quoted(relation.schema)}.{quoted(relation.name)}"
                counted = await ask_one(talk, f"SELECT pg_catalog.count(*) FROM ONLY {name}")  # noqa: S608
                found |= {"rows": number(counted), "exact": True}
        except ServerError:
            return found  # locked, or too slow: the statistics' number stands
    return found


def _lock_notes(taken: Sequence[Lock] | Any) -> list[str]:
    return [
        f"It takes {lock.mode} on {lock.relation}: {lock.meaning}"
        for lock in dict.fromkeys(taken)
        if lock.mode
    ]


async def _drop(
    talk: Talk, piece: Piece, statement: Statement, relations: Sequence[Relation], found: Found
) -> None:
    roots = [{"classid": 1259, "objid": relation.oid} for relation in relations]
    roots += [
        {"classid": number(classid), "objid": number(objid)}
        for classid, objid in await ask(talk, _OBJECTS, *_named(statement))
    ]
    dependants = [strings(row)[0] for row in await ask(talk, _DEPENDANTS, as_json(roots))]
    if not dependants:
        return
    listed = ", ".join(dependants[:MAX_OBJECTS])
    if len(dependants) > MAX_OBJECTS:
        listed += f" and {len(dependants) - MAX_OBJECTS} more"
    if piece.node.get("behavior") == "DROP_CASCADE":
        found.notes.append(f"CASCADE also drops: {listed}.")
    else:
        found.notes.append(f"It would fail, because others depend on it: {listed}.")


def _named(statement: Statement) -> tuple[Any, ...]:
    """The schemas, functions and types that a DROP names, as parameters of `_OBJECTS`."""
    schemas, functions, types = [], [], []
    for effect in statement.effects:
        if effect.action != "drop":
            continue
        if effect.kind == "schema" and len(effect.object) == 1:
            schemas.append(effect.object[0])
        elif len(effect.object) == 2:
            name = {"schema": effect.object[0], "name": effect.object[1]}
            if effect.kind in ("function", "procedure", "aggregate", "routine"):
                functions.append(name)
            elif effect.kind in ("type", "domain"):
                types.append(name)
    return as_json(schemas), as_json(functions), as_json(types)


async def _truncate(talk: Talk, piece: Piece, relations: Sequence[Relation], found: Found) -> None:
    own = {(relation.schema, relation.name) for relation in relations}
    rows = await ask(talk, _REFERENCING, as_json([relation.oid for relation in relations]))
    others = [shown(*strings(row)) for row in rows if strings(row) not in own]
    if not others:
        return
    listed = ", ".join(others[:MAX_OBJECTS])
    if piece.node.get("behavior") == "DROP_CASCADE":
        found.notes.append(f"CASCADE also truncates: {listed}, and what refers to those.")
    else:
        found.notes.append(f"It would fail, because foreign keys refer to it: {listed}.")
