"""Names and patterns of rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.policy.names import EVERYTHING, fold, identifier, parse_pattern, split_name
from dbfirewall.sql.facts import quote_identifier

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("public.orders", ("public", "orders")),
        ("PUBLIC.Orders", ("public", "orders")),
        ('public."Order Items"', ("public", "Order Items")),
        ('public."a""b"', ("public", 'a"b')),
        ('"a.b".c', ("a.b", "c")),
        ("reporting.*", ("reporting", "anything at all")),
        ("public.order_?", ("public", "order_1")),
        ("*.users", ("tenant_7", "users")),
        ("a[b].c+", ("a[b]", "c+")),
        ("application_name", ("application_name",)),
        ("*", ("public", "orders")),
        ("*", (None, "orders")),
        ("*", ()),
        ("ÄB.c", ("Äb", "c")),
        ("pg_catalog.*", ("pg_catalog", "pg_authid")),
        ("*.pg_authid", ("pg_catalog", "pg_authid")),
    ],
)
def test_a_pattern_matches(pattern: str, name: tuple[str | None, ...]) -> None:
    """A pattern matches the names it writes, folded as Postgres folds them."""
    assert parse_pattern(pattern).matches(name)
    assert parse_pattern(pattern).may_match(name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("public.orders", ("public", "Orders")),
        ('public."Orders"', ("public", "orders")),
        ("public.orders", ("orders",)),
        ("orders", ("public", "orders")),
        ('public."*"', ("public", "orders")),
        ("public.order_?", ("public", "order_12")),
        ("public.a+", ("public", "aa")),
        ("public.*", ("public2", "a")),
    ],
)
def test_a_pattern_does_not_match(pattern: str, name: tuple[str | None, ...]) -> None:
    """Quotes, the number of parts and the case of what is quoted all count."""
    assert not parse_pattern(pattern).matches(name)
    assert not parse_pattern(pattern).may_match(name)


@pytest.mark.parametrize("pattern", ["public.orders", "*.orders", "public.*", "*.*"])
def test_an_unknown_part_may_match_but_never_surely(pattern: str) -> None:
    """A schema that is not known could be any, so it never earns an allow by name, and never escapes a deny."""
    assert not parse_pattern(pattern).matches((None, "orders"))
    assert parse_pattern(pattern).may_match((None, "orders"))


@pytest.mark.parametrize("pattern", ["*", "*.*", "pg_*.*", "*.pg_auth*"])
def test_a_loose_pattern_stays_out_of_system_schemas(pattern: str) -> None:
    """Only a pattern that names a system schema, or the object in it, covers what lies there."""
    assert not parse_pattern(pattern).matches(("pg_catalog", "pg_authid"))
    assert parse_pattern(pattern).may_match(("pg_catalog", "pg_authid"))


def test_no_name_at_all_is_covered_by_everything_alone() -> None:
    """`VACUUM` without a table is no VACUUM of one table, but a deny of one table is due."""
    assert EVERYTHING.matches(())
    assert not parse_pattern("public.orders").matches(())
    assert parse_pattern("public.orders").may_match(())


@pytest.mark.parametrize(
    ("pattern", "parameter", "matches"),
    [
        ("my.tenant", ("my", "tenant"), True),
        ("my.tenant", ("my.tenant",), True),
        ("my.*", ("my.tenant",), True),
        ("TimeZone", ("timezone",), True),
        ("timezone", ("TimeZone",), True),
        ("*", ("anything",), True),
        ("my.tenant", ("my.other",), False),
    ],
)
def test_a_parameter_is_one_name(pattern: str, parameter: tuple[str, ...], *, matches: bool) -> None:
    """The dots of a configuration parameter belong to its name, and its case does not count."""
    assert parse_pattern(pattern).matches_parameter(parameter) is matches


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a b", 'a"b', '"a', '""', "a..b", "a;b", "f()", "'a'", "a.b.c"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    """A pattern that could never match is a mistake of its author."""
    with pytest.raises(ValueError, match=r"is not a name|has 3 parts"):
        parse_pattern(text)


def test_a_name_longer_than_postgres_keeps_is_refused() -> None:
    """Postgres cuts names at 63 bytes, so a longer one in a deny would never match."""
    assert parse_pattern("a" * 63).literal == ("a" * 63,)
    with pytest.raises(ValueError, match="longer than 63 bytes"):
        parse_pattern("ä" * 32)


@pytest.mark.parametrize(("text", "wrong"), [("a.b", "2 parts"), ("a*", "pattern"), ("a b", "not a name")])
def test_an_identifier_is_one_plain_name(text: str, wrong: str) -> None:
    """Columns and schemas are single names without globs."""
    with pytest.raises(ValueError, match=wrong):
        identifier(text)


def test_a_quoted_identifier_is_kept() -> None:
    """Quotes keep case, dots and stars."""
    assert identifier('"A.*"') == "A.*"
    assert identifier("SSN") == "ssn"


def test_a_pattern_with_globs_is_no_literal() -> None:
    """Only a pattern without globs names one thing."""
    assert parse_pattern("public.orders").literal == ("public", "orders")
    assert parse_pattern("public.*").literal is None
    assert str(parse_pattern("public.*")) == "public.*"


@given(NAMES)
def test_folding_changes_ascii_letters_alone(name: str) -> None:
    """As Postgres does for UTF-8, where lower-casing other letters would join names that differ."""
    folded = fold(name)
    assert len(folded) == len(name)
    assert all(
        new == old or (old.isascii() and new == old.lower()) for new, old in zip(folded, name, strict=True)
    )


@given(NAMES, NAMES)
def test_a_quoted_name_reads_back(schema: str, name: str) -> None:
    """Whatever Postgres can call a relation, a rule can name it as SQL would."""
    text = f"{quote_identifier(schema)}.{quote_identifier(name)}"
    assert tuple(part for part, _ in split_name(text)) == (schema, name)


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_an_error(text: str) -> None:
    """Nothing but ValueError, and what is read matches what it says where it has no globs."""
    try:
        pattern = parse_pattern(text)
    except ValueError:
        return
    literal = pattern.literal
    assert literal is None or pattern.matches(literal)
