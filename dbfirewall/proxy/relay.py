"""A simple Query that is released: run inside a transaction, its end kept from the agent until that is final.

Rows go to the agent as they come. What is kept back is its last command tag, or its error, and ReadyForQuery.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dbfirewall.approvals.model import State
from dbfirewall.errors import SqlState
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview.talk import ServerError
from dbfirewall.proxy.asking import Held
from dbfirewall.proxy.pending import Call, Owed, Pending
from dbfirewall.proxy.refusals import error_response
from dbfirewall.proxy.release import Release, Step, Way, reached
from dbfirewall.proxy.server_side import out_of_step
from dbfirewall.wire import messages as m
from dbfirewall.wire.backend import (
    decode_command_complete,
    decode_error_response,
    decode_ready_for_query,
    encode_error_response,
    encode_ready_for_query,
)
from dbfirewall.wire.frontend import encode_query

if TYPE_CHECKING:
    from dbfirewall.proxy.gates import Gates


class Relay:
    """See the module's docstring."""

    def __init__(self, gates: Gates, held: Held, release: Release) -> None:
        self._gates = gates
        self._session = gates.session
        self._approving = gates.session.firewall.approving
        self._aside = gates.aside
        self._held = held
        self._release = release
        self._call: Call | None = None
        self._kept = b""
        self._failed = ""
        """The SQLSTATE of what it failed with."""
        self._done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Run it, decide what becomes of it, and give the agent its end. Raises ConnectionError."""
        session, release = self._session, self._release
        status = await self._relay()
        if release.problem is None and not self._failed:
            await self._confirm()
        if release.problem is not None:
            self._fails_with(release.problem)
        if release.way is Way.AGENTS:
            status = await self._in_agents_transaction(status)
        else:
            await self._end_ours()
            status = m.STATUS_IDLE
        if self._call is not None and not self._call.ended:
            session.end_call(self._call, self._call.total, self._failed or None)
        session.firewall.audit.flush()
        session.status = status
        session.say(self._kept + encode_ready_for_query(status))
        if status == m.STATUS_IDLE:
            session.became_idle()

    # -- the Query itself -------------------------------------------------------------------------------------

    async def _relay(self) -> int:
        """Send it; the transaction's status after it."""
        session, held, release, server_side = (
            self._session,
            self._held,
            self._release,
            self._gates.server_side,
        )
        session.names.next_segment()
        call = self._call = session.begin_call(held.sql, held.verdict, release=release)
        session.take_empty_names()
        session.pending.append(Pending(Owed.QUERY, call))
        usual = server_side.handlers
        self._usual_tag, self._usual_error = usual[m.COMMAND_COMPLETE], usual[m.ERROR_RESPONSE]
        before = server_side.divert(usual | {
            m.COMMAND_COMPLETE: self._tag,
            m.EMPTY_QUERY_RESPONSE: self._tag,
            m.ERROR_RESPONSE: self._error,
            m.READY_FOR_QUERY: self._ready,
        }, whole=False)  # fmt: skip
        self._gates.watch(self._lost)
        session.firewall.audit.flush()
        text = held.verdict.forward
        session.server_peer.send(held.raw if text is None else encode_query(text))
        reached(Step.SENT)
        try:
            return await self._done
        finally:
            self._gates.watch(None)
            server_side.restore(before)

    def _tag(self, buf: bytes, start: int, end: int) -> bytes | None:
        """A statement of it has ended; the last one's tag is kept."""
        release = self._release
        cut = self._usual_tag(buf, start, end)
        if cut is not None:
            self._failed, self._kept = SqlState.LIMIT, cut
            return b""
        tag = decode_command_complete(buf, start, end) if end > start else b""
        release.tag(tag.decode("utf-8", "replace"))
        if len(release.tags) < len(release.counted) and release.problem is None:
            return None
        if not self._failed:
            self._kept = buf[start - m.HEADER : end]
        return b""

    def _error(self, buf: bytes, start: int, end: int) -> bytes:
        replaced = self._usual_error(buf, start, end)
        fields = decode_error_response(buf, start, end)
        self._failed = self._failed or fields.get("C", SqlState.INTERNAL)
        self._release.error = fields.get("M", "")
        self._kept = buf[start - m.HEADER : end] if replaced is None else replaced
        return b""

    def _ready(self, buf: bytes, start: int, end: int) -> bytes:
        session = self._session
        if not session.pending or session.pending[0].call is not self._call:
            raise out_of_step()
        session.pending.popleft()
        status = decode_ready_for_query(buf, start, end)
        if not self._failed:
            self._release.complete()
        self._gates.server_side.after_walk(lambda: self._over(status))
        return b""

    def _over(self, status: int) -> None:
        if not self._done.done():
            self._done.set_result(status)

    def _lost(self) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError("the session has ended"))

    # -- its end ----------------------------------------------------------------------------------------------

    def _fails_with(self, fields: ErrorFields) -> None:
        self._failed, self._kept = str(fields.sqlstate), error_response(fields)

    async def _confirm(self) -> None:
        """The last look at it, before it stays."""
        try:
            self._release.problem = await self._approving.confirm(self._aside, self._release)
        except ServerError as error:
            self._fails_as(error)

    def _fails_as(self, error: ServerError) -> None:
        self._failed = error.sqlstate or SqlState.INTERNAL
        self._release.error = str(error)
        self._kept = encode_error_response(error.fields)

    async def _end_ours(self) -> None:
        """COMMIT or ROLLBACK, and tell the store."""
        release, state = self._release, State.DONE
        if not self._failed:
            reached(Step.COUNTED)
            try:
                await self._aside.commit()
                reached(Step.COMMITTED)
            except ServerError as error:
                self._fails_as(error)
        if self._failed and self._aside.status != m.STATUS_IDLE:
            await self._aside.run("ROLLBACK")
        if self._failed:
            state = release.void if release.problem is not None else State.APPROVED
        await self._settle(state)

    async def _in_agents_transaction(self, status: int) -> int:
        """What must not stay is made to fail there as well, so that the agent can only roll back."""
        if not self._failed:
            reached(Step.COUNTED)
            return status
        if status != m.STATUS_FAILED:
            await self._aside.make_fail()
            status = m.STATUS_FAILED
        await self._settle(self._release.void if self._release.problem is not None else State.APPROVED)
        return status

    async def _settle(self, state: State) -> None:
        self._gates.over(self._release)
        await self._approving.end(self._release, state, error=self._release.error)
        reached(Step.SETTLED)
