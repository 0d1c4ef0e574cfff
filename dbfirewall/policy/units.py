"""Durations and rates as rules write them: `30s`, `500ms`, `5m`, `1h`; `600/min`, `10/s`, `1000/h`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DURATION = re.compile(r"([0-9]{1,10})(ms|s|m|min|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_RATE = re.compile(r"([0-9]{1,9})/(s|sec|second|m|min|minute|h|hour|d|day)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MAX_MILLISECONDS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` per `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        unit = {seconds: name for name, seconds in _SECONDS.items()}.get(self.seconds, f"{self.seconds}s")
        return f"{self.count}/{'min' if unit == 'm' else unit}"


def parse_duration(value: object) -> int:
    """Milliseconds of a duration such as `30s`. Raises ValueError for anything else, zero included."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = f"{value!r} is not a duration: write a number and a unit, such as 500ms, 30s, 5m or 1h"
        raise ValueError(msg)
    milliseconds = int(match[1]) * _MILLISECONDS[match[2]]
    if not 0 < milliseconds <= _MAX_MILLISECONDS:
        msg = f"{value!r} is out of range: a duration is between 1ms and 596h"
        raise ValueError(msg)
    return milliseconds


def parse_hold(value: object) -> int:
    """As `parse_duration`, but zero is one, too."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return 0 if match is not None and int(match[1]) == 0 else parse_duration(value)


def parse_rate(value: object) -> Rate:
    """The rate that a text such as `600/min` names. Raises ValueError for anything else, zero included."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        msg = f"{value!r} is not a rate: write a number per s, min, h or day, such as 600/min"
        raise ValueError(msg)
    return Rate(int(match[1]), _SECONDS[match[2][0]])


def show_duration(milliseconds: int) -> str:
    """The shortest text that `parse_duration` reads as `milliseconds`."""
    for unit in ("h", "m", "s"):
        if milliseconds % _MILLISECONDS[unit] == 0:
            return f"{milliseconds // _MILLISECONDS[unit]}{unit}"
    return f"{milliseconds}ms"
