"""What an approver may do, whichever way they came: the API and the console are two faces of this.

A decision is about what was shown: it carries the digest of that, and where the request is another one by now
(its preview was made anew, say) nothing is decided.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

from dbfirewall.approvals.authorize import Person, refusal
from dbfirewall.approvals.document import document
from dbfirewall.approvals.model import Envelope, Request, State
from dbfirewall.approvals.service import DEFAULT, Conflict, Default, NotAllowed, NotFound
from dbfirewall.approvals.store import Query
from dbfirewall.errors import AuditError, DbfirewallError, StoreError
from dbfirewall.preview.talk import ServerError
from dbfirewall.web.auth import Identity
from dbfirewall.web.problems import Problem
from dbfirewall.web.schema import ApproveBody, DenyBody, SettleBody
from dbfirewall.web.state import ConsoleState

_T = TypeVar("_T")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Desk:
    """Looks at requests and decides them, as one approver. Raises Problem for whatever is not done."""

    def __init__(self, state: ConsoleState) -> None:
        self._state = state

    async def listing(self, query: Query) -> Sequence[Request]:
        """Requests, newest first."""
        return await _stored(self._state.approvals.list(query))

    async def one(self, request_id: str) -> Request:
        """The request of that name."""
        if _ID.fullmatch(request_id) is None:
            raise Problem(404, "There is no such request.")
        return await _stored(self._state.approvals.get(request_id))

    def obstacle(self, who: Identity, request: Request) -> str:
        """Why `who` may not decide `request`, in a sentence; empty: they may."""
        return refusal(request, _person(who))

    def concerns(self, who: Identity, request: Request) -> bool:
        """Whether `who` is in a group that has a say in `request`, whatever its state."""
        return any(not terms.groups or who.groups.intersection(terms.groups) for terms in request.terms)

    def shown(self, who: Identity, request: Request) -> dict[str, Any]:
        """The request as a JSON document for `who`."""
        may = request.state is State.PENDING and not self.obstacle(who, request)
        return {**document(request), "may_decide": may}

    async def approve(self, who: Identity, request_id: str, body: ApproveBody) -> Request:
        """Their yes."""
        request = await self.one(request_id)
        return await _stored(
            self._state.approvals.vote(
                request.id,
                approver=who.approver,
                groups=_person(who).groups,
                approve=True,
                reason=body.reason,
                envelope=_envelope(request, body),
                accept_undo=body.accept_undo,
                origin=who.origin,
                seen=body.seen or str(document(request)["seen"]),
            )
        )

    async def deny(self, who: Identity, request_id: str, body: DenyBody) -> Request:
        """Their no."""
        request = await self.one(request_id)
        return await _stored(
            self._state.approvals.vote(
                request.id,
                approver=who.approver,
                groups=_person(who).groups,
                approve=False,
                reason=body.reason,
                origin=who.origin,
                seen=body.seen or "",
            )
        )

    async def settle(self, who: Identity, request_id: str, body: SettleBody) -> Request:
        """What became of it, as they found out."""
        request = await self.one(request_id)
        return await _stored(
            self._state.approvals.settle(
                request.id,
                ran=body.ran,
                approver=who.approver,
                groups=_person(who).groups,
                reason=body.reason,
                origin=who.origin,
            )
        )

    async def renew_preview(self, who: Identity, request_id: str) -> Request:
        """Have its preview made anew."""
        request = await self._own(who, request_id)
        renewed = None
        if request.state is State.PENDING:
            renewed = await _stored(self._state.renew_preview(request))
        if renewed is None:
            raise Problem(409, "A preview is made of a pending request only.")
        return renewed

    async def undo_plan(self, request_id: str) -> tuple[Request, str, list[dict[str, Any]]]:
        """The request, the SQL that restores its rows, and the tables (`name`, `rows`)."""
        request = await self.one(request_id)
        if not request.undo_rows:
            raise Problem(404, "No rows were kept of this request.")
        sql, tables = await _stored(self._state.undo_plan(request))
        return request, sql, tables

    async def apply_undo(self, who: Identity, request_id: str) -> int:
        """Restore its rows; returns how many."""
        request = await self._own(who, request_id)
        if not request.undo_rows:
            raise Problem(404, "No rows were kept of this request.")
        if not await _stored(self._state.approvals.mark_undone(request.id, undone=True)):
            raise Problem(409, "Its rows were restored already, or are being restored just now.")
        try:
            return await _stored(self._state.apply_undo(request, who.approver))
        except ConnectionError as error:
            words = f"The connection to the server was lost: {error}. Look whether it was done."
            raise Problem(503, words) from None
        except DbfirewallError as error:
            await _stored(self._state.approvals.mark_undone(request.id, undone=False))
            if isinstance(error, Problem):
                raise
            status = 409 if isinstance(error, ServerError) else 503
            raise Problem(status, f"It was not done, and nothing has changed: {error}") from None

    async def _own(self, who: Identity, request_id: str) -> Request:
        request = await self.one(request_id)
        if not self.concerns(who, request):
            raise Problem(403, "You are in none of the groups that this request's rule names.")
        return request


def _person(who: Identity) -> Person:
    return Person(who.approver, tuple(sorted(who.groups)))


def _envelope(request: Request, body: ApproveBody) -> Envelope | Default | None:
    """What the approver said of the rows; the counts are those that they saw."""
    preview = request.preview
    counted = preview.rows if preview is not None and preview.enveloped else ()
    if body.envelope == "lifted":
        if body.tolerance is not None or body.rows is not None:
            raise Problem(400, "An envelope that is lifted has no rows and no tolerance.")
        return None
    if body.rows is not None and counted and len(body.rows) != len(counted):
        raise Problem(400, f"`rows` must have one count for each of the {len(counted)} statements.")
    if body.rows is None and not counted:
        if body.tolerance is not None:
            raise Problem(
                400, "There is no count that a tolerance could be of. Give `rows`, or lift the envelope."
            )
        return DEFAULT
    return Envelope.of(counted if body.rows is None else body.rows, body.tolerance)


async def _stored(work: Awaitable[_T]) -> _T:
    """`work`, its errors as Problems."""
    try:
        return await work
    except NotAllowed as error:
        raise Problem(403, str(error)) from None
    except Conflict as error:
        raise Problem(409, str(error)) from None
    except NotFound:
        raise Problem(404, "There is no such request.") from None
    except StoreError as error:
        raise Problem(503, f"The store of approvals does not answer: {error}") from error
    except AuditError as error:
        raise Problem(503, f"The audit record cannot be written, so nothing is decided: {error}") from error
