"""Which functions of extensions need no rule, on a server where people have added to extensions what they like."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from dbfirewall.catalog.loader import load_catalog
from dbfirewall.catalog.types import Catalog
from dbfirewall.sql.functions import harmless, harmless_in_view
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres

DATABASE, OWNER = "extension_tests", "extension_owner"
SCHEMA = (Path(__file__).parent / "extensions.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def catalog(postgres: Postgres) -> Iterator[Catalog]:
    """The snapshot of the database of extensions.sql."""

    async def load() -> Catalog:
        connection = await asyncpg.connect(postgres.dsn(DATABASE))
        try:
            return await load_catalog(connection, 1)
        finally:
            await connection.close()

    postgres.sql(f"DROP ROLE IF EXISTS {OWNER}; CREATE ROLE {OWNER}")
    postgres.create_database(DATABASE)
    postgres.sql(SCHEMA, DATABASE)
    yield asyncio.run(load())
    postgres.sql(f"DROP DATABASE {DATABASE}")
    postgres.sql(f"DROP ROLE {OWNER}")


def needing_a_rule(catalog: Catalog, prefix: str) -> set[str]:
    """The functions of that prefix of which an overload needs a rule."""
    return {
        name
        for name, overloads in catalog.functions.items()
        if name.startswith(prefix) and not all(map(harmless, overloads))
    }


def named(catalog: Catalog, prefix: str) -> set[str]:
    return {name for name in catalog.functions if name.startswith(prefix)}


def test_an_sql_body_that_calls_only_what_needs_no_rule_needs_none(catalog: Catalog) -> None:
    """Whatever its volatility, old or new style, with harmless defaults, and also where two call each other."""
    assert len(named(catalog, "x_")) == 7
    assert needing_a_rule(catalog, "x_") == set()
    assert all(harmless_in_view(f) for name in named(catalog, "x_") for f in catalog.functions[name])


def test_every_other_body_needs_a_rule(catalog: Catalog) -> None:
    """It reads, writes, draws, sets, runs two statements, can't be read, or leads to code of somebody's."""
    assert len(named(catalog, "y_")) == 30
    assert needing_a_rule(catalog, "y_") == named(catalog, "y_")


def test_one_overload_does_not_speak_for_another(catalog: Catalog) -> None:
    """Two functions of a name that look alike are told apart."""
    assert sorted(map(harmless, catalog.functions["y_overload"])) == [False, True]


def test_only_a_superusers_function_in_an_extension_is_looked_at(catalog: Catalog) -> None:
    """Not one outside of extensions; not one that the extension's owner has added, whatever its name."""
    assert needing_a_rule(catalog, "z_") == {"z_nobodys", "z_own", "z_pair", "z_pair_multirange", "z_cast"}
    assert sorted(map(harmless, catalog.functions["show_limit"])) == [False, True]


def test_a_function_needs_a_rule_for_what_its_arguments_run(catalog: Catalog) -> None:
    """A range's constructor checks the domain that it is a range of, before it is called."""
    assert not any(map(harmless, catalog.functions["z_pair"]))
    assert all(map(harmless, catalog.functions["z_plain"]))


def test_a_function_needs_a_rule_for_what_its_result_may_become(catalog: Catalog) -> None:
    """Where a user casts an extension's type implicitly, its functions give such values without naming the type."""
    assert not any(map(harmless, catalog.functions["seg_union"]))
    assert all(map(harmless, catalog.functions["seg_contains"]))
    assert all(map(harmless, catalog.functions["citext_larger"]))


@pytest.mark.parametrize(
    "name",
    [
        "similarity_op", "word_similarity_op", "unaccent", "normal_rand", "translate", "replace",
        "split_part", "strpos", "regexp_match", "regexp_matches", "regexp_replace",
        "regexp_split_to_array", "regexp_split_to_table", "ll_to_earth", "earth_distance", "earth_box", "latitude",
    ],
)  # fmt: skip
def test_common_functions_of_stock_extensions_need_no_rule(catalog: Catalog, name: str) -> None:
    """Some are overloads of built-in functions, which would need a rule too."""
    assert catalog.functions[name]
    assert all(map(harmless, catalog.functions[name]))


@pytest.mark.parametrize("name", ["crosstab", "connectby", "set_limit"])
def test_functions_that_run_texts_or_change_the_session_need_one(catalog: Catalog, name: str) -> None:
    """They are no less the extension's."""
    assert not any(map(harmless, catalog.functions[name]))
