"""The rest of a pipeline, up to its Sync, once a statement in it is released by the extended protocol.

Rules:
- One message at a time: each waits until the server has answered the one before (a Flush is added).
- A command tag goes on to the agent only where it fits; else our error goes in its place, and a poison to the server.
- At Sync a transaction of ours ends first (COMMIT, or ROLLBACK after an error), then the agent's Sync goes on.
- A portal that was left half-way is run to its end before, for its tag, which counts the rows of one Execute alone
  (the server changed all of them at the first). One that was never run is closed.
- Inside a transaction of ours the agent can't begin or end one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbfirewall.approvals.model import State
from dbfirewall.errors import SqlState
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview.talk import ServerError
from dbfirewall.proxy.agent_stream import Handler, Outcome
from dbfirewall.proxy.pending import Call, Owed, poisoned
from dbfirewall.proxy.refusals import error_response, poison_parse, refuse
from dbfirewall.proxy.release import Release, Step, reached
from dbfirewall.wire import messages as m
from dbfirewall.wire.backend import decode_command_complete, decode_error_response, encode_error_response
from dbfirewall.wire.frontend import decode_close, decode_execute

if TYPE_CHECKING:
    from dbfirewall.proxy.gates import Gates

_CONTROL: Final = frozenset({"begin", "commit", "rollback", "savepoint", "two_phase"})

_ENDS: Final = frozenset((m.SYNC, m.QUERY, m.FUNCTION_CALL))
"""Messages that end what a segment is about."""

_NO_CONTROL: Final = ErrorFields(
    SqlState.NOT_UNDERSTOOD,
    "A transaction can't begin or end in a pipeline in which a statement is run with its rows counted.",
    hint="Sync first, or BEGIN before that statement.",
)


class Segment:
    """See the module's rules. `ours`: whether it runs in a transaction of ours."""

    def __init__(self, gates: Gates, *, ours: bool) -> None:
        self._gates = gates
        self._session = gates.session
        self._side = gates.side
        self._aside = gates.aside
        self._approving = gates.session.firewall.approving
        self.ours = ours
        self._releases: list[Release] = []
        self._suspended: dict[bytes, Release] = {}
        self._limit = 0
        self._error = ""
        self._usual = self._side.step_through(self._step)
        server_side = gates.server_side
        before = server_side.handlers
        self._usual_tag, self._usual_error = before[m.COMMAND_COMPLETE], before[m.ERROR_RESPONSE]
        self._before = server_side.divert(before | {
            m.COMMAND_COMPLETE: self._tag,
            m.PORTAL_SUSPENDED: self._suspend,
            m.ERROR_RESPONSE: self._fail,
        }, whole=False)  # fmt: skip

    def add(self, release: Release) -> None:
        """A statement that is going to be bound in it."""
        self._releases.append(release)

    # -- from the agent ---------------------------------------------------------------------------------------

    def _step(self, kind: int, work: Handler, buf: bytes, start: int, end: int) -> Outcome:
        session, side = self._session, self._side
        if kind == m.TERMINATE:
            return work(buf, start, end)
        if session.pending:
            return side.until_quiet()
        if kind in _ENDS:
            return self._gates.start(self._close())
        if session.skipping:
            return work(buf, start, end)
        if (portal := _loses(kind, buf, start, end)) is not None and portal in self._suspended:
            return self._gates.start(self._drain(portal))
        if kind == m.EXECUTE:
            execute = decode_execute(buf, start, end)
            self._limit = max(execute.max_rows, 0)
            call = session.portals.get(execute.portal)
            if call is not None and _controls(call) and not self.ours:
                return self._gates.start(self._close())  # the portals of its transaction end here
            if call is not None and _controls(call):
                return side.poison(Owed.PARSE, session.refused_by(call.sql, _NO_CONTROL, "protocol"))
        return work(buf, start, end)

    # -- from the server --------------------------------------------------------------------------------------

    def _tag(self, buf: bytes, start: int, end: int) -> bytes | None:
        call = self._session.pending[0].call if self._session.pending else None
        release = call.release if call is not None else None
        if call is None or release is None or release not in self._releases:
            return self._usual_tag(buf, start, end)
        self._suspended.pop(call.portal, None)
        problem = self._counted(release, decode_command_complete(buf, start, end))
        cut = self._usual_tag(buf, start, end) if problem is None else None
        if problem is None and cut is None:
            return None
        if problem is not None:
            self._session.pending.popleft()
            call.ended = True
            self._session.end_call(call, None, str(problem.sqlstate))
        self._break()
        return cut if problem is None else error_response(problem)

    def _counted(self, release: Release, tag: bytes) -> ErrorFields | None:
        release.tag(tag.decode("utf-8", "replace"))
        problem = release.complete()
        if problem is None:
            reached(Step.COUNTED)
        return problem

    def _suspend(self, buf: bytes, start: int, end: int) -> bytes | None:
        call = self._session.pending[0].call if self._session.pending else None
        if call is not None and call.release is not None and call.release in self._releases:
            self._suspended[call.portal] = call.release
            call.release.fetched += self._limit
        return self._usual_tag(buf, start, end)

    def _fail(self, buf: bytes, start: int, end: int) -> bytes | None:
        pending = self._session.pending
        if not (pending and pending[0].poison):
            self._error = decode_error_response(buf, start, end).get("M", "")
        return self._usual_error(buf, start, end)

    def _break(self) -> None:
        """Make the server fail here, without a word of it to the agent, which has got our error."""
        session = self._session
        refused = refuse(ErrorFields(SqlState.INTERNAL, ""))
        entry = poisoned(Owed.PARSE, refused)
        entry.error = b""
        session.pending.append(entry)
        session.skipping = True
        session.server_peer.send(poison_parse(refused))

    # -- its end ----------------------------------------------------------------------------------------------

    async def _drain(self, portal: bytes) -> None:
        """Find out the tag of a portal that was left half-way. What it still had to give can't be had any more."""
        release = self._suspended.pop(portal)
        try:
            tag = await self._aside.drain(portal)
            await self._aside.close_portal(portal)
        except ServerError as error:
            self._fails(encode_error_response(error.fields), str(error))
            return
        self._session.portals.close(portal, self._session.portals.sent)
        problem = self._counted(release, tag.encode())
        if problem is not None:
            self._fails(error_response(problem), "")

    def _fails(self, error: bytes, why: str) -> None:
        """What was done must not stay: the agent gets `error`, and the server is made to skip as after any other."""
        session = self._session
        self._error = self._error or why
        session.say(error)
        session.skipping = True

    async def _close(self) -> None:
        session, gates = self._session, self._gates
        for portal in list(self._suspended):
            if not session.skipping:
                await self._drain(portal)
        if session.skipping:
            await self._aside.say_sync()
        for release in self._releases:
            if release.ran and release.problem is None and not session.skipping:
                await self._confirm(release)
        if self.ours:
            await self._end_ours()
        else:
            await self._leave_to_agent()
        self._leave()
        gates.segment = None

    async def _confirm(self, release: Release) -> None:
        """The last look at it, before it stays."""
        try:
            release.problem = await self._approving.confirm(self._aside, release)
        except ServerError as error:
            self._fails(encode_error_response(error.fields), str(error))
            return
        if release.problem is not None:
            self._fails(error_response(release.problem), release.problem.message)

    async def _end_ours(self) -> None:
        """COMMIT or ROLLBACK, and tell the store."""
        session = self._session
        if not session.skipping:
            try:
                await self._aside.commit()
                reached(Step.COMMITTED)
            except ServerError as error:
                self._fails(encode_error_response(error.fields), str(error))
        if self._aside.status != m.STATUS_IDLE:
            await self._aside.run("ROLLBACK")
        for release in self._releases:
            if release.problem is not None:
                await self._settle(release, release.void)
            else:
                stays = release.ran and not session.skipping
                await self._settle(release, State.DONE if stays else State.APPROVED)

    async def _leave_to_agent(self) -> None:
        """Its transaction goes on; what must not stay has to make it fail."""
        session = self._session
        if session.skipping and self._aside.status == m.STATUS_IN_TRANSACTION:
            await self._aside.make_fail()
        for release in self._releases:
            if release.problem is not None:
                await self._settle(release, release.void)
            elif not release.ran:
                await self._settle(release, State.APPROVED)
                if not session.skipping:
                    await self._close_portals(release)

    async def _close_portals(self, release: Release) -> None:
        """It was bound and not run: run later, nobody would count its rows."""
        portals = self._session.portals
        for name in portals.names_of(release):
            await self._aside.close_portal(name)
            portals.close(name, portals.sent)

    async def _settle(self, release: Release, state: State) -> None:
        self._gates.over(release)
        await self._approving.end(release, state, error=release.error or self._error)
        reached(Step.SETTLED)

    def _leave(self) -> None:
        self._side.step_as_usual(self._usual)
        self._gates.server_side.restore(self._before)


def _loses(kind: int, buf: bytes, start: int, end: int) -> bytes | None:
    """The portal that this message would make the server forget; None where there is none."""
    if kind == m.BIND:
        return buf[start : buf.find(0, start, end)]
    if kind == m.CLOSE:
        target = decode_close(buf, start, end)
        return target.name if target.kind == m.TARGET_PORTAL else None
    return None


def _controls(call: Call) -> bool:
    effects = (effect for statement in call.verdict.statements for effect in statement.effects)
    return any(effect.action in _CONTROL for effect in effects)
