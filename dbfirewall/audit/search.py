"""Finding audit records, and putting statements and their outcomes together again."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dbfirewall.audit.reader import Record

WINDOW: Final = 500
"""Entries held back while the outcome of an older one is awaited."""
MAX_OPEN: Final = 100_000
"""Matching statements whose outcomes are looked out for; the oldest are given up first."""

_AGO: Final = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def parse_time(text: str, now: datetime) -> str:
    """The `ts` of `2026-01-31T12:00:00Z`, `2026-01-31`, or `10m` (ago); UTC where no zone is said.

    Raises ValueError for anything else.
    """
    try:
        if ago := _AGO.fullmatch(text):
            moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime(_TIME_FORMAT)
    except (ValueError, OverflowError):
        msg = f"{text!r} is no time: write 2026-01-31T12:00:00Z, 2026-01-31, or 10m for ten minutes ago"
        raise ValueError(msg) from None


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for: `equal` members, `ts` within [since, until), and a pattern in `sql`."""

    equal: tuple[tuple[str, str], ...] = ()
    since: str = ""
    until: str = "~"
    sql: re.Pattern[str] | None = None

    def matches(self, record: Record) -> bool:
        """Whether `record` is one of those asked for."""
        return (
            all(record.get(name) == value for name, value in self.equal)
            and self.since <= str(record.get("ts")) < self.until
            and (self.sql is None or self.sql.search(record.get("sql") or "") is not None)
        )


def search(records: Iterable[Record], query: Query) -> Iterator[Record]:
    """The records that match, and the outcomes of the statements that do, in their order."""
    awaited: OrderedDict[str, None] = OrderedDict()
    for record in records:
        record_id = str(record.get("id"))
        if record.get("event") == "outcome" and record_id in awaited:
            del awaited[record_id]
            yield record
        elif query.matches(record):
            if record.get("event") == "statement":
                awaited[record_id] = None
                if len(awaited) > MAX_OPEN:
                    awaited.popitem(last=False)
            yield record


@dataclass(slots=True)
class Entry:
    """A record; of a statement, with what became of it, where that is known."""

    record: Record
    outcome: Record | None = None

    @property
    def complete(self) -> bool:
        """Whether no outcome is to be expected any more."""
        return self.outcome is not None or self.record.get("decision") != "allow"


class Merger:
    """Puts outcomes beside their statements, in the statements' order; holds back at most WINDOW entries."""

    def __init__(self) -> None:
        self._queue: deque[Entry] = deque()
        self._open: dict[str, Entry] = {}

    def feed(self, record: Record) -> Iterator[Entry]:
        """Take one record; the entries that are complete now."""
        record_id = str(record.get("id"))
        if record.get("event") == "outcome" and (statement := self._open.pop(record_id, None)):
            statement.outcome = record
        else:
            entry = Entry(record)
            self._queue.append(entry)
            if record.get("event") == "statement":
                self._open[record_id] = entry
        while self._queue and (self._queue[0].complete or len(self._queue) > WINDOW):
            yield self._pop()

    def flush(self) -> Iterator[Entry]:
        """All that is held back, complete or not."""
        while self._queue:
            yield self._pop()

    def _pop(self) -> Entry:
        entry = self._queue.popleft()
        if entry.record.get("event") == "statement":
            self._open.pop(str(entry.record.get("id")), None)
        return entry


def merged(records: Iterable[Record]) -> Iterator[Entry]:
    """Every record as an entry, outcomes beside their statements."""
    merger = Merger()
    for record in records:
        yield from merger.feed(record)
    yield from merger.flush()
