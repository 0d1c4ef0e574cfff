"""Undo: the rows that an approved statement is about to change, captured inside its own transaction.

Order, inside the transaction that releases the statement (see `isolation` for its level)::

    captured = await capture(talk, sql, parameters, statements)     before the statement
    … the statement, in its exact bytes …
    documents = await complete(talk, captured, affected)            after it; raises UndoError: roll back
    for number, document in enumerate(documents): Store.keep_undo(id, number, document)

`capture` reads the rows by the statement's own FROM and WHERE; `complete` makes sure that just those were changed: as
many as the command tag tells, and none of them is any more where it was. `dbfirewall.preview.restore` makes the SQL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.ask import Row, ask_one, number
from dbfirewall.preview.columns import KeptColumn, at_places, canonical, columns_of, places
from dbfirewall.preview.covered import Subject, UndoError, level, subject_of
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import Relation
from dbfirewall.preview.restore import VERSION, values_list
from dbfirewall.preview.talk import ServerError, Talk
from dbfirewall.preview.text import UnreadableError, pieces, quoted, renumbered, rows_of_change, shown
from dbfirewall.sql.facts import Statement

__all__ = ["MAX_BYTES", "MAX_ROWS", "Captured", "UndoError", "capture", "complete", "foreseen", "isolation"]

MAX_ROWS: Final = 10_000
"""Security limit: rows that are kept for one statement."""

MAX_BYTES: Final = 8 * 1024 * 1024
"""Security limit: bytes of text that are kept for one statement."""

_LEVEL = qualified("SELECT current_setting('transaction_isolation')")


@dataclass(frozen=True, slots=True)
class Captured:
    """The rows of one table, before. `columns`: those that are kept, `rows`: their text.

    `where`: (table's OID, ctid) of each row of a DELETE or UPDATE. `index`: which statement of the message it was.
    """

    kind: str
    index: int
    relation: Relation
    columns: tuple[KeptColumn, ...]
    rows: tuple[Row, ...]
    where: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    always: frozenset[str] = field(default=frozenset())
    """Columns that nobody can set (GENERATED ALWAYS AS IDENTITY)."""


def isolation(sql: bytes) -> str:
    """The isolation level that capturing needs: `REPEATABLE READ`, or `READ COMMITTED` for TRUNCATE and DROP.

    Empty where there is nothing to capture, because the message takes no rows away and changes none.
    """
    try:
        return level(pieces(sql))
    except UnreadableError:
        return "REPEATABLE READ"


async def capture(
    talk: Talk, sql: bytes, parameters: Sequence[Parameter], statements: Sequence[Statement]
) -> tuple[Captured, ...]:
    """The rows that the message is going to change. Raises UndoError, ServerError, ConnectionError."""
    subject = await _subject(talk, sql, statements)
    if subject is None:
        return ()
    if subject.locks:
        if await ask_one(talk, _LEVEL) != "read committed":
            raise UndoError(f"{subject.verb} is undone only in a transaction that is READ COMMITTED")
        listed = ", ".join(_name(relation) for relation in subject.relations)
        await talk.run(f"LOCK TABLE {listed} IN ACCESS EXCLUSIVE MODE")
    async with canonical(talk):
        found = await _tables(talk, subject, parameters)
        await _measure(talk, found)
        return tuple([await _rows(talk, subject, table) for table in found])


async def complete(
    talk: Talk, captured: Sequence[Captured], affected: Sequence[int | None]
) -> tuple[str, ...]:
    """The documents to keep (JSON), after the statement ran and changed what was captured.

    Raises UndoError where it changed something else: then what ran must be rolled back.
    """
    if not captured:
        return ()
    kind, index = captured[0].kind, captured[0].index
    if kind in ("delete", "update"):
        rows = sum(len(one.rows) for one in captured)
        actual = affected[index] if index < len(affected) else None
        if actual != rows:
            raise UndoError(f"it changed {actual} rows, but {rows} were found and kept before")
        for one in captured:
            await _gone(talk, one)
    if kind != "update":
        return tuple(json.dumps(_document(one), ensure_ascii=False) for one in captured if one.rows)
    async with canonical(talk):
        documents = [await _changed(talk, one) for one in captured if one.rows]
    return tuple(json.dumps(document, ensure_ascii=False) for document in documents if document)


async def foreseen(
    talk: Talk, sql: bytes, parameters: Sequence[Parameter], statements: Sequence[Statement]
) -> tuple[bool, str]:
    """Whether undo could be captured now; why not, or what it would not restore. Raises ConnectionError."""
    try:
        subject = await _subject(talk, sql, statements)
        if subject is None:
            return True, "It takes no rows away and changes none, so that nothing is kept."
        async with canonical(talk):
            await _measure(talk, await _tables(talk, subject, parameters))
    except UndoError as error:
        return False, f"Undo is not possible: {error}."
    except ServerError as error:
        return False, f"Undo is not possible: the server says: {error} ({error.sqlstate})."
    return True, " ".join(subject.notes)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table whose rows are to be kept: all of them, or those at `where`."""

    relation: Relation
    columns: tuple[KeptColumn, ...]
    where: tuple[tuple[str, str], ...] = ()
    all_rows: bool = False

    def source(self) -> tuple[str, tuple[Parameter, ...]]:
        """FROM and WHERE, and its parameters, of a query that has each of its rows once, as `t`."""
        name = _name(self.relation)
        if self.all_rows:
            return f"FROM {name} AS t", ()
        return f"FROM {name} AS t WHERE {at_places('t', 1)}", places(self.where)


async def _subject(talk: Talk, sql: bytes, statements: Sequence[Statement]) -> Subject | None:
    try:
        parts = pieces(sql)
    except UnreadableError as error:
        raise UndoError(str(error)) from None
    return await subject_of(talk, parts, statements)


async def _tables(talk: Talk, subject: Subject, parameters: Sequence[Parameter]) -> list[_Table]:
    """The tables, with the places of the rows where not all are meant."""
    relations = {relation.oid: relation for relation in subject.relations}
    columns = {oid: await _columns(talk, subject, relation) for oid, relation in relations.items()}
    if subject.kind in ("truncate", "drop"):
        return [_Table(one, columns[oid], all_rows=True) for oid, one in relations.items()]
    query = rows_of_change(subject.piece, "tableoid ctid")
    if query is None:
        raise UndoError("its rows can't be read beforehand")
    few, used = renumbered(
        f"SELECT d.tableoid::pg_catalog.text, d.ctid::pg_catalog.text FROM ({query}\n) AS d"  # noqa: S608  parsed
        f" LIMIT {MAX_ROWS + 1}",
        parameters,
    )
    result = await talk.run(few, used, max_rows=MAX_ROWS + 1)
    if len(result.rows) > MAX_ROWS:
        raise UndoError(f"it changes more than {MAX_ROWS:,} rows")
    by_relation: dict[int, list[tuple[str, str]]] = {}
    for table, place in result.rows:
        relation = subject.home(number(table))
        by_relation.setdefault(relation.oid, []).append((table or "", place or ""))
    for oid in by_relation if subject.kind == "update" else ():
        _check_key(subject, relations[oid], columns[oid])
    return [_Table(relations[oid], columns[oid], tuple(where)) for oid, where in by_relation.items()]


async def _columns(talk: Talk, subject: Subject, relation: Relation) -> tuple[KeptColumn, ...]:
    columns = await columns_of(talk, relation.oid)
    table = shown(relation.schema, relation.name)
    if not all(column.readable for column in columns):
        raise UndoError(f"this login may not read all of {table}")
    if not any(not column.generated for column in columns):
        raise UndoError(f"{table} has no columns to keep")
    return columns


def _check_key(subject: Subject, relation: Relation, columns: Sequence[KeptColumn]) -> None:
    """Raise UndoError where the rows of an UPDATE could not be found again."""
    table = shown(relation.schema, relation.name)
    key = {column.name for column in columns if column.key}
    if not key or not all(column.equals for column in columns if column.key):
        raise UndoError(f"{table} has no primary key by which its rows could be found again")
    if changed := sorted(key & subject.assigned):
        raise UndoError(f"it changes the primary key ({table}.{shown(changed[0])})")


async def _measure(talk: Talk, tables: Sequence[_Table]) -> None:
    """Raise UndoError where there are more rows or bytes than are kept."""
    rows = size = 0
    for table in tables:
        rows += await _sum(talk, table, ["1"])
        if rows > MAX_ROWS:
            raise UndoError(f"it changes more than {MAX_ROWS:,} rows")
        stored = [f"pg_catalog.pg_column_size(t.{quoted(column.name)})" for column in table.columns]
        written = [f"pg_catalog.octet_length({column.value('t')})" for column in table.columns]
        # First what can be told without reading the values themselves.
        for expressions in (stored, written):
            total = await _sum(talk, table, expressions)
            if size + total > MAX_BYTES:
                raise UndoError(f"its rows take more than {MAX_BYTES // 1024 // 1024} MiB")
        size += total


async def _sum(talk: Talk, table: _Table, expressions: Sequence[str]) -> int:
    """The sum of all `expressions` over the rows of a table."""
    source, parameters = table.source()
    listed = " OPERATOR(pg_catalog.+) ".join(f"coalesce({one}::pg_catalog.int8, 0)" for one in expressions)
    limited = f"SELECT {listed} AS n {source} LIMIT {MAX_ROWS + 1}"
    query = f"SELECT pg_catalog.sum(q.n)::pg_catalog.int8::pg_catalog.text FROM ({limited}) AS q"  # noqa: S608
    return number(await ask_one(talk, query, *parameters))


async def _rows(talk: Talk, subject: Subject, table: _Table) -> Captured:
    kept = tuple(column for column in table.columns if not column.generated)
    listed = ", ".join(column.value("t") for column in kept)
    source, parameters = table.source()
    rows = (await talk.run(f"SELECT {listed} {source}", parameters, max_rows=MAX_ROWS + 1)).rows
    if len(rows) > MAX_ROWS or (not table.all_rows and len(rows) != len(table.where)):
        raise UndoError("its rows are being changed by others")
    return Captured(
        subject.kind, subject.index, table.relation, kept, rows, table.where, subject.notes,
        frozenset(column.name for column in kept if column.always),
    )  # fmt: skip


async def _gone(talk: Talk, captured: Captured) -> None:
    """Raise UndoError where a captured row is still what and where it was."""
    table = _Table(captured.relation, captured.columns, captured.where)
    if await _sum(talk, table, ["1"]):
        raise UndoError("it did not change just the rows that were found and kept before")


async def _changed(talk: Talk, captured: Captured) -> dict[str, Any] | None:
    """The document of an UPDATE: the columns that differ now; None where none does."""
    key = [number for number, column in enumerate(captured.columns) if column.key]
    types = [captured.columns[number].type for number in key]
    wanted = values_list([[row[number] for number in key] for row in captured.rows], types)
    matches = " AND ".join(
        f"t.{quoted(captured.columns[at].name)} {captured.columns[at].equals} v.k{place}"
        for place, at in enumerate(key)
    )
    listed = ", ".join(column.value("t") for column in captured.columns)
    only = "ONLY " if captured.relation.kind != "p" else ""
    keys = ", ".join(f"k{place}" for place in range(len(key)))
    query = (
        f"SELECT {listed} FROM {only}{_bare(captured.relation)} AS t"  # noqa: S608  quoted
        f" JOIN (VALUES {wanted}) AS v({keys}) ON {matches}"
    )
    result = await talk.run(query, max_rows=MAX_ROWS + 1)
    now = {tuple(row[number] for number in key): row for row in result.rows}
    before = {tuple(row[number] for number in key): row for row in captured.rows}
    if now.keys() != before.keys() or len(result.rows) != len(captured.rows):
        raise UndoError("its rows can't be found again by their primary key")
    changed = [
        number
        for number in range(len(captured.columns))
        if number not in key and any(before[one][number] != now[one][number] for one in before)
    ]
    if not changed:
        return None
    if fixed := captured.always & {captured.columns[number].name for number in changed}:
        raise UndoError(f"it changes {shown(min(fixed))}, which is GENERATED ALWAYS")
    document = _document(captured, [*key, *changed])
    document["after"] = [[now[one][number] for number in changed] for one in before]
    if sum(len(cell or "") for row in document["after"] for cell in row) > MAX_BYTES:
        raise UndoError(f"its rows take more than {MAX_BYTES // 1024 // 1024} MiB")
    return document


def _document(captured: Captured, which: Sequence[int] | None = None) -> dict[str, Any]:
    """What is kept of one table; of its columns those numbered in `which`."""
    numbers = range(len(captured.columns)) if which is None else which
    relation = captured.relation
    return {
        "v": VERSION,
        "kind": captured.kind,
        "table": shown(relation.schema, relation.name),
        "relation": [relation.schema, relation.name],
        "only": relation.kind != "p",
        "columns": [_column(captured.columns[number]) for number in numbers],
        "rows": [[row[number] for number in numbers] for row in captured.rows],
        "notes": list(captured.notes),
    }


def _column(column: KeptColumn) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": list(column.type),
        "key": bool(column.key),
        "equals": column.equals,
        "number": column.number,
    }


def _name(relation: Relation) -> str:
    """A table without its children, which are tables of their own; with its partitions, which are not."""
    return _bare(relation) if relation.kind == "p" else f"ONLY {_bare(relation)}"


def _bare(relation: Relation) -> str:
    return f"{quoted(relation.schema)}.{quoted(relation.name)}"
