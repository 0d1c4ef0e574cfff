"""`read`: bytes in, an agreed reading or a refusal out, and nothing else."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.sql import caps, glot, pgquery
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Reading


def _kinds(sql: str) -> list[str] | str:
    reading = read(sql.encode())
    return reading.refusal.code if reading.refusal else [next(iter(each.tree)) for each in reading.statements]


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("", []),
        ("-- nothing", []),
        ("/*/*/ SELECT 1 --*/*/ DROP TABLE logt", ["DropStmt"]),
        ("SELECT 1 /*/*/ ; --*/*/ ; DROP TABLE logt", ["SelectStmt", "DropStmt"]),
        ("SELECT 1 /* x /*/*/ --*/*/*/ ; DROP TABLE logt; --", ["SelectStmt", "DropStmt"]),
        ("SELECT 1 /*/**/*/; DROP TABLE logt --*/*/", ["SelectStmt", "DropStmt"]),
        ('SELECT 1 #--"\n 2; DROP TABLE logt;--"', ["SelectStmt", "DropStmt"]),
        ('SELECT |/*"*/ 4; DROP TABLE logt;--"', ["SelectStmt", "DropStmt"]),
        ("SELECT 1 AS \u00a0$$, 2; DROP TABLE logt;--$$", ["SelectStmt", "DropStmt"]),
        ("SELECT $a$ $b$ $a$; DROP TABLE logt; --$b$", ["SelectStmt", "DropStmt"]),
        ("SELECT '\\'; DROP TABLE logt; --'", ["SelectStmt", "DropStmt"]),
        ("VALUES ($1,$2)", ["SelectStmt"]),
        ("SELECT 1 WHERE a IN ($1,$2,$3) OR $1::int+$2 > 0", ["SelectStmt"]),
        ("SELECT @ -3, a <-> b, a <#> b, a <+> b, a <=> b, a ->> ''", ["SelectStmt"]),
        ("SELECT 1; SELECT 2;;", ["SelectStmt", "SelectStmt"]),
        ("SELECT [a]", "syntax"),
        ("SELECT :name", "syntax"),
        ("SELECT %s", "syntax"),
        ("SELECT {# x #}", "syntax"),
        ("SELECT 1 un\u0131on SELECT 2", "syntax"),
        ("\u017fELECT 1", "syntax"),
        ("SELECT\u00a01", "syntax"),
        ("SELECT 1a", "syntax"),
        ("SELECT 'a' 'b'", "syntax"),
        ("CHECKPOINT", ["CheckPointStmt"]),
        ("LISTEN a; SAVEPOINT b; ABORT", ["ListenStmt", "TransactionStmt", "TransactionStmt"]),
        ("ROLLBACK AND CHAIN", ["TransactionStmt"]),
        ("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", ["ExplainStmt"]),
    ],
)
def test_texts_that_parsers_have_misread(sql: str, kinds: list[str] | str) -> None:
    """What PostgreSQL would run is what is read, or there is a syntax error."""
    assert _kinds(sql) == kinds


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 /*/*/ --*/*/ , pg_read_file('/x')",
        "SELECT 1 /* /* */*/ , pg_read_file('/x') --*/ */",
        "SELECT 5 #--\"\n 3, pg_read_file('/x')--\"",
        "SELECT $1,$2,pg_read_file('/x') --$1,$",
        "SELECT U&\"pg_read_f\\0069le\"('/x')",
        "SELECT u&\"pg_read_f!0069le\" UESCAPE '!' ('/x')",
        "SELECT PG_READ_FILE('/x')",
    ],
)
def test_a_hidden_call_is_in_the_tree_that_is_judged(sql: str) -> None:
    """The witnesses agree on these, and the call is in what they agree on."""
    reading = read(sql.encode())
    assert reading.refusal is None
    assert "pg_read_file" in str(reading.statements[0].tree)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (b"SELECT '\xff'", "encoding"),
        (b"SELECT \xc0\xaf", "encoding"),
        (b"SELECT 1\0; DROP TABLE t", "encoding"),
        (b"SELECT '" + b"a" * caps.MAX_TEXT_BYTES + b"'", "too-long"),
        (b"SELECT 1;" * (caps.MAX_STATEMENTS + 1), "too-long"),
        (b"SELECT " + b"a," * caps.MAX_TOKENS + b"a", "too-long"),
        (b"SELECT " + b"(" * 10_000 + b"1" + b")" * 10_000, "too-deep"),
        (b"SELECT 1" + b"+1" * 20_000, "too-deep"),
        (b"SELECT " + b"NOT " * 20_000 + b"a", "too-deep"),
        (b"SELECT * FROM t" + b" CROSS JOIN t" * 5_000, "too-deep"),
        (b"/*" * 10_000, "too-deep"),
        (b"SELECT FROM FROM", "syntax"),
        (b"DROP TABL t", "syntax"),
    ],
)
def test_refusals_have_codes(sql: bytes, code: str) -> None:
    """Each kind of bad text is told apart."""
    refusal = read(sql).refusal
    assert refusal is not None
    assert refusal.code == code
    assert refusal.reason


@pytest.mark.timeout(120)
def test_the_worst_texts_within_the_caps_end() -> None:
    """Texts as large as they may be, of the shapes that cost the parsers most, are read or refused in time."""
    for unit in (b"a,", b"f(1),", b"(1,2),", b"a[1],", b"'x',", b"1 is null,", b"array[array[1]],"):
        sql = b"SELECT " + unit * (caps.MAX_TEXT_BYTES // len(unit) - 10) + b"1"
        reading = read(sql)
        assert reading.refusal is None or reading.refusal.code in ("too-long", "too-deep")


def test_an_insert_of_thousands_of_rows_is_read() -> None:
    """Bulk inserts of drivers stay possible: sqlglot is not asked, the other two agree."""
    sql = b"INSERT INTO t (a, b, c) VALUES " + b", ".join([b"(1, 'x', $1)"] * 5_000)
    assert read(sql).refusal is None


def test_a_disagreement_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a witness says something else, nothing is known."""
    monkeypatch.setattr(glot, "summarise", lambda outline: glot.read_text("select 1"))
    refusal = read(b"SELECT f(1) FROM t").refusal
    assert refusal is not None
    assert (refusal.code, refusal.syntax) == ("disagreement", False)


def test_another_number_of_statements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lexer's count and libpg_query's must be the same."""
    trees = pgquery.parse(b"SELECT 1")
    monkeypatch.setattr(pgquery, "parse", lambda sql: trees)
    refusal = read(b"SELECT 1; SELECT 2").refusal
    assert refusal is not None
    assert refusal.code == "disagreement"


def test_a_failing_parser_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong inside, the answer is a refusal without details of the text."""

    def broken(sql: bytes) -> list[dict[str, object]]:
        raise MemoryError("secret")

    monkeypatch.setattr(pgquery, "parse", broken)
    refusal = read(b"SELECT 'secret'").refusal
    assert refusal is not None
    assert refusal.code == "parser-failure"
    assert "secret" not in refusal.reason


def test_a_reading_crosses_process_borders() -> None:
    """Readings, refusals included, survive pickling."""
    for sql in (b"SELECT f(1) FROM t", b"SELEC"):
        assert pickle.loads(pickle.dumps(read(sql))) == read(sql)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=400, deadline=None)
def test_any_bytes_give_a_reading(sql: bytes) -> None:
    """`read` never raises, and a reading has statements or a refusal, not both."""
    reading = read(sql)
    assert isinstance(reading, Reading)
    assert not (reading.statements and reading.refusal)


def test_readings_of_one_template_are_equal_up_to_literals() -> None:
    """Literals have no part in the witnesses' agreement."""
    one, other = read(b"SELECT f(1, 'a') FROM t LIMIT 5"), read(b"SELECT f(22, 'it''s') FROM t LIMIT 7")
    assert one.template == other.template
    assert (one.refusal, other.refusal) == (None, None)
