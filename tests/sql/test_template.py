"""The fast template: texts that share one are the same tokens up to literal values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.sql.lexer import LITERALS, LexError, tokenize
from dbfirewall.sql.read import read
from dbfirewall.sql.template import MAX_BYTES, fast_template
from tests.sql.recorded import FILES, statements

_PIECES = [
    *"""' '' " "" E' B' x' U&' U&" $$ $1 - / * + . .. 1 12 1.5 1. .5 1e5 0x1F 1_000 a A1 select é a1 1a t.a
    'a' 'it''s' '"' '{"a":1}' "a" "it's" "a 1" ( ) [ ] , ; : :: = < & &' &" 0 0''  '' n e""".split(),  # noqa: SIM905  read as SQL, not as Python
    *[" ", "\n", "\t", "\u00a0", " 1 ", " 'a' ", "'a'\n'b'", "\\", "--", "/*"],
]
_soup = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12).map("".join)
Shape = list[tuple[int, str, str]] | None


def _shape(sql: bytes) -> Shape:
    """The tokens of `sql` without the values of literals; None where it has none."""
    try:
        tokens = tokenize(sql.decode())
    except LexError:
        return None
    return [(kind, "" if kind in LITERALS else text, name) for kind, text, _, name in tokens]


@given(_soup)
@settings(max_examples=1500, deadline=None)
def test_a_text_and_its_template_have_the_same_tokens(sql: str) -> None:
    """Hence two texts of one template have the same tokens, up to the values of literals."""
    found = fast_template(sql.encode())
    if found is not None:
        assert _shape(found) == _shape(sql.encode())
        assert fast_template(found) == found


@given(_soup, _soup)
@settings(max_examples=500, deadline=None)
def test_a_hidden_tail_changes_the_template(head: str, tail: str) -> None:
    """No text can carry a second statement into the template of a harmless one."""
    plain = f"SELECT a FROM t WHERE b = '{head}'".encode()
    longer = f"SELECT a FROM t WHERE b = '{head}'; DROP TABLE t{tail}".encode()
    if fast_template(plain) is not None and fast_template(plain) == fast_template(longer):
        assert _shape(plain) == _shape(longer)


@pytest.mark.parametrize("file", FILES)
def test_the_corpus_keeps_its_tokens(file: str) -> None:
    """Every real statement that has a fast template has that template's tokens, and reads like it."""
    for sql in statements(file):
        found = fast_template(sql.encode())
        if found is not None:
            assert _shape(found) == _shape(sql.encode()), sql
            assert read(found).template == read(sql.encode()).template, sql


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ("SELECT abalance FROM t WHERE aid = 18231;", "SELECT abalance FROM t WHERE aid = 0;"),
        ("SELECT '{\"k\": 1}', 'a'", "SELECT '', ''"),
        ("SELECT 'a', 'it''s', '', 'ü', t1.c2", "SELECT '', '', '', '', t1.c2"),
        ('SELECT "a 1", "x"."y" = 5, \'"q"\'', 'SELECT "a 1", "x"."y" = 0, \'\''),
        ("SELECT 12.50, 1e5, .5, 0x1F, 1_000", "SELECT 0, 1e5, .5, 0x1F, 1_000"),
        ("SELECT a[1:2], -1, b-1", "SELECT a[0:0], -0, b-0"),
    ],
)
def test_templates(sql: str, template: str) -> None:
    """Strings and plain numbers are blanked, quoted names and everything else kept."""
    assert fast_template(sql.encode()) == template.encode()


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 'a\\'",
        b"SELECT $1",
        b"SELECT $$a$$",
        b"SELECT 1 -- c",
        b"SELECT 1 /* c */",
        b"SELECT E'a'",
        b"SELECT B'1'",
        b"SELECT N'1'",
        b"SELECT U&'a'",
        b"SELECT U&\"a\" UESCAPE '!'",
        b"SELECT date'2024-01-01'",
        b"SELECT 'a",
        b'SELECT "a',
        b"SELECT 'a\0'",
        b"SELECT '\xff'",
        b"SELECT '" + b"a" * MAX_BYTES + b"'",
    ],
)
def test_doubtful_texts_have_no_template(sql: bytes) -> None:
    """Where quoting is not beyond doubt, only the exact text may be looked up."""
    assert fast_template(sql) is None
