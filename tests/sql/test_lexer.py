"""The lexer cuts text where PostgreSQL's scanner does, and refuses what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.sql import caps
from dbfirewall.sql.lexer import LexError, fold, tokenize
from tests.sql import oracle
from tests.sql.recorded import FILES, statements
from tests.sql.soup import PIECES, agree, boundaries

_soup = st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join)


@given(_soup)
@settings(max_examples=1500, deadline=None)
def test_any_soup_of_tokens_is_cut_as_postgres_cuts_it(sql: str) -> None:
    """Where both scanners take a text, their tokens have the same boundaries; and we take nothing more."""
    assert agree(sql)


@pytest.mark.parametrize("file", FILES)
def test_the_corpus_is_cut_as_postgres_cuts_it(file: str) -> None:
    """Every real statement has libpg_query's token boundaries."""
    for sql in statements(file):
        assert boundaries(sql) == oracle.boundaries(sql), sql


def _texts(sql: str) -> list[str]:
    return [text for _, text, _, _ in tokenize(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("/*/*/ SELECT 1 --*/*/ DROP TABLE t", ["DROP", "TABLE", "t"]),
        ("SELECT 1 /* x /*/*/ --*/*/*/ ; DROP TABLE t; --", ["SELECT", "1", ";", "DROP", "TABLE", "t", ";"]),
        ("SELECT 1 /*/**/*/; DROP TABLE t --*/*/", ["SELECT", "1", ";", "DROP", "TABLE", "t"]),
        ('SELECT 1 #--"\n 2; DROP TABLE t;--"', ["SELECT", "1", "#", "2", ";", "DROP", "TABLE", "t", ";"]),
        ('SELECT |/*"*/ 4; DROP TABLE t;--"', ["SELECT", "|", "4", ";", "DROP", "TABLE", "t", ";"]),
        ("SELECT $1,$2,f('/x') --$1,$", ["SELECT", "$1", ",", "$2", ",", "f", "(", "'/x'", ")"]),
        ("SELECT 1 AS \u00a0$$, 2", ["SELECT", "1", "AS", "\u00a0$$", ",", "2"]),
        (
            "SELECT 1 AS \u00a0$_$; DROP TABLE t;--$_$",
            ["SELECT", "1", "AS", "\u00a0$_$", ";", "DROP", "TABLE", "t", ";"],
        ),
        (
            "SELECT $a$ $b$ $a$; DROP TABLE t; --$b$",
            ["SELECT", "$a$ $b$ $a$", ";", "DROP", "TABLE", "t", ";"],
        ),
        ("SELECT '\\'; DROP TABLE t; --'", ["SELECT", "'\\'", ";", "DROP", "TABLE", "t", ";"]),
        ("a=-1 a<->-b a@-1", ["a", "=", "-", "1", "a", "<->", "-", "b", "a", "@-", "1"]),
        ("1..2 1.5.3 .5 1.e5", ["1", "..", "2", "1.5", ".3", ".5", "1.e5"]),
        ("U&'a', b uescape '!'", ["U&'a'", ",", "b", "uescape", "'!'"]),
        ("B'1''x'", None),
        ("E'a\\'b' 'c''d'", None),
        ("'a'\n 'b''c'", ["'a'\n 'b''c'"]),
    ],
)
def test_lexical_traps(sql: str, expected: list[str] | None) -> None:
    """Each of these is read otherwise by some SQL parser; None: refused."""
    if expected is None:
        with pytest.raises(LexError):
            tokenize(sql)
    else:
        assert _texts(sql) == expected


@pytest.mark.parametrize(
    "sql",
    ["1a", "$1a", "1_", "0x", "0o7$1", ".0x1F", "1e", "1e5x", "'a", '"a', '""', "$$a", "/* a", "/* /* */", "{a}",
     "[a]{", "\\;", "$", "a\0b", "E'\\'", "'a' 'b'", "'a' -- c\n 'b'", "E'a' --\n'b\\'", "$$a$$ 'b'",
     "N'a' -- c\n 'b'", "U&'a' -- c\n 'b'", "B'1' -- c\n '1'", "X'1' 'b'", "N'a' 'b'", "U&'a' 'b'",
     "!" * 64, 'U&"\\zz"', 'U&"a" UESCAPE E\'!\'', 'U&"a" UESCAPE', 'U&"a" UESCAPE \'+\'',
     'U&"a" UESCAPE xyz', 'U&"a" UESCAPE \'!!\'', 'U&"a" UESCAPE \'\'', 'U&"a" UESCAPE \'é\'', 'U&"a" UESCAPE 1.2'],
)  # fmt: skip
def test_what_postgres_or_its_versions_do_not_agree_on_is_refused(sql: str) -> None:
    """Junk after numbers, unfinished tokens, stray characters and strings in a row have no tokens."""
    with pytest.raises(LexError):
        tokenize(sql)


def test_a_string_continued_across_a_comment_is_refused() -> None:
    """The server joins the two literals and libpg_query does not, so the text must not get to either."""
    assert oracle.boundaries("E'a' --\n'b\\'")[-1] == (8, 12)
    with pytest.raises(LexError, match="follows another"):
        tokenize("SELECT E'a' --\n'b\\', pg_sleep(1), 'c'")


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Orders", "orders"),
        ("ÉTÉ", "ÉtÉ"),
        ("\u212aELVIN", "\u212aelvin"),  # the Kelvin sign is not folded to k
        ("x" * 70, "x" * 63),
        ("ÉAZaz", "Éazaz"),
        ("\U0001f600" * 16, "\U0001f600" * 15),  # 64 bytes
        ("é" * 40, "é" * 31),  # 62 bytes: a character is never cut in two
        ("a" * 62 + "é", "a" * 62),
    ],
)
def test_names_are_folded_and_cut_as_postgres_does(name: str, folded: str) -> None:
    """Only ASCII letters are lowered; 63 bytes remain, at a character boundary."""
    assert fold(name) == folded
    assert oracle.column(name) == folded


def test_quoted_names_keep_their_case() -> None:
    """A quoted identifier is unfolded, its doubled quotes single, and cut like any other."""
    assert [token[3] for token in tokenize('"A""b" a."Cé" "' + "Y" * 70 + '"')] == [
        'A"b',
        "a",
        "",
        "Cé",
        "Y" * 63,
    ]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("a\0", "encoding"),
        ("/*" * (caps.MAX_COMMENT_DEPTH + 1) + "*/" * (caps.MAX_COMMENT_DEPTH + 1), "too-deep"),
        ("/* " + "/**/" * 3000 + " */", "too-deep"),
        ("select 1 " + "+-" * 5000 + "1", "too-deep"),
        ("a " * (caps.MAX_TOKENS + 1), "too-long"),
    ],
)
def test_caps_of_the_lexer(sql: str, code: str) -> None:
    """What would cost a parser more than linear time is refused before it."""
    with pytest.raises(LexError) as caught:
        tokenize(sql)
    assert caught.value.code == code


def test_banners_and_rulers_are_no_attack() -> None:
    """Long runs of operator characters in ordinary comments and strings pass."""
    ruler = "-" * 300 + "\n/*" + "*" * 300 + "*/\n/* " + "=-" * 100 + " */ select '" + "+-" * 100 + "'\n"
    assert _texts(ruler * 20)[0] == "select"
