"""Makes guessing at tokens slow: by address, and over all addresses.

An address that has failed a few times waits, longer and longer (dbfirewall.limits.LoginBackoff). Where many
addresses fail together, those that never succeeded wait as well; who has been let in from elsewhere is not held up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from dbfirewall.limits import MAX_REMEMBERED, LoginBackoff

FAILURES_AT_ONCE: Final = 50.0
"""Security limit: failed attempts of all addresses together before newcomers wait."""
FAILURES_PER_SECOND: Final = 1.0
"""Security limit: how fast those are forgotten."""


class Guard:
    """Counts failed attempts. `clock`: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._backoff = LoginBackoff(clock)
        self._welcome: OrderedDict[str, None] = OrderedDict()
        self._level = 0.0
        self._last = clock()

    def wait(self, address: str) -> float:
        """Seconds until somebody at `address` may try a token; 0.0: now."""
        place = _place(address)
        alone = self._backoff.wait("", place)
        if place in self._welcome:
            return alone
        return max(alone, (self._leak() - FAILURES_AT_ONCE) / FAILURES_PER_SECOND, 0.0)

    def failed(self, address: str) -> None:
        """Count a token from `address` that was nobody's."""
        self._backoff.failed("", _place(address))
        self._level = self._leak() + 1.0

    def succeeded(self, address: str) -> None:
        """Somebody at `address` is an approver."""
        place = _place(address)
        self._backoff.succeeded("", place)
        self._welcome[place] = None
        self._welcome.move_to_end(place)
        if len(self._welcome) > MAX_REMEMBERED:
            self._welcome.popitem(last=False)

    def _leak(self) -> float:
        now = self._clock()
        self._level = max(self._level - (now - self._last) * FAILURES_PER_SECOND, 0.0)
        self._last = now
        return self._level


def _place(address: str) -> str:
    """`address`, or its /64 network: whoever has one IPv6 address has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
