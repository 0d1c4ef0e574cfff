"""The lexer's own testimony: statements, first words, and names before brackets."""

from __future__ import annotations

import pytest

from dbfirewall.sql import caps
from dbfirewall.sql.lexer import LexError, tokenize
from dbfirewall.sql.outline import Outline, outline


def _outline(sql: str) -> list[Outline]:
    return outline(tokenize(sql))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", []),
        (" ; ;; -- nothing\n/* ; */", []),
        (";;;DELETE FROM t;;", ["delete"]),
        ("SELECT ';'; \"a;b\"", ["select", ""]),
        ("((SELECT 1)); (((WITH a AS (SELECT 1) SELECT 2)))", ["select", "with"]),
        ("BEGIN; INSERT INTO t VALUES (1); COMMIT", ["begin", "insert", "commit"]),
        ("CREATE RULE r AS ON INSERT TO v DO (DELETE FROM a; DELETE FROM b); SELECT 1", ["create", "select"]),
        (
            "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN CASE b WHEN 1 THEN 2 END END; END; TABLE t",
            ["create", "table"],
        ),
        ("CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS begin; TABLE t; END; TABLE u", ["create", "table"]),
        ("BEGIN; CREATE TABLE atomic (a int); END; SELECT 1", ["begin", "create", "end", "select"]),
        ("SELECT 1 AS begin, atomic; SELECT 2", ["select", "select"]),
    ],
)
def test_statements_and_their_first_words(sql: str, words: list[str]) -> None:
    """Semicolons end statements, but for those in brackets and in BEGIN ATOMIC bodies."""
    assert [each.keyword for each in _outline(sql)] == words


@pytest.mark.parametrize(
    ("sql", "calls"),
    [
        ("SELECT f(1), pg_catalog . G (2), \"Q\"(3), U&\"\\0068\"(4)", {"f", "g", "Q", "h"}),
        ("SELECT f /* c */ -- d\n (1)", {"f"}),
        ("SELECT a IN (1), (b), EXISTS (SELECT 1), coalesce(1), cast(x AS int), count(*) FROM t", {"count"}),
        ("SELECT x.coalesce(1), \"in\"(2), substring('a')", {"coalesce", "in"}),
        ("SELECT left(a, 1), set(2), LONG" + "g" * 70 + "(1)", {"left", "set", "long" + "g" * 59}),
        ("INSERT INTO t (a) VALUES (1)", {"t"}),
        ("SELECT merge_action(), row(1), values(2), int(3)", {"merge_action"}),
    ],
)  # fmt: skip
def test_every_name_before_a_bracket_is_a_possible_call(sql: str, calls: set[str]) -> None:
    """Quoted, qualified and folded names count; unquoted key words that no function can bear do not."""
    assert _outline(sql)[0].calls == calls


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT " + "(" * (caps.MAX_DEPTH + 1), "too-deep"),
        ("SELECT " + "[" * (caps.MAX_DEPTH + 1), "too-deep"),
        ("SELECT " + "CASE WHEN " * (caps.MAX_DEPTH + 1), "too-deep"),
        ("SELECT " + "ARRAY[" * (caps.MAX_CONSTRUCTOR_DEPTH + 1), "too-deep"),
        ("SELECT " + "date((" * (caps.MAX_CONSTRUCTOR_DEPTH + 1), "too-deep"),
        ("SELECT 1;" * (caps.MAX_STATEMENTS + 1), "too-long"),
    ],
)
def test_caps_of_the_outline(sql: str, code: str) -> None:
    """Nesting and the number of statements are bounded before any parser runs."""
    with pytest.raises(LexError) as caught:
        _outline(sql)
    assert caught.value.code == code


CONSTRUCTORS = "array char character date dec decimal int numeric timestamp varchar"


@pytest.mark.parametrize("word", CONSTRUCTORS.split())
def test_constructors_are_not_nested_deeply(word: str) -> None:
    """Each of them takes sqlglot time that doubles with a level; the same word in quotes is no constructor."""
    fits, deep = caps.MAX_CONSTRUCTOR_DEPTH, caps.MAX_CONSTRUCTOR_DEPTH + 1
    assert _outline("SELECT " + f"{word}(" * fits + ")" * fits)[0].depth == fits
    assert _outline("SELECT " + f'"{word}"(' * deep + ")" * deep)[0].depth == deep
    assert _outline("SELECT " + f"{word}(1), " * 50 + "1")[0].depth == 1
    with pytest.raises(LexError) as caught:
        _outline("SELECT " + f"{word}(" * deep + ")" * deep)
    assert caught.value.code == "too-deep"


def test_nesting_is_counted_not_brackets() -> None:
    """Many brackets side by side are not deep; `end` in a name does not hide a level."""
    assert _outline("SELECT " + "(1)," * 500 + " a[1], CASE 1 WHEN 2 THEN 3 END")[0].depth == 1
    assert _outline("SELECT " + "ARRAY[date(1), ARRAY[2]]," * 100 + "1")[0].subscripts == 200
    assert _outline("SELECT (a.end + (a.end + (1)))")[0].depth == 3
