"""Durations and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.policy.units import Rate, parse_duration, parse_hold, parse_rate, show_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("5min", 300_000), ("1h", 3_600_000)],
)
def test_a_duration_has_a_unit(text: str, milliseconds: int) -> None:
    """Durations are kept in milliseconds, Postgres' own unit for timeouts."""
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "value", ["30", 30, "", "0s", "-1s", "1.5s", "30 s", "30d", None, True, "999999999h", "٣s"]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """A number without a unit could mean seconds or milliseconds; zero would switch a limit off."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@pytest.mark.parametrize(("text", "milliseconds"), [("0s", 0), ("000ms", 0), ("0h", 0), ("45s", 45_000)])
def test_a_hold_may_be_zero(text: str, milliseconds: int) -> None:
    """No hold at all is a wait of zero, with a unit as ever."""
    assert parse_hold(text) == milliseconds


@pytest.mark.parametrize("value", ["0", 0, "", None, "45", "0d"])
def test_what_is_no_hold_is_refused(value: object) -> None:
    """It is a duration otherwise."""
    with pytest.raises(ValueError, match="duration"):
        parse_hold(value)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/min", Rate(600, 60)),
        ("600/m", Rate(600, 60)),
        ("10/s", Rate(10, 1)),
        ("1000/hour", Rate(1000, 3600)),
        ("5/day", Rate(5, 86400)),
    ],
)
def test_a_rate_is_a_number_per_unit(text: str, rate: Rate) -> None:
    """Rates are a count and the seconds it is for."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize("value", ["600", 600, "0/s", "1/week", "1/ s", "/s", None, "1.5/s"])
def test_what_is_no_rate_is_refused(value: object) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="rate"):
        parse_rate(value)


@pytest.mark.parametrize("text", ["600/min", "10/s", "1000/h", "5/d"])
def test_a_rate_shows_as_it_is_written(text: str) -> None:
    """Refusals show a rate in the words of the rules file."""
    assert str(parse_rate(text)) == text
    assert str(Rate(3, 7)) == "3/7s"


@pytest.mark.parametrize("text", ["1ms", "1500ms", "1s", "90s", "5m", "1h"])
def test_a_duration_shows_in_its_largest_whole_unit(text: str) -> None:
    """Refusals and hints show a limit in the words of the rules file."""
    assert show_duration(parse_duration(text)) == text


@given(st.integers(1, 2**31 - 1))
def test_a_duration_shows_as_what_reads_back(milliseconds: int) -> None:
    """The shown text means the same duration."""
    assert parse_duration(show_duration(milliseconds)) == milliseconds
