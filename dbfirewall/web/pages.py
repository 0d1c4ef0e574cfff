"""What the console's templates show of a request, worked out so that they only have to write it down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from dbfirewall.approvals.document import document
from dbfirewall.approvals.model import EXACT_UP_TO, Envelope, Request, State, Table
from dbfirewall.web.text import hides

MAX_EFFECTS: Final = 3
"""Effects in a request's title."""

STATES: Final = {
    State.PENDING: ("waiting", "Waiting for a decision"),
    State.APPROVED: ("approved", "Approved"),
    State.RELEASING: ("running", "Running"),
    State.DONE: ("done", "Ran"),
    State.OUTSIDE: ("bad", "Rolled back"),
    State.FAILED: ("bad", "Failed"),
    State.UNKNOWN: ("alarm", "Outcome unknown"),
    State.DENIED: ("denied", "Denied"),
    State.EXPIRED: ("over", "Expired"),
    State.WITHDRAWN: ("over", "Withdrawn"),
}
"""Tone and label of each state."""

EXPLAINED: Final = {
    State.PENDING: "Nothing has run. It runs once, if it is approved and the agent still wants it.",
    State.APPROVED: "It runs once, as soon as the agent sends the same statement again.",
    State.RELEASING: "It is running, or its transaction is still open.",
    State.DONE: "It ran, once.",
    State.OUTSIDE: "It affected another number of rows than was approved, so it was rolled back. Nothing changed.",
    State.FAILED: "The server refused it each time. Nothing changed.",
    State.UNKNOWN: "The connection was lost while it ran, and the server cannot say what became of it. "
    "Look at the data, then settle it here.",
    State.DENIED: "It did not run. The agent was told the reason.",
    State.EXPIRED: "It did not run: the time was up.",
    State.WITHDRAWN: "It did not run: what it stood for has changed.",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a sample; `after` where an UPDATE would change it."""

    before: str | None
    after: str | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows for people. `verb`: what would happen to them."""

    name: str
    verb: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """One request, ready for a template. Lists ask for little of it, so the rest is worked out when it is asked for.

    `left`: seconds until it expires. `holding`: seconds that the agent's connection waits for the decision, at most;
    0: it has its ticket.
    """

    request: Request
    tone: str
    label: str
    explained: str
    left: float
    holding: float
    approved_by: tuple[str, ...]
    still_needed: int

    @cached_property
    def title(self) -> str:
        """What it does, in a few words."""
        return title(self.request)

    @cached_property
    def rows(self) -> str:
        """What is known of the number of rows, in a few words."""
        return _rows(self.request)

    @cached_property
    def sql(self) -> str:
        """The statement; what is no UTF-8 as `\\xNN`."""
        return self.request.snapshot.sql.decode("utf-8", "backslashreplace")

    @cached_property
    def document(self) -> dict[str, Any]:
        """As the API gives it."""
        return document(self.request)

    @cached_property
    def hides(self) -> bool:
        """Whether statement or parameters hold what a reader would not see."""
        return hides(self.sql) or any(hides(item["value"] or "") for item in self.document["parameters"])

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The preview's rows."""
        preview = self.request.preview
        return tuple(_sample(table, self.request) for table in preview.tables) if preview else ()

    @cached_property
    def default_envelope(self) -> Envelope | None:
        """What an approval is within, unless its approver says otherwise."""
        preview = self.request.preview
        return Envelope.of(preview.rows) if preview and preview.enveloped else None


def shown(request: Request, now: float) -> Shown:
    """`request` as of `now` (Unix seconds)."""
    tone, label = STATES[request.state]
    approved = tuple(dict.fromkeys(vote.approver for vote in request.votes if vote.approve))
    return Shown(
        request=request,
        tone=tone,
        label=label,
        explained=EXPLAINED[request.state],
        left=max(request.expires_at - now, 0.0),
        holding=_holding(request, now),
        approved_by=approved,
        still_needed=max((terms.count for terms in request.terms), default=1) - len(approved),
    )


def title(request: Request) -> str:
    """`update public.orders, delete public.items and 2 more`."""
    told = [f"{action} {name}".strip() for action, name in dict.fromkeys(_deeds(request))]
    if not told:
        return request.snapshot.rule or "statement"
    more = len(told) - MAX_EFFECTS
    return ", ".join(told[:MAX_EFFECTS]) + (f" and {more} more" if more > 0 else "")


def _deeds(request: Request) -> Iterable[tuple[str, str]]:
    """The effects that change something; all of them where it only reads."""
    effects = request.snapshot.effects
    return [one for one in effects if one[0] not in ("select", "call")] or effects


def _holding(request: Request, now: float) -> float:
    snapshot, options = request.snapshot, request.options
    if request.state is not State.PENDING or request.agent_gone:
        return 0.0
    if snapshot.in_transaction and not options.hold_in_transaction:
        return 0.0
    return max(min(request.created_at + options.hold, request.expires_at) - now, 0.0)


def _rows(request: Request) -> str:
    """What is known of the number of rows, in a few words."""
    counts = request.affected
    if counts:
        return f"{_sum(counts)} affected"
    preview = request.preview
    if preview is None:
        return "preview not made yet" if request.state is State.PENDING else ""
    if preview.rows:
        return _sum(preview.rows)
    return "" if preview.estimate is None else f"about {preview.estimate:,.0f} rows (estimate)"


def _sum(counts: tuple[int | None, ...]) -> str:
    told = ["?" if count is None else f"{count:,}" for count in counts]
    return " + ".join(told) + (" row" if told == ["1"] else " rows")


def _sample(table: Table, request: Request) -> Sample:
    after = table.after if len(table.after) == len(table.rows) else ()
    rows = []
    for number, row in enumerate(table.rows):
        later = after[number] if after else row
        rows.append(tuple(Cell(old, new, old != new) for old, new in zip(row, later, strict=False)))
    changed = tuple(
        name
        for place, name in enumerate(table.columns)
        if any(row[place].changed for row in rows if place < len(row))
    )
    return Sample(table.name, _verb(table, request), table.columns, tuple(rows), changed)


def _verb(table: Table, request: Request) -> str:
    if table.after:
        return "changed"
    actions = {action for action, name in request.snapshot.effects if name == table.name} or {
        action for action, _ in request.snapshot.effects
    }
    for action, verb in (
        ("delete", "deleted"),
        ("truncate", "deleted"),
        ("drop", "dropped"),
        ("insert", "inserted"),
    ):
        if action in actions:
            return verb
    return "affected"


def tolerance_words(envelope: Envelope) -> str:
    """The default envelope in words."""
    counts = _sum(envelope.rows)
    return (
        f"exactly {counts}" if envelope.tolerance == 0 else f"{counts}, {envelope.tolerance:.0%} more or less"
    )


EXACT_HINT: Final = f"Exact up to {EXACT_UP_TO} rows, then 10 % more or less."
