"""The SQL of an undo, as text: values are quoted so that no value can be anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbfirewall.preview.restore import VERSION, literal, restore_sql, restore_statements, values_list
from dbfirewall.preview.text import pieces
from tests.support.postgres import Postgres

TEXTS = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)
NASTY = st.text(
    alphabet="'\\\"$;-/*\n\r\t\x00\x01\x1b\x7f\x85\u2028EeUu&xX0a{}(), ".replace("\x00", ""), max_size=30
)


@pytest.fixture(scope="module")
def servers(postgres: Postgres) -> Iterator[list[psycopg.Connection[tuple[str | None, ...]]]]:
    """Connections that read literals as the standard says, and as PostgreSQL did long ago."""
    found = []
    for setting in ("on", "off"):
        connection = psycopg.connect(postgres.dsn(), autocommit=True)
        connection.execute(f"SET standard_conforming_strings = {setting}".encode())
        connection.execute("SET escape_string_warning = off")
        found.append(connection)
    yield found
    for connection in found:
        connection.close()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(TEXTS, NASTY, st.none()), min_size=1, max_size=12))
def test_any_value_is_read_as_itself(
    servers: list[psycopg.Connection[tuple[str | None, ...]]], values: list[str | None]
) -> None:
    """A real server reads every literal as exactly the value, whatever standard_conforming_strings says."""
    listed = values_list([[value, value] for value in values], [("pg_catalog", "text")] * 2)
    for server in servers:
        rows = server.execute(f"SELECT a, b FROM (VALUES {listed}) AS v(a, b)".encode()).fetchall()
        assert rows == [(value, value) for value in values]


@settings(max_examples=300, deadline=None)
@given(st.one_of(TEXTS, NASTY))
def test_a_literal_shows_no_control_characters(value: str) -> None:
    """A script can be shown on a terminal: what could move its cursor is written as an escape."""
    assert not any(
        (character < " " and character != "\n") or "\x7f" <= character <= "\x9f"
        for character in literal(value)
    )


def test_null_and_plain() -> None:
    """NULL has no quotes; a plain text is written plainly."""
    assert (literal(None), literal(""), literal("it's"), literal("a\\b")) == (
        "NULL",
        "''",
        "'it''s'",
        "E'a\\\\b'",
    )


def document(**changes: object) -> str:
    column = {"name": "a", "type": ["pg_catalog", "int4"], "key": False, "equals": "", "number": False}
    return json.dumps(
        {
            "v": VERSION, "kind": "delete", "table": "public.t", "relation": ["public", "t"], "only": True,
            "columns": [column], "rows": [["1"]], "notes": [], **changes,
        }
    )  # fmt: skip


def test_tables_are_restored_in_reverse_order() -> None:
    """What was captured last is put back first."""
    statements = restore_statements([document(), document(relation=["public", "u"])])
    first = next(one for one in statements if one.startswith("INSERT"))
    assert first.startswith('INSERT INTO "public"."u"')


def test_nothing_to_restore() -> None:
    """No rows, no statements."""
    assert restore_statements([]) == ()
    assert restore_statements([document(rows=[])]) == ()


def test_another_versions_document_is_refused() -> None:
    """What is not understood is not turned into SQL."""
    with pytest.raises(ValueError, match="another version"):
        restore_sql([document(v=99)])


def test_notes_and_names_can_not_leave_their_comment() -> None:
    """A table's name with a line break does not become a statement."""
    script = restore_sql([document(table="t\nDROP TABLE x; --", notes=["a\r\nDELETE FROM y;"])])
    assert [part.kind for part in pieces(script.encode())] == (
        ["TransactionStmt", *["VariableSetStmt"] * 6, "InsertStmt", "TransactionStmt"]
    )
