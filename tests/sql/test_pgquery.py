"""libpg_query through ctypes: trees, errors, versions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dbfirewall.sql import pgquery


def test_statements_come_with_their_places() -> None:
    """Each statement is a dict with `stmt`, and where it starts and how long it is, in bytes."""
    first, second = pgquery.parse("SELECT 'é'; VALUES (1)".encode())
    assert (list(first["stmt"]), first["stmt_len"]) == (["SelectStmt"], 11)
    assert (list(second["stmt"]), second["stmt_location"]) == (["SelectStmt"], 13)


def test_an_empty_text_has_no_statements() -> None:
    """Blanks, comments and semicolons are no statement."""
    assert pgquery.parse(b" ; -- x\n;") == []


@pytest.mark.parametrize(
    ("sql", "position"), [(b"select from from", 13), (b"select 'a", 8), (b"a\0b", 2), (b"select E'\\xff'", 0)]
)
def test_syntax_errors_have_a_position(sql: bytes, position: int) -> None:
    """What the scanner, the grammar or the encoding refuses is a SqlSyntaxError, 1-based; NUL is refused here."""
    with pytest.raises(pgquery.SqlSyntaxError) as caught:
        pgquery.parse(sql)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
        "SELECT 1" + "+1" * 20_000,
        "SELECT 1" + " UNION SELECT 1" * 5_000,
    ],
)
def test_too_deep_is_said_so(sql: str) -> None:
    """Neither the grammar's stack nor the tree's depth can crash the process."""
    with pytest.raises(pgquery.TooDeepError):
        pgquery.parse(sql.encode())


def test_another_grammar_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of a version that this code does not know stops the start."""
    monkeypatch.setattr(pgquery, "GRAMMAR_VERSIONS", range(170000, 180000))
    with pytest.raises(pgquery.ParserUnavailableError, match="180"):
        pgquery.check_version()


def test_a_missing_library_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel there is no start, rather than one witness fewer."""
    monkeypatch.setattr(pgquery, "_LIBRARY_NAMES", ("nothing.so",))
    with pytest.raises(pgquery.ParserUnavailableError, match="not installed"):
        pgquery._load()


def test_protobuf_is_not_imported() -> None:
    """The library is loaded from its file: neither postgast nor protobuf come with it."""
    code = "import sys, dbfirewall.sql.read; print([m for m in ('postgast', 'google.protobuf') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
