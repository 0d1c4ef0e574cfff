"""The catalog snapshot: immutable values that name resolution and the function wall read. No IO here.

Source of the fields: https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VARIADIC_ARGS = 10_000
"""`Function.max_args` of a VARIADIC function: more than a statement can pass."""


@dataclass(frozen=True, slots=True)
class Function:
    """One row of pg_proc. `volatility`: i, s or v. `kind`: f, p (procedure), a (aggregate), w (window).

    `min_args`..`max_args`: accepted argument counts (max_args is VARIADIC_ARGS for VARIADIC).
    `trusted`: a C or internal function that an extension owns (or pg_catalog's own).
    `known_harmless`: an extension's function that needs no rule, whatever its volatility and language.
    `takes_row`: whether its first argument can be a composite value (record, anyelement, "any", a row type):
        then `t.f` may call it.
    """

    schema: str
    name: str
    volatility: str
    kind: str = "f"
    min_args: int = 0
    max_args: int = 0
    language: str = "internal"
    security_definer: bool = False
    trusted: bool = False
    takes_row: bool = False
    builtin: bool = False
    known_harmless: bool = False

    @property
    def qualified_name(self) -> tuple[str, str]:
        """(schema, name)."""
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class Relation:
    """One row of pg_class. `kind`: table, view, materialized view, foreign table, sequence, …

    `columns`: live user columns, in order; None where not known (offline).
    `calls`: qualified names of functions that reading this relation may run although no statement names them:
        a view's (operators, casts and nested views included), and those of implicit user casts of the types
        of its columns.
    """

    schema: str
    name: str
    kind: str = "table"
    columns: tuple[str, ...] | None = None
    calls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """Names of one database, or of no database at all (`offline`: the built-ins only, see `builtin.py`).

    `functions`: by unqualified name, every overload in every schema.
    `operators`: user-defined operators by symbol: ((operator schema, function), …).
    `casts`: by target type's unqualified name: functions that a cast to that user type, or a user cast, may
        run (cast functions, input functions, functions in domain constraints).
    `implicit_calls`: qualified names of functions that any expression may run: implicit user casts between
        built-in types, where the function is not harmless. Nearly always empty.
    `parameter_calls`: by a user-defined type's OID, what a parameter of that type may run and that needs a rule.
    `version`: counts snapshots; 0 offline. `server_version`: e.g. 180006, 0 offline.
    `complete`: True for a live snapshot: a name that is not here does not exist.
    """

    relations: Mapping[tuple[str, str], Relation] = field(default_factory=dict)
    functions: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    operators: Mapping[str, tuple[tuple[str, Function], ...]] = field(default_factory=dict)
    casts: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    implicit_calls: tuple[tuple[str, str], ...] = ()
    parameter_calls: Mapping[int, tuple[Function, ...]] = field(default_factory=dict)
    schemas: frozenset[str] = frozenset()
    version: int = 0
    server_version: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """How names resolve in a session: the catalog, and the schemas of its search_path.

    `search_path` None: not known (the session changed it), unqualified names resolve to schema None.
    pg_catalog is searched first unless the path names it.
    """

    catalog: Catalog
    search_path: tuple[str, ...] | None = ("public",)
