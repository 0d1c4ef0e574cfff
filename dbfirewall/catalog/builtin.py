"""What every PostgreSQL server brings along, known without one: built-in functions and system relations.

The data are `builtins.json`, made by `scripts/generate_builtins.py` from PostgreSQL 14 to 18; of a function
that differs between versions the worst volatility counts.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any, Final

from dbfirewall.catalog.types import Catalog, Function, Relation

SYSTEM_SCHEMAS: Final = ("pg_catalog", "information_schema")

SECRET_RELATIONS: Final[frozenset[tuple[str, str]]] = frozenset(
    ("pg_catalog", name)
    for name in (
        # Password verifiers of every role.
        "pg_authid", "pg_shadow",
        # Credentials for foreign servers (pg_user_mappings shows the rest of it, see SECRET_COLUMNS).
        "pg_user_mapping",
        # The server's configuration files and its paths.
        "pg_hba_file_rules", "pg_ident_file_mappings", "pg_file_settings", "pg_config",
        # The content of large objects, which no rule about tables speaks of.
        "pg_largeobject",
        # Sampled values of columns. PostgreSQL shows them where the *login* may read the column, and a role's
        # rules are usually narrower than its login's grants. (pg_statistic_ext has definitions only.)
        "pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs",
        # The server's memory and I/O: names of memory contexts quote SQL texts; of no use to an agent.
        "pg_backend_memory_contexts", "pg_shmem_allocations", "pg_shmem_allocations_numa", "pg_aios",
    )
)  # fmt: skip
"""System relations that expose secrets, server files or data past the rules: denied unless a rule names them.

Judged harmless: pg_prepared_statements and pg_cursors (this session's own only), pg_roles and pg_user
(passwords masked), pg_settings (PostgreSQL hides what holds credentials), pg_foreign_server (credentials
belong into user mappings, and every pg_dump reads its options), pg_largeobject_metadata (owners and grants
only), pg_proc (sources are public to every login, and psql shows them).
"""

SECRET_COLUMNS: Final[dict[tuple[str, str], frozenset[str]]] = {
    # Texts of running statements, literals included. PostgreSQL hides those of other logins, but the agents
    # of a role share one. The rest (pid, state, wait events) is what monitoring queries read.
    ("pg_catalog", "pg_stat_activity"): frozenset({"query"}),
    # The primary's address and user, with the password masked.
    ("pg_catalog", "pg_stat_wal_receiver"): frozenset({"conninfo"}),
    # A connection string with a password; pg_dump counts rows of this table by its other columns.
    ("pg_catalog", "pg_subscription"): frozenset({"subconninfo"}),
    # The login's own credentials on foreign servers, which PostgreSQL shows to that login.
    ("pg_catalog", "pg_user_mappings"): frozenset({"umoptions"}),
    ("information_schema", "_pg_user_mappings"): frozenset({"umoptions"}),
    ("information_schema", "user_mapping_options"): frozenset({"option_value"}),
}
"""Secret columns of system relations that are harmless else: denied unless a rule names the relation."""

SECRET_FUNCTIONS: Final[frozenset[str]] = frozenset(
    {"pg_config", "pg_stat_get_activity", "pg_stat_get_backend_activity", "pg_stat_get_wal_receiver"}
)
"""Functions of pg_catalog that return what is secret above although they are declared stable.

The other functions behind those relations are volatile, so that they need a rule anyway.
"""


@functools.cache
def offline_catalog() -> Catalog:
    """The names that every database has: pg_catalog and information_schema, all of it built-in and trusted.

    `complete` is False: a name that is not here may well exist.
    """
    data = _data()
    return Catalog(
        relations={
            (schema, name): Relation(schema, name, kind, tuple(columns.split()))
            for schema in SYSTEM_SCHEMAS
            for name, (kind, columns) in data[f"relations {schema}"].items()
        },
        functions=_functions(data),
        schemas=frozenset(SYSTEM_SCHEMAS),
    )


@functools.cache
def known_servers() -> tuple[str, ...]:
    """The PostgreSQL versions that the data come from, oldest first, e.g. `("14.23", …, "18.4")`."""
    return tuple(_data()["servers"])


def _data() -> dict[str, Any]:
    text = resources.files("dbfirewall.catalog").joinpath("builtins.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def _functions(data: dict[str, Any]) -> dict[str, tuple[Function, ...]]:
    functions: dict[str, tuple[Function, ...]] = {}
    for schema in SYSTEM_SCHEMAS:
        for name, shapes in data[f"functions {schema}"].items():
            overloads = tuple(
                Function(
                    schema, name, volatility, kind, low, high, takes_row=bool(row), trusted=True, builtin=True
                )
                for volatility, kind, low, high, row in shapes
            )
            functions[name] = functions.get(name, ()) + overloads
    return functions
