"""Scripts are cut as psql cuts them, and outcomes are put into the right class."""

from __future__ import annotations

import pytest

from tests.regress.prepare import lasting, permanent
from tests.regress.script import Piece, statements
from tests.regress.verdict import Trial, classify
from tests.regress.wire import HUNG, LOST, Outcome

ROW = Outcome("", (("TUPLES_OK", ((b"a", 23),), 1),))
NOTHING = Outcome("")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("SELECT 1;\nSELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', E'\\';', \";\", $$;$$, $a$;$a$;", ["SELECT ';', E'\\';', \";\", $$;$$, $a$;$a$"]),
        ("-- one;\nSELECT /* ; /* ; */ ; */ 1;", ["SELECT /* ; /* ; */ ; */ 1"]),
        ("\\d t\nSELECT 1 \\gset\n\\echo x\nSELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1\\; SELECT 2;", ["SELECT 1; SELECT 2"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3;",
         ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"]),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 3;",
         ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END",
          "SELECT 3"]),
    ],
    ids=["two", "quoted", "comments", "psql's own", "joined", "rule", "atomic"],
)  # fmt: skip
def test_a_script_is_cut_into_statements(script: str, expected: list[str]) -> None:
    """Semicolons in literals, comments, parentheses and routine bodies end nothing."""
    assert [piece.sql for piece in statements(script)] == expected


def test_copy_data_belong_to_their_copy() -> None:
    """What follows COPY FROM STDIN up to the line with a backslash and a dot is no statement."""
    assert statements("COPY t FROM stdin;\n1;\n2;\n\\.\nSELECT 1;") == [
        Piece("COPY t FROM stdin", "1;\n2;\n"), Piece("SELECT 1"),
    ]  # fmt: skip


def test_what_a_script_makes_is_kept() -> None:
    """Temporary objects become permanent; operators that a script rolls back are not made."""
    assert permanent("CREATE TEMP TABLE t (a int) ON COMMIT DROP") == "CREATE  TABLE t (a int) "
    pieces = statements("BEGIN; CREATE TABLE t (); CREATE OPERATOR = (); ROLLBACK; CREATE OPERATOR ## ();")
    assert [one.sql for one in lasting(pieces)] == [
        "BEGIN", "CREATE TABLE t ()", "ROLLBACK", "CREATE OPERATOR ## ()",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "direct", "reader", "strong", "changed", "expected"),
    [
        ("SELECT 1", ROW, ROW, ROW, False, "same"),
        ("SELECT 1", Outcome("22012"), Outcome("22012"), ROW, False, "same"),
        ("SELECT 1", ROW, NOTHING, ROW, False, "runs -> runs"),
        ("SELECT 1", ROW, Outcome("42501"), ROW, False, "runs -> 42501"),
        ("DELETE FROM t", Outcome("25006"), Outcome("25006"), Outcome("25006"), False, "no read"),
        ("SELECT nextval('s')", Outcome("25006"), ROW, ROW, False, "no read"),
        ("SELECT 1", ROW, ROW, ROW, True, "changed"),
        ("SELECT 1", ROW, ROW, Outcome(HUNG), False, "hung"),
        ("SELECT 1", ROW, Outcome(LOST), ROW, False, "lost"),
    ],
)
def test_each_outcome_has_its_class(
    sql: str, direct: Outcome, reader: Outcome, strong: Outcome, changed: bool, expected: str
) -> None:
    """A change, a hang or a lost session outweighs everything; then what the server itself says of it."""
    assert classify(Trial("s", 0, sql, direct, reader, strong, changed=changed)) == expected
