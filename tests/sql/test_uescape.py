"""`U&"…"` means what libpg_query says it means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.sql.lexer import LexError, tokenize
from tests.sql import oracle

_BODY = st.lists(
    st.sampled_from(
        ["a", "Z", "\\", "\\\\", "\\0061", "\\+000061", "\\D83D", "\\DE00", "\\d83d\\de00", "\\+01F600", "\\0000",
         "\\+110000", "\\00e9", "é", "!", "!0062", "!!", '""', " ", "+", "\\61", "x" * 20]
    ),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip
_ESCAPE = st.sampled_from(
    ["", " UESCAPE '!'", " uescape '\\'", " UESCAPE 'a'", " UESCAPE '+'", " UESCAPE ''''"]
)


@pytest.mark.parametrize(
    ("body", "escape", "name"),
    [
        ("a\\0061\\+000062", "", "aab"),
        ("\\\\", "", "\\"),
        ("\\D83D\\DE00", "", "\U0001f600"),
        ("\\+01F600", "", "\U0001f600"),
        ("!0062!!", " UESCAPE '!'", "b!"),
        ("\\0062", " UESCAPE '!'", "\\0062"),
    ],
)
def test_an_escape_stands_for_its_character(body: str, escape: str, name: str) -> None:
    """Four digits, six digits, a pair of surrogates, and the escape character itself."""
    sql = f'U&"{body}"{escape}'
    assert [token[3] for token in tokenize(sql)] == [oracle.column(sql)] == [name]


@pytest.mark.parametrize(
    ("body", "escape"),
    [("\\D83D", ""), ("\\D83Da", ""), ("\\DE00", ""), ("\\DE00\\D83D", ""), ("\\D83D\\D83D", ""),
     ("\\D83D\\E000", ""), ("\\61", ""), ("\\0000", ""), ("\\+110000", ""), ("\\+00061", ""), ("\\", ""),
     ("a", " UESCAPE 'a'"), ("a", " UESCAPE '+'"), ("a", " UESCAPE ' '"), ("a", " UESCAPE '1'"),
     ("a", " UESCAPE 'F'")],
)  # fmt: skip
def test_a_wrong_escape_is_refused_as_postgres_refuses_it(body: str, escape: str) -> None:
    """Half a pair, no such digits, no such character, and what may not be an escape character."""
    sql = f'U&"{body}"{escape}'
    with pytest.raises(oracle.OracleError):
        oracle.column(sql)
    with pytest.raises(LexError):
        tokenize(sql)


@given(_BODY, _ESCAPE)
@settings(max_examples=800, deadline=None)
def test_identifiers_are_decoded_as_postgres_decodes_them(body: str, escape: str) -> None:
    """Both give the same name, or we refuse; and what libpg_query refuses, we refuse."""
    sql = f'U&"{body}"{escape}'
    try:
        name = oracle.column(sql)
    except oracle.OracleError:
        with pytest.raises(LexError):
            tokenize(sql)
        return
    assert [token[3] for token in tokenize(sql)] == [name]


def test_a_disguised_function_name_is_seen() -> None:
    """The escape is resolved before anybody looks at names."""
    assert tokenize("SELECT U&\"pg_read_f!0069le\" UESCAPE '!' ('/x')")[1][3] == "pg_read_file"


def test_a_string_literal_is_left_to_libpg_query() -> None:
    """`U&'…'` stays a literal; its UESCAPE is dropped with it."""
    kinds = [token[1] for token in tokenize("SELECT U&'d!0061t' UESCAPE '!', 1")]
    assert kinds == ["SELECT", "U&'d!0061t'", ",", "1"]
