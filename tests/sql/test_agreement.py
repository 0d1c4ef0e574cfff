"""The witnesses are held against each other; real statements raise no false alarm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbfirewall.sql import glot
from dbfirewall.sql.agreement import contradiction
from dbfirewall.sql.lexer import tokenize
from dbfirewall.sql.outline import Outline, outline
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Summary
from dbfirewall.sql.summary import summarise
from tests.sql.recorded import FILES, statements
from tests.sql.trees import tree_of

_SQL = "WITH c AS (DELETE FROM u RETURNING *) SELECT f(a), g(b) FROM s.t JOIN c USING (a)"


def _witnesses(sql: str) -> tuple[Outline, Summary, Summary | None]:
    (each,) = outline(tokenize(sql))
    return each, summarise(tree_of(sql)), glot.summarise(each)


@pytest.mark.parametrize("file", FILES)
def test_real_statements_are_agreed_on(file: str) -> None:
    """No statement of the corpus is refused."""
    for sql in statements(file):
        reading = read(sql.encode())
        assert reading.refusal is None, sql
        assert reading.statements, sql


def test_sqlglot_testifies_on_nearly_all_queries() -> None:
    """The third witness is no ornament: it has an opinion on more than 95 % of the corpus' queries."""
    asked = [
        each
        for sql in statements()
        for each in outline(tokenize(sql))
        if each.keyword in glot.KEYWORDS
    ]  # fmt: skip
    assert sum(glot.summarise(each) is not None for each in asked) > 0.95 * len(asked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "insert"}, "kind"),
        ({"reads": frozenset()}, "relations read"),
        ({"reads": frozenset({("s", "t"), (None, "c")})}, "relations read"),
        ({"writes": frozenset()}, "relations written"),
        ({"locks": True}, "row locks"),
        ({"calls": frozenset({"f"})}, "functions called"),
        ({"calls": frozenset({"f", "g", "h"})}, "functions called"),
    ],
)
def test_sqlglot_against_libpg_query(change: dict[str, object], said: str) -> None:
    """Kind, relations read and written, calls and locks must be the same."""
    each, ours, theirs = _witnesses(_SQL)
    assert theirs is not None
    assert contradiction(each, tree_of(_SQL), ours, theirs) == ""
    other = replace(theirs, **change)  # type: ignore[arg-type]
    assert said in contradiction(each, tree_of(_SQL), ours, other)


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN SELECT f(1) FROM t",
        "EXPLAIN ANALYZE VERBOSE INSERT INTO t (a) VALUES (1)",
        "EXPLAIN (ANALYZE, FORMAT JSON) (SELECT f(1) FROM t)",
        "EXPLAIN (SELECT 1)",
        "EXPLAIN ((SELECT 1))",
        "EXPLAIN (VALUES (1))",
        "EXPLAIN (TABLE t)",
        "EXPLAIN (WITH a AS (SELECT f(1)) SELECT 1 FROM a)",
        "EXPLAIN (COSTS OFF) (((SELECT f(1))))",
        "EXPLAIN ANALYSE SELECT f(1)",
        "EXPLAIN VERBOSE TABLE t",
        "EXPLAIN (ANALYZE) CREATE TABLE t AS SELECT 1",
        "EXPLAIN EXECUTE p (1)",
    ],
)
def test_what_is_explained_is_agreed_on_too(sql: str) -> None:
    """The statement inside EXPLAIN is found whatever the options, and read by all witnesses."""
    assert read(sql.encode()).refusal is None


def test_what_is_explained_can_contradict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disagreement about the inner statement refuses the EXPLAIN."""
    monkeypatch.setattr(glot, "summarise", lambda each: glot.read_text("select 1 from other"))
    refusal = read(b"EXPLAIN SELECT 1 FROM t").refusal
    assert refusal is not None
    assert refusal.code == "disagreement"


@pytest.mark.parametrize(
    ("seen", "parsed"),
    [
        ("SELECT 1", "DROP TABLE t"),
        ("EXPLAIN SELECT 1", "SELECT 1"),
        ("WITH a AS (SELECT 1) SELECT 1", "EXPLAIN SELECT 1"),
        ("CREATE TABLE t (a int)", "SELECT 1"),
        ("BEGIN", "PREPARE a AS SELECT 1"),
        ('"select" 1', "SELECT 1"),
        ("HACK 1", "CHECKPOINT"),
    ],
)
def test_the_first_word_against_libpg_query(seen: str, parsed: str) -> None:
    """A statement is of the kind that its first word says, and unlisted words are no statement."""
    (each,) = outline(tokenize(seen))
    assert "begins with" in contradiction(each, tree_of(parsed), summarise(tree_of(parsed)), None)


def test_a_call_that_no_bracket_shows() -> None:
    """libpg_query can't report a call of a name that the text does not have before a bracket."""
    each, ours, _ = _witnesses("SELECT f(1)")
    lied = replace(ours, calls=ours.calls | {"pg_sleep"})
    assert "pg_sleep" in contradiction(each, tree_of("SELECT f(1)"), lied, None)


def test_a_call_that_libpg_query_misses() -> None:
    """A name before a bracket must be a call, or a relation, alias, type or key word of the tree."""
    sql = "SELECT f(1) FROM t AS a (b), x TABLESAMPLE bernoulli (1) WHERE c::custom(3) IN (1)"
    each, ours, _ = _witnesses(sql)
    assert contradiction(each, tree_of(sql), ours, None) == ""
    assert "f before" in contradiction(each, tree_of(sql), replace(ours, calls=frozenset()), None)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (a) VALUES (f(1))",
        "UPDATE t SET a = f(1)",
        "DELETE FROM t WHERE f(1)",
        "MERGE INTO t USING s ON f(1) WHEN MATCHED THEN DO NOTHING",
        "SELECT f(1)",
    ],
)
def test_no_data_statement_hides_a_call_among_its_other_names(sql: str) -> None:
    """Of queries and changes only relations, aliases, CTEs and types may stand before a bracket uncalled."""
    each, ours, _ = _witnesses(sql)
    assert "f before" in contradiction(each, tree_of(sql), replace(ours, calls=frozenset()), None)


@pytest.mark.parametrize("first", ["CREATE TABLE t (a int)", "ALTER ROLE a", "DROP TABLE t", "GRANT a TO b"])
@pytest.mark.parametrize(
    "parsed",
    [
        "SELECT 1",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_no_definition_is_a_data_statement(first: str, parsed: str) -> None:
    """What begins as DDL is none of the statements that read or change rows."""
    (each,) = outline(tokenize(first))
    assert "begins with" in contradiction(each, tree_of(parsed), summarise(tree_of(parsed)), None)


def test_a_utility_explains_its_own_names() -> None:
    """Column lists, options and types of a CREATE TABLE are no calls; a function in it is."""
    sql = "CREATE TABLE t (a mood DEFAULT f(1), UNIQUE (a)) PARTITION BY LIST (a) WITH (fillfactor = 70)"
    each, ours, _ = _witnesses(sql)
    assert contradiction(each, tree_of(sql), ours, None) == ""
    assert "zz before" in contradiction(replace(each, calls=each.calls | {"zz"}), tree_of(sql), ours, None)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT substring(a from 1), overlay(a placing b from 1), a LIKE b ESCAPE 'c', a SIMILAR TO b",
        "SELECT json_object('{a,1}'), json_object(a), normalize(a), a IS NORMALIZED, COLLATION FOR (a)",
        "SELECT public.substring(a, 1), public.json_object(1)",
        "SELECT extract(year from a), a AT TIME ZONE b, a AT LOCAL, (a, b) OVERLAPS (c, d), system_user",
        "SELECT coalesce(a), nullif(a, b), greatest(a), xmlexists('x' PASSING b), xmlserialize(content a AS text)",
    ],
)
def test_syntax_sugar_is_no_disagreement(sql: str) -> None:
    """Grammar that one witness shows as a call and another not is known by name."""
    assert read(sql.encode()).refusal is None
