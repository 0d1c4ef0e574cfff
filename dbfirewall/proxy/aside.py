"""Words between the firewall and the server on an agent's own connection, while the agent's stream is held.

Rules:
- Only where nothing is pending: then every answer that comes is ours, but for what a server says unasked.
- Nothing of the agent's is touched: names are our own, and the unnamed statement and portal stay.
- A Sync ends an implicit transaction: where the agent has one open, only a Flush may follow what is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from dbfirewall.approvals.model import Parameter
from dbfirewall.errors import SqlState
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview.talk import Result, ServerError
from dbfirewall.proxy.conversation import UNIT_CLOSES, Answer, analysis, own_name, unit
from dbfirewall.proxy.refusals import poison_parse, refuse
from dbfirewall.proxy.server_side import ServerSide, out_of_step
from dbfirewall.proxy.session import Session
from dbfirewall.wire import messages as m
from dbfirewall.wire.frontend import (
    Execute,
    Target,
    encode_close,
    encode_describe,
    encode_execute,
    encode_query,
)

_KINDS = m.BACKEND_TYPES - {m.NOTICE_RESPONSE, m.NOTIFICATION_RESPONSE, m.PARAMETER_STATUS}

ACTIVE_TRANSACTION = "25001"
"""The SQLSTATE of the notice that BEGIN gives inside a transaction block."""


class Aside:
    """A `Talk` (dbfirewall.preview.talk) on the agent's server connection; see the module's rules.

    `status`: what ReadyForQuery said last here. `sync`: whether what is said ends in a Sync, or, inside an implicit
    transaction, in a Flush. Every method raises ConnectionError where the session ends meanwhile, and ServerError
    where the server refuses: after a Flush the server then skips everything up to a Sync.
    """

    def __init__(self, session: Session, server_side: ServerSide) -> None:
        self._session = session
        self._server_side = server_side
        self._answered: asyncio.Future[None] | None = None
        self.sync = True
        self.status = m.STATUS_IDLE
        session.on_end.append(self._lost)

    async def run(
        self, sql: str | bytes, parameters: Sequence[Parameter] = (), *, max_rows: int = 1000
    ) -> Result:
        """See `Talk.run`."""
        text = sql.encode() if isinstance(sql, str) else sql
        answer = Answer(max_rows=max_rows, closes=0 if self.sync else UNIT_CLOSES)
        return (await self.ask(unit(text, parameters, sync=self.sync), answer)).result()

    async def analyse(self, sql: bytes) -> None:
        """See that the server understands one statement. Raises ServerError where it does not."""
        messages = analysis(sql, sync=self.sync)
        (await self.ask(messages, Answer(closes=0 if self.sync else 1))).result()

    async def script(self, sql: bytes) -> tuple[str, ...]:
        """See `Talk.script`. Drops the agent's unnamed statement, as every simple Query does."""
        self._session.take_empty_names()
        answer = await self.ask(encode_query(sql), Answer())
        answer.result()
        return tuple(answer.tags)

    async def say_sync(self) -> int:
        """Sync; the transaction status that the server then says."""
        return (await self.ask(m.SYNC_MESSAGE, Answer())).status

    async def parameter_types(self, statement: bytes) -> tuple[int, ...]:
        """The OIDs of the types of a prepared statement's parameters, as the server settled them."""
        messages = (
            encode_describe(Target(m.TARGET_STATEMENT, statement))
            + encode_close(Target(m.TARGET_STATEMENT, own_name()))
            + (m.SYNC_MESSAGE if self.sync else m.FLUSH_MESSAGE)
        )
        answer = await self.ask(messages, Answer(closes=0 if self.sync else 1))
        answer.result()
        return answer.oids

    async def close_portal(self, name: bytes) -> None:
        """Close one of the agent's portals."""
        answer = await self.ask(encode_close(Target(m.TARGET_PORTAL, name)) + m.SYNC_MESSAGE, Answer())
        answer.result()

    async def drain(self, portal: bytes) -> str:
        """Run one of the agent's portals to its end, its rows dropped; the command tag. Inside a block only."""
        answer = await self.ask(encode_execute(Execute(portal)) + m.SYNC_MESSAGE, Answer())
        return answer.result().tag

    async def ask(self, messages: bytes, answer: Answer, *, notices: bool = False) -> Answer:
        """Send `messages` and wait until `answer` is complete; errors of the server's are left in it.

        `notices`: they are part of the answer, and not for the agent.
        """
        session = self._session
        if session.ended:
            raise ConnectionError("the session has ended")
        if session.pending or self._answered is not None:
            raise RuntimeError("something else is being said on this connection")
        self._answered = asyncio.get_running_loop().create_future()
        server_side = self._server_side
        kinds = _KINDS | {m.NOTICE_RESPONSE} if notices else _KINDS
        ours = {kind: partial(self._take, answer, kind) for kind in kinds}
        before = server_side.divert(server_side.handlers | ours, whole=True)
        session.server_peer.send(messages)
        try:
            await self._answered
        finally:
            self._answered = None
            server_side.restore(before)
        self.status = answer.status or self.status
        return answer

    async def begin(self, isolation: str = "") -> bool:
        """Be inside a transaction block; False where there was one already, which nothing but the server knows."""
        level = f" ISOLATION LEVEL {isolation}" if isolation else ""
        answer = Answer(closes=0 if self.sync else UNIT_CLOSES)
        await self.ask(unit(f"BEGIN{level}".encode(), sync=self.sync), answer, notices=True)
        answer.result()
        self.sync, self.status = True, m.STATUS_IN_TRANSACTION  # a block, which a Sync does not end
        return ACTIVE_TRANSACTION not in answer.notices

    async def commit(self) -> None:
        """COMMIT. ServerError, too, where the server answers that it rolled back."""
        tag = (await self.run("COMMIT")).tag
        if tag != "COMMIT":
            words = "the transaction had failed, and was rolled back"
            raise ServerError({"S": "ERROR", "V": "ERROR", "C": "25P02", "M": words})

    async def make_fail(self) -> None:
        """Make the transaction block fail, so that it can only be rolled back."""
        refused = refuse(ErrorFields(SqlState.INTERNAL, ""))
        answer = await self.ask(poison_parse(refused) + m.SYNC_MESSAGE, Answer())
        if answer.status != m.STATUS_FAILED:
            raise out_of_step()

    def _take(self, answer: Answer, kind: int, buf: bytes, start: int, end: int) -> bytes:
        fits = not answer.done and answer.take(kind, buf, start, end)
        if not fits:
            raise out_of_step()
        if answer.done:
            self._server_side.after_walk(self._complete)
        return b""

    def _complete(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _lost(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError("the session has ended"))
