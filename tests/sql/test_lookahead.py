"""Comments behind the words after which PostgreSQL's parser looks one word ahead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.sql.lexer import tokenize
from dbfirewall.sql.lookahead import readable
from dbfirewall.sql.read import read

_GAPS = ("/**/", " /* a */ ", "--b\n", " -- é '\n", '/*/*"*/*/', "--x\n--y\r")


@pytest.mark.parametrize("gap", _GAPS)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM t ORDER BY a NULLS~LAST",
        "SELECT a NOT~IN (1), b NOT~LIKE 'x', NOT~c BETWEEN 1 AND 2, d NOT~BETWEEN 1 AND 2 FROM t",
        "SELECT * FROM unnest(a) WITH~ORDINALITY",
        "SELECT a::time WITHOUT~TIME ZONE, b::timestamp WITH~TIME ZONE FROM t",
        "SELECT JSON_OBJECT('a': '1' FORMAT~JSON)",
        "WITH~q AS (SELECT 1) TABLE q",
        "SELECT 'a' NOT~IN ('b'), NOT~NOT~true",
        "SELECT U&'d!0061t'~UESCAPE~'!', 2",
        "SELECT NOT~U&\"d!0061t\"~uescape~'!' FROM t",
        "SELECT U&'a'~, U&\"b\"~FROM t",
    ],
)
def test_a_comment_says_nothing(sql: str, gap: str) -> None:
    """With a comment behind such a word the text reads as it does with a blank."""
    plain, commented = read(sql.replace("~", " ").encode()), read(sql.replace("~", gap).encode())
    assert plain.refusal is None
    assert commented.refusal is None
    assert plain.template == commented.template


def test_a_comment_elsewhere_is_left_where_it_is() -> None:
    """Only what stands behind such a word is moved."""
    text = "SELECT /* a */ NOT b FROM t -- c"
    assert readable(text, tokenize(text)) == text


def test_what_follows_a_comment_is_still_read() -> None:
    """A text that hides a statement behind such a comment has two statements."""
    for sql in (
        "SELECT NOT /*/**/*/ a; DROP TABLE t --*/ FROM t",
        "SELECT a NOT --'\n IN (1); DROP TABLE t --'",
        "SELECT U&'a' /*/**/*/ UESCAPE --'\n '!'; DROP TABLE t --'",
    ):
        assert len(read(sql.encode()).statements) == 2


@given(
    st.lists(
        st.sampled_from(
            [
                *("not", "nulls", "with", "a", "'x',", "+", "$$b$$,", *_GAPS, "\n"),
                *('U&"b"', "uescape '!',", "uescape --q\n'!',", '"uescape"'),
            ]
        ),
        max_size=12,
    )
)
def test_tokens_stay_as_they_are(pieces: list[str]) -> None:
    """Whatever is moved, the tokens are the same, and so are the bytes but for blanks and their order."""
    text = " ".join(pieces)
    tokens = tokenize(text)
    moved = readable(text, tokens)
    assert [token[1] for token in tokenize(moved)] == [token[1] for token in tokens]
    assert sorted(moved.replace(" ", "")) == sorted(text.replace(" ", ""))
