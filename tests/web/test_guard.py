"""Guessing at tokens, with a clock of the test's own."""

from __future__ import annotations

from dbfirewall.limits import FREE_ATTEMPTS, MAX_DELAY
from dbfirewall.web.guard import FAILURES_AT_ONCE, Guard


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_address() -> None:
    """Each failure after the free ones doubles the wait, up to the longest; another address is not held up."""
    clock = Clock()
    guard = Guard(clock)
    waits = []
    for _ in range(FREE_ATTEMPTS + 12):
        guard.failed("192.0.2.1")
        waits.append(guard.wait("192.0.2.1"))
        clock.now += waits[-1]
    assert waits[: FREE_ATTEMPTS + 3] == [0.0] * (FREE_ATTEMPTS - 1) + [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == MAX_DELAY
    assert guard.wait("192.0.2.2") == 0.0


def test_success_forgets() -> None:
    """A right token forgets the wrong ones of its address."""
    guard = Guard(Clock())
    for _ in range(FREE_ATTEMPTS):
        guard.failed("192.0.2.1")
    guard.succeeded("192.0.2.1")
    assert guard.wait("192.0.2.1") == 0.0


def test_many_addresses() -> None:
    """Where many addresses fail together, newcomers wait; who was let in before does not; it is forgotten."""
    clock = Clock()
    guard = Guard(clock)
    guard.succeeded("192.0.2.1")
    for number in range(int(FAILURES_AT_ONCE) + 10):
        guard.failed(f"198.51.100.{number}")
    assert guard.wait("203.0.113.1") == 10.0
    assert guard.wait("192.0.2.1") == 0.0
    clock.now += 10.0
    assert guard.wait("203.0.113.1") == 0.0


def test_one_network() -> None:
    """An IPv6 /64 is one address; an IPv4 address in IPv6 is itself; what is no address counts by its name."""
    guard = Guard(Clock())
    for number in range(FREE_ATTEMPTS):
        guard.failed(f"2001:db8::{number:x}")
        guard.failed("::ffff:192.0.2.1")
        guard.failed("testclient")
    assert guard.wait("2001:db8::ffff:1") == guard.wait("192.0.2.1") == guard.wait("testclient") == 1.0
    assert guard.wait("2001:db8:0:1::1") == guard.wait("::ffff:192.0.2.2") == 0.0
