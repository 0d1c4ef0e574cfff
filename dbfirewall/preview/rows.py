"""The rows that a change touches: counted and sampled by running it, or by reading the same rows.

Running: the statement as it is, with RETURNING, inside of a WITH query that counts its rows and gives back a few of
them. Reading: a SELECT with the statement's own FROM and WHERE. Both in a transaction that is rolled back. What the
rows were before an UPDATE, PostgreSQL 18 tells by RETURNING; before that they are read first and found again by their
primary key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dbfirewall.approvals.model import Parameter, Table
from dbfirewall.preview.ask import Row, as_json, ask, ask_one, number, text
from dbfirewall.preview.columns import at_places, places
from dbfirewall.preview.envelope import tag_rows
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import Relation
from dbfirewall.preview.session import attempt
from dbfirewall.preview.talk import ServerError, Talk
from dbfirewall.preview.text import (
    Piece,
    as_cte,
    quoted,
    renumbered,
    rows_of_change,
    rows_of_source,
    shown,
    with_returning,
)
from dbfirewall.sql.nodes import unwrap

SAMPLE_ROWS: Final = 10
"""Security limit: rows of a sample."""

MAX_COLUMNS: Final = 50
"""Security limit: columns of a sample."""

MAX_VALUE: Final = 300
"""Security limit: characters of a value in a sample."""

MAX_STORED: Final = 100_000
"""Security limit: a value that takes more bytes than this is not shown at all."""

_TELLS_OLD = 180_000
_MERGE_RETURNS = 170_000
"""The first versions of PostgreSQL that have RETURNING old and new, and RETURNING of MERGE."""

_NO_PRIVILEGE = "42501"
_WITH = "dbfirewall_rows"

_COLUMNS = qualified("""
SELECT a.attname::text, coalesce(a.attnum = ANY (i.indkey::int2[]), false)::text
FROM pg_attribute a
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = $1::oid AND a.attnum > 0::int2 AND NOT a.attisdropped
ORDER BY a.attnum
""")

_CHANGED = qualified("""
SELECT x.oid::text, pg_stat_get_xact_tuples_inserted(x.oid::oid)::text,
       pg_stat_get_xact_tuples_updated(x.oid::oid)::text, pg_stat_get_xact_tuples_deleted(x.oid::oid)::text
FROM json_array_elements_text($1::json) AS x(oid)
""")


@dataclass(frozen=True, slots=True)
class Change:
    """One statement that changes rows. `relation`: its target. `columns`: all of them, `key`: the primary key's."""

    piece: Piece
    parameters: Sequence[Parameter]
    relation: Relation
    columns: tuple[str, ...]
    key: tuple[str, ...]
    server_version: int

    @property
    def name(self) -> str:
        """The target, for people."""
        return shown(self.relation.schema, self.relation.name)

    @property
    def sampled(self) -> tuple[str, ...]:
        """The columns of a sample."""
        return self.columns[:MAX_COLUMNS]


@dataclass(frozen=True, slots=True)
class Found:
    """`rows`: how many, None where no tag or count tells. `table`: a sample of them."""

    rows: int | None
    table: Table | None = None


async def the_change(
    talk: Talk, piece: Piece, parameters: Sequence[Parameter], relation: Relation, server_version: int
) -> Change:
    """`piece`, with its target's columns. Raises ServerError, ConnectionError."""
    rows = await ask(talk, _COLUMNS, text(str(relation.oid)))
    columns = tuple(row[0] or "" for row in rows)
    key = tuple(row[0] or "" for row in rows if row[1] == "true")
    return Change(piece, parameters, relation, columns, key, server_version)


async def run(talk: Talk, change: Change) -> Found:
    """Run it and count; the caller's transaction is rolled back. Raises ServerError, ConnectionError."""
    piece = change.piece
    if not piece.changes_in_with and (piece.kind != "MergeStmt" or change.server_version >= _MERGE_RETURNS):
        try:
            async with attempt(talk):
                found = await _run_and_sample(talk, change)
        except ServerError as error:
            # Who may change rows may not always read them.
            if error.sqlstate != _NO_PRIVILEGE:
                raise
        else:
            if found is not None:
                return found
    result = await talk.run(piece.text, change.parameters, max_rows=1)
    return Found(None if piece.changes_in_with else tag_rows(result.tag))


async def read(talk: Talk, change: Change) -> Found:
    """Count the same rows by reading them. Raises ServerError, ConnectionError."""
    piece = change.piece
    if piece.kind == "InsertStmt":
        return Found(await _read_source(talk, change))
    query = rows_of_change(piece, "tableoid ctid")
    if query is None:
        return Found(None)
    counted, used = renumbered(
        f"SELECT pg_catalog.count(*) FROM ({query}\n) AS {_WITH}",  # noqa: S608  parsed
        change.parameters,
    )
    rows = number(await ask_one(talk, counted, *used))
    before = await _before(talk, change)
    return Found(rows, Table(change.name, change.sampled, tuple(cells for _, cells in before)))


async def changed_besides(talk: Talk, relations: Sequence[Relation]) -> list[str]:
    """What this transaction has done to `relations` so far, in words: `public.child: 12 rows deleted`."""
    by_oid = {relation.oid: relation for relation in relations}
    found = []
    for oid, *counts in await ask(talk, _CHANGED, as_json(list(by_oid))):
        parts = [
            f"{number(count):,} {'row' if number(count) == 1 else 'rows'} {what}"
            for count, what in zip(counts, ("inserted", "updated", "deleted"), strict=True)
            if number(count)
        ]
        if parts:
            relation = by_oid[number(oid)]
            found.append(f"{shown(relation.schema, relation.name)}: {', '.join(parts)}")
    return found


async def _run_and_sample(talk: Talk, change: Change) -> Found | None:
    """None where the statement can't be put into a WITH query."""
    both = change.server_version >= _TELLS_OLD and change.piece.kind in ("UpdateStmt", "MergeStmt")
    before: list[tuple[str, Row]] = []
    if not both and change.piece.kind == "UpdateStmt" and change.key:
        before = await _before(talk, change)
    statement = with_returning(change.piece, _returned(change, both=both))
    names = [f"c{number}" for number in range(len(change.sampled) * (2 if both else 1) + len(change.key))]
    parameters = list(change.parameters)
    wanted = ""
    key = _joined(names[len(names) - len(change.key) :])
    if before:
        parameters.append(as_json([one for one, _ in before]))
        keys = qualified(f"json_array_elements_text(${len(parameters)}::json)")
        wanted = f"WHERE {key} OPERATOR(pg_catalog.=) ANY (SELECT x.k FROM {keys} AS x(k))"  # noqa: S608
    cells = ", ".join([key, "'row'", *map(cell, names)])
    query = (
        f"SELECT (SELECT pg_catalog.count(*) FROM {_WITH})::pg_catalog.text, sample.*"  # noqa: S608  parsed
        " FROM (SELECT true) AS one LEFT JOIN"
        f" (SELECT {cells} FROM {_WITH} {wanted} LIMIT {SAMPLE_ROWS}) AS sample ON true"
    )
    made = as_cte(statement, _WITH, names, query) if statement else None
    if made is None:
        return None
    result = await talk.run(*renumbered(made, parameters), max_rows=SAMPLE_ROWS)
    rows = number(result.rows[0][0])
    # Where none is found again, the outer join gives a row of NULLs; 'row' is never NULL.
    sample = [(row[1] or "", tuple(map(_cut, row[3:]))) for row in result.rows if row[2] is not None]
    return Found(rows, _table(change, sample, before, both=both))


def _table(
    change: Change, sample: Sequence[tuple[str, Row]], before: Sequence[tuple[str, Row]], *, both: bool
) -> Table:
    width = len(change.sampled)
    first = tuple(cells[:width] for _, cells in sample)
    if both:
        after = tuple(cells[width : 2 * width] for _, cells in sample)
        return Table(change.name, change.sampled, first, after)
    if before:
        changed = {key: cells[:width] for key, cells in sample}
        known = [(cells, changed[key]) for key, cells in before if key in changed]
        if known:
            return Table(change.name, change.sampled, tuple(b for b, _ in known), tuple(a for _, a in known))
    if change.piece.kind == "UpdateStmt":
        return Table(change.name, change.sampled, (), first)
    return Table(change.name, change.sampled, first)


def _returned(change: Change, *, both: bool) -> str:
    """The RETURNING list: the sampled columns (before and after where `both`), then the primary key's."""
    target = change.piece.target_name
    columns = [quoted(column) for column in change.sampled]
    key = [f"{target}.{quoted(column)}" for column in change.key]
    if not both:
        return ", ".join([*(f"{target}.{column}" for column in columns), *key])
    versions = [
        f"{version}.{column}" for version in ("dbfirewall_old", "dbfirewall_new") for column in columns
    ]
    return f"WITH (OLD AS dbfirewall_old, NEW AS dbfirewall_new) {', '.join([*versions, *key])}"


async def _before(talk: Talk, change: Change) -> list[tuple[str, Row]]:
    """(primary key, cells) of a few of the rows that an UPDATE or DELETE means, as they are."""
    query = rows_of_change(change.piece, "tableoid ctid")
    if query is None or not change.relation.kind or change.relation.kind not in "rp":
        return []
    few, used = renumbered(
        f"SELECT d.tableoid::pg_catalog.text, d.ctid::pg_catalog.text FROM ({query}\n) AS d"  # noqa: S608  parsed
        f" LIMIT {SAMPLE_ROWS}",
        change.parameters,
    )
    where = [(table or "", place or "") for table, place in await ask(talk, few, *used)]
    key = _joined([f"t.{quoted(column)}" for column in change.key])
    cells = ", ".join([key, *(cell(f"t.{quoted(column)}") for column in change.sampled)])
    sample = (
        f"SELECT {cells} FROM {quoted(change.relation.schema)}.{quoted(change.relation.name)} AS t"  # noqa: S608
        f" WHERE {at_places('t', 1)}"
    )
    return [(row[0] or "", tuple(map(_cut, row[1:]))) for row in await ask(talk, sample, *places(where))]


async def _read_source(talk: Talk, change: Change) -> int | None:
    """How many rows an INSERT takes in; None where it may leave some out."""
    node = change.piece.node
    if "onConflictClause" in node or change.piece.changes_in_with:
        return None
    _, source = unwrap(node.get("selectStmt"))
    if not source:
        return 1  # DEFAULT VALUES
    if "valuesLists" in source:
        return len(source["valuesLists"])
    query = rows_of_source(change.piece, "pg_catalog.count(*)")
    if query is None:
        return None
    counted, used = renumbered(query, change.parameters)
    return number(await ask_one(talk, counted, *used))


def cell(value: str) -> str:
    """An expression for `value` as text by its type's output function, cut; never a user's cast."""
    return (
        f"CASE WHEN pg_catalog.num_nulls({value}) OPERATOR(pg_catalog.=) 0 THEN"
        f" CASE WHEN pg_catalog.pg_column_size({value}) OPERATOR(pg_catalog.>) {MAX_STORED}"
        f" THEN pg_catalog.format('(%s bytes)', pg_catalog.pg_column_size({value}))"
        f" ELSE pg_catalog.\"left\"(pg_catalog.format('%s', {value}), {MAX_VALUE + 1}) END END"
    )


def _joined(columns: Sequence[str]) -> str:
    """An expression for one text that tells rows apart by `columns`."""
    listed = ", ".join(["'|'", *columns] if columns else ["''", "''"])
    return f"pg_catalog.concat_ws({listed})"


def _cut(value: str | None) -> str | None:
    return f"{value[:MAX_VALUE]}…" if value is not None and len(value) > MAX_VALUE else value
