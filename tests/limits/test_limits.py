"""Rates, connections and login tries, on a clock that the tests turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.limits import (
    FIRST_DELAY,
    FORGET_AFTER,
    FREE_ATTEMPTS,
    MAX_DELAY,
    MAX_REMEMBERED,
    Budget,
    ConnectionLimiter,
    LoginBackoff,
    RateLimiter,
)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    count=st.integers(1, 8),
    steps=st.lists(st.floats(0, 20), max_size=80),
)
def test_no_interval_holds_more_than_the_limit(count: int, steps: list[float]) -> None:
    """Whenever statements come, no `seconds` long interval has more than `count` that were allowed."""
    clock = Clock()
    limiter = RateLimiter(clock)
    allowed: list[float] = []
    for step in steps:
        clock.now += step
        if limiter.charge("a", count, 60) == 0.0:
            allowed.append(clock.now)
    for first, later in zip(allowed, allowed[count:], strict=False):
        assert later - first >= 60 - 1e-6


@given(count=st.integers(1, 8), steps=st.lists(st.floats(0, 20), min_size=1, max_size=40))
def test_the_wait_is_true(count: int, steps: list[float]) -> None:
    """After the seconds that were answered, the next statement is allowed; just before, it is not."""
    clock = Clock()
    limiter = RateLimiter(clock)
    for step in steps:
        clock.now += step
        wait = limiter.charge("a", count, 60)
        if wait > 1e-3:
            clock.now += wait - 1e-3
            assert limiter.charge("a", count, 60) > 0
            clock.now += 2e-3
            assert limiter.charge("a", count, 60) == 0.0


def test_how_much_is_used_is_told_without_using_any() -> None:
    """Statements of the last `seconds`, and how long the next one has to wait."""
    clock = Clock()
    limiter = RateLimiter(clock)
    assert limiter.used("a", 60) == (0, 0.0)
    for seconds in (0, 10, 10):
        clock.now += seconds
        limiter.charge("a", 3, 60)
    assert limiter.used("a", 60) == (3, 40.0)
    assert limiter.used("a", 60) == (3, 40.0)
    assert limiter.used("b", 60) == (0, 0.0)
    clock.now += 40
    assert limiter.used("a", 60) == (2, 0.0)


def test_a_rate_is_used_up_and_frees_up() -> None:
    """Three a minute: the fourth waits until a minute after the first."""
    clock = Clock()
    limiter = RateLimiter(clock)
    answers = []
    for _ in range(4):
        answers.append(limiter.charge("a", 3, 60))
        clock.now += 10
    assert answers == [0.0, 0.0, 0.0, 30.0]
    clock.now = 1060.0
    assert limiter.charge("a", 3, 60) == 0.0
    assert limiter.charge("a", 3, 60) == 10.0


def test_agents_are_counted_apart() -> None:
    """One agent's statements don't use up another's."""
    limiter = RateLimiter(Clock())
    assert limiter.charge("a", 1, 60) == 0.0
    assert limiter.charge("b", 1, 60) == 0.0
    assert limiter.charge("a", 1, 60) == 60.0


@pytest.mark.parametrize(("before", "after", "left"), [(3, 5, 2), (5, 3, 0), (3, 1, 0), (2, 2, 0)])
def test_a_changed_limit_keeps_the_count(before: int, after: int, left: int) -> None:
    """After a reload what was used stays used: raising the limit frees the difference only."""
    clock = Clock()
    limiter = RateLimiter(clock)
    for _ in range(before * 2):
        clock.now += 1
        limiter.charge("a", before, 600)
    for _ in range(left):
        assert limiter.charge("a", after, 600) == 0.0
    assert limiter.charge("a", after, 600) > 0.0


def test_a_lowered_limit_keeps_the_newest() -> None:
    """After lowering the limit, the wait counts from the newest statements, also where the ring had turned."""
    clock = Clock()
    limiter = RateLimiter(clock)
    for _ in range(4):
        limiter.charge("a", 4, 10)
        clock.now += 3
    clock.now += 1  # the first two have left the interval
    limiter.charge("a", 4, 10)
    assert limiter.charge("a", 1, 10) == 10.0


def test_agents_that_left_the_rules_are_forgotten() -> None:
    """`keep` drops everyone else."""
    limiter = RateLimiter(Clock())
    limiter.charge("a", 1, 60)
    limiter.charge("b", 1, 60)
    limiter.keep(frozenset({"a"}))
    assert limiter.charge("a", 1, 60) == 60.0
    assert limiter.charge("b", 1, 60) == 0.0


def test_connections_are_bounded_in_all() -> None:
    """Beyond the total a connection is turned away, until one closes."""
    limiter = ConnectionLimiter(total=2, unauthenticated=2)
    assert [limiter.accept(), limiter.accept(), limiter.accept()] == [True, True, False]
    limiter.closed(None)
    assert limiter.accept()
    assert (limiter.total, limiter.unauthenticated) == (2, 2)


def test_strangers_can_t_take_all_connections() -> None:
    """Connections that have not logged in have a limit of their own, which those who have don't touch."""
    limiter = ConnectionLimiter(total=10, unauthenticated=1)
    assert limiter.accept()
    assert not limiter.accept()
    assert limiter.authenticated("a", 5)
    assert limiter.accept()


def test_an_agent_s_sessions_are_bounded() -> None:
    """An agent at its limit is refused, keeps its sessions, and may come again when one closed."""
    limiter = ConnectionLimiter(total=10, unauthenticated=10)
    for _ in range(3):
        limiter.accept()
    assert [limiter.authenticated("a", 2) for _ in range(3)] == [True, True, False]
    limiter.closed(None)
    assert (limiter.of("a"), limiter.total, limiter.unauthenticated) == (2, 2, 0)
    limiter.closed("a")
    limiter.accept()
    assert limiter.authenticated("a", 2)
    limiter.closed("a")
    limiter.closed("a")
    assert (limiter.of("a"), limiter.total) == (0, 0)


def failures(backoff: LoginBackoff, clock: Clock, count: int) -> list[float]:
    waits = []
    for _ in range(count):
        backoff.failed("a", "10.0.0.1")
        waits.append(backoff.wait("a", "10.0.0.1"))
        clock.now += waits[-1]
    return waits


def test_guessing_gets_slower() -> None:
    """The first tries cost nothing, then each failure doubles the wait up to the longest."""
    clock = Clock()
    waits = failures(LoginBackoff(clock), clock, 14)
    assert waits[: FREE_ATTEMPTS - 1] == [0.0] * (FREE_ATTEMPTS - 1)
    costly = waits[FREE_ATTEMPTS - 1 :]
    assert costly == [min(FIRST_DELAY * 2**n, MAX_DELAY) for n in range(len(costly))]


def test_a_thousand_failures_are_no_overflow() -> None:
    """The wait stays the longest one."""
    backoff = LoginBackoff(Clock())
    for _ in range(2000):
        backoff.failed("a", "10.0.0.1")
    assert backoff.wait("a", "10.0.0.1") == MAX_DELAY


def test_the_right_password_forgets() -> None:
    """A success clears what was counted."""
    clock = Clock()
    backoff = LoginBackoff(clock)
    failures(backoff, clock, 5)
    backoff.succeeded("a", "10.0.0.1")
    backoff.succeeded("nobody", "10.0.0.1")
    assert failures(backoff, clock, 1) == [0.0]


def test_time_forgets() -> None:
    """After FORGET_AFTER without a failure the count begins anew."""
    clock = Clock()
    backoff = LoginBackoff(clock)
    failures(backoff, clock, 8)
    clock.now += FORGET_AFTER
    assert failures(backoff, clock, 1) == [0.0]


def test_others_are_not_locked_out() -> None:
    """Failures from one address hinder neither another address nor another agent."""
    clock = Clock()
    backoff = LoginBackoff(clock)
    for _ in range(10):
        backoff.failed("a", "10.0.0.1")
    assert backoff.wait("a", "10.0.0.1") > 0
    assert backoff.wait("a", "10.0.0.2") == 0.0
    assert backoff.wait("b", "10.0.0.1") == 0.0


def test_memory_is_bounded() -> None:
    """Beyond MAX_REMEMBERED pairs the one that failed longest ago is forgotten."""
    backoff = LoginBackoff(Clock())
    for _ in range(5):
        backoff.failed("a", "first")
    for number in range(MAX_REMEMBERED):
        backoff.failed("a", str(number))
    assert len(backoff) == MAX_REMEMBERED
    assert backoff.wait("a", "first") == 0.0


def test_a_budget_gives_its_burst_and_then_so_much_a_second() -> None:
    """What does not fit is counted until somebody asks; an unused budget does not grow beyond its burst."""
    clock = Clock()
    budget = Budget(clock, per_second=2.0, burst=3.0)
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    assert (budget.dropped(), budget.dropped()) == (2, 0)
    clock.now += 0.5
    assert [budget.take(), budget.take()] == [True, False]
    clock.now += 3600.0
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    assert budget.dropped() == 2
