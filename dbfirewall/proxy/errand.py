"""One held-back statement's errand: from where the agent's stream stopped to where it goes on.

What is said to the server meanwhile is said aside (`Aside`), and nothing of it is left behind where the statement
does not run. A statement of the extended protocol that may run is handed to a `Segment`, which follows it to its end;
a simple Query is run here (`Relay`).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from dbfirewall.approvals.authorize import satisfied
from dbfirewall.approvals.model import Request, State
from dbfirewall.errors import SqlState, StoreError
from dbfirewall.policy import refusal
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview import envelope, undo
from dbfirewall.preview.talk import ServerError, Talk
from dbfirewall.proxy.asking import Asking, Held, No
from dbfirewall.proxy.inband import supply
from dbfirewall.proxy.relay import Relay
from dbfirewall.proxy.release import Release, Step, Way, reached
from dbfirewall.proxy.segment import Segment
from dbfirewall.wire import messages as m

if TYPE_CHECKING:
    from dbfirewall.proxy.gates import Gates

OWN_NAME = "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text"

CHANGED = "what it touches has been redefined since it was asked for."
OTHER_TERMS = "the rules have changed since, and want other approvers."
WEAK = "its rows are to be kept for undo, and this transaction could see other ones than the statement"
WEAK_HINT = "Send it outside of a transaction, or BEGIN ISOLATION LEVEL REPEATABLE READ."


NOT_STRICT = ErrorFields(
    SqlState.NOT_UNDERSTOOD,
    "The firewall's own tables can't be read in a session with pin: strict.",
    hint="Read them in a session of a role that is not pinned so.",
)


class Place(Enum):
    """In which transaction the agent's stream stands: in none, ours, or the agent's own block.

    UNSYNCED: in an implicit one, in a block, or in none, as only the server knows before the next Sync.
    """

    OUTSIDE = "outside"
    UNSYNCED = "unsynced"
    OURS = "ours"
    AGENTS = "agents"


class Errand:
    """See the module's docstring."""

    def __init__(self, gates: Gates, held: Held) -> None:
        self._gates = gates
        self._session = gates.session
        self._approving = gates.session.firewall.approving
        self._held = held
        self._aside = gates.aside
        self._strict = gates.session.role.pin == "strict"
        self._manner = envelope.release(held.sql)
        self._place = self._where()
        self._way = Way.AGENTS if self._place is Place.AGENTS else Way.OURS
        self._opened = False
        self._release: Release | None = None

    def _where(self) -> Place:
        session, segment = self._session, self._gates.segment
        if segment is not None and segment.ours:
            return Place.OURS
        if session.portals.segment == session.names.segment and not self._strict:
            # Something was bound since the last Sync: what it did lasts until the next one, a BEGIN or COMMIT too.
            return Place.UNSYNCED
        return Place.OUTSIDE if session.status == m.STATUS_IDLE else Place.AGENTS

    async def run(self) -> None:
        """Until the stream can go on. Raises ConnectionError where the session ends meanwhile."""
        self._aside.sync = self._place is not Place.UNSYNCED
        try:
            answer = await self._answer()
        except ServerError as error:
            answer = No(server_words(error))
            if not self._aside.sync:
                await self._aside.say_sync()
        finally:
            self._aside.sync = True
        if answer is not None:
            self._gates.answer(self._held, answer)

    async def _answer(self) -> No | Release | None:
        held, session, verdict = self._held, self._session, self._held.verdict
        gated = verdict.outcome == "gate"
        if session.status == m.STATUS_FAILED:
            if gated:
                return No(refusal.failed_transaction(verdict.decision))
            return Release(verdict, Way.PLAIN, ())  # for the server to refuse
        if self._place is Place.OUTSIDE and held.prepared is not None and not self._strict:
            # Parse alone takes locks, which last until the next Sync.
            await self._aside.say_sync()
        if verdict.virtual and (refused := await self._supply()) is not None:
            return refused
        if not gated and verdict.cap is None:
            return Release(verdict, Way.PLAIN, ())
        if not gated:
            return await self._within_caps()
        if self._strict:
            async with self._approving.side(session.role.name, session.database) as talk:
                return await self._gated(talk)
        return await self._gated(self._aside)

    async def _supply(self) -> No | None:
        """Give the server the rows of the firewall's own tables that it reads."""
        if self._strict:
            return No(NOT_STRICT)
        fields = await supply(self._session, self._aside, self._held.verdict.virtual)
        return None if fields is None else No(fields)

    # -- what needs approval ----------------------------------------------------------------------------------

    async def _gated(self, talk: Talk) -> No | Release | None:
        held, session = self._held, self._session
        if held.prepared is None and len(held.verdict.statements) == 1 and not self._strict:
            # Nobody is asked about what the server does not understand. A Bind's Parse has been through that.
            await self._aside.analyse(held.sql)
        asking = Asking(self._gates, held, talk, self._types)
        request = await asking.ask(in_transaction=self._place is not Place.OUTSIDE)
        if isinstance(request, No):
            return request
        reached(Step.APPROVED)
        if session.judge is not held.judge:
            return None  # judged anew by the rules of now, and then asked for again if need be
        if not satisfied(asking.terms, request.votes, session.agent):
            return await self._void(asking, request, OTHER_TERMS)
        if self._manner.reads or self._strict or not self._manner.wrapped:
            self._way = Way.PLAIN
        wanted = ""
        if asking.options.undo and self._way is not Way.PLAIN and not request.undo_accepted:
            wanted = undo.isolation(held.sql)
        if wanted and not await self._sees_as_much_as(wanted):
            return No(refusal.no_request(held.verdict.decision, WEAK, WEAK_HINT), request.id)
        try:
            return await self._redeem(asking, request, wanted, talk)
        except StoreError:
            await self._break_off(State.APPROVED)
            return No(refusal.store_unavailable(held.verdict.decision), request.id)
        except undo.UndoError as error:
            await self._break_off(State.WITHDRAWN, note=str(error))
            return No(refusal.withdrawn(held.verdict.decision, request.id, note=str(error)), request.id)
        except ServerError as error:
            await self._break_off(State.APPROVED, error=str(error))
            raise

    async def _types(self) -> tuple[int, ...]:
        """The types of the parameters as the server has them; empty where it can't be asked."""
        return () if self._strict else await self._aside.parameter_types(self._held.statement)

    async def _redeem(
        self, asking: Asking, request: Request, isolation: str, talk: Talk
    ) -> No | Release | None:
        held, approvals = self._held, self._approving.approvals
        if approvals is None:
            return No(refusal.store_unavailable(held.verdict.decision))
        name = standing = ""
        if self._way is not Way.PLAIN:
            standing = await self._approving.standing(request, held.verdict)
            await self._open(isolation)
            name = str((await self._aside.run(OWN_NAME)).rows[0][0])
            reached(Step.NAMED)
        if await asking.definitions(talk) != request.snapshot.definitions:
            await self._break_off(State.APPROVED)
            return await self._void(asking, request, CHANGED)
        begun = await approvals.begin_release(request.id, name)
        if begun is None:
            await self._break_off(State.APPROVED)
            return asking.no(await approvals.get(request.id))
        release = Release(held.verdict, self._way, self._manner.counted, begun, reads=self._manner.reads)
        release.standing = standing
        self._release = release
        self._gates.keep(release)
        self._session.audit.event("approval_redeemed", approval=request.id)
        reached(Step.MARKED)
        if isolation:
            release.captured = await undo.capture(
                self._aside, held.sql, asking.parameters, held.verdict.statements
            )
            reached(Step.KEPT)
        return await self._hand_over(release)

    async def _void(self, asking: Asking, request: Request, note: str) -> No:
        """The approval no longer stands for what would run."""
        approvals = self._approving.approvals
        try:
            withdrawn = None if approvals is None else await approvals.withdraw(request.id, note)
        except StoreError:
            withdrawn = None
        if withdrawn is not None:
            return asking.no(withdrawn)
        return No(refusal.withdrawn(self._held.verdict.decision, request.id, note=note), request.id)

    async def _sees_as_much_as(self, isolation: str) -> bool:
        """Whether what is read for undo is what the statement will find."""
        if isolation == "READ COMMITTED" or self._place is Place.OUTSIDE:
            return True
        result = await self._aside.run("SELECT pg_catalog.current_setting('transaction_isolation')")
        return result.rows[0][0] in ("repeatable read", "serializable")

    # -- what may change so many rows -------------------------------------------------------------------------

    async def _within_caps(self) -> No | Release | None:
        verdict = self._held.verdict
        if not self._manner.wrapped:
            return No(refusal.over_cap(verdict.decision, cap=verdict.cap or 0, actual=None))
        await self._open("")
        return await self._hand_over(Release(verdict, self._way, self._manner.counted))

    # -- the transaction --------------------------------------------------------------------------------------

    async def _open(self, isolation: str) -> None:
        """Be inside a transaction that can be rolled back."""
        if self._place in (Place.AGENTS, Place.OURS):
            return
        self._opened = await self._aside.begin(isolation if self._place is Place.OUTSIDE else "")
        if not self._opened:
            self._place, self._way = Place.AGENTS, Way.AGENTS
        reached(Step.OPENED)

    async def _break_off(self, state: State, *, note: str = "", error: str = "") -> None:
        """Nothing of this statement has run, and nothing of ours stays."""
        if self._opened:
            await self._aside.run("ROLLBACK")
        if self._release is not None:
            self._gates.over(self._release)
            await self._approving.end(self._release, state, note=note, error=error)

    async def _hand_over(self, release: Release) -> Release | None:
        gates = self._gates
        if release.way is Way.PLAIN:
            return release
        if self._held.prepared is None:
            await Relay(gates, self._held, release).run()
            gates.done(self._held)
            return None
        if gates.segment is None:
            gates.segment = Segment(gates, ours=release.way is Way.OURS)
        gates.segment.add(release)
        return release


def server_words(error: ServerError) -> ErrorFields:
    """What the server said, for the agent."""
    fields = error.fields
    return ErrorFields(
        error.sqlstate or "XX000", fields.get("M", ""), fields.get("D", ""), fields.get("H", "")
    )
