"""The one place where requests for approval are made, waited for, decided, released and ended.

It stands between a store (dbfirewall.approvals.store) and everybody else: the proxy, the admin listener,
notifications. It knows who may decide (authorize), writes the audit record, keeps the metrics, and looks after what
nobody is waiting for: expiry, forgetting, and releases whose end nobody reported (dbfirewall.approvals.tending).

Rules:

- A vote is in the audit record before it is in force.
- What StoreError comes out of did not happen, or nobody knows; what is gated must not run then.
- Waiting is measured by the loop's monotonic clock, expiry by the wall clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from dbfirewall.approvals import authorize
from dbfirewall.approvals.authorize import Person
from dbfirewall.approvals.deciding import (
    DEFAULT,
    Conflict,
    Default,
    NotAllowed,
    NotFound,
    envelope_after,
    state_after,
    without_rows,
    words,
)
from dbfirewall.approvals.document import document
from dbfirewall.approvals.listening import Listeners, Subscription
from dbfirewall.approvals.model import Envelope, Options, Preview, Request, Snapshot, State, Terms, Vote
from dbfirewall.approvals.releases import Ending, Releases, Resolve, Spawn
from dbfirewall.approvals.store import Query, Store
from dbfirewall.approvals.tending import RETENTION_SECONDS, Tending
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.errors import NotKept, StoreError
from dbfirewall.metrics import Metrics

__all__ = ["DEFAULT", "Approvals", "Conflict", "Default", "NotAllowed", "NotFound", "Record"]

log = logging.getLogger(__name__)


_T = TypeVar("_T")


class Record(Protocol):
    """Something that writes audit events."""

    def __call__(self, event: Event, **members: Scalar) -> object:
        """Write one, durably, before it returns. Raises AuditError."""


class Approvals:
    """See the module's docstring. `instance`: what stays the same when this firewall starts again, and no other has.

    All methods raise StoreError where the store fails, unless they say otherwise.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        record: Record,
        now: Callable[[], float] = time.time,
        *,
        instance: str = "",
        retention: float = RETENTION_SECONDS,
    ) -> None:
        self.store = store
        self.owner = f"{instance or secrets.token_hex(8)}/{secrets.token_hex(8)}"
        self.now = now
        self.metrics = metrics
        self._record = record
        self.closed = False
        self._failed = False
        self._problem = "the store of approvals has not been opened yet"
        self._listeners = Listeners(self.get, store.pending)
        self._releases = Releases(store, self.owner, now)
        self._tending = Tending(self, self._releases, retention)

    # -- life -------------------------------------------------------------------------------------------------

    async def start(self, spawn: Spawn, resolve: Resolve | None = None) -> None:
        """Open the store and begin to look after it. A store that can't be opened now is tried again and again.

        `spawn`: owns the tasks. `resolve`: asked, every few seconds, about each release whose end nobody reported;
        it asks the server, and calls `finish` once it knows.
        """
        self._releases.resolve = resolve
        self.store.on_change(self._listeners.changed)
        spawn("approvals: listeners", self._listeners.run())
        await self._tending.start(spawn)

    async def close(self) -> None:
        """Let go of the store; whoever waits gets StoreError. The tasks are their owner's to cancel."""
        self.closed = True
        self._listeners.close()
        await self.store.close()

    @property
    def available(self) -> str:
        """Empty where the store works as far as is known, else what is wrong with it."""
        return self._problem

    async def ask(self, what: str, answer: Awaitable[_T]) -> _T:
        """The store's `answer`; failures are counted under `what`, and remembered for `available`."""
        try:
            result = await answer
        except NotKept:
            raise
        except StoreError as error:
            self.metrics.approval_store_errors.inc(what)
            self._note(str(error))
            raise
        self._note("")
        return result

    def _note(self, problem: str) -> None:
        if problem == self._problem or self.closed:
            return
        if problem:
            log.warning("gated statements are refused: %s", problem)
        elif self._failed:
            log.info("the store of approvals works again")
        self._problem, self._failed = problem, bool(problem)

    # -- asking -----------------------------------------------------------------------------------------------

    async def submit(
        self, snapshot: Snapshot, terms: tuple[Terms, ...], options: Options
    ) -> tuple[Request, bool]:
        """The live request for this statement, or a new one; and whether it is new. Raises AuditError, too."""
        await self.ask("submit", self._tending.expire())
        request, new = await self.ask("submit", self.store.submit(snapshot, terms, options, self.now()))
        if new:
            self.audit("approval_requested", request, params_sha256=snapshot.parameters_sha256 or None)
        return request, new

    async def wait(self, request_id: str, seconds: float) -> Request:
        """The request once it is no longer pending, or as it is after `seconds`. Raises NotFound.

        A store that fails meanwhile does not end the waiting; StoreError where it can't be read in the end.
        """
        with self._listeners.waiting(request_id) as changed:
            request: Request | None = None
            with contextlib.suppress(StoreError):
                request = await self.get(request_id)
            try:
                async with asyncio.timeout(seconds):
                    while request is None or request.state is State.PENDING:
                        request = await changed()
            except TimeoutError:
                request = await self.get(request_id)
        return request

    async def get(self, request_id: str) -> Request:
        """The request. Raises NotFound."""
        found = await self.ask("get", self.store.get(request_id))
        if found is None:
            raise NotFound(f"there is no request {request_id[:64]!r}")
        return found

    async def list(self, query: Query) -> Sequence[Request]:
        """Requests, newest first."""
        return await self.ask("list", self.store.list(query))

    async def count(self) -> dict[State, int]:
        """How many requests there are, by state."""
        return await self.ask("count", self.store.count())

    def subscribe(self) -> Subscription:
        """Every change from now on: `async with approvals.subscribe() as changes: async for request in changes`.

        None in place of a request: changes were missed, look anew.
        """
        return self._listeners.subscribe()

    async def secret(self, name: str) -> bytes:
        """32 random bytes, the same for every process on this store, and after every restart."""
        return await self.ask("secret", self.store.secret(name))

    async def attach_preview(self, request_id: str, preview: Preview) -> Request | None:
        """Put a preview to a pending request; None where it is pending no more.

        Rows that are too many to be kept are left out. Where there was another preview, votes for that are gone.
        """
        try:
            attached = self.store.attach_preview(request_id, preview, self.now())
            return await self.ask("attach_preview", attached)
        except NotKept:
            preview = without_rows(preview)
            attached = self.store.attach_preview(request_id, preview, self.now())
            return await self.ask("attach_preview", attached)

    async def withdraw(self, request_id: str, note: str) -> Request | None:
        """pending or approved → withdrawn; None where it is neither."""
        request = await self.ask("withdraw", self.store.withdraw(request_id, note, self.now()))
        if request is not None:
            self.audit("approval_withdrawn", request, reason=note)
        return request

    async def mark(
        self, request_id: str, *, agent_gone: bool | None = None, told: bool | None = None
    ) -> None:
        """Note that its agent left or came back, or has been told of its end."""
        await self.ask("mark", self.store.mark(request_id, agent_gone=agent_gone, told=told))

    # -- deciding ---------------------------------------------------------------------------------------------

    async def vote(
        self, request_id: str, *, approver: str, groups: Sequence[str], approve: bool, reason: str = "",
        envelope: Envelope | Default | None = DEFAULT, accept_undo: bool = False, origin: str = "",
        seen: str = "",
    ) -> Request:  # fmt: skip
        """One person's word on a pending request; the request after it.

        `envelope`: DEFAULT, the approver's own, or None (lifted). `seen`: the digest of what was shown to them; where
        it is given, what they saw has to be what there is. Raises NotFound, NotAllowed, Conflict, AuditError.
        """
        person = Person(approver, tuple(groups))
        while True:
            request = await self._votable(request_id)
            if why := authorize.refusal(request, person):
                raise NotAllowed(why)
            shown = str(document(request)["seen"])
            if seen and seen != shown:
                raise Conflict("what was shown has changed since: look again")
            said, place = words(reason), words(origin)
            vote = Vote(approver, approve, self.now(), said, place, shown, person.groups)
            kept = envelope_after(request, vote, envelope, accept_undo) if approve else request.envelope
            done = await self._put(request, vote, kept, request.undo_accepted or accept_undo)
            if done is not None:
                return done

    async def _put(
        self, request: Request, vote: Vote, envelope: Envelope | None, undo_accepted: bool
    ) -> Request | None:
        """Put a vote on record and then in force; None where the request was changed at this very moment."""
        self._audit_vote(request, vote)
        try:
            done = await self.ask("vote", self.store.vote(
                request.id, vote, state_after(request, vote), envelope,
                undo_accepted=undo_accepted, expected=len(request.votes),
            ))  # fmt: skip
        except BaseException as error:  # also where who voted has gone
            self._audit_vote(
                request, vote, f"not in force, as far as is known: {str(error) or type(error).__name__}"
            )
            raise
        if done is None:
            self._audit_vote(request, vote, "not in force: the request was changed at this moment")
        elif done.state is not State.PENDING:
            self.metrics.approval_wait.observe(max(0.0, vote.at - request.created_at))
        return done

    async def _votable(self, request_id: str) -> Request:
        request = await self.get(request_id)
        if request.state is State.PENDING and request.expires_at <= self.now():
            await self.ask("vote", self._tending.expire())
            request = await self.get(request_id)
        if request.state is not State.PENDING:
            raise Conflict(f"it is {request.state} already")
        return request

    async def settle(
        self, request_id: str, *, ran: bool, approver: str, groups: Sequence[str], reason: str = "",
        origin: str = "",
    ) -> Request:  # fmt: skip
        """A person's word on what became of a release whose outcome is not known: it ran (done), or not (approved).

        Raises NotFound, NotAllowed, Conflict, AuditError.
        """
        request = await self.get(request_id)
        if why := authorize.refusal(request, Person(approver, tuple(groups))):
            raise NotAllowed(why)
        if request.state is not State.UNKNOWN:
            raise Conflict(f"it is {request.state}: only what is unknown has to be settled")
        note = f"{approver} found that it {'ran' if ran else 'did not run'}"
        if reason:
            note += f": {words(reason)}"
        self.audit("approval_settled", request, approver=approver, peer=origin, reason=note)
        state = State.DONE if ran else State.APPROVED
        done = await self.ask("settle", self.store.finish(
            request_id, state, self.now(), note=note, affected=request.affected, attempt=request.attempts
        ))  # fmt: skip
        if done is None:
            raise Conflict("somebody else has settled it at this moment")
        return done

    # -- releasing --------------------------------------------------------------------------------------------

    async def begin_release(self, request_id: str, xid: str) -> Request | None:
        """approved → releasing, for one caller ever; None where it is not approved (any more), or has expired.

        `xid`: the server's transaction, empty where it runs in none. After that, exactly one of `finish` and `doubt`
        has to be called. What raises StoreError must not run; should it have been begun in the store all the same,
        it becomes approved again once the store answers.
        """
        return await self.ask("begin_release", self._releases.begin(request_id, xid))

    async def finish(
        self, request_id: str, state: State, *, affected: tuple[int | None, ...] = (), error: str = "",
        note: str = "", xid: str | None = None, attempt: int | None = None,
    ) -> Request | None:  # fmt: skip
        """What became of a release: done, outside, failed, unknown, or approved (rolled back: it may run again).

        After MAX_ATTEMPTS, approved becomes failed. `xid`, `attempt`: of the release that is meant. None where that
        is not releasing or unknown, and where the store does not answer: then it is told as soon as it does. Never
        raises StoreError.
        """
        ending = Ending(state, affected, error, note, xid, attempt)
        try:
            return await self.ask("finish", self._releases.finish(request_id, ending))
        except StoreError:
            return None

    def doubt(self, request_id: str) -> None:
        """Nobody can see what became of a release of this process: `resolve` is asked until it calls `finish`."""
        self._releases.doubt(request_id)

    async def keep_undo(self, request_id: str, sequence: int, document: str, rows: int) -> None:
        """Keep one captured table of a releasing request. Raises NotKept where it is too large."""
        await self.ask("keep_undo", self.store.keep_undo(request_id, sequence, document, rows))

    async def undo(self, request_id: str) -> Sequence[str]:
        """The documents kept by `keep_undo`, by sequence."""
        return await self.ask("undo", self.store.undo(request_id))

    async def mark_undone(self, request_id: str, *, undone: bool) -> bool:
        """See Store.mark_undone: whoever restores rows has to win this first."""
        return await self.ask("mark_undone", self.store.mark_undone(request_id, undone=undone))

    # -- the record -------------------------------------------------------------------------------------------

    def audit(self, event: Event, request: Request, **members: Scalar) -> None:
        """One audit record about a request. Raises AuditError."""
        snapshot = request.snapshot
        about: dict[str, Scalar] = {
            "approval": request.id,
            "session": snapshot.session,
            "agent": snapshot.agent,
            "role": snapshot.role,
            "database": snapshot.database,
            "peer": snapshot.peer,
            "application": snapshot.application,
            "fingerprint": hashlib.sha256(snapshot.sql).hexdigest(),
            "rule": snapshot.rule,
        }
        self._record(event, **(about | members))

    def _audit_vote(self, request: Request, vote: Vote, error: str | None = None) -> None:
        event: Event = "approval_granted" if vote.approve else "approval_denied"
        self.audit(
            event,
            request,
            approver=vote.approver,
            peer=vote.origin,
            reason=vote.reason,
            seen=vote.seen,
            error=error,
        )
