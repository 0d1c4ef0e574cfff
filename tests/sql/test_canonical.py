"""The text that sqlglot gets, and the template of a message."""

from __future__ import annotations

import pytest

from dbfirewall.sql.canonical import canonical, template
from dbfirewall.sql.lexer import tokenize


def _canonical(sql: str) -> str:
    return canonical(tokenize(sql)).replace("\x01", "~")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT/*c*/Foo,$1--x\n+2.5", 'select "foo" , $1 + 1'),
        ("SELECT 'it''s', E'\\'', $$x$$, U&'a', B'1', N'n'", "select 'x' , 'x' , 'x' , 'x' , 'x' , 'x'"),
        ("SELECT a @> b, c ->> 'd', e <#> f, g <= h", 'select "a" + "b" , "c" + \'x\' , "e" + "f" , "g" <= "h"'),
        ('SELECT Count(*), "NOW"()', 'select "~count" ( * ) , "~NOW" ( )'),
        ("SELECT pg_catalog.left(a)", 'select "pg_catalog" . "~left" ( "a" )'),
        ("SELECT été.Ébène, \"a\"\"b\"", 'select "été" . "Ébène" , "a""b"'),
        ("SELECT x::date, y::double precision", 'select "x" :: varchar , "y" :: double precision'),
        ("SELECT z::public.t(1)", 'select "z" :: "public" . "~t" ( 1 )'),
        ("SELECT ARRAY[ROW(1)], t.array, point '(1,2)'", 'select  [  ( 1 ) ] , "t" . "array" ,  \'x\''),
        ("TABLE t TABLESAMPLE Bernoulli (1)", 'table "t" tablesample  ( 1 )'),
        ("TABLE t FETCH FIRST (2) ROWS ONLY", 'table "t" fetch first ( 1 ) rows only'),
        ("SELECT interval '1' second(2), second(1)", "select interval 'x' second ( 1 ) , \"~second\" ( 1 )"),
    ],
)  # fmt: skip
def test_canonical_text(sql: str, expected: str) -> None:
    """Key words bare, names quoted and folded, called names marked (~), literals blank, few operators."""
    assert _canonical(sql) == expected


BEFORE_BRACKETS = """
    by columns conflict cube escape filter groups ilike insert is join like materialized operator over overlaps
    partition passing range repeatable rollup rows set sets update value varying zone
    in exists coalesce cast as and or not values using on any all
"""


@pytest.mark.parametrize("word", BEFORE_BRACKETS.split())
def test_a_word_of_the_grammar_stays_bare_before_a_bracket(word: str) -> None:
    """It is no function's name there."""
    assert _canonical(f"a {word.upper()} (b)") == f'"a" {word} ( "b" )'
    assert _canonical(f"a {word} b") == f'"a" {word} "b"'
    assert _canonical(f'a "{word}" (b)') == f'"a" "~{word}" ( "b" )'
    assert _canonical(f"a.{word} (b)") == f'"a" . "~{word}" ( "b" )'


def test_a_key_word_that_may_name_a_function_is_marked() -> None:
    """merge_action() is a function with a grammar of its own."""
    assert _canonical("SELECT merge_action(), left(a), foo(b)") == (
        'select "~merge_action" ( ) , "~left" ( "a" ) , "~foo" ( "b" )'
    )


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "<", ">", "=", "<=", ">=", "<>", "!=", "=>"])
def test_an_operator_that_every_dialect_knows_stays(operator: str) -> None:
    """Every other one becomes a plus."""
    assert _canonical(f"a {operator} b") == f'"a" {operator} "b"'
    assert _canonical(f"a {operator}# b") == '"a" + "b"'


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ('SELECT "select", "from" FROM "table"', 'select "select" , "from" from "table"'),
        (
            "SELECT a::int, b::numeric(1, 2), c::mood",
            'select "a" :: int , "b" :: numeric ( 1 , 1 ) , "c" :: varchar',
        ),
        ("SELECT interval '1' minute to second (3)", "select interval 'x' minute to second ( 1 )"),
        ("FETCH c", 'fetch "c"'),
        ("FETCH FIRST ROW", "fetch first row"),
        ("row 1", "row 1"),
        ("SELECT date '2020-01-01', \"date\" '1'", "select  'x' , \"date\" 'x'"),
    ],
)
def test_words_are_read_by_their_place(sql: str, expected: str) -> None:
    """Quoted ones are names, types before a literal vanish, and a few words are grammar in one place only."""
    assert _canonical(sql) == expected


def test_literals_do_not_show_in_either_text() -> None:
    """Texts that differ in the values of literals have one canonical text and one template."""
    first, second = (
        tokenize(f"SELECT {n}, {s} FROM t WHERE a = $1") for n, s in (("1", "'a'"), ("2e9", "$$b$$"))
    )
    assert canonical(first) == canonical(second)
    assert template(first) == template(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT a", 'SELECT "A"'),
        ("SELECT tenant_12", "SELECT tenant_13"),
        ("SELECT f(1)", "SELECT f(1, 2)"),
        ("SELECT public.t", "SELECT t"),
        ("BEGIN READ ONLY", "BEGIN READ WRITE"),
        ("SET x = on", "SET x = off"),
        ("SELECT $1", "SELECT $2"),
        ("SELECT a - 1", "SELECT a + 1"),
        ("SELECT 1", "SELECT '1'"),
        ('SELECT "a b"', "SELECT a b"),
        ('SELECT "a"', 'SELECT "b"'),
        ('SELECT * FROM "Public"."t"', 'SELECT * FROM "Public"."s"'),
        ('SELECT "a""b"', 'SELECT "a" "b"'),
    ],
)
def test_what_is_no_literal_stays_in_the_template(first: str, second: str) -> None:
    """Names, operators, parameters, and the kinds of literals tell templates apart."""
    assert template(tokenize(first)) != template(tokenize(second))
