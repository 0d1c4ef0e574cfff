"""What a vote changes, and why it may not: pure."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Final

from dbfirewall.approvals import authorize
from dbfirewall.approvals.codec import plain
from dbfirewall.approvals.model import Envelope, Preview, Request, State, Vote
from dbfirewall.errors import DbfirewallError

MAX_REASON: Final = 1000
"""Characters kept of a reason that a person gave."""


class Default(Enum):
    """The type of DEFAULT."""

    DEFAULT = "default"


DEFAULT: Final = Default.DEFAULT
"""As an envelope: the one around the preview's counts."""


class NotAllowed(DbfirewallError):  # noqa: N818  what it is, not that it is one
    """This person may not do this; `str()` says why, to them."""


class Conflict(DbfirewallError):  # noqa: N818  what it is, not that it is one
    """The request is not in a state for this; `str()` says why, to the person who tried."""


class NotFound(DbfirewallError):  # noqa: N818  what it is, not that it is one
    """There is no such request."""


def words(text: str) -> str:
    """What a person typed, as every store, log and error message can carry it."""
    return plain(text)[:MAX_REASON]


def without_rows(preview: Preview) -> Preview:
    """`preview` without what makes it large; the counts stay."""
    notes = tuple(note[:MAX_REASON] for note in preview.notes[:20])
    notes += ("What there was to show is too large to be kept.",)
    problem = preview.undo_problem[:MAX_REASON]
    return replace(preview, tables=(), objects=(), plan="", notes=notes, undo_problem=problem)


def state_after(request: Request, vote: Vote) -> State:
    """The state of a pending request once `vote` is added."""
    if not vote.approve:
        return State.DENIED
    votes = (*request.votes, vote)
    granted = authorize.satisfied(request.terms, votes, request.snapshot.agent)
    return State.APPROVED if granted else State.PENDING


def envelope_after(
    request: Request, vote: Vote, wanted: Envelope | Default | None, accept_undo: bool
) -> Envelope | None:
    """The envelope once `vote` approves: the narrower of its own and that of votes before it. Raises Conflict."""
    if any(vote.approver == before.approver for before in request.votes):
        raise Conflict("you have approved it already: it needs somebody else, too")
    preview = request.preview
    if preview is None and request.options.preview != "none" and wanted is DEFAULT:
        raise Conflict(
            "the preview is still being made: wait for it, or lift the envelope to approve without it"
        )
    if request.options.undo and preview is not None and not preview.undo and not accept_undo:
        problem = preview.undo_problem or "it can't be captured"
        raise Conflict(f"there will be no undo: {problem}. Say that you accept this to approve it")
    if isinstance(wanted, Default):
        wanted = Envelope.of(preview.rows) if preview is not None and preview.enveloped else None
    if not request.votes:
        return wanted
    try:
        return authorize.narrower(request.envelope, wanted)
    except ValueError:
        rows = request.envelope.rows if request.envelope is not None else ()
        count = " and ".join("any number of" if one is None else str(one) for one in rows)
        raise Conflict(
            f"it was approved for {count} rows before: approve it for as many, or deny it"
        ) from None
