"""What statements do: every fixture of tests/sql/facts, and the facts that are not effects."""

from __future__ import annotations

import pytest

from dbfirewall.catalog.types import Scope
from dbfirewall.sql.analyze import analyze, resolve
from dbfirewall.sql.facts import Analysis, Effect, Refusal, Statement
from dbfirewall.sql.nodes import NODES, Tree
from dbfirewall.sql.reading import Parsed, Reading
from dbfirewall.sql.statements import HANDLERS
from tests.sql.rendering import FACTS, Case, lines_of, read_cases
from tests.sql.scopes import SCOPES
from tests.sql.trees import trees_of

CASES = [
    pytest.param(case, id=f"{path.stem}-{number}")
    for path in sorted(FACTS.glob("*.sql"))
    for number, case in enumerate(read_cases(path), 1)
]


def facts(sql: str, scope: Scope = SCOPES["offline"]) -> Analysis:
    """The facts of `sql` by libpg_query's trees alone, so that a fixture need not please every witness."""
    return resolve(Reading(tuple(map(Parsed, trees_of(sql)))), scope)


def statement(sql: str, scope: str = "offline") -> Statement:
    """The facts of the one statement in `sql`."""
    (only,) = facts(sql, SCOPES[scope]).statements
    return only


@pytest.mark.parametrize("case", CASES)
def test_effects(case: Case) -> None:
    """A statement has exactly the effects that its fixture lists."""
    assert lines_of(statement(case.sql, case.scope)) == case.expected


def test_every_statement_node_has_a_handler_or_is_no_root() -> None:
    """A statement kind that a new grammar brings fails here until someone decides what it does."""
    never_a_root = {"ReturnStmt", "ReplicaIdentityStmt"}
    assert {kind for kind in NODES if kind.endswith("Stmt")} - never_a_root == set(HANDLERS)


def test_every_handler_is_covered_by_a_fixture() -> None:
    """No kind of statement is left without an example of its facts."""
    roots = {
        root for path in FACTS.glob("*.sql") for case in read_cases(path) for root in trees_of(case.sql)[0]
    }
    assert roots == set(HANDLERS)


@pytest.mark.parametrize("kind", ["ReturnStmt", "ReplicaIdentityStmt", "RangeVar", "A_Const"])
def test_a_node_that_is_no_statement_is_unknown(kind: str) -> None:
    """A root without a handler yields `unknown`, never silence."""
    (only,) = resolve(Reading((Parsed({kind: {}}),)), SCOPES["offline"]).statements
    assert only.effects == (Effect("unknown", detail=kind),)
    assert only.tags == ()
    assert only.literal_sensitive


KINDS = [
    ("SELECT 1", "select", True, ("SELECT",)),
    ("SELECT 1 INTO t", "select into", False, ("SELECT",)),
    ("SELECT 1 INTO t UNION SELECT 2", "select into", False, ("SELECT",)),
    ("VALUES (1)", "select", True, ("SELECT",)),
    ("INSERT INTO t VALUES (1)", "insert", False, ("INSERT",)),
    ("INSERT INTO t VALUES (1) RETURNING 1", "insert", True, ("INSERT",)),
    ("UPDATE t SET a = 1 RETURNING a", "update", True, ("UPDATE",)),
    ("DELETE FROM t", "delete", False, ("DELETE",)),
    ("MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "merge", False, ("MERGE",)),
    ("EXPLAIN DELETE FROM t", "explain", True, ("EXPLAIN",)),
    ("SHOW ALL", "show", True, ("SHOW",)),
    ("FETCH c", "fetch", True, ("FETCH",)),
    ("MOVE c", "move", False, ("MOVE",)),
    ("START TRANSACTION", "begin", False, ("BEGIN", "START")),
    ("END", "commit", False, ("COMMIT", "ROLLBACK")),
    ("ROLLBACK TO s", "rollback to savepoint", False, ("ROLLBACK",)),
    ("CREATE TABLE t AS SELECT 1", "create table as", False, ("SELECT", "CREATE")),
    ("CREATE MATERIALIZED VIEW t AS SELECT 1", "create materialized view", False, ("SELECT", "CREATE")),
    ("CREATE TABLE t ()", "create table", False, ("CREATE",)),
    ("ALTER TABLE t ADD a int", "alter table", False, ("ALTER",)),
    ("DROP FUNCTION f", "drop function", False, ("DROP",)),
    ("COPY t FROM STDIN", "copy", False, ("COPY",)),
    ("PREPARE p AS SELECT 1", "prepare", False, ("PREPARE",)),
    ("DECLARE c CURSOR FOR SELECT 1", "declare cursor", False, ("DECLARE",)),
    ("EXECUTE p", "execute", False, ()),
    ("GRANT a TO b", "grant role", False, ("GRANT",)),
    ("TRUNCATE t", "truncate table", False, ("TRUNCATE",)),
]


@pytest.mark.parametrize(("sql", "kind", "returns_rows", "tags"), KINDS)
def test_kind_rows_and_tags(sql: str, kind: str, returns_rows: bool, tags: tuple[str, ...]) -> None:
    """The kind is the command's; rows are promised where Describe must show them; tags are the server's."""
    found = statement(sql)
    assert (found.kind, found.returns_rows, found.tags) == (kind, returns_rows, tags)


@pytest.mark.parametrize(
    ("sql", "sensitive"),
    [
        ("SELECT 'x', 1 FROM t WHERE a = 'y' LIMIT 5", False),
        ("INSERT INTO t VALUES ('x')", False),
        ("UPDATE t SET a = 'x' WHERE b = 1", False),
        ("DELETE FROM t WHERE a = '1'", False),
        ("SELECT set_config('x', 'y', false)", True),
        ("SELECT nextval('s')", True),
        ("SELECT pg_notify('c', 'x')", True),
        ("SET x = 1", True),
        ("SHOW x", True),
        ("COPY t TO '/x'", True),
        ("DO 'x'", True),
        ("EXPLAIN SELECT 1", True),
        ("CREATE VIEW v AS SELECT 1", True),
    ],
)
def test_literal_sensitivity(sql: str, sensitive: bool) -> None:
    """Only the facts of plain queries and changes are the same whatever the literals are."""
    analysis = facts(sql)
    assert analysis.literal_sensitive is sensitive
    assert analysis.statements[0].literal_sensitive is sensitive


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        ("SELECT f()", False),
        ("INSERT INTO t VALUES (1)", False),
        ("GRANT a TO b", False),
        ("CREATE TABLE t ()", True),
        ("SELECT 1 INTO t", True),
        ("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", True),
        ("ALTER TABLE t ADD a int", True),
        ("DROP VIEW v", True),
        ("DO 'x'", True),
        ("CALL p()", True),
    ],
)
def test_changes_of_the_catalog(sql: str, changes: bool) -> None:
    """DDL, DO and CALL may change the names that the snapshot holds."""
    assert statement(sql).changes_catalog is changes


@pytest.mark.parametrize(
    ("sql", "incoming"),
    [
        ("COPY t FROM STDIN", True),
        ("COPY t FROM '/x'", False),
        ("COPY t FROM PROGRAM 'x'", False),
        ("COPY t TO STDOUT", False),
    ],
)
def test_copy_from_stdin(sql: str, incoming: bool) -> None:
    """CopyData follows only COPY … FROM STDIN."""
    assert statement(sql).copy_from_stdin is incoming


def test_prepare_names_what_it_defines() -> None:
    """PREPARE's name is kept, folded, for the EXECUTEs to come."""
    assert statement("PREPARE P (int) AS SELECT 1").prepares == "p"
    assert statement('PREPARE "P" AS SELECT 1').prepares == "P"
    assert statement("SELECT 1").prepares is None
    prepared = statement("PREPARE p AS SELECT 1")
    assert (prepared.inner_tags, prepared.inner_rows, prepared.returns_rows) == (("SELECT",), True, False)
    prepared = statement("PREPARE p AS DELETE FROM t")
    assert (prepared.inner_tags, prepared.inner_rows) == (("DELETE",), False)


@pytest.mark.parametrize(
    "first",
    [
        "SET search_path = evil",
        "SET LOCAL search_path = evil",
        "RESET search_path",
        "RESET ALL",
        "DISCARD ALL",
        "SELECT set_config('search_path', 'evil', false)",
        "SELECT set_config($1, 'evil', false)",
        "DO 'x'",
        "CALL p()",
        "SET ROLE x",
    ],
)
def test_names_are_not_known_after_the_path_may_have_changed(first: str) -> None:
    """In one message, what follows a change of search_path resolves to an unknown schema."""
    _, second = facts(f"{first}; SELECT a FROM t").statements
    assert second.effects == (Effect("select", (None, "t"), columns=("a",)),)


def test_names_stay_known_after_other_statements() -> None:
    """An ordinary SET does not move the search_path."""
    *_, last = facts("SET statement_timeout = 1; INSERT INTO t VALUES (1); SELECT a FROM t").statements
    assert last.effects == (Effect("select", ("public", "t"), columns=("a",)),)


def test_a_refused_reading_has_no_facts() -> None:
    """The witnesses' refusal is handed on as it is."""
    refusal = Refusal("disagreement", "they differ")
    assert resolve(Reading(refusal=refusal), SCOPES["offline"]) == Analysis(
        refusal=refusal, literal_sensitive=True
    )


def test_an_empty_query_has_no_statements() -> None:
    """Nothing is done by nothing."""
    assert analyze(b" -- nothing", SCOPES["offline"]) == Analysis()


def test_analyze_reads_and_resolves() -> None:
    """The whole way from bytes to facts."""
    (only,) = analyze(b"SELECT id FROM users", SCOPES["live"]).statements
    assert only.effects == (Effect("select", ("public", "users"), "table", ("id",)),)


def test_too_deep_a_tree_is_refused() -> None:
    """A tree deeper than the interpreter's stack gives a refusal, not a crash."""
    query: Tree = {"SelectStmt": {}}
    for _ in range(3000):
        query = {"SelectStmt": {"fromClause": [{"RangeSubselect": {"subquery": query}}]}}
    analysis = resolve(Reading((Parsed(query),)), SCOPES["offline"])
    assert analysis.refusal is not None
    assert analysis.refusal.code == "too-deep"


def test_long_chains_are_not_deep() -> None:
    """Operators, unions and nested casts in a row of hundreds are understood."""
    assert statement("SELECT " + " + ".join(["a"] * 400) + " FROM t").effects[0].columns == ("a",)
    assert len(statement(" UNION ALL ".join(["SELECT a FROM t"] * 400)).effects) == 1


MANY = 3000
COSTLY = [
    pytest.param(
        f"SELECT {', '.join(f'a{n}' for n in range(MANY))} FROM {', '.join(f't{n}' for n in range(MANY))}",
        id="names",
    ),
    pytest.param(
        f"SELECT 1 FROM {', '.join(f'generate_series(1, a{n}) g{n}' for n in range(MANY))}", id="lateral"
    ),
    pytest.param(
        "WITH a0 AS (SELECT * FROM users)"
        + "".join(f", a{n + 1} AS (SELECT x.*, y.* FROM a{n} x, a{n} y)" for n in range(40))
        + " SELECT * FROM a40",
        id="doubling stars",
    ),
    pytest.param(
        f"SELECT 1 AS x FROM {', '.join(f'users u{n}' for n in range(MANY))} GROUP BY {', '.join(['x'] * MANY)}",
        id="group by",
    ),
    pytest.param(
        f"SELECT 1 FROM {', '.join(f'users u{n}' for n in range(MANY))} "
        + " ".join(f"FOR UPDATE OF u{n}" for n in range(MANY)),
        id="locks",
    ),
]


@pytest.mark.parametrize("sql", COSTLY)
def test_a_search_that_grows_faster_than_the_text_is_refused(sql: str) -> None:
    """Names times relations, doubling stars: the work for one statement has a limit, and then a refusal."""
    refusal = facts(sql, SCOPES["live"]).refusal
    assert refusal is not None
    assert refusal.code == "too-long"


def test_a_wide_query_is_not_too_much() -> None:
    """A hundred joined tables with a thousand qualified columns are an ordinary generated query."""
    joins = " ".join(f"JOIN orders o{n} ON o{n}.id = u.id" for n in range(100))
    columns = ", ".join(f"o{n % 100}.status AS c{n}" for n in range(1000))
    (only,) = facts(f"SELECT {columns}, name FROM users u {joins}", SCOPES["live"]).statements
    assert {effect.object_name for effect in only.effects} == {"public.users", "public.orders"}
