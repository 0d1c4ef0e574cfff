"""Which relations a statement reaches, and what happens to each: through views, partitions and foreign keys.

A change reaches more than it names: the partitions and children of its table, the tables behind a view, and those
that a foreign key changes with ON DELETE CASCADE, SET NULL or SET DEFAULT, and so on from there.
Source: https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbfirewall.preview.ask import Row, as_json, ask, number
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.talk import Talk
from dbfirewall.sql.facts import Effect, Statement

Name = tuple[str | None, str]
"""(schema, name) of a relation; the schema None where it is not known: then any."""

EVENTS = frozenset({"insert", "update", "delete", "truncate"})
READ = "read"
DEFAULT = "default"
"""Besides EVENTS: the relation is read; defaults of its columns are computed."""

_NAMED = """
    SELECT c.oid
    FROM json_to_recordset($1::json) AS x(schema text, name text)
    JOIN pg_class c ON c.relname = x.name::name
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid::int8 >= 16384
      AND (x.schema IS NULL OR n.nspname = x.schema::name OR n.oid = pg_my_temp_schema())
"""
"""A relation that the session has as a temporary one hides those of the same name: it is always among them."""

_EDGES = """
    SELECT i.inhparent AS source, i.inhrelid AS target, 'child' AS how, '' AS on_delete, '' AS on_update
    FROM pg_inherits i
  UNION ALL
    SELECT k.confrelid, k.conrelid, 'key', k.confdeltype::text, k.confupdtype::text
    FROM pg_constraint k
    WHERE k.contype::text = 'f' AND (k.confdeltype::text = ANY (ARRAY['c', 'n', 'd'])
                                     OR k.confupdtype::text = ANY (ARRAY['c', 'n', 'd']))
  UNION ALL
    SELECT r.ev_class, d.refobjid, 'view', '', ''
    FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass::oid AND d.objid = r.oid
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass::oid AND d.refobjid <> r.ev_class
"""

REACHED = f"""
WITH RECURSIVE edges AS MATERIALIZED ({_EDGES}
), reached AS ({_NAMED}
  UNION
    SELECT e.target FROM reached r JOIN edges e ON e.source = r.oid WHERE e.target::int8 >= 16384
)
"""  # noqa: S608  constants only
"""Common table expressions: `reached(oid)` of the relations named by $1, and `edges`."""

_RELATIONS = qualified(f"""{REACHED}
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, row_security_active(c.oid)::text,
       c.reltuples::int8::text, c.relispartition::text,
       EXISTS (SELECT FROM ({_NAMED}) AS named WHERE named.oid = c.oid)::text
FROM reached r
JOIN pg_class c ON c.oid = r.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
""")  # noqa: S608  constants only

_BETWEEN = qualified(f"""{REACHED}
SELECT e.source::text, e.target::text, e.how, e.on_delete, e.on_update
FROM reached r JOIN edges e ON e.source = r.oid
WHERE e.target::int8 >= 16384
""")  # noqa: S608  constants only


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation. `kind`: relkind. `guarded`: row-level security holds for this login. `rows`: reltuples."""

    oid: int
    schema: str
    name: str
    kind: str
    guarded: bool = False
    rows: int = -1
    partition: bool = False
    named: bool = False

    @property
    def holds_rows(self) -> bool:
        """Whether it has rows of its own: a table or a partition, no view and no partitioned table."""
        return self.kind in ("r", "m")


@dataclass(frozen=True, slots=True)
class Edge:
    """`how`: child, key or view. `on_delete`, `on_update`: of a foreign key, as pg_constraint has them."""

    source: int
    target: int
    how: str
    on_delete: str = ""
    on_update: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """`relations` by OID, and the `edges` between them."""

    relations: Mapping[int, Relation]
    edges: tuple[Edge, ...] = ()
    by_source: Mapping[int, Sequence[Edge]] = field(default_factory=dict)

    def find(self, name: Name) -> tuple[Relation, ...]:
        """The relations that a name may mean."""
        schema, wanted = name
        return tuple(
            relation
            for relation in self.relations.values()
            if relation.named and relation.name == wanted and schema in (None, relation.schema, "pg_temp")
        )

    def spread(self, start: Mapping[int, frozenset[str]]) -> dict[int, frozenset[str]]:
        """What happens to each relation when `start` happens: events by OID."""
        events: dict[int, frozenset[str]] = {}
        waiting = list(start.items())
        while waiting:
            oid, happening = waiting.pop()
            before = events.get(oid, frozenset())
            if oid not in self.relations or happening <= before:
                continue
            events[oid] = before | happening
            for edge in self.by_source.get(oid, ()):
                passed = _passed(edge, events[oid], self.relations[oid])
                if passed:
                    waiting.append((edge.target, passed))
        return events

    def tree(self, oid: int, through: frozenset[str] = frozenset({"child"})) -> tuple[Relation, ...]:
        """A table with all its partitions and children; with what a view reads, where `through` says `view`."""
        found: dict[int, Relation] = {}
        waiting = [oid]
        while waiting:
            one = waiting.pop()
            if one in self.relations and one not in found:
                found[one] = self.relations[one]
                waiting += [edge.target for edge in self.by_source.get(one, ()) if edge.how in through]
        return tuple(found.values())


def _passed(edge: Edge, events: frozenset[str], source: Relation) -> frozenset[str]:
    """What an edge makes of what happens to its source."""
    if edge.how == "view":
        return events | {READ}
    if edge.how == "child":
        # An UPDATE of a partition key is a DELETE here and an INSERT there.
        moved = {"insert", "delete"} if source.kind == "p" and "update" in events else set()
        return events | moved
    found: set[str] = set()
    if "delete" in events:
        found |= _BY_ACTION.get(edge.on_delete, frozenset())
    if "update" in events:
        found |= _BY_ACTION.get(edge.on_update.replace("c", "n"), frozenset())
    if "truncate" in events:
        found.add("truncate")
    return frozenset(found | {READ}) if found else frozenset()


_BY_ACTION = {
    "c": frozenset({"delete"}),
    "n": frozenset({"update"}),
    "d": frozenset({"update", DEFAULT}),
}


def relation_names(effects: Sequence[Effect]) -> list[Name]:
    """Every name in `effects` that may be a relation's."""
    found: dict[Name, None] = {}
    for effect in effects:
        name = name_of(effect)
        if name is not None:
            found[name] = None
    return list(found)


def name_of(effect: Effect) -> Name | None:
    """(schema, name) that an effect speaks of, None where it is about no relation."""
    parts = effect.object
    if len(parts) != 2 or effect.kind in ("function", "procedure") or parts[1] is None:
        return None
    return parts[0], parts[1]


def effects_of(statements: Sequence[Statement]) -> list[Effect]:
    """All effects of a message."""
    return [effect for statement in statements for effect in statement.effects]


def names_parameter(names: Sequence[Name]) -> list[dict[str, str | None]]:
    """`names` as the JSON that `REACHED` takes for $1."""
    return [{"schema": schema, "name": name} for schema, name in names]


async def reach(talk: Talk, names: Sequence[Name]) -> Reach:
    """Everything that may be reached from `names`. Raises ServerError, ConnectionError."""
    wanted = as_json(names_parameter(names))
    relations = {number(row[0]): _relation(row) for row in await ask(talk, _RELATIONS, wanted)}
    edges = tuple(map(_edge, await ask(talk, _BETWEEN, wanted)))
    by_source: dict[int, list[Edge]] = {}
    for edge in edges:
        by_source.setdefault(edge.source, []).append(edge)
    return Reach(relations, edges, by_source)


def _relation(row: Row) -> Relation:
    oid, schema, name, kind, guarded, rows, partition, named = row
    return Relation(
        number(oid),
        schema or "",
        name or "",
        kind or "",
        guarded == "true",
        number(rows),
        partition == "true",
        named == "true",
    )


def _edge(row: Row) -> Edge:
    source, target, how, on_delete, on_update = row
    return Edge(number(source), number(target), how or "", on_delete or "", on_update or "")
