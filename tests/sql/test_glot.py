"""What sqlglot testifies, and when it abstains."""

from __future__ import annotations

import logging

import pytest

from dbfirewall.sql import caps, glot
from dbfirewall.sql.lexer import tokenize
from dbfirewall.sql.outline import outline
from dbfirewall.sql.reading import RawName, Summary


def _summary(sql: str) -> Summary | None:
    (each,) = outline(tokenize(sql))
    return glot.summarise(each)


def _reads(sql: str) -> set[RawName]:
    summary = _summary(sql)
    assert summary is not None
    return set(summary.reads)


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("WITH x AS (SELECT * FROM secret), secret AS (SELECT 1) SELECT * FROM x", {(None, "secret")}),
        ("WITH secret AS (SELECT 1), x AS (SELECT * FROM secret) SELECT * FROM x", set()),
        ("WITH RECURSIVE x AS (SELECT * FROM secret), secret AS (SELECT 1) SELECT * FROM x", set()),
        ("WITH x AS (SELECT * FROM x) SELECT * FROM x", {(None, "x")}),
        ("WITH x AS (SELECT 1) SELECT * FROM public.x", {("public", "x")}),
        ("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) a, x", {(None, "x")}),
        ("WITH x AS (SELECT 1) SELECT (SELECT count(*) FROM x) FROM (SELECT * FROM x) s", set()),
        ("WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) SELECT * FROM a, b", {(None, "b")}),
        ('WITH "X" AS (SELECT 1) SELECT * FROM x', {(None, "x")}),
        (
            "SELECT * FROM a, LATERAL f(a.x), ONLY b JOIN c.d USING (e)",
            {(None, "a"), (None, "b"), ("c", "d")},
        ),
        ("SELECT 1 FROM a FOR UPDATE OF a", {(None, "a")}),
        ("WITH x AS (SELECT 1) INSERT INTO x SELECT * FROM x", set()),
    ],
)
def test_relations_read_by_scope(sql: str, reads: set[RawName]) -> None:
    """A CTE's name hides a relation only where the CTE is visible, and never a qualified one."""
    assert _reads(sql) == reads


@pytest.mark.parametrize(
    ("sql", "kind", "writes"),
    [
        ("INSERT INTO s.t (a) SELECT 1", "insert", {("insert", ("s", "t"))}),
        ("UPDATE t SET a = 1 FROM u", "update", {("update", (None, "t"))}),
        ("DELETE FROM ONLY t AS x USING u", "delete", {("delete", (None, "t"))}),
        ("MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
         "merge", {("merge", (None, "t"))}),
        ("WITH t AS (DELETE FROM t RETURNING *) SELECT * FROM t", "select", {("delete", (None, "t"))}),
        ("WITH x AS (SELECT 1) UPDATE x SET a = 1", "update", {("update", (None, "x"))}),
    ],
)  # fmt: skip
def test_relations_written(sql: str, kind: str, writes: set[tuple[str, RawName]]) -> None:
    """Every data-modifying part is seen, in CTEs too; a target is never a CTE."""
    summary = _summary(sql)
    assert summary is not None
    assert (summary.kind, set(summary.writes)) == (kind, writes)


@pytest.mark.parametrize(
    ("sql", "calls"),
    [
        ("SELECT \"NOW\"(), now(), pg_catalog.set_config('a', 'b', true)", {"NOW", "now", "set_config"}),
        ("SELECT to_char(x, 'f', evil()), decode(a, b, c())", {"to_char", "evil", "decode", "c"}),
        ("SELECT date(date(x)), concat_ws(1)", {"date", "concat_ws"}),
        ("SELECT * FROM generate_series(1, 2) g, LATERAL s.f(g)", {"generate_series", "f"}),
        ("SELECT sum(DISTINCT a ORDER BY b) FILTER (WHERE f(1)) OVER (PARTITION BY g(1))", {"sum", "f", "g"}),
        ("SELECT extract(year FROM f(a)), trim(g(b)), position('a' IN h(c))", {"f", "g", "h"}),
        ("SELECT struct(1), map(2), if(3), ifnull(4)", {"struct", "map", "if", "ifnull"}),
        ("VALUES (f(1))", {"f"}),
    ],
)  # fmt: skip
def test_functions_by_their_own_names(sql: str, calls: set[str]) -> None:
    """Every function keeps its name and all its arguments; syntax of its own is no call."""
    summary = _summary(sql)
    assert summary is not None
    assert summary.calls == calls


def test_subscripts_are_read_as_they_are_written() -> None:
    """What sqlglot could simplify away in a subscript is among its facts."""
    summary = _summary("SELECT a[(SELECT 1 FROM s WHERE g(b) = 1 AND false)] FROM t")
    assert summary is not None
    assert set(summary.calls) == {"g"}
    assert set(summary.reads) == {(None, "s"), (None, "t")}


def test_row_locks_are_seen() -> None:
    """FOR UPDATE and its kin, at any depth."""
    deep = _summary("SELECT * FROM (SELECT 1 FROM t FOR KEY SHARE) a")
    plain = _summary("SELECT 1 FROM t")
    assert deep is not None
    assert plain is not None
    assert (deep.locks, plain.locks) == (True, False)


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN SELECT 1",
        "SHOW x",
        "CHECKPOINT",
        "SAVEPOINT s",
        "TABLE t",
        "SELECT 1 INTO t",
        "SELECT * FROM t TABLESAMPLE system_rows(f(1))",
        "SELECT " + "1," * caps.GLOT_MAX_TOKENS + "1",
        "SELECT " + "(" * (caps.GLOT_MAX_DEPTH + 1) + "1" + ")" * (caps.GLOT_MAX_DEPTH + 1),
        "SELECT a" + "[1]" * (caps.GLOT_MAX_SUBSCRIPTS + 1),
    ],
)
def test_sqlglot_abstains(sql: str) -> None:
    """Utilities, what does not parse, unlisted nodes, and what would take long: no opinion."""
    assert _summary(sql) is None


@pytest.mark.parametrize(
    "text", ["", "select 1 ; select 2", "select foo ( 1 )", 'with "a" . "b" as ( select 1 ) select 2']
)
def test_a_text_that_is_not_canonical_has_no_opinion(text: str) -> None:
    """One statement, each name of it quoted: of anything else sqlglot says nothing."""
    assert glot.read_text(text) is None


def test_command_fallbacks_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """sqlglot's logger would print statements with their literals."""
    with caplog.at_level(logging.DEBUG):
        glot.read_text("create or alter 'secret'")
        glot.read_text("call f ( 'secret' )")
    assert "secret" not in caplog.text


_SHAPES = {
    "array": ("array[", "1", "]"),
    "array of rows": ("array[row(", "1", ")]"),
    "date": ("date(", "x", ")"),
    "cast": ("cast(", "1", " as numeric(1,1))"),
    "subscript": ("a[", "1", "]"),
    "function": ("f(", "1", ")"),
    "case": ("case when ", "true", " then 1 end"),
    "sub-select": ("(select ", "1", ")"),
    "from": ("(select * from ", "t", ") t"),
    "exists": ("exists(select 1 where ", "true", ")"),
    "extract": ("extract(year from ", "x", ")"),
    "any": ("1 = any(array[", "1", "])"),
    "window": ("sum(1) over (order by ", "1", ")"),
    "tuple": ("(1,", "1", ")"),
}


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.timeout(20)
def test_nothing_explodes(shape: str) -> None:
    """Nested as deep as is asked, and as often as fits: 2^24 steps would not end within the time limit."""
    opening, inner, closing = _SHAPES[shape]
    levels = caps.GLOT_MAX_DEPTH // max(opening.count("(") + opening.count("["), 1) - 1
    if "array" in shape or shape == "date":
        levels = min(levels, caps.MAX_CONSTRUCTOR_DEPTH)
    one = opening * levels + inner + closing * levels
    assert _summary(f"SELECT * FROM {one}" if shape == "from" else f"SELECT {one}") is not None
    many = ", ".join([one] * (caps.GLOT_MAX_TOKENS // len(tokenize(one)) - 1))
    _summary(f"SELECT * FROM {many}" if shape == "from" else f"SELECT {many}")


@pytest.mark.parametrize(
    "unit",
    [
        "+1",
        "::int",
        " ISNULL",
        " AND 1",
        " COLLATE x",
        "[1]",
        ".a",
        ", 1",
        " UNION SELECT 1",
        " AT TIME ZONE 'x'",
    ],
)
@pytest.mark.timeout(20)
def test_long_chains_end(unit: str) -> None:
    """Chains as long as sqlglot is asked about are read, or it abstains."""
    _summary("SELECT a" + unit * (caps.GLOT_MAX_TOKENS // len(tokenize(unit)) - 4))
    _summary("SELECT " + "NOT " * (caps.GLOT_MAX_TOKENS - 4) + "a")
