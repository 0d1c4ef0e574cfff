"""What the server still owes an answer to, in order: the proxy's only picture of the server's state.

Rules (https://www.postgresql.org/docs/current/protocol-flow.html):
- Every forwarded message that is answered has one entry, in the order sent; an answer settles the head.
- An error in the extended protocol makes the server skip everything up to the next Sync: so do we.
- An error in a simple Query does not: its ReadyForQuery follows.
- An answer that does not fit the head is a desynchronised session: it ends.
- What a prepared-statement name means is only settled by ParseComplete; until then every meaning that may
  hold is kept, and a Bind waits until there is one: what runs must be what is on record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter

from dbfirewall.gate import Judge, Verdict
from dbfirewall.proxy.release import Release


class Owed(IntEnum):
    """Kinds of entries, by the message that was sent."""

    QUERY = 0x51
    PARSE = 0x50
    BIND = 0x42
    DESCRIBE = 0x44
    CLOSE = 0x43
    EXECUTE = 0x45
    SYNC = 0x53


class CopyState(IntEnum):
    """COPY FROM STDIN, seen from the agent: none → pending (sent, not answered) → active → none.

    A Query that holds several goes back to pending after each CopyDone but the last.
    """

    NONE = 0
    PENDING = 1
    ACTIVE = 2


class Added(IntEnum):
    """What an entry is that the agent did not send, or not so (`strict.py` only).

    OPEN, CLOSE: the transaction around a unit; BEGIN: the agent's own, in our words; HIDDEN: swallowed whole;
    DESCRIBE: its rows are shown, its absence is not; CHECK: a Describe of ours.
    """

    NO = 0
    OPEN = 1
    CLOSE = 2
    BEGIN = 3
    HIDDEN = 4
    DESCRIBE = 5
    CHECK = 6


class Call:
    """One execution of an allowed statement, from its audit record to its outcome.

    `sent`: the session's byte count when it began. `rows`: DataRows so far (counted where a limit needs it);
    `total`: rows by its command tags. `cut`: the row limit was reached. `ended`: its outcome is recorded.
    `names_sent`: how many meanings of names had been sent before it, where the statement deallocates.
    `portal`, `bind`, `segment`: the Bind that began it (see `portals.py`), its number and segment; for a Query,
    `bind` is the number of the last Bind before it. `release`: what it is run by, where it was held back.
    """

    __slots__ = (
        "audit_id", "bind", "cut", "ended", "judge", "names_sent", "portal", "refused_rows", "release", "rows",
        "segment", "sent", "sql", "started", "total", "verdict",
    )  # fmt: skip

    def __init__(self, audit_id: str, sql: bytes, verdict: Verdict, judge: Judge, sent: int) -> None:
        self.audit_id = audit_id
        self.sql = sql
        self.verdict = verdict
        self.judge = judge
        self.started = perf_counter()
        self.sent = sent
        self.rows = 0
        self.total = 0
        self.cut = False
        self.ended = False
        self.refused_rows = False
        self.names_sent = 0
        self.portal = b""
        self.bind = 0
        self.segment = -1
        self.release: Release | None = None


class Prepared:
    """One meaning of a prepared-statement name. `text`: the audit's `sql_member` of `sql`, made once.

    `oids`: the types of its parameters as Parse gave them. `segment`, `serial`: see `StatementNames`.
    `from_sql`: by PREPARE.
    """

    __slots__ = ("from_sql", "judge", "oids", "segment", "serial", "sql", "text", "verdict")

    def __init__(self, sql: bytes, verdict: Verdict, judge: Judge, *, text: str, oids: bytes = b"") -> None:
        self.sql = sql
        self.oids = oids
        self.verdict = verdict
        self.judge = judge
        self.text = text
        self.from_sql = False
        self.segment = -1
        self.serial = 0


class Pending:
    """One entry. The defaults stand on the class: most entries need none of them, and are made thousands of
    times a second.

    `poison`: the token that stands in the forwarded text; `error`: what the agent gets instead of its error.
    `name`: of the statement or portal; `of_statement`: which of the two a Close closes; `sent_before`: how many
    meanings of names, or Binds, had been sent before it.
    """

    poison: bytes = b""
    error: bytes = b""
    name: bytes = b""
    of_statement: bool = False
    sent_before: int = 0
    prepared: Prepared | None = None
    added: Added = Added.NO

    def __init__(self, kind: Owed, call: Call | None = None) -> None:
        self.kind = kind
        self.call = call


def poisoned(kind: Owed, refused: Refused) -> Pending:
    """The entry of a refusal."""
    entry = Pending(kind)
    entry.poison, entry.error = refused.token, refused.error
    return entry


def parse_entry(name: bytes, prepared: Prepared) -> Pending:
    """The entry of a Parse that goes on."""
    entry = Pending(Owed.PARSE)
    entry.name, entry.prepared = name, prepared
    return entry


def close_entry(name: bytes, sent_before: int, *, of_statement: bool) -> Pending:
    """The entry of a Close."""
    entry = Pending(Owed.CLOSE)
    entry.name, entry.of_statement, entry.sent_before = name, of_statement, sent_before
    return entry


def added_entry(
    kind: Owed, added: Added, call: Call | None = None, prepared: Prepared | None = None
) -> Pending:
    """The entry of a message of our own (`strict.py`)."""
    entry = Pending(kind, call)
    entry.added, entry.prepared = added, prepared
    return entry


BIND = Pending(Owed.BIND)
DESCRIBE = Pending(Owed.DESCRIBE)
SYNC = Pending(Owed.SYNC)


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal ready for the wire: the poison to forward, and the ErrorResponse that replaces its error."""

    token: bytes
    error: bytes


class StatementNames:
    """What each prepared-statement name may mean on the server right now.

    A segment is what lies between two Syncs or Queries. A Bind after a Parse of its own segment can only mean
    that one: had it failed or been skipped, the server would skip the Bind as well. Any other Bind
    waits where there is more than one text that was sent and not answered, or confirmed.
    """

    MAX_BYTES = 32 * 1024 * 1024
    """Security limit: what all meanings together may weigh (twice their texts, and MEANING_BYTES each)."""
    MEANING_BYTES = 400

    def __init__(self) -> None:
        self._names: dict[bytes, deque[Prepared]] = {}
        self._bytes = 0
        self.segment = 0
        self.sent = 0
        """How many meanings were ever sent. What was sent later than a Close is not closed by it."""

    def __len__(self) -> int:
        return len(self._names)

    def next_segment(self) -> None:
        """A Sync or a Query was sent."""
        self.segment += 1

    def meanings(self, name: bytes) -> Sequence[Prepared]:
        """Every meaning that a Bind sent now may find, oldest first; empty where the name is not known."""
        meanings = self._names.get(name)
        if meanings is None:
            return ()
        if len(meanings) > 1 and meanings[-1].segment == self.segment:
            return (meanings[-1],)
        return meanings

    def full(self, sql: bytes) -> bool:
        """Whether one more meaning would be too much."""
        return self._bytes + 2 * len(sql) + self.MEANING_BYTES > self.MAX_BYTES

    def add(self, name: bytes, prepared: Prepared) -> None:
        """`name` was sent to the server with one more meaning."""
        self.sent += 1
        prepared.serial, prepared.segment = self.sent, self.segment
        self._names.setdefault(name, deque()).append(prepared)
        self._bytes += 2 * len(prepared.sql) + self.MEANING_BYTES

    def add_from_sql(self, name: bytes, prepared: Prepared) -> None:
        """A PREPARE of `name` was sent. It has no answer of its own, so it holds until something else is sure."""
        for other in self._names.get(name, ()):
            if other.from_sql and other.sql == prepared.sql:
                self._remove(name, other)
                break
        prepared.from_sql = True
        self.add(name, prepared)
        prepared.segment = -1

    def confirm(self, name: bytes, prepared: Prepared) -> None:
        """ParseComplete: this meaning holds, and older ones are gone."""
        self.forget(name, prepared.serial - 1)

    def withdraw(self, name: bytes, prepared: Prepared) -> None:
        """The server skipped or refused it."""
        if prepared in self._names.get(name, ()):
            self._remove(name, prepared)

    def forget(self, name: bytes, sent: int) -> None:
        """CloseComplete or DEALLOCATE: of this name, the first `sent` meanings that were ever sent are gone."""
        meanings = self._names.get(name)
        while meanings and meanings[0].serial <= sent:
            self._remove(name, meanings[0])

    def forget_all(self, sent: int) -> None:
        """DEALLOCATE ALL or DISCARD ALL."""
        for name in list(self._names):
            self.forget(name, sent)

    def _remove(self, name: bytes, prepared: Prepared) -> None:
        meanings = self._names[name]
        meanings.remove(prepared)
        self._bytes -= 2 * len(prepared.sql) + self.MEANING_BYTES
        if not meanings:
            del self._names[name]
