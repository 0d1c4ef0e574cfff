"""What the server still owes an answer to, in order: the proxy's only picture of the server's state.

Rules (https://www.postgresql.org/docs/current/protocol-flow.html):
- Every forwarded message that is answered has one entry, in the order sent; an answer settles the head.
- An error in the extended protocol makes the server skip everything up to the next Sync: so do we.
- An error in a simple Query does not: its ReadyForQuery follows.
- An answer that does not fit the head is a desynchronised session: it ends.
- What a prepared-statement name means is only settled by ParseComplete; until then every meaning that may
  hold is kept, and a Bind must be allowed for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter

from dbfirewall.gate import Judge, Verdict


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
    """

    __slots__ = (
        "audit_id", "cut", "ended", "judge", "refused_rows", "rows", "sent", "sql", "started", "total", "verdict",
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


class Prepared:
    """One meaning of a prepared-statement name. `confirmed`: the server has answered ParseComplete.

    `text`: the audit's `sql_member` of `sql`, made once. `segment`: see `StatementNames`.
    """

    __slots__ = ("confirmed", "judge", "segment", "sql", "text", "verdict")

    def __init__(
        self, sql: bytes, verdict: Verdict, judge: Judge, *, text: str, confirmed: bool = False
    ) -> None:
        self.sql = sql
        self.verdict = verdict
        self.judge = judge
        self.text = text
        self.confirmed = confirmed
        self.segment = -1


class Pending:
    """One entry. The defaults stand on the class: most entries need none of them, and are made thousands of
    times a second.

    `poison`: the token that stands in the forwarded text; `error`: what the agent gets instead of its error.
    `name`: of the statement or portal; `of_statement`: which of the two a Close closes.
    """

    poison: bytes = b""
    error: bytes = b""
    name: bytes = b""
    of_statement: bool = False
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


def close_entry(name: bytes, *, of_statement: bool) -> Pending:
    """The entry of a Close."""
    entry = Pending(Owed.CLOSE)
    entry.name, entry.of_statement = name, of_statement
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
    that one: had it failed or been skipped, the server would skip the Bind as well. Any other Bind must be
    allowed for every meaning that was sent and not answered, and for the one that is confirmed.
    """

    MAX_NAMES = 10_000
    MAX_MEANINGS = 10_000
    MAX_BYTES = 32 * 1024 * 1024
    """Security limits: names, meanings of one name in flight, and bytes of their texts."""

    def __init__(self) -> None:
        self._names: dict[bytes, list[Prepared]] = {}
        self._bytes = 0
        self._segment = 0

    def __len__(self) -> int:
        return len(self._names)

    def next_segment(self) -> None:
        """A Sync or a Query was sent."""
        self._segment += 1

    def meanings(self, name: bytes) -> list[Prepared]:
        """Every meaning that a Bind sent now may find, oldest first; empty where the name is not known."""
        meanings = self._names.get(name)
        if meanings is None:
            return []
        if len(meanings) > 1 and meanings[-1].segment == self._segment:
            return meanings[-1:]
        return meanings

    def full(self, name: bytes, sql: bytes) -> bool:
        """Whether one more meaning of `name` would be too many, or too much."""
        meanings = self._names.get(name)
        if self._bytes + len(sql) > self.MAX_BYTES:
            return True
        return len(self._names) >= self.MAX_NAMES if meanings is None else len(meanings) >= self.MAX_MEANINGS

    def add(self, name: bytes, prepared: Prepared) -> None:
        """`name` was sent to the server with one more meaning."""
        if not prepared.confirmed:
            prepared.segment = self._segment
        self._names.setdefault(name, []).append(prepared)
        self._bytes += len(prepared.sql)

    def confirm(self, name: bytes, prepared: Prepared) -> None:
        """ParseComplete: this meaning holds, and older ones are gone."""
        prepared.confirmed = True
        meanings = self._names[name]
        if meanings[0] is not prepared:
            self._replace(name, meanings[meanings.index(prepared) :])

    def withdraw(self, name: bytes, prepared: Prepared) -> None:
        """The server skipped or refused it."""
        self._replace(name, [other for other in self._names.get(name, []) if other is not prepared])

    def close(self, name: bytes) -> None:
        """CloseComplete: what was confirmed is gone; what was sent after it is not."""
        self._replace(name, [prepared for prepared in self._names.get(name, []) if not prepared.confirmed])

    def _replace(self, name: bytes, meanings: list[Prepared]) -> None:
        before = self._names.pop(name, [])
        self._bytes += sum(len(prepared.sql) for prepared in meanings)
        self._bytes -= sum(len(prepared.sql) for prepared in before)
        if meanings:
            self._names[name] = meanings
