"""The raw facts that the parser witnesses must agree on, above all CTE scope."""

from __future__ import annotations

import pytest

from dbfirewall.sql.reading import RawName, Summary
from dbfirewall.sql.summary import summarise
from tests.sql.trees import tree_of

READS: list[tuple[str, str]] = [
    ("SELECT 1", ""),
    ("SELECT * FROM a, b.c JOIN d ON true", "a b.c d"),
    ('SELECT * FROM "A", U&"secr\\0065t"', "A secret"),
    ("SELECT (SELECT 1 FROM a) FROM (b CROSS JOIN c) j, LATERAL (SELECT 1 FROM d) l", "a b c d"),
    ("TABLE a", "a"),
    ("SELECT 1 FROM a UNION SELECT 2 FROM b EXCEPT SELECT 3 FROM c", "a b c"),
    ("SELECT * FROM a TABLESAMPLE system (1)", "a"),
    ("SELECT 1 FROM a FOR UPDATE OF a", "a"),
    ("SELECT ARRAY(SELECT x FROM a), EXISTS (SELECT FROM b), 1 IN (SELECT x FROM c)", "a b c"),
    ("SELECT JSON_ARRAY(SELECT x FROM a), XMLELEMENT(NAME n, (SELECT x FROM b))", "a b"),
    ("SELECT sum(x) FILTER (WHERE x > (SELECT 1 FROM a)) OVER (ORDER BY (SELECT 1 FROM b))", "a b"),
    ("SELECT 1 ORDER BY (SELECT 1 FROM a) LIMIT (SELECT 1 FROM b) OFFSET (SELECT 1 FROM c)", "a b c"),
    ("VALUES ((SELECT 1 FROM a))", "a"),
    ("SELECT * FROM f((SELECT 1 FROM a)), ROWS FROM (g((SELECT 1 FROM b)))", "a b"),
    # WITH: a query sees the CTEs before it, RECURSIVE all, itself included
    ("WITH x AS (SELECT * FROM s), s AS (SELECT 1) SELECT * FROM x", "s"),
    ("WITH s AS (SELECT 1), x AS (SELECT * FROM s) SELECT * FROM x", ""),
    ("WITH s AS (SELECT * FROM s) SELECT * FROM s", "s"),
    ("WITH RECURSIVE s AS (SELECT 1 UNION ALL SELECT * FROM s) SELECT * FROM s", ""),
    ("WITH RECURSIVE x AS (SELECT * FROM s), s AS (SELECT 1) SELECT * FROM x", ""),
    ("WITH s AS (SELECT 1) SELECT * FROM public.s", "public.s"),
    ("WITH s AS (SELECT 1) SELECT (SELECT 1 FROM s)", ""),
    ("SELECT 1 FROM (WITH s AS (SELECT 1) SELECT * FROM s) q, s", "s"),
    ("SELECT 1 FROM s UNION (WITH s AS (SELECT 1) SELECT * FROM s)", "s"),
    ("WITH s AS (WITH t AS (SELECT 1) SELECT * FROM t) SELECT * FROM t, s", "t"),
    ('WITH "S" AS (SELECT 1) SELECT * FROM s', "s"),
    # data-modifying statements
    ("INSERT INTO t SELECT * FROM a", "a"),
    ("WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t", ""),
    ("UPDATE t SET x = (SELECT 1 FROM a) FROM b WHERE EXISTS (SELECT FROM c)", "a b c"),
    ("DELETE FROM t USING a WHERE x IN (SELECT x FROM b) RETURNING (SELECT 1 FROM c)", "a b c"),
    ("MERGE INTO t USING a ON true WHEN MATCHED THEN UPDATE SET x = (SELECT 1 FROM b)", "a b"),
    ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET x = (SELECT 1 FROM a)", "a"),
    # utilities around a query
    ("EXPLAIN SELECT * FROM a", "a"),
    ("CREATE TABLE t AS SELECT * FROM a", "a"),
    ("CREATE VIEW v AS SELECT * FROM a", "a"),
    ("COPY (SELECT * FROM a) TO STDOUT", "a"),
    ("COPY a TO STDOUT", "a"),
    ("COPY t FROM STDIN", ""),
    ("CREATE TABLE t (LIKE u)", ""),
    ("DECLARE c CURSOR FOR SELECT * FROM a", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "reads"), READS)
def test_relations_read(sql: str, reads: str) -> None:
    """Every relation read is found wherever it hides, and a CTE is not one."""
    assert {".".join(filter(None, name)) for name in summarise(tree_of(sql)).reads} == set(reads.split())


WRITES: list[tuple[str, str, set[tuple[str, RawName]]]] = [
    ("INSERT INTO s.t VALUES (1)", "insert", {("insert", ("s", "t"))}),
    ("UPDATE t SET x = 1", "update", {("update", (None, "t"))}),
    ("DELETE FROM ONLY t", "delete", {("delete", (None, "t"))}),
    ("MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "merge", {("merge", (None, "t"))}),
    ("WITH t AS (DELETE FROM t RETURNING 1) SELECT * FROM t", "select", {("delete", (None, "t"))}),
    ("EXPLAIN ANALYZE DELETE FROM t", "explain", {("delete", (None, "t"))}),
    ("COPY (UPDATE t SET x = 1 RETURNING 1) TO STDOUT", "copy", {("update", (None, "t"))}),
    ("DROP TABLE t", "drop", set()),
]


@pytest.mark.parametrize(("sql", "kind", "writes"), WRITES)
def test_relations_written(sql: str, kind: str, writes: set[tuple[str, RawName]]) -> None:
    """Every data-modifying part is found, in CTEs and under utilities too."""
    summary = summarise(tree_of(sql))
    assert summary.kind == kind
    assert summary.writes == frozenset(writes)


def test_calls_are_what_is_written_as_calls() -> None:
    """`name(…)` counts by its last part; syntax of its own (EXTRACT, AT TIME ZONE, COALESCE) does not."""
    sql = (
        "SELECT a.f(1), \"G\"(2), extract(year FROM x), x AT TIME ZONE 'y', coalesce(1, 2), count(*) "
        "FROM h(3), t TABLESAMPLE bernoulli (k()) ORDER BY m() LIMIT n()"
    )
    assert summarise(tree_of(sql)).calls == {"f", "G", "count", "h", "k", "m", "n"}


def test_row_locks_are_seen_at_any_depth() -> None:
    """FOR SHARE in a sub-select of an expression is a lock of the statement."""
    assert summarise(tree_of("SELECT (SELECT x FROM t FOR KEY SHARE)")).locks
    assert not summarise(tree_of("SELECT (SELECT x FROM t)")).locks


def test_an_unknown_tree_has_an_unknown_kind_and_nothing_else() -> None:
    """The summary of what the allow-list lacks agrees with nothing."""
    assert summarise({"SelectStmt": {"targetList": [{"Var": {}}]}}) == Summary(kind="unknown")
    assert summarise({}) == Summary(kind="unknown")
