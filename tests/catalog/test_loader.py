"""The live snapshot of a real database's names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.loader import build_catalog, catalog_fingerprint, load_catalog
from dbfirewall.catalog.types import VARIADIC_ARGS, Catalog, Function
from dbfirewall.errors import CatalogError
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres

DDL = (
    "CREATE TABLE fresh (a int)",
    "ALTER TABLE fresh ADD b int",
    "ALTER TABLE fresh RENAME b TO c",
    "ALTER TABLE fresh DROP c",
    "ALTER TABLE fresh SET SCHEMA shop",
    "ALTER TABLE shop.fresh RENAME TO fresher",
    "CREATE VIEW fresh_view AS SELECT 1 AS x",
    "CREATE OR REPLACE VIEW fresh_view AS SELECT writes() AS x",
    "CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION fresh STABLE",
    "ALTER FUNCTION fresh SECURITY DEFINER",
    "ALTER EXTENSION citext ADD FUNCTION fresh()",
    "ALTER EXTENSION citext DROP FUNCTION fresh()",
    "CREATE OPERATOR <%%%> (RIGHTARG = int, FUNCTION = of_number)",
    "CREATE DOMAIN fresh_domain AS text",
    "ALTER DOMAIN fresh_domain ADD CONSTRAINT ok CHECK (is_good(VALUE))",
    "ALTER DOMAIN fresh_domain DROP CONSTRAINT ok",
    "CREATE CAST (stamp AS time) WITH FUNCTION stamp_to_time(stamp)",
    "DROP CAST (stamp AS time)",
    "CREATE SCHEMA fresh_schema",
    "ALTER SCHEMA fresh_schema RENAME TO fresher_schema",
    "DROP SCHEMA fresher_schema",
    "DROP TABLE shop.fresher",
    "DROP FUNCTION fresh",
    "DROP VIEW fresh_view",
)

DATABASE = "catalog_tests"
READER = "catalog_tests_reader"
SCHEMA = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
T = TypeVar("T")

NOTHING: dict[str, list[dict[str, object]]] = {
    name: []
    for name in (
        "schemas", "functions", "relations", "operators", "type_calls", "view_references", "hidden_casts",
    )
}  # fmt: skip
"""The rows of a database without anything in it."""


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Iterator[Postgres]:
    """A server with the database of schema.sql, and a login that has been granted nothing."""
    postgres.create_database(DATABASE)
    postgres.sql(SCHEMA, DATABASE)
    postgres.sql(f"DROP ROLE IF EXISTS {READER}; CREATE ROLE {READER} LOGIN PASSWORD 'reader'")
    yield postgres
    postgres.sql(f"DROP ROLE {READER}")


@pytest.fixture(scope="module")
def catalog(server: Postgres) -> Catalog:
    """The snapshot, taken by the login without privileges."""
    return ask(server, lambda connection: load_catalog(connection, 7))


def ask(server: Postgres, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What `question` answers on a fresh connection of the login without privileges."""

    async def run() -> T:
        connection = await asyncpg.connect(server.dsn(DATABASE, READER, "reader"))
        try:
            return await question(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def fingerprint(server: Postgres) -> str:
    return ask(server, catalog_fingerprint)


def only(catalog: Catalog, name: str) -> Function:
    (function,) = catalog.functions[name]
    return function


def calls(catalog: Catalog, relation: str) -> set[str]:
    return {name for _, name in catalog.relations["public", relation].calls}


def test_a_snapshot_says_what_it_is(catalog: Catalog) -> None:
    """A live snapshot is complete, numbered, and knows its server and its schemas."""
    assert catalog.complete
    assert catalog.version == 7
    assert catalog.server_version >= 140000
    assert catalog.schemas == {"pg_catalog", "information_schema", "public", "shop"}


@pytest.mark.parametrize(
    ("relation", "kind", "columns"),
    [
        (("shop", "orders"), "table", ("id", "Total", "note")),
        (("public", "parts"), "table", ("id",)),
        (("public", "v_plain"), "view", ("id",)),
        (("public", "summary"), "materialized view", ("one", "chance")),
        (("public", "remote"), "foreign table", ("id",)),
        (("public", "counter"), "sequence", ("last_value", "log_cnt", "is_called")),
    ],
)
def test_relations(catalog: Catalog, relation: tuple[str, str], kind: str, columns: tuple[str, ...]) -> None:
    """A relation has its kind and its live columns in order, dropped ones left out."""
    assert catalog.relations[relation].kind == kind
    assert catalog.relations[relation].columns == columns


def test_system_relations_are_there(catalog: Catalog) -> None:
    """The catalogs of the server belong to the snapshot; TOAST tables and indexes do not."""
    assert catalog.relations["pg_catalog", "pg_class"].kind == "table"
    assert catalog.relations["information_schema", "tables"].kind == "view"
    assert {schema for schema, _ in catalog.relations} == {
        "pg_catalog", "information_schema", "public", "shop",
    }  # fmt: skip
    assert ("shop", "orders_pkey") not in catalog.relations


def test_a_user_function_is_neither_builtin_nor_trusted(catalog: Catalog) -> None:
    """A user's function carries its volatility, language and security, and no trust."""
    assert only(catalog, "reads") == Function("public", "reads", "s", "f", 1, 2, language="sql")
    assert only(catalog, "definer").security_definer
    assert only(catalog, "writes").volatility == "v"


def test_argument_counts(catalog: Catalog) -> None:
    """VARIADIC takes any number of arguments, and CALL names OUT arguments too."""
    assert (only(catalog, "many").min_args, only(catalog, "many").max_args) == (1, VARIADIC_ARGS)
    act = only(catalog, "act")
    assert (act.kind, act.min_args, act.max_args) == ("p", 1, 2)


@pytest.mark.parametrize(
    ("name", "takes_row"),
    [
        ("of_row", True),
        ("of_anything", True),
        ("of_domain", True),  # a domain over a row type
        ("of_label", True),  # there is an implicit cast from a row type to varchar
        ("of_number", False),
        ("reads", False),
    ],
)
def test_takes_row(catalog: Catalog, name: str, takes_row: bool) -> None:
    """What accepts a composite value by whatever conversion may be called as `t.f`."""
    assert only(catalog, name).takes_row is takes_row


def test_builtin_functions_are_builtin_and_trusted(catalog: Catalog) -> None:
    """The server's own functions are built-in and trusted, harmless or not."""
    sleep = only(catalog, "pg_sleep")
    assert (sleep.builtin, sleep.trusted, sleep.volatility) == (True, True, "v")


def test_a_function_that_somebody_put_into_pg_catalog_is_not_builtin(catalog: Catalog) -> None:
    """Living in pg_catalog makes no function built-in."""
    intruder = only(catalog, "catalog_tests_intruder")
    assert (intruder.schema, intruder.builtin, intruder.trusted) == ("pg_catalog", False, False)


def test_a_compiled_function_is_trusted_only_in_an_extension(catalog: Catalog) -> None:
    """C and internal functions are trusted as members of an extension, not when a user made them."""
    assert only(catalog, "citext_eq").trusted
    assert not only(catalog, "citext_eq").builtin
    assert not only(catalog, "borrowed").trusted


@pytest.mark.parametrize(("name", "trusted"), [("word", True), ("back", False)])
def test_a_range_types_constructors_are_trusted_where_they_compare_by_built_in_functions(
    catalog: Catalog, name: str, trusted: bool
) -> None:
    """The server made them; a user's function runs in them only as the comparison of the operator class."""
    for constructor in (f"{name}range", f"{name}multirange"):
        assert {function.trusted for function in catalog.functions[constructor]} == {trusted}


def test_a_user_aggregate_is_not_trusted(catalog: Catalog) -> None:
    """An aggregate counts as written in `internal`, and is still a user's."""
    total = only(catalog, "total")
    assert (total.kind, total.language, total.trusted) == ("a", "internal", False)


def test_a_builtin_function_that_the_list_does_not_know_is_not_trusted() -> None:
    """A server newer than the list may have built-in functions of which nothing is known."""
    row = {
        "oid": 9999, "schema": "pg_catalog", "name": "pg_do_something_new", "volatility": "s", "kind": "f",
        "min_args": 0, "max_args": 0, "language": "internal", "security_definer": False, "from_initdb": True,
        "in_extension": False, "takes_row": False, "extension": None, "body": None,
    }  # fmt: skip
    new = only(build_catalog({**NOTHING, "functions": [row]}, 1, 190000), "pg_do_something_new")
    assert (new.builtin, new.trusted) == (True, False)


def test_a_missing_function_is_not_harmless() -> None:
    """In a damaged catalog, what refers to a function that is not there gets one that nobody trusts."""
    dangling = {"symbol": "<!>", "schema": "public", "function": 4711}
    ((_, function),) = build_catalog({**NOTHING, "operators": [dangling]}, 1, 180000).operators["<!>"]
    assert (function.volatility, function.trusted, function.builtin) == ("v", False, False)


@pytest.mark.parametrize(
    ("view", "called"),
    [
        ("v_plain", set()),
        ("v_function", {"writes"}),
        ("v_builtin", {"nextval", "pg_sleep"}),  # of built-in functions pg_depend knows nothing
        ("v_from", {"pg_ls_dir"}),
        ("v_operator", {"op_writes"}),
        ("v_nested", {"op_writes"}),
        ("v_deeper", {"op_writes", "count"}),
        ("v_over_mat", set()),  # its random() ran when it was refreshed
        ("v_cast", {"to_pair"}),
        ("v_domain", {"is_good"}),
        ("v_sneaky", set()),  # an alias that looks like a node of the stored query
    ],
)
def test_view_calls(catalog: Catalog, view: str, called: set[str]) -> None:
    """Reading a view runs its functions, its operators', its casts', and those of the views that it reads."""
    assert calls(catalog, view) == called


def test_views_in_a_circle_end(server: Postgres) -> None:
    """Views that read each other have each other's calls, and reading them in does not run for ever."""
    server.sql(
        "CREATE VIEW circle_a AS SELECT 1 AS x; CREATE VIEW circle_b AS SELECT x, writes() FROM circle_a;"
        "CREATE OR REPLACE VIEW circle_a AS SELECT x FROM circle_b",
        DATABASE,
    )
    catalog = ask(server, lambda connection: load_catalog(connection, 1))
    server.sql("DROP VIEW circle_a CASCADE", DATABASE)
    assert calls(catalog, "circle_a") == calls(catalog, "circle_b") == {"writes"}


def test_operators(catalog: Catalog) -> None:
    """User-defined operators are listed by symbol with the function behind them; built-in ones are not."""
    ((schema, function),) = catalog.operators["<%%>"]
    assert (schema, function) == ("public", only(catalog, "op_writes"))
    assert all(function.trusted for _, function in catalog.operators["="])
    assert "+" not in catalog.operators


@pytest.mark.parametrize(
    ("target", "functions"),
    [
        ("pair", {"to_pair"}),
        ("_pair", {"to_pair"}),
        ("holder", {"to_pair"}),
        ("flavour", {"flavour_to_json"}),  # to_json('sweet'::flavour) shows no cast to json
        ("mood", {"mood_to_money"}),  # and an implicit one shows nowhere
        ("good", {"is_good"}),
        ("counted", {"nextval"}),
        ("compared", {"op_writes"}),
        ("money", {"mood_to_money", "point_to_money"}),
        ("purse", {"mood_to_money", "point_to_money"}),
    ],
)
def test_casts(catalog: Catalog, target: str, functions: set[str]) -> None:
    """A cast may run cast functions and domain checks, its own and those of the types it is made of."""
    assert {function.name for function in catalog.casts[target]} == functions


def test_casts_of_an_extension_are_harmless(catalog: Catalog) -> None:
    """What casting to an extension's type runs is listed, as functions that are trusted and not volatile."""
    assert {function.name for function in catalog.casts["citext"]} >= {"citextin"}
    assert all(function.trusted and function.volatility != "v" for function in catalog.casts["citext"])


def test_builtin_types_without_user_casts_are_not_listed(catalog: Catalog) -> None:
    """A cast to a type that nobody extended runs nothing of a user's."""
    assert not catalog.casts.keys() & {"uuid", "timestamptz"}


@pytest.mark.parametrize(
    ("table", "called"),
    [
        ("days", {"mood_to_money"}),  # an array of a type with an implicit cast
        ("cakes", {"flavour_to_json"}),  # to_json(flavour) looks for such a cast
        ("shelves", {"is_good"}),  # a literal beside a column of domain[] is checked
        ("labels", set()),  # beside a column of the domain itself it is not
        ("stamps", set()),  # an assignment cast is not applied on reading
        ("people", set()),  # citext has implicit casts, all of them harmless
        ("log", set()),
    ],
)
def test_hidden_casts_are_calls_of_the_relations_with_such_columns(
    catalog: Catalog, table: str, called: set[str]
) -> None:
    """An implicit user cast may run wherever a relation with a column of its type is read."""
    assert calls(catalog, table) == called


def test_an_implicit_cast_between_builtin_types_may_run_anywhere(catalog: Catalog) -> None:
    """Where neither type is a user's, no relation tells where the cast is applied."""
    assert catalog.implicit_calls == (("public", "point_to_money"),)


def test_ddl_changes_the_fingerprint(server: Postgres) -> None:
    """Whatever DDL changes names or functions gives another fingerprint."""
    before, unnoticed = fingerprint(server), []
    for statement in DDL:
        server.sql(statement, DATABASE)
        after = fingerprint(server)
        unnoticed += [statement] if after == before else []
        before = after
    assert unnoticed == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO log VALUES ('x')",
        "SELECT nextval('counter')",
        "ANALYZE",
        "VACUUM FULL log",
        "TRUNCATE log",
        "REFRESH MATERIALIZED VIEW summary",
        "CREATE INDEX ON log (line)",
        "GRANT SELECT ON log TO PUBLIC",
        "COMMENT ON TABLE log IS 'a comment'",
    ],
)
def test_other_work_leaves_the_fingerprint_alone(server: Postgres, statement: str) -> None:
    """Data, statistics, storage, indexes and grants on tables are no reason to read the catalogs anew."""
    before = fingerprint(server)
    server.sql(statement, DATABASE)
    assert fingerprint(server) == before


def test_temporary_tables_of_other_sessions_do_not_count(server: Postgres) -> None:
    """A session's temporary tables are neither in the snapshot nor in the fingerprint."""

    async def compare(connection: asyncpg.Connection) -> tuple[str, str, Catalog]:
        before = await catalog_fingerprint(connection)
        await connection.execute("CREATE TEMP TABLE passing (a int); CREATE TEMP VIEW gone AS TABLE passing")
        return before, await catalog_fingerprint(connection), await load_catalog(connection, 1)

    before, after, catalog = ask(server, compare)
    assert before == after
    assert not {name for _, name in catalog.relations} & {"passing", "gone"}


def test_names_cannot_be_shadowed(server: Postgres) -> None:
    """A temporary relation named like a catalog, and another search_path, do not mislead the reader."""

    async def load(connection: asyncpg.Connection) -> Catalog:
        await connection.execute("CREATE TEMP TABLE pg_proc (oid oid); SET search_path = pg_temp")
        return await load_catalog(connection, 1)

    assert "writes" in ask(server, load).functions


def test_settings_of_the_connection_are_left_alone(server: Postgres) -> None:
    """Loading changes search_path and timeouts for its own transaction only."""

    async def settings(connection: asyncpg.Connection) -> tuple[str, str]:
        await load_catalog(connection, 1)
        return await connection.fetchval("SHOW search_path"), await connection.fetchval(
            "SHOW statement_timeout"
        )

    assert ask(server, settings) == ('"$user", public', "0")


def test_a_lost_connection_is_a_catalog_error(server: Postgres) -> None:
    """Whatever keeps the catalogs from being read is one kind of error."""

    async def load(connection: asyncpg.Connection) -> None:
        await connection.close()
        await load_catalog(connection, 1)

    with pytest.raises(CatalogError, match="cannot be read"):
        ask(server, load)


def test_locked_tables_do_not_hold_up_the_snapshot(server: Postgres) -> None:
    """A table that somebody alters right now is no reason to wait: no query of the snapshot locks one."""

    async def load(connection: asyncpg.Connection) -> Catalog:
        blocker = await asyncpg.connect(server.dsn(DATABASE))
        await blocker.execute("BEGIN; ALTER TABLE shop.orders ADD new int; DROP VIEW v_sneaky")
        try:
            return await asyncio.wait_for(load_catalog(connection, 1), 20)
        finally:
            await blocker.close()

    seen = ask(server, load)
    assert seen.relations["shop", "orders"].columns == ("id", "Total", "note")
    assert ("public", "v_sneaky") in seen.relations


def test_functions_agree_with_the_offline_list(catalog: Catalog) -> None:
    """Every built-in function of this server is in the offline list, and never more harmful than it says there."""
    offline = offline_catalog().functions
    for function in (f for overloads in catalog.functions.values() for f in overloads if f.builtin):
        listed = {
            other.volatility
            for other in offline[function.name]
            if (other.schema, other.kind) == (function.schema, function.kind)
            and (other.min_args, other.max_args) == (function.min_args, function.max_args)
        }
        assert function.trusted
        assert listed
        assert "isv".index(function.volatility) <= max(map("isv".index, listed))
