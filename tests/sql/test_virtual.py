"""The firewall's own tables in a text: what is rewritten and how, and what is refused."""

from __future__ import annotations

import pytest

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Scope
from dbfirewall.sql import virtual
from dbfirewall.sql.facts import Analysis, Effect, Refusal
from dbfirewall.sql.read import read
from dbfirewall.sql.virtual import KIND, MAX_REFERENCES, TABLES, Rewritten, facts, parameter, rewrite

SCOPE = Scope(offline_catalog(), ("public",))


def rows_of(table: str) -> str:
    columns = ", ".join(f"{name} pg_catalog.{kind}" for name, kind in TABLES[table].items())
    source = (
        f"pg_catalog.json_to_recordset(pg_catalog.current_setting('dbfirewall.{table}')::pg_catalog.json)"
    )
    return f"(SELECT * FROM {source} AS x({columns}))"


A, R = rows_of("approvals"), rows_of("my_rules")


def rewritten(sql: str, max_bytes: int = 4096) -> Rewritten | Refusal | None:
    return rewrite(sql.encode(), read(sql.encode()), max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM dbfirewall.approvals", f"SELECT * FROM {A} AS approvals"),
        ("select 1 from DBFirewall . \"approvals\" where id = $1", f"select 1 from {A} AS approvals where id = $1"),
        ("SELECT a.id FROM dbfirewall.approvals a", f"SELECT a.id FROM {A} a"),
        ("SELECT i FROM dbfirewall.approvals AS a(i), o", f"SELECT i FROM {A} AS a(i), o"),
        ("TABLE dbfirewall.approvals ORDER BY 1", f"SELECT * FROM {A} AS approvals ORDER BY 1"),
        ("SELECT 1 FROM o JOIN dbfirewall.approvals USING (id)", f"SELECT 1 FROM o JOIN {A} AS approvals USING (id)"),
        (
            "SELECT 1 FROM (dbfirewall.approvals a LEFT JOIN dbfirewall.my_rules ON true)",
            f"SELECT 1 FROM ({A} a LEFT JOIN {R} AS my_rules ON true)",
        ),
        (
            "WITH x AS (SELECT * FROM dbfirewall.approvals) SELECT * FROM x UNION TABLE dbfirewall.approvals",
            f"WITH x AS (SELECT * FROM {A} AS approvals) SELECT * FROM x UNION SELECT * FROM {A} AS approvals",
        ),
        (
            "SELECT 1 WHERE EXISTS (SELECT FROM dbfirewall.approvals)",
            f"SELECT 1 WHERE EXISTS (SELECT FROM {A} AS approvals)",
        ),
        (
            "SELECT dbfirewall.approvals.id, dbfirewall . approvals.* FROM dbfirewall.approvals",
            f"SELECT approvals.id, approvals.* FROM {A} AS approvals",
        ),
        (
            "SELECT dbfirewall.approvals.id FROM dbfirewall.approvals a",
            f"SELECT dbfirewall.approvals.id FROM {A} a",
        ),
        ("SELECT 'ü', '—' FROM /* ü */ dbfirewall.approvals;", f"SELECT 'ü', '—' FROM /* ü */ {A} AS approvals;"),
        ("SELECT U&'\\0041' FROM dbfirewall.approvals", f"SELECT U&'\\0041' FROM {A} AS approvals"),
        ("EXPLAIN ANALYZE TABLE dbfirewall.approvals", f"EXPLAIN ANALYZE SELECT * FROM {A} AS approvals"),
        ("DECLARE c CURSOR FOR TABLE dbfirewall.approvals", f"DECLARE c CURSOR FOR SELECT * FROM {A} AS approvals"),
        ("COPY (TABLE dbfirewall.approvals) TO STDOUT", f"COPY (SELECT * FROM {A} AS approvals) TO STDOUT"),
        ("SELECT 1; TABLE dbfirewall.approvals; SELECT 2", f"SELECT 1; SELECT * FROM {A} AS approvals; SELECT 2"),
        (
            "SELECT 1 NOT /* c */ IN (1) FROM dbfirewall.approvals",
            f"SELECT 1   /* c */  NOT IN (1) FROM {A} AS approvals",
        ),
        ("SELECT * FROM dbfirewall.approvals FOR UPDATE", f"SELECT * FROM {A} AS approvals FOR UPDATE"),
    ],
)  # fmt: skip
def test_a_table_is_replaced_where_it_stands(sql: str, expected: str) -> None:
    """By a query of the parameter that holds its rows; every other byte stays, comments too."""
    found = rewritten(sql)
    assert isinstance(found, Rewritten)
    assert found.text.decode() == expected


def test_each_statement_says_what_it_reads() -> None:
    """So that each has its effects, and the proxy knows what to fetch."""
    found = rewritten(
        "SELECT 1; TABLE dbfirewall.my_limits; SELECT 1 FROM dbfirewall.my_rules, dbfirewall.approvals"
    )
    assert isinstance(found, Rewritten)
    assert list(map(sorted, found.tables)) == [[], ["my_limits"], ["approvals", "my_rules"]]
    assert parameter("my_limits") == "dbfirewall.my_limits"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 'dbfirewall.approvals'",
        "SELECT * FROM approvals -- dbfirewall.approvals",
        "SELECT * FROM dbfirewall.others",
        "SELECT * FROM dbfirewall",
        "SELECT dbfirewall.approvals FROM t",
        "SELECT * FROM shop.dbfirewall.approvals",
        'SELECT * FROM "Dbfirewall".approvals',
        'SELECT * FROM U&"dbfirew\\0061ll".approvals',
        "DROP TABLE dbfirewall.approvals",
        "SELECT * FROM dbfirewall.approvals WHERE",
        "",
    ],
)
def test_what_names_no_such_table_is_left_alone(sql: str) -> None:
    """Only a relation in FROM, by its schema and its name; anything else is the server's."""
    assert rewritten(sql) is None


ONLY_READ = "dbfirewall.approvals is answered by the firewall itself, and can only be read, by SELECT"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("INSERT INTO dbfirewall.approvals VALUES (1)", f"{ONLY_READ}."),
        ("UPDATE dbfirewall.approvals SET state = 'approved'", f"{ONLY_READ}."),
        ("DELETE FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("MERGE INTO dbfirewall.approvals USING t ON true WHEN MATCHED THEN DELETE", f"{ONLY_READ}."),
        ("TRUNCATE dbfirewall.approvals", f"{ONLY_READ}."),
        ("LOCK TABLE dbfirewall.approvals", f"{ONLY_READ}."),
        ("COPY dbfirewall.approvals TO STDOUT", f"{ONLY_READ}."),
        ("COPY dbfirewall.approvals FROM STDIN", f"{ONLY_READ}."),
        ("WITH x AS (DELETE FROM dbfirewall.approvals RETURNING id) SELECT * FROM x", f"{ONLY_READ}."),
        ("INSERT INTO t SELECT id FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("DELETE FROM t USING dbfirewall.approvals", f"{ONLY_READ}."),
        ("UPDATE t SET a = 1 FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("CREATE TABLE dbfirewall.approvals (a int)", f"{ONLY_READ}."),
        ("CREATE TABLE t AS TABLE dbfirewall.approvals", f"{ONLY_READ}."),
        ("CREATE VIEW v AS SELECT * FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("PREPARE p AS SELECT * FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("EXPLAIN DELETE FROM dbfirewall.approvals", f"{ONLY_READ}."),
        ("EXPLAIN CREATE TABLE t AS TABLE dbfirewall.approvals", f"{ONLY_READ}."),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 FROM dbfirewall.approvals; END", f"{ONLY_READ}."),
        ("SELECT * FROM dbfirewall.approvals TABLESAMPLE system (1)", f"{ONLY_READ}."),
        ("SELECT * FROM ONLY dbfirewall.approvals", f"{ONLY_READ}, without ONLY."),
        ("SELECT * FROM dbfirewall.approvals *", f"{ONLY_READ}, without * behind its name."),
        ('SELECT * FROM dbfirewall.U&"approvals"', "Write dbfirewall.approvals plainly."),
        ("SELECT * FROM dbfirewall.U&\"!0061pprovals\" UESCAPE '!'", "Write dbfirewall.approvals plainly."),
        ("TABLE dbfirewall.approvals UNION " * 8 + "TABLE dbfirewall.my_rules",
         "A text may name tables of dbfirewall 8 times at most."),
    ],
)  # fmt: skip
def test_what_can_not_be_done_with_such_a_table_is_refused(sql: str, reason: str) -> None:
    """With a reason, whichever statement it is, rather than sent on to where no such table is."""
    assert rewritten(sql) == Refusal("virtual", reason)


def test_a_text_that_is_read_twice_is_short() -> None:
    """What is rewritten has to be read once more, here and now."""
    sql = "SELECT * FROM dbfirewall.approvals"
    assert isinstance(rewritten(sql, len(sql)), Rewritten)
    assert rewritten(sql, len(sql) - 1) == Refusal(
        "virtual", f"A text that reads dbfirewall.* may have {len(sql) - 1} bytes at most."
    )
    assert MAX_REFERENCES == 8


def analysis(sql: str) -> tuple[Analysis, Rewritten | None]:
    return facts(sql.encode(), read(sql.encode()), SCOPE, max_bytes=4096)


def test_what_is_judged_is_the_rewritten_text() -> None:
    """With an effect for each table that it stands for; it is remembered for its exact bytes alone."""
    found, instead = analysis("SELECT 1; SELECT o.id FROM dbfirewall.my_limits, orders o")
    assert instead is not None
    limits = Effect("select", ("dbfirewall", "my_limits"), KIND, ("name", "value", "used", "frees_at"))
    orders = Effect("select", ("public", "orders"), "", ("id",))
    assert [statement.effects for statement in found.statements] == [(), (limits, orders)]
    assert found.literal_sensitive
    assert all(statement.literal_sensitive for statement in found.statements)


def test_other_texts_have_the_facts_they_have() -> None:
    """What names no such table is judged as it stands, and so is what could not be read."""
    for sql in ("SELECT id FROM orders", "SELECT * FROM dbfirewall.approvals WHERE"):
        found, instead = analysis(sql)
        assert instead is None
        assert KIND not in {effect.kind for statement in found.statements for effect in statement.effects}
    assert found.refusal is not None
    assert found.refusal.code == "syntax"


def test_a_refusal_has_no_facts() -> None:
    """Nothing of it runs, whatever the rules say of what is not understood."""
    found, instead = analysis("DELETE FROM dbfirewall.approvals")
    assert (instead, found.statements) == (None, ())
    assert found.refusal is not None
    assert not found.refusal.allowable


@pytest.mark.parametrize(("text", "code"), [(b"SELECT (", "syntax"), (b"SELECT 1; SELECT 2", "disagreement")])
def test_a_text_that_reads_otherwise_once_rewritten_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: bytes, code: str
) -> None:
    """Should a replacement ever not fit: what runs is what was judged, or nothing."""
    broken = Rewritten(text, (frozenset({"approvals"}),))
    monkeypatch.setattr(virtual, "rewrite", lambda *_args, **_kw: broken)
    found, instead = analysis("SELECT 1")
    assert (instead, found.statements) == (None, ())
    assert found.refusal is not None
    assert found.refusal.code == code
