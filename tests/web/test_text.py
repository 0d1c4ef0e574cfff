"""Text from agents: nothing of it is markup, nothing hides, and nothing is left out."""

from __future__ import annotations

import re
import sys
import unicodedata
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from dbfirewall.web.render import page
from dbfirewall.web.text import MAX_COLOURED, clipped, hides, highlighted, is_hidden, spelled, visible

TAG = re.compile(r"<[^>]*>")


def text_of(html: Markup) -> str:
    """What a browser would show."""
    return unescape(TAG.sub("", html))


def boxed(text: str) -> str:
    """`text` as it should look: hidden characters by their code points."""
    return "".join(f"U+{ord(char):04X}" if is_hidden(char) else char for char in text)


SQL_LIKE = st.text(st.sampled_from("select 'x'\"\\$1--/**/;<>&\u202e\u00a0\0\n\t\x1b[ä漢"), max_size=60)


@given(st.text(max_size=80) | SQL_LIKE)
def test_what_is_shown_is_the_text(text: str) -> None:
    """Highlighted or not, a browser shows exactly the text, with hidden characters spelled out."""
    assert text_of(visible(text)) == boxed(text)
    assert text_of(highlighted(text)) == boxed(text)


@given(st.text(max_size=80) | SQL_LIKE)
def test_only_our_own_tags(text: str) -> None:
    """The only tags are spans of our own classes."""
    for tag in TAG.findall(highlighted(text)):
        assert re.fullmatch(r'</span>|<span class="(t-[a-z]|hidden-char)"( title="[^"<>]*")?>', tag)


@given(st.text(max_size=80))
def test_spelled_is_fit_for_an_attribute(text: str) -> None:
    """What templates write by default holds no hidden character, in a text or in an attribute."""
    told = str(spelled(text))
    assert not hides(told)


def test_all_of_unicode() -> None:
    """Whatever Unicode calls a control, a format character, a separator or unassigned use, is not shown as it is."""
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if char in "\n\t ":
            assert not is_hidden(char)
        elif unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"):
            assert is_hidden(char), hex(code)


@pytest.mark.parametrize(
    "char", ["\u202e", "\u2066", "\u200b", "\u00ad", "\ufeff", "\u3164", "\x1b", "\0", "\u00a0", "\r"]
)
def test_tricks(char: str) -> None:
    """The characters that attacks on reviewers are made of."""
    assert hides(f"a{char}b")
    assert f"U+{ord(char):04X}" in visible(f"a{char}b")


def test_markup_stays() -> None:
    """What our own code made as HTML is not escaped again."""
    assert spelled(Markup("<b>")) == "<b>"


@pytest.mark.parametrize(
    ("sql", "css"),
    [
        ("SELECT", "t-k"), ("'it''s'", "t-s"), ("$$x$$", "t-s"), ('"Select"', "t-q"), ("12.5", "t-n"), ("$1", "t-p"),
        ("-- x", "t-c"), ("/* a /* b */ c */", "t-c"),
    ],
)  # fmt: skip
def test_colours(sql: str, css: str) -> None:
    """Tokens are coloured as our own lexer cuts them."""
    assert f'<span class="{css}">{visible(sql)}</span>' in highlighted(f"{sql}\n" if css != "t-c" else sql)


@pytest.mark.parametrize("sql", ["SELECT 'open", "/* open", "x" * (MAX_COLOURED + 1)])
def test_what_cannot_be_cut(sql: str) -> None:
    """A text that the lexer refuses, or that is very long, is shown whole and plain."""
    assert highlighted(sql) == visible(sql)


def test_clipped() -> None:
    """What is left out is said."""
    assert text_of(clipped("abcdef", 4)) == "abcd… 2 more characters"
    assert clipped("abcd", 4) == "abcd"


def test_templates_escape_by_default() -> None:
    """A template that says nothing about it escapes, also in attributes."""
    answer = page("login.html", next='"><script>\u202e', problem="<b>")
    text = bytes(answer.body).decode()
    assert "<script>\u202e" not in text
    assert 'value="&#34;&gt;&lt;script&gt;⟨U+202E⟩"' in text
    assert "&lt;b&gt;" in text
