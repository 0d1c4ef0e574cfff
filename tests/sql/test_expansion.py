"""Texts of which libpg_query would write a tree out of all proportion are told before it sees them."""

from __future__ import annotations

import json

import pytest

from dbfirewall.sql import caps, pgquery
from dbfirewall.sql.expansion import written_tokens
from dbfirewall.sql.lexer import tokenize
from dbfirewall.sql.read import read


def nested(depth: int, columns: str = "a, b") -> str:
    """UPDATEs of `columns` in the source of one another."""
    sql = "SELECT 1, 2"
    for level in range(depth):
        sql = f"WITH x{level} AS (UPDATE t SET ({columns}) = ({sql}) RETURNING 1) SELECT 1, 2"
    return sql


@pytest.mark.parametrize("depth", [1, 4, 8])
@pytest.mark.parametrize("columns", ["a, b", "a, b[1], c"])
def test_the_tree_grows_as_counted(depth: int, columns: str) -> None:
    """The count is an upper bound of what the library writes, and not far from it."""
    sql = nested(depth, columns)
    written = len(json.dumps(pgquery.parse(sql.encode())))
    counted = written_tokens(tokenize(sql))
    assert written / 1000 < counted < written


@pytest.mark.parametrize(
    "sql",
    [
        nested(40),
        nested(14),
        f"UPDATE t SET ({', '.join(['a'] * 2000)}) = (SELECT {', '.join(['1'] * 2000)})",
        f"UPDATE t SET ({', '.join(['a'] * 2000)}) = ROW({', '.join(['1'] * 2000)})",
        f"UPDATE t SET ({', '.join(['a'] * 2000)}) = CASE WHEN x THEN {' + '.join(['1'] * 2000)} END",
        f"SELECT 1; UPDATE t SET x = 1, ({', '.join(['a'] * 2000)}) = (b) = (SELECT {', '.join(['1'] * 2000)})",
        (
            "MERGE INTO t USING u ON a WHEN MATCHED THEN UPDATE "
            f"SET ({', '.join(['a'] * 2000)}) = (SELECT {', '.join(['1'] * 2000)})"
        ),
    ],
    ids=["40 levels", "14 levels", "wide", "row", "case", "comparison", "merge"],
)
def test_repetition_beyond_the_cap_is_refused(sql: str) -> None:
    """Deep nesting and long column lists are refused without being parsed."""
    refusal = read(sql.encode()).refusal
    assert refusal is not None
    assert refusal.code == "too-deep"


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT a FROM t", 4),
        ("UPDATE t SET (a, b) = (1, 2)", 8 + 1 + 2 * 5),
        ("UPDATE t SET (a, b) = (1, 2); SELECT 1", 8 + 1 + 2 * 6 + 2),
        ("SELECT (a, b, c) = (1, 2, (d) = e)", 9 + 3 * 11),
    ],
)
def test_tokens_are_counted_as_often_as_written(sql: str, count: int) -> None:
    """Once, or once for each column of the list before `=`."""
    assert written_tokens(tokenize(sql)) == count


def test_long_texts_without_repetition_pass() -> None:
    """A text of many tokens, with a comparison of pairs in it, is not refused for its length."""
    rows = ", ".join(["(1, 2)"] * 8000)
    tokens = tokenize(f"SELECT * FROM t WHERE (a, b) = (1, 2) OR (a, b) IN ({rows})")
    assert len(tokens) < caps.MAX_TOKENS
    assert written_tokens(tokens) <= caps.MAX_WRITTEN_TOKENS
