"""The live snapshot: reads one database's catalogs into a `Catalog`, with asyncpg.

What it does not look at, because the schema's owner put it in the way of statements on purpose: triggers,
rewrite rules, defaults and assignment casts of tables that are written, row-level security policies, and
what functions call in turn. The session's read-only wall stands behind those.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg

from dbfirewall.catalog import queries
from dbfirewall.catalog.builtin import SYSTEM_SCHEMAS, offline_catalog
from dbfirewall.catalog.extensions import body, harmless_bodies, is_known
from dbfirewall.catalog.types import Catalog, Function, Relation
from dbfirewall.errors import CatalogError
from dbfirewall.sql.functions import harmless

STATEMENT_TIMEOUT_MS = 30_000
"""How long the server may take for one query of the snapshot. The queries wait for no table lock."""

FIRST_USER_OID = 16384
"""FirstNormalObjectId of the server's `access/transam.h`."""

Row = Mapping[str, Any]
QualifiedName = tuple[str, str]


async def load_catalog(connection: asyncpg.Connection, version: int) -> Catalog:
    """Read the snapshot number `version` of the database that `connection` is connected to.

    Any login will do. The connection must be idle and outside a transaction. Raises CatalogError when the
    server cannot be asked or refuses.
    """
    async with _reading(connection):
        rows = {name: await connection.fetch(query) for name, query in _QUERIES.items()}
        server_version = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    # In a thread, because tens of milliseconds would be felt by every session of this loop.
    return await asyncio.to_thread(build_catalog, rows, version, server_version)


async def catalog_fingerprint(connection: asyncpg.Connection) -> str:
    """A text that changes when DDL changed what the snapshot would hold; much cheaper than the snapshot.

    Ask for it before the snapshot that it is to stand for, so that DDL in between is noticed the next time.
    Raises CatalogError like `load_catalog`.
    """
    async with _reading(connection):
        return str(await connection.fetchval(queries.FINGERPRINT))


_QUERIES = {
    "schemas": queries.NAMESPACES,
    "functions": queries.FUNCTIONS,
    "relations": queries.RELATIONS,
    "operators": queries.OPERATORS,
    "type_calls": queries.TYPE_CALLS,
    "view_references": queries.VIEW_REFERENCES,
    "hidden_casts": queries.HIDDEN_CASTS,
}


@asynccontextmanager
async def _reading(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """One view of the catalogs for all queries, with names that nobody can shadow, and a deadline."""
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(
                "SET LOCAL search_path = pg_catalog, pg_temp;"
                f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"
            )
            yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CatalogError(f"the catalogs cannot be read: {error}") from error


def build_catalog(rows: Mapping[str, Iterable[Row]], version: int, server_version: int) -> Catalog:
    """Put together a snapshot from the rows of the queries, by their names in `_QUERIES`."""
    functions = _functions(rows)
    type_calls = _grouped((row["type"], functions[row["function"]]) for row in rows["type_calls"])
    hidden = _grouped(
        (row["relation"], functions[row["function"]].qualified_name)
        for row in rows["hidden_casts"]
        if not _is_harmless(functions[row["function"]])
    )
    calls = _view_calls(rows["view_references"], functions, type_calls)
    for oid, names in hidden.items():
        calls.setdefault(oid, set()).update(names)
    return replace(
        _runnable(rows, functions),
        relations={(row["schema"], row["name"]): _relation(row, calls) for row in rows["relations"]},
        implicit_calls=hidden.get(None, ()),
        parameter_calls=_grouped(
            (row["type"], functions[row["function"]])
            for row in rows["type_calls"]
            # What a value of a built-in type runs is in the text, or in implicit_calls.
            if row["type"] >= FIRST_USER_OID
            and row["how"] != "to"
            and not harmless(functions[row["function"]])
        ),
        schemas=frozenset(row["name"] for row in rows["schemas"]),
        version=version,
        server_version=server_version,
        complete=True,
    )


def _functions(rows: Mapping[str, Iterable[Row]]) -> _Functions:
    """The functions by oid, with what extensions make of their being harmless."""
    functions = _Functions((row["oid"], _function(row)) for row in rows["functions"])
    types = _grouped(((row["type"], row["how"]), row["function"]) for row in rows["type_calls"])
    _distrust(functions, rows["functions"], types)
    bodies = {
        row["oid"]: body(
            row["body"],
            map(functions.__getitem__, _conversions(row, types)),
            bound=row["bound"],
            defaults=row["defaults"],
        )
        for row in rows["functions"]
        if row["body"] is not None
    }
    for oid in harmless_bodies(functions, bodies, _runnable(rows, functions)):
        functions[oid] = replace(functions[oid], known_harmless=True)
    return functions


Conversions = Mapping[tuple[int, str], tuple[int, ...]]
"""(type, how) of TYPE_CALLS → oids of the functions that run there."""


def _distrust(functions: _Functions, rows: Iterable[Row], types: Conversions) -> None:
    """Let a function need a rule if a call of it runs others that do: to make its arguments, or of its result.

    Of the second kind are functions that give a value of a type with an implicit cast of a user's, without that type
    being named. They still may be what makes arguments of others: there the value stays what it is.
    """
    mine = [row for row in rows if not functions[row["oid"]].builtin and harmless(functions[row["oid"]])]
    while fallen := [row for row in mine if _leads_on(functions, row["oid"], _to_arguments(row, types))]:
        _let_need_a_rule(functions, fallen)
    _let_need_a_rule(
        functions, [row for row in mine if _leads_on(functions, row["oid"], _of_result(row, types))]
    )


def _leads_on(functions: _Functions, oid: int, runs: Iterable[int]) -> bool:
    return harmless(functions[oid]) and not all(harmless(functions[other]) for other in runs)


def _let_need_a_rule(functions: _Functions, rows: Iterable[Row]) -> None:
    for row in rows:
        functions[row["oid"]] = replace(functions[row["oid"]], trusted=False, known_harmless=False)


def _to_arguments(row: Row, types: Conversions) -> list[int]:
    """The functions that make values of a function's arguments' types."""
    return [function for oid in row["takes"] for function in types.get((oid, "input"), ())]


def _of_result(row: Row, types: Conversions) -> list[int]:
    """The functions that make something else of a function's result."""
    return [function for oid in row["gives"] for function in types.get((oid, "from"), ())]


def _conversions(row: Row, types: Conversions) -> list[int]:
    """The functions that a body written in SQL may run for the types that it has to do with."""
    ways = [(oid, how) for oid in (*row["takes"], *row["gives"]) for how in ("input", "from")]
    return [function for way in ways for function in types.get(way, ())]


def _runnable(rows: Mapping[str, Iterable[Row]], functions: _Functions) -> Catalog:
    """What expressions run: functions, operators, casts. Without relations."""
    return Catalog(
        functions=_grouped((function.name, function) for function in functions.values()),
        operators=_grouped(
            (row["symbol"], (row["schema"], functions[row["function"]])) for row in rows["operators"]
        ),
        casts=_grouped((row["name"], functions[row["function"]]) for row in rows["type_calls"]),
        # Which of them are harmless is not known yet.
        implicit_calls=tuple(
            functions[row["function"]].qualified_name
            for row in rows["hidden_casts"]
            if row["relation"] is None
        ),
        complete=True,
    )


class _Functions(dict[int, Function]):
    """Functions by oid. An oid without a function (a damaged catalog) stands for one that is not harmless."""

    def __missing__(self, oid: int) -> Function:
        return Function("?", str(oid), "v", language="?")


def _function(row: Row) -> Function:
    schema, name, language = sys.intern(row["schema"]), sys.intern(row["name"]), sys.intern(row["language"])
    compiled = language in ("c", "internal")
    builtin = row["from_initdb"] and schema in SYSTEM_SCHEMAS and (compiled or language == "sql")
    return Function(
        schema,
        name,
        row["volatility"],
        row["kind"],
        row["min_args"],
        row["max_args"],
        language=language,
        security_definer=row["security_definer"],
        # A built-in function of a server newer than the list is not known to be harmless: it needs a rule.
        trusted=_is_listed(schema, name) if builtin else compiled and row["in_extension"],
        takes_row=row["takes_row"],
        builtin=builtin,
        known_harmless=not row["security_definer"] and is_known(row["extension"], name),
    )


def _is_listed(schema: str, name: str) -> bool:
    return any(function.schema == schema for function in offline_catalog().functions.get(name, ()))


def _is_harmless(function: Function) -> bool:
    return function.known_harmless or (function.trusted and function.volatility != "v")


def _relation(row: Row, calls: Mapping[int, set[QualifiedName]]) -> Relation:
    return Relation(
        sys.intern(row["schema"]),
        row["name"],
        queries.RELATION_KINDS[row["kind"]],
        tuple(map(sys.intern, row["columns"])),
        tuple(sorted(calls.get(row["oid"], ()))),
    )


def _view_calls(
    references: Iterable[Row], functions: _Functions, type_calls: Mapping[int, tuple[Function, ...]]
) -> dict[int, set[QualifiedName]]:
    """What reading each view runs, by the view's oid: its own functions, and those of the views it reads."""
    own: dict[int, set[QualifiedName]] = {}
    nested: dict[int, set[int]] = {}
    for view, what, oid in ((row["view"], row["what"], row["oid"]) for row in references):
        if what == "view":
            nested.setdefault(view, set()).add(oid)
        else:
            called = (functions[oid],) if what == "function" else type_calls.get(oid, ())
            own.setdefault(view, set()).update(function.qualified_name for function in called)
    return {
        view: set().union(*(own.get(inner, ()) for inner in _reachable(view, nested)))
        for view in own.keys() | nested.keys()
    }


def _reachable(start: int, edges: Mapping[int, set[int]]) -> set[int]:
    """`start` and all that it leads to; views may be defined in a circle."""
    seen, waiting = {start}, [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, tuple[Any, ...]]:
    """The second parts of `pairs`, in order, by the first."""
    groups: dict[Any, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}
