"""How the built-in names of several PostgreSQL versions become one list."""

from __future__ import annotations

import json
from typing import Any

from scripts.generate_builtins import Merged


def function(volatility: str, *, name: str = "f", most: int = 1) -> dict[str, Any]:
    return {
        "schema": "pg_catalog", "name": name, "volatility": volatility, "kind": "f",
        "min_args": 1, "max_args": most, "takes_row": False,
    }  # fmt: skip


def relation(kind: str, *columns: str) -> dict[str, Any]:
    return {"schema": "pg_catalog", "name": "r", "kind": kind, "columns": list(columns)}


def merged(*servers: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
    merged = Merged()
    for number, (functions, relations) in enumerate(servers, start=14):
        merged.add(str(number), functions, relations)
    data: dict[str, Any] = json.loads(merged.text())
    return data


def test_the_worst_volatility_counts() -> None:
    """A function that was volatile in any version is volatile, whichever version came first."""
    for first, second in (("v", "s"), ("s", "v"), ("i", "v")):
        data = merged(([function(first)], []), ([function(second)], []))
        assert data["functions pg_catalog"] == {"f": [["v", "f", 1, 1, 0]]}
    assert merged(([function("i")], []), ([function("s")], []))["functions pg_catalog"]["f"][0][0] == "s"


def test_overloads_with_other_argument_counts_stay_apart() -> None:
    """Overloads are one entry only where kind, argument counts and rows agree."""
    data = merged(([function("i"), function("v", most=2), function("s")], []))
    assert data["functions pg_catalog"]["f"] == [["s", "f", 1, 1, 0], ["v", "f", 1, 2, 0]]


def test_a_relation_is_that_of_the_newest_version_and_keeps_old_columns() -> None:
    """Columns come in the newest order; those that only older versions have come last."""
    data = merged(([], [relation("r", "a", "gone", "b")]), ([], [relation("v", "b", "a", "new")]))
    assert data["relations pg_catalog"] == {"r": ["view", "b a new gone"]}


def test_the_text_is_sorted() -> None:
    """The same servers give the same text in whatever order a server lists its functions."""
    one, other = Merged(), Merged()
    one.add("14", [function("i", name="a"), function("i", name="b")], [])
    other.add("14", [function("i", name="b"), function("i", name="a")], [])
    assert one.text() == other.text()
