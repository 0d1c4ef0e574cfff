"""The release of one held-back statement: what it may do, what it did, and what is made of the difference.

A release is made for a statement that an approval opens, for one that may change so many rows at most, or both::

    OPENED ─▶ NAMED ─▶ MARKED ─▶ KEPT ─▶ SENT ─▶ COUNTED ─▶ COMMITTED ─▶ SETTLED

OPENED: inside a transaction. NAMED: the server's name of it (xid) is known. MARKED: the store has it, and no other
release of the same approval begins. KEPT: the rows for undo are read. SENT: the statement is on its way. COUNTED: its
command tags fit. COMMITTED: the server says so. SETTLED: the store has what came of it.

Wherever this is broken off after MARKED, the server itself is asked later what became of the transaction of that
name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from dbfirewall.approvals.model import Envelope, Request, State
from dbfirewall.gate import Verdict
from dbfirewall.policy import refusal
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview.envelope import tag_rows
from dbfirewall.preview.undo import Captured


class Step(Enum):
    """See the module's diagram; SUBMITTED, TOLD and APPROVED come before it."""

    SUBMITTED = "submitted"
    TOLD = "told"
    APPROVED = "approved"
    OPENED = "opened"
    NAMED = "named"
    MARKED = "marked"
    KEPT = "kept"
    SENT = "sent"
    COUNTED = "counted"
    COMMITTED = "committed"
    SETTLED = "settled"


def reached(step: Step) -> None:
    """A step is made. Each of them passes here, so that tests can end the process at every one."""


class Interrupted(Exception):  # noqa: N818  an event, not an error
    """The agent cancelled a statement while it was held. `approval`: the request that it waited for."""

    def __init__(self, approval: str) -> None:
        self.approval = approval
        super().__init__(approval)


class Way(Enum):
    """Around a statement: a transaction of ours, the agent's own, or none that we could roll back."""

    OURS = "ours"
    AGENTS = "agents"
    PLAIN = "plain"


@dataclass(slots=True)
class Release:
    """One statement (or simple Query of several) on its way. `request`: None where it needs only its caps held.

    `counted`: of each statement, whether its tag tells the rows it changed. `tags`: as they have come.
    `fetched`: rows that came before the last Execute of its portal, whose tag does not count them.
    `reads`: whether it only reads, so that nothing is lost where it fails half-way. `ran`: to its end.
    `standing`: what it touches, as other sessions saw it before it ran. `problem`: why it must be undone.
    `void`: what becomes of its approval then. `error`: what it failed with.
    """

    verdict: Verdict
    way: Way
    counted: tuple[bool, ...]
    request: Request | None = None
    reads: bool = False
    captured: tuple[Captured, ...] = ()
    tags: list[str] = field(default_factory=list)
    fetched: int = 0
    affected: tuple[int | None, ...] = ()
    ran: bool = False
    standing: str = ""
    void: State = State.OUTSIDE
    problem: ErrorFields | None = None
    error: str = ""

    def tag(self, tag: str) -> ErrorFields | None:
        """The next statement's command tag; why it all must be undone, where it must."""
        number = len(self.tags)
        self.tags.append(tag)
        told = number < len(self.counted) and self.counted[number]
        rows = tag_rows(tag) if told else None
        self.affected += (None if rows is None else rows + self.fetched,)
        if self.problem is None:
            self.problem = self._over_cap(number) or self._outside(self.affected)
        return self.problem

    def complete(self) -> ErrorFields | None:
        """The last tag has come: why it all must be undone, where it must."""
        self.ran = True
        if self.problem is None:
            self.problem = self._outside(self.affected, whole=True)
        return self.problem

    def _over_cap(self, number: int) -> ErrorFields | None:
        caps = self.verdict.caps
        cap = caps[number] if number < len(caps) else None
        actual = self.affected[number]
        if cap is None or (actual is not None and actual <= cap):
            return None
        return refusal.over_cap(self.verdict.decision, cap=cap, actual=actual)

    def _outside(self, affected: tuple[int | None, ...], *, whole: bool = False) -> ErrorFields | None:
        """`whole`: all tags have come; else only those that came are looked at."""
        request = self.request
        envelope = request.envelope if request is not None else None
        if request is None or envelope is None or self.way is Way.PLAIN:
            return None
        rows = envelope.rows if whole else envelope.rows[: len(affected)]
        if Envelope(rows, envelope.tolerance).holds(affected):
            return None
        return refusal.outside(self.verdict.decision, request.id, approved=envelope.rows, actual=affected)
