"""What PostgreSQL calls a column of a select list; unknown rather than wrong, so that no name hides another."""

from __future__ import annotations

import pytest

from dbfirewall.sql.outputs import is_star, output_name
from tests.sql.trees import tree_of


def target(expression: str) -> dict[str, object]:
    """The ResTarget of the one expression of a SELECT."""
    (only,) = tree_of(f"SELECT {expression}")["SelectStmt"]["targetList"]
    found: dict[str, object] = only["ResTarget"]
    return found


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("a", "a"),
        ("t.a", "a"),
        ("s.t.a", "a"),
        ("a AS b", "b"),
        ("f(x) AS b", "b"),
        ("f(x)", "f"),
        ("s.f(x)", "f"),
        ("(x).f", "f"),
        ("(x).f.g", "g"),
        ("x[1]", "x"),
        ("(f(x))[1]", "f"),
        ("(x[1]).y", "y"),
        ('a COLLATE "C"', "a"),
        ("(SELECT b FROM t)", "b"),
        ("(SELECT b, c FROM t)", "b"),
        ("(SELECT 1 AS d)", "d"),
        ("(SELECT 1 + 1)", None),
        ("(VALUES (1))", None),
        ("a::int", "a"),
        ("f(x)::int", "f"),
        ("coalesce(a, b)", "coalesce"),
        ("ARRAY[a]", "array"),
        ("ROW(a, b)", "row"),
        ("GROUPING(a)", "grouping"),
        ("XMLSERIALIZE(CONTENT a AS text)", "xmlserialize"),
        ("merge_action()", "merge_action"),
        ("EXISTS (SELECT b FROM t)", None),
        ("ARRAY(SELECT b FROM t)", None),
        ("a IN (SELECT b FROM t)", None),
        ("1", None),
        ("1::int", None),
        ("(a + b)::int", None),
        ("(SELECT b FROM t)::int", None),
        ("a + b", None),
        ("CASE WHEN a THEN b ELSE c END", None),
        ("*", None),
    ],
)
def test_the_name_of_a_column(expression: str, name: str | None) -> None:
    """As FigureColname in PostgreSQL's parser has it, or None."""
    assert output_name(target(expression)) == name


@pytest.mark.parametrize(
    ("expression", "star"),
    [("*", True), ("t.*", True), ("s.t.*", True), ("(x).*", True), ("(f(x)).*", True), ("(x).y.*", True),
     ("a", False), ("t.a", False), ("(x).y", False), ("x[1]", False), ("count(*)", False), ("1 * 2", False)],
)  # fmt: skip
def test_what_stands_for_many_columns(expression: str, star: bool) -> None:
    """A star at the very end, of a relation or of a row."""
    assert is_star(target(expression)) is star
