"""What an agent may use up: statements per time, connections, and tries at a password.

Plain arithmetic on an injected clock (seconds, monotonic); no IO, no timers. One thread calls it.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

FREE_ATTEMPTS: Final = 3
"""Failed logins that cost nothing: people mistype."""
FIRST_DELAY: Final = 1.0
"""Seconds to wait after the first failed login that costs something; doubled by each further one."""
MAX_DELAY: Final = 300.0
"""Seconds to wait at the very most."""
FORGET_AFTER: Final = 900.0
"""Seconds without a failed login after which earlier ones are forgotten."""
MAX_REMEMBERED: Final = 10_000
"""(agent, address) pairs remembered; beyond that the one that failed longest ago is forgotten."""


class _Window:
    """When the last `count` statements were: a ring that grows as it is used, 8 bytes a statement."""

    __slots__ = ("count", "next", "times")

    def __init__(self, count: int) -> None:
        self.count = count
        self.times = array("d")
        self.next = 0

    def wait(self, now: float, seconds: float) -> float:
        if len(self.times) < self.count:
            return 0.0
        return max(self.times[self.next] + seconds - now, 0.0)

    def used(self, now: float, seconds: float) -> int:
        return sum(now - time < seconds for time in self.times)

    def add(self, now: float) -> None:
        if len(self.times) < self.count:
            self.times.append(now)
        else:
            self.times[self.next] = now
            self.next = (self.next + 1) % self.count

    def resized(self, count: int) -> _Window:
        """The newest `count` of these times."""
        window = _Window(count)
        in_order = self.times[self.next :] + self.times[: self.next]
        window.times = in_order[max(len(in_order) - count, 0) :]
        return window


class RateLimiter:
    """Statements per time and agent: in no interval of `seconds`, wherever it begins, more than `count`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def charge(self, agent: str, count: int, seconds: float) -> float:
        """Count one statement of `agent`: 0.0 if it may run, else the seconds until one may (not counted)."""
        window = self._windows.get(agent)
        if window is None:
            window = self._windows[agent] = _Window(count)
        elif window.count != count:
            window = self._windows[agent] = window.resized(count)
        now = self._clock()
        wait = window.wait(now, seconds)
        if wait <= 0.0:
            window.add(now)
        return wait

    def used(self, agent: str, seconds: float) -> tuple[int, float]:
        """How many statements of `agent` the last `seconds` saw, and in how many seconds the next may run."""
        window, now = self._windows.get(agent), self._clock()
        return (window.used(now, seconds), window.wait(now, seconds)) if window is not None else (0, 0.0)

    def keep(self, agents: frozenset[str]) -> None:
        """Forget every agent but these: call it when the rules were reloaded."""
        self._windows = {agent: window for agent, window in self._windows.items() if agent in agents}


class ConnectionLimiter:
    """Counts connections: of agents that logged in, of those that have not yet, and of all."""

    def __init__(self, *, total: int, unauthenticated: int) -> None:
        self._max_total = total
        self._max_unauthenticated = unauthenticated
        self._unauthenticated = 0
        self._agents: dict[str, int] = {}
        self._total = 0

    @property
    def total(self) -> int:
        """Connections open now."""
        return self._total

    @property
    def unauthenticated(self) -> int:
        """Connections open now that have not logged in."""
        return self._unauthenticated

    def of(self, agent: str) -> int:
        """Sessions of `agent` open now."""
        return self._agents.get(agent, 0)

    def accept(self) -> bool:
        """Count a new connection; False: there is no room, it is not counted."""
        if self._total >= self._max_total or self._unauthenticated >= self._max_unauthenticated:
            return False
        self._total += 1
        self._unauthenticated += 1
        return True

    def authenticated(self, agent: str, limit: int) -> bool:
        """Count an accepted connection as a session of `agent`; False: `agent` has `limit` already."""
        if self.of(agent) >= limit:
            return False
        self._unauthenticated -= 1
        self._agents[agent] = self.of(agent) + 1
        return True

    def closed(self, agent: str | None) -> None:
        """Count an accepted connection out. `agent`: as whom `authenticated` counted it, or None."""
        self._total -= 1
        if agent is None:
            self._unauthenticated -= 1
        elif self._agents[agent] == 1:
            del self._agents[agent]
        else:
            self._agents[agent] -= 1


class Budget:
    """So many events a second, on average, and up to `burst` at once; the others are only counted."""

    def __init__(self, clock: Callable[[], float], *, per_second: float, burst: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._last = clock()
        self._dropped = 0

    def take(self) -> bool:
        """Whether one more event fits; if not, it is counted."""
        now = self._clock()
        self._left = min(self._left + (now - self._last) * self._per_second, self._burst)
        self._last = now
        if self._left < 1.0:
            self._dropped += 1
            return False
        self._left -= 1.0
        return True

    def dropped(self) -> int:
        """How many events did not fit since this was last asked."""
        count, self._dropped = self._dropped, 0
        return count


class LoginBackoff:
    """Makes guessing slow: after FREE_ATTEMPTS failed logins each further one doubles the wait.

    By agent and address, so that a stranger elsewhere can't lock an agent out. Use the agent name "" for
    every name that is not in the rules, so that made-up names share one count and can't fill the memory.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait(self, agent: str, address: str) -> float:
        """Seconds until this agent may try again from this address; 0.0: now."""
        count, last = self._failures.get((agent, address), (0, 0.0))
        if count < FREE_ATTEMPTS:
            return 0.0
        delay = min(FIRST_DELAY * 2.0 ** min(count - FREE_ATTEMPTS, 60), MAX_DELAY)
        return max(last + delay - self._clock(), 0.0)

    def failed(self, agent: str, address: str) -> None:
        """Count a failed login."""
        now = self._clock()
        count, last = self._failures.pop((agent, address), (0, now))
        if now - last >= FORGET_AFTER:
            count = 0
        self._failures[agent, address] = (count + 1, now)
        if len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, agent: str, address: str) -> None:
        """Forget earlier failures: the password was right."""
        self._failures.pop((agent, address), None)

    def __len__(self) -> int:
        return len(self._failures)
