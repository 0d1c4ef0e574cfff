"""Our own SQL looks nothing up on a search_path."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import dbfirewall.preview
from dbfirewall.preview.qualified import qualified
from dbfirewall.sql import pgquery


def constants() -> Iterator[tuple[str, str]]:
    """(name, SQL) of every constant of the package that holds SQL of ours."""
    for module in pkgutil.iter_modules(dbfirewall.preview.__path__):
        loaded = importlib.import_module(f"dbfirewall.preview.{module.name}")
        for name, value in vars(loaded).items():
            if isinstance(value, str) and "pg_catalog." in value and "SELECT" in value and name != "__doc__":
                yield f"{module.name}.{name}", value


PARTS = {"reach._EDGES", "reach._NAMED", "reach.REACHED", "definitions.REACHED"}
"""Fragments, which are qualified together with what they become part of."""

SQL = {
    name: sql
    for name, sql in constants()
    if name not in PARTS and sql.lstrip().startswith(("SELECT", "WITH"))
}


def nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key, value
            yield from nodes(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from nodes(item)


def names(parts: list[dict[str, Any]]) -> list[str]:
    return [part["String"]["sval"] for part in parts]


def test_there_are_some() -> None:
    """The next test is about something."""
    assert len(SQL) >= 12


@pytest.mark.parametrize("name", SQL)
def test_every_name_is_qualified(name: str) -> None:
    """Functions, operators, types and relations of every query carry their schema."""
    (statement,) = pgquery.parse(SQL[name].encode())
    ctes = {value["ctename"] for kind, value in nodes(statement) if kind == "CommonTableExpr"}
    seen = 0
    for kind, node in nodes(statement):
        if kind == "FuncCall":
            assert names(node["funcname"])[0] == "pg_catalog", node
        elif kind == "A_Expr":
            assert node["kind"] in ("AEXPR_OP", "AEXPR_OP_ANY"), node
            assert names(node["name"])[0] == "pg_catalog", node
        elif kind == "TypeName" or kind == "typeName":
            assert names(node["names"])[0] == "pg_catalog", node
        elif kind == "RangeVar":
            assert node.get("schemaname") == "pg_catalog" or node["relname"] in ctes, node
        else:
            continue
        seen += 1
    assert seen


def bare(tree: Any) -> Any:
    """A tree without places and without pg_catalog."""
    if isinstance(tree, dict):
        return {
            key: bare(value)
            for key, value in tree.items()
            if "location" not in key and "list_" not in key and key != "schemaname"
        }
    if isinstance(tree, list):
        return [bare(item) for item in tree if item != {"String": {"sval": "pg_catalog"}}]
    return tree


@pytest.mark.parametrize("name", SQL)
def test_operators_bind_as_they_are_written(name: str) -> None:
    """OPERATOR() has a precedence of its own: the queries read the same without it."""
    plain = SQL[name]
    for symbol in ("=", "<>", ">=", ">", "<", "+", "-", "*", "/", "&", "~", "||", "->>"):
        plain = plain.replace(f"OPERATOR(pg_catalog.{symbol})", f" {symbol} ")
    assert "OPERATOR" not in plain
    assert bare(pgquery.parse(plain.encode())) == bare(pgquery.parse(SQL[name].encode()))


def test_what_is_qualified() -> None:
    """Calls, types, catalogs and operators; not keywords, aliases, columns or what is qualified already."""
    assert qualified(
        "SELECT lower(a.x)::text AS text FROM pg_class a, s.pg_t WHERE a.x = ANY ($1::oid[])"
    ) == (
        "SELECT pg_catalog.lower(a.x)::pg_catalog.text AS text FROM pg_catalog.pg_class a, s.pg_t"
        " WHERE a.x OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])"
    )
    assert qualified("SELECT count(*), a.* FROM f($1) AS x(name text, n int8)") == (
        "SELECT pg_catalog.count(*), a.* FROM pg_catalog.f($1) AS x(name pg_catalog.text, n pg_catalog.int8)"
    )


@pytest.mark.parametrize(
    "condition", ["a IN (1)", "a LIKE 'x'", "nullif(a, b)", "a IS DISTINCT FROM b", "a BETWEEN 1 AND 2"]
)
def test_hidden_operators_are_refused(condition: str) -> None:
    """What looks an operator up without showing it can't be qualified."""
    with pytest.raises(ValueError, match="search_path"):
        qualified(f"SELECT {condition}")
