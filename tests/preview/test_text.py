"""Statements made of other statements' parts mean what their originals mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.text import (
    UnreadableError,
    as_cte,
    function_names,
    pieces,
    quoted,
    renumbered,
    rows_of_change,
    rows_of_source,
    with_returning,
)

ROWS = [
    ("DELETE FROM t", 'SELECT DISTINCT "t".ctid FROM t'),
    ("DELETE FROM ONLY s.t", 'SELECT DISTINCT "s"."t".ctid FROM ONLY s.t'),
    ("delete from t as x where x.a = 1 returning *", 'SELECT DISTINCT "x".ctid FROM t as x WHERE x.a = 1'),
    (
        "DELETE FROM t USING u JOIN v USING (a) WHERE t.a = u.a",
        'SELECT DISTINCT "t".ctid FROM t , u JOIN v USING (a) WHERE t.a = u.a',
    ),
    (
        "WITH w AS (SELECT 1 AS delete) DELETE FROM t WHERE a IN (SELECT delete FROM w)",
        'WITH w AS (SELECT 1 AS delete) SELECT DISTINCT "t".ctid FROM t WHERE a IN (SELECT delete FROM w)',
    ),
    ("UPDATE t SET a = b IS DISTINCT FROM c WHERE d", 'SELECT DISTINCT "t".ctid FROM t WHERE d'),
    (
        "UPDATE t SET a = b IS DISTINCT FROM c FROM u WHERE d",
        'SELECT DISTINCT "t".ctid FROM t , u WHERE d',
    ),
    ("UPDATE t SET (a, b) = (SELECT x, y FROM z WHERE q) WHERE d", 'SELECT DISTINCT "t".ctid FROM t WHERE d'),
    ('UPDATE "T ""x" SET a = 1', 'SELECT DISTINCT "T ""x".ctid FROM "T ""x"'),
    ("UPDATE t SET a = 1 -- where\n WHERE /* from */ b = 2 -- end", "WHERE /* from */ b = 2"),
    ("UPDATE t SET a = 1 WHERE b = U&'d!0061' UESCAPE '!'", "WHERE b = U&'d!0061' UESCAPE '!'"),
    ("UPDATE t SET a = 1 RETURNING a AS where", 'SELECT DISTINCT "t".ctid FROM t'),
]


@pytest.mark.parametrize(("statement", "made"), ROWS)
def test_rows_of_a_change(statement: str, made: str) -> None:
    """The SELECT has the statement's own WITH, FROM and WHERE, comments and odd words notwithstanding."""
    (piece,) = pieces(statement.encode())
    query = rows_of_change(piece, "ctid")
    assert query is not None
    assert made in " ".join(query.split())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t WHERE CURRENT OF c",
        "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM u) DELETE FROM t",
        "INSERT INTO t VALUES (1)",
        "TRUNCATE t",
    ],
)
def test_no_rows_of_a_change(statement: str) -> None:
    """There is no SELECT for a cursor's row, for MERGE, and none that would run a change inside of WITH."""
    (piece,) = pieces(statement.encode())
    assert rows_of_change(piece, "ctid") is None


SOURCES = [
    ("INSERT INTO t SELECT a FROM u", "FROM (SELECT a FROM u ) AS"),
    ("INSERT INTO t (a, b) (SELECT a, b FROM u) RETURNING *", "FROM ((SELECT a, b FROM u) ) AS"),
    ("INSERT INTO t TABLE u ON CONFLICT DO NOTHING", "FROM (TABLE u ) AS"),
    (
        "WITH w AS (SELECT 1) INSERT INTO t WITH x AS (SELECT 2) SELECT * FROM w, x",
        "WITH w AS (SELECT 1) SELECT n",
    ),
]


@pytest.mark.parametrize(("statement", "made"), SOURCES)
def test_rows_of_a_source(statement: str, made: str) -> None:
    """What an INSERT inserts is read by its own query."""
    (piece,) = pieces(statement.encode())
    query = rows_of_source(piece, "n")
    assert query is not None
    assert made in " ".join(query.split())


def test_no_rows_of_a_source() -> None:
    """VALUES are no query, and a WITH query that changes rows is not run to count them."""
    gone = b"WITH g AS (DELETE FROM u RETURNING a) INSERT INTO t SELECT a FROM g"
    for statement in (b"INSERT INTO t VALUES (1)", b"INSERT INTO t DEFAULT VALUES", gone, b"DELETE FROM t"):
        assert rows_of_source(pieces(statement)[0], "n") is None


@pytest.mark.parametrize(
    ("statement", "made"),
    [
        ("DELETE FROM t", "DELETE FROM t RETURNING 1"),
        ("DELETE FROM t RETURNING a, b", "DELETE FROM t RETURNING 1"),
        ("UPDATE t SET a = 1 RETURNING a AS returning", "UPDATE t SET a = 1 RETURNING 1"),
        (
            "INSERT INTO t SELECT a AS returning FROM u",
            "INSERT INTO t SELECT a AS returning FROM u RETURNING 1",
        ),
        ("INSERT INTO t VALUES (1) -- end", "INSERT INTO t VALUES (1) RETURNING 1"),
    ],
)
def test_with_returning(statement: str, made: str) -> None:
    """RETURNING takes the place of the statement's own."""
    (piece,) = pieces(statement.encode())
    assert " ".join((with_returning(piece, "1") or "").split()) == made


def test_nothing_that_is_no_change_gets_returning() -> None:
    """A statement without RETURNING in its grammar stays as it is."""
    assert with_returning(pieces(b"TRUNCATE t")[0], "1") is None
    assert with_returning(pieces(b"SELECT 1")[0], "1") is None


def test_a_statement_that_would_leave_its_brackets() -> None:
    """Nothing gets into a WITH query but exactly one statement that stays the same there."""
    assert as_cte("DELETE FROM t RETURNING 1", "w", ["c"], "SELECT 1 FROM w") is not None
    for text in (
        "DELETE FROM t) SELECT 1 --",
        "DELETE FROM t; DELETE FROM u",
        "DELETE FROM t --",
        "SELECT 1)",
        "",
    ):
        made = as_cte(text, "w", ["c"], "SELECT 1 FROM w")
        assert made is None or text == "DELETE FROM t --", text


def test_parameters_are_renumbered() -> None:
    """A made statement has only the parameters that it uses; one that was never bound is an error."""
    bound = [Parameter(0, 0, name) for name in (b"a", b"b", b"c")]
    text, used = renumbered("SELECT $3, $1, '$2', $3", bound)
    assert (text, [one.value for one in used]) == ("SELECT $1, $2, '$2', $1", [b"c", b"a"])
    for unbound in ("SELECT $4", "SELECT $0"):
        with pytest.raises(UnreadableError):
            renumbered(unbound, bound)


def test_statements_of_a_message() -> None:
    """A message is cut where the server cuts it, and each part keeps its text."""
    parts = pieces(b"/* a */ DELETE FROM t; ; UPDATE t SET a = ';' -- b\n;")
    assert [(part.kind, part.text) for part in parts] == [
        ("DeleteStmt", "DELETE FROM t"),
        ("UpdateStmt", "UPDATE t SET a = ';'"),
    ]
    for broken in (b"DELETE FROM", b"\xff", b"SELECT '", b"SELECT 1\0"):
        with pytest.raises(UnreadableError):
            pieces(broken)


def test_columns_that_an_insert_gives() -> None:
    """Columns whose defaults are not computed: those that are listed and never left to DEFAULT."""
    assert pieces(b"INSERT INTO t (a, b) VALUES (1, 2)")[0].given == ("a", "b")
    user = b"INSERT INTO t (a) OVERRIDING USER VALUE VALUES (1)"
    default = b"INSERT INTO t (a) VALUES (1), (DEFAULT)"
    for statement in (b"INSERT INTO t VALUES (1)", default, b"UPDATE t SET a = 1", user):
        assert pieces(statement)[0].given == ()


def test_names_of_functions() -> None:
    """What a text calls by name, wherever it stands."""
    assert function_names("SELECT a.f(g(1)) FROM h() WHERE a + b = 1") == {"f", "g", "h"}
    assert function_names("nonsense") == frozenset()


ATOMS = st.sampled_from(
    ["a", "t.b", "$1", "1.5", "'x; where'", "'it''s'", '"from"', "(SELECT c FROM u WHERE d)", "b IS DISTINCT FROM c",
     "EXISTS (TABLE u)", "CASE WHEN a THEN b END", "f(a, 'from')", "a IN (1, 2)", "ARRAY[1, 2]", "E'\\' from '"]
)  # fmt: skip
EXPRESSIONS = st.lists(ATOMS, min_size=1, max_size=4).map(" AND ".join)
JOINED = st.sampled_from(
    [
        "u",
        "u JOIN v USING (a)",
        "(SELECT 1 AS set) AS q",
        "g(1) AS h, LATERAL (SELECT 2) AS z",
        "s.u AS returned",
    ]
)
GAPS = st.sampled_from([" ", "\n", " /* from */ ", " -- where\n", "\t/* set /* using */ */ "])


@st.composite
def changes(draw: st.DrawFn) -> str:
    """An UPDATE or DELETE, with comments where blanks may stand."""
    update = draw(st.booleans())
    words = ["WITH w AS (SELECT 1 AS x) "] if draw(st.booleans()) else []
    target = draw(st.sampled_from(["t", "ONLY t", "s.t AS t", '"T ""x" t', "t *"]))
    words += ["UPDATE", target, "SET"] if update else ["DELETE", "FROM", target]
    if update:
        words.append(f"a = {draw(EXPRESSIONS)}, (b, c) = ({draw(EXPRESSIONS)}, {draw(EXPRESSIONS)})")
    if draw(st.booleans()):
        words += ["FROM" if update else "USING", draw(JOINED)]
    if draw(st.booleans()):
        words += ["WHERE", draw(EXPRESSIONS)]
    if draw(st.booleans()):
        words += ["RETURNING", f"{draw(EXPRESSIONS)} AS returning, a AS where"]
    return "".join(word + draw(GAPS) for word in words)


@settings(max_examples=500, deadline=None)
@given(changes())
def test_what_is_made_has_the_parts_of_the_original(statement: str) -> None:
    """Of any change: the SELECT of its rows has its FROM and WHERE; with RETURNING it is the same change."""
    (piece,) = pieces(statement.encode())
    (made,) = pieces((rows_of_change(piece, "ctid") or "").encode())
    assert made.kind == "SelectStmt"
    assert _bare(made.node.get("whereClause")) == _bare(piece.node.get("whereClause"))
    assert _bare(made.node.get("withClause")) == _bare(piece.node.get("withClause"))
    joined = piece.node.get("usingClause") or piece.node.get("fromClause") or []
    assert _bare(made.node["fromClause"][1:]) == _bare(joined)
    (again,) = pieces((with_returning(piece, "1") or "").encode())
    assert again.kind == piece.kind
    own = {key: value for key, value in again.node.items() if key != "returningClause"}
    assert _bare(own) == _bare({key: value for key, value in piece.node.items() if key != "returningClause"})


def _bare(tree: object) -> object:
    if isinstance(tree, dict):
        return {
            key: _bare(value) for key, value in tree.items() if "location" not in key and "list_" not in key
        }
    return [_bare(item) for item in tree] if isinstance(tree, list) else tree


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"),
        min_size=1,
        max_size=60,
    )
)
def test_quoted_identifiers(name: str) -> None:
    """Any name is one identifier that means itself (up to the server's 63 bytes)."""
    if len(name.encode()) > 63:
        return
    (piece,) = pieces(f"DELETE FROM {quoted(name)}".encode())
    assert piece.target["relname"] == name
