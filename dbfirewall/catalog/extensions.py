"""Functions of extensions that need no rule although they are not immutable C code.

Two kinds: those of well-known extensions that are listed here, and those written in SQL whose body calls only
what needs no rule itself. Without them an extension would be in the way of those who don't use it: what a name or
an operator symbol means depends on the operands' types, so with pg_trgm any `a % b`, and with PostGIS any `a ~ b`,
counts as a call of the extension's functions too.

Only functions that an extension has and a superuser owns are looked at: whoever owns an extension without being a
superuser may add functions of his own to it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dbfirewall.catalog.types import Catalog, Function, Scope
from dbfirewall.sql.analyze import resolve
from dbfirewall.sql.facts import Analysis
from dbfirewall.sql.functions import harmless
from dbfirewall.sql.nodes import children
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Reading

QualifiedName = tuple[str | None, ...]

MAX_BODY_BYTES: Final = 4096
"""Security limit: a longer body needs a rule."""

KNOWN: Final[Mapping[str, frozenset[str]]] = {
    # Stable, because they compare with a threshold that is a setting.
    "pg_trgm": frozenset(
        {
            "similarity_op", "word_similarity_op", "word_similarity_commutator_op", "strict_word_similarity_op",
            "strict_word_similarity_commutator_op", "show_limit",
        }
    ),
    # Stable, because a dictionary may change.
    "unaccent": frozenset({"unaccent"}),
    # Volatile, because every call gives another value.
    "uuid-ossp": frozenset({"uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"}),
    "pgcrypto": frozenset(
        {
            "gen_random_bytes", "gen_random_uuid", "gen_salt", "pgp_pub_encrypt", "pgp_pub_encrypt_bytea",
            "pgp_sym_encrypt", "pgp_sym_encrypt_bytea",
        }
    ),
    "tablefunc": frozenset({"normal_rand"}),
    "tsm_system_rows": frozenset({"system_rows"}),
    "tsm_system_time": frozenset({"system_time"}),
    # They read spatial_ref_sys, the extension's table of coordinate systems; or tell versions; or draw points.
    "postgis": frozenset(
        {
            "st_transform", "st_asgeojson", "postgis_full_version", "postgis_lib_version", "postgis_version",
            "postgis_scripts_installed", "postgis_proj_version", "postgis_geos_version", "postgis_libxml_version",
            "st_generatepoints", "st_clusterkmeans",
        }
    ),
}  # fmt: skip
"""Functions that are harmless whatever their volatility and language, by the extension that has them.

Not here, because they run texts or read by name: crosstab, connectby, xpath_table, st_estimatedextent, dblink.
"""


@dataclass(frozen=True, slots=True)
class Body:
    """A function written in SQL. `texts`: what a call of it runs, each with the search_path that its names have.

    An old-style body finds its names at run time, on the caller's path (None: any schema); an SQL-standard body, and
    the defaults of arguments, found theirs when the function was made. `conversions`: the functions that need a rule
    and that run where a value becomes one of the function's types (constraints of a domain, …).
    """

    texts: tuple[tuple[str, tuple[str, ...] | None], ...]
    conversions: frozenset[QualifiedName] = frozenset()


def is_known(extension: str | None, name: str) -> bool:
    """Whether the function `name` of the extension is on the list."""
    return extension is not None and name in KNOWN.get(extension, ())


def body(source: str, conversions: Iterable[Function], *, bound: bool, defaults: str | None) -> Body:
    """The body as the catalog has it: `bound` where `source` is an SQL-standard one, deparsed."""
    own = ("pg_catalog",)
    texts: list[tuple[str, tuple[str, ...] | None]] = [(_statement(source), own) if bound else (source, None)]
    if defaults is not None:
        texts.append((f"SELECT {defaults}", own))
    return Body(tuple(texts), frozenset(f.qualified_name for f in conversions if not harmless(f)))


def _statement(source: str) -> str:
    """The query of an SQL-standard body: `RETURN expression` or `BEGIN ATOMIC query; END`."""
    if source.startswith("RETURN "):
        return "SELECT " + source.removeprefix("RETURN ")
    return source.removeprefix("BEGIN ATOMIC").removesuffix("END")


def harmless_bodies(
    functions: Mapping[int, Function], bodies: Mapping[int, Body], catalog: Catalog
) -> frozenset[int]:
    """Of the functions that have one of `bodies`, all by oid, those that run nothing that needs a rule.

    They may call one another: the largest set is taken whose members need nothing but members. `catalog` has all of
    `functions`; relations are not needed.
    """
    waiting = {oid: _calls(body, catalog) for oid, body in bodies.items()}
    needing = {f.qualified_name for oid, f in functions.items() if oid not in waiting and not harmless(f)}
    while True:
        alive = {functions[oid].qualified_name for oid in waiting} - needing
        fallen = [oid for oid, calls in waiting.items() if calls is None or not calls <= alive]
        if not fallen:
            return frozenset(waiting)
        for oid in fallen:
            del waiting[oid]
            needing.add(functions[oid].qualified_name)


def _calls(body: Body, catalog: Catalog) -> frozenset[QualifiedName] | None:
    """The names of the functions that need a rule and that a body runs; None where it does anything but compute."""
    found = set(body.conversions)
    for text, path in body.texts:
        reading = _read(text)
        analysis = resolve(reading, Scope(catalog, path))
        if not _only_computes(reading, analysis):
            return None
        found.update(effect.object for effect in analysis.statements[0].effects)
    return frozenset(found)


def _only_computes(reading: Reading, analysis: Analysis) -> bool:
    """Whether a text is one SELECT without relations whose only effects are calls.

    `a.b` may be a call of b, where a is an argument's name: no statement of an agent has arguments with names, so
    the analysis does not look for them.
    """
    if analysis.refusal is not None or len(analysis.statements) != 1:
        return False
    (statement,) = analysis.statements
    return (
        statement.kind == "select"
        and all(effect.action == "call" and effect.kind == "function" for effect in statement.effects)
        and all(len(names) == 1 for names in _column_references(reading.statements[0].tree))
    )


def _column_references(tree: dict[str, Any]) -> Iterator[list[Any]]:
    pending = list(tree.items())
    while pending:
        kind, node = pending.pop()
        if kind == "ColumnRef":
            yield node.get("fields", [])
        else:
            pending.extend((child, inner) for _, child, inner in children(kind, node))


@functools.lru_cache(maxsize=1024)
def _read(text: str) -> Reading:
    """Bodies stay what they are from one snapshot to the next."""
    data = text.encode()
    return read(data) if len(data) <= MAX_BODY_BYTES else read(b"")
