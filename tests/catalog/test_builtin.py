"""The built-in names that are known without a database."""

from __future__ import annotations

import pytest

from dbfirewall.catalog.builtin import (
    SECRET_COLUMNS,
    SECRET_FUNCTIONS,
    SECRET_RELATIONS,
    known_servers,
    offline_catalog,
)
from dbfirewall.catalog.types import VARIADIC_ARGS

CATALOG = offline_catalog()


@pytest.mark.parametrize(
    ("name", "volatility"),
    [
        ("lower", "i"),
        ("now", "s"),
        ("current_setting", "s"),
        ("pg_sleep", "v"),
        ("pg_sleep_for", "v"),
        ("set_config", "v"),
        ("nextval", "v"),
        ("setval", "v"),
        ("pg_read_file", "v"),
        ("pg_notify", "v"),
        ("lo_from_bytea", "v"),
        ("lo_import", "v"),
        ("pg_advisory_lock", "v"),
        ("pg_terminate_backend", "v"),
        ("random", "v"),
        ("pg_clear_relation_stats", "v"),  # since 18
        ("pg_start_backup", "v"),  # until 14
    ],
)
def test_volatility(name: str, volatility: str) -> None:
    """Every overload of a built-in function has the volatility that PostgreSQL declares."""
    assert {function.volatility for function in CATALOG.functions[name]} == {volatility}


def test_every_function_is_builtin_and_trusted() -> None:
    """Nothing in the offline catalog is a user's."""
    functions = [function for overloads in CATALOG.functions.values() for function in overloads]
    assert len(functions) > 2700
    assert all(function.builtin and function.trusted for function in functions)


@pytest.mark.parametrize(
    ("name", "kind", "bounds"),
    [
        ("lower", "f", {(1, 1)}),
        ("jsonb_set", "f", {(3, 4)}),
        ("format", "f", {(1, 1), (2, VARIADIC_ARGS)}),
        ("count", "a", {(0, 0), (1, 1)}),
        ("percentile_cont", "a", {(1, 2)}),
        ("rank", "a", {(1, VARIADIC_ARGS)}),
        ("rank", "w", {(0, 0)}),
        ("row_number", "w", {(0, 0)}),
    ],
)
def test_argument_counts(name: str, kind: str, bounds: set[tuple[int, int]]) -> None:
    """Argument counts allow for defaults, VARIADIC, and direct arguments only of ordered-set aggregates."""
    assert {(f.min_args, f.max_args) for f in CATALOG.functions[name] if f.kind == kind} == bounds


@pytest.mark.parametrize(
    ("name", "takes_row"), [("row_to_json", True), ("to_jsonb", True), ("count", True), ("upper", False)]
)
def test_takes_row(name: str, takes_row: bool) -> None:
    """A function of record, anyelement or "any" may be called as `t.f`, one of text may not."""
    assert any(f.takes_row for f in CATALOG.functions[name] if f.max_args) is takes_row


def test_functions_of_information_schema_are_there() -> None:
    """information_schema brings functions of its own."""
    assert [f.schema for f in CATALOG.functions["_pg_expandarray"]] == ["information_schema"]


@pytest.mark.parametrize(
    ("relation", "kind", "columns"),
    [
        (("pg_catalog", "pg_class"), "table", {"oid", "relname", "relkind"}),
        (("pg_catalog", "pg_roles"), "view", {"rolname", "oid"}),
        (("pg_catalog", "pg_aios"), "view", {"pid"}),  # since 18
        (("pg_catalog", "pg_stat_bgwriter"), "view", {"buffers_clean", "checkpoints_timed"}),  # until 16
        (("information_schema", "tables"), "view", {"table_name"}),
    ],
)
def test_system_relations(relation: tuple[str, str], kind: str, columns: set[str]) -> None:
    """System relations have their kind and the columns of all versions together."""
    found = CATALOG.relations[relation]
    assert found.kind == kind
    assert columns <= set(found.columns or ())


def test_columns_are_in_the_order_of_the_newest_version() -> None:
    """A relation's columns come as the newest version that has it orders them, without doubles."""
    pg_class = CATALOG.relations["pg_catalog", "pg_class"].columns
    assert pg_class is not None
    assert pg_class[:4] == ("oid", "relname", "relnamespace", "reltype")
    for relation in CATALOG.relations.values():
        assert relation.columns is not None
        assert len(set(relation.columns)) == len(relation.columns)


def test_what_is_secret_exists() -> None:
    """Every secret relation, column and function is one that some version has."""
    assert CATALOG.relations.keys() >= SECRET_RELATIONS
    assert CATALOG.functions.keys() >= SECRET_FUNCTIONS
    for relation, columns in SECRET_COLUMNS.items():
        assert columns <= set(CATALOG.relations[relation].columns or ())


def test_the_catalog_says_that_it_is_not_complete() -> None:
    """Without a database, a name that is not known may exist."""
    assert not CATALOG.complete
    assert CATALOG.server_version == 0
    assert CATALOG.schemas == {"pg_catalog", "information_schema"}


def test_it_is_loaded_once() -> None:
    """The offline catalog is one cached value."""
    assert offline_catalog() is CATALOG


def test_all_supported_versions_are_in_the_data() -> None:
    """The data come from PostgreSQL 14 to 18."""
    assert [version.partition(".")[0] for version in known_servers()] == ["14", "15", "16", "17", "18"]
