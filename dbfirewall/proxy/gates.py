"""What one session holds back: statements that need approval, and those that may change only so many rows.

The agent's stream stands at such a statement while a task finds out what becomes of it. Then the stream goes on at
that same message, and finds the answer here: a `Release` to run it by, or what to tell the agent. A simple Query that
was run inside a transaction of ours is dealt with by then, and is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dbfirewall.gate import Verdict
from dbfirewall.policy import refusal
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.proxy.agent_stream import HOLD, Outcome
from dbfirewall.proxy.aside import Aside
from dbfirewall.proxy.asking import Held, No
from dbfirewall.proxy.errand import Errand
from dbfirewall.proxy.pending import Owed, Prepared
from dbfirewall.proxy.refusals import notice
from dbfirewall.proxy.release import Interrupted, Release, Step, Way, reached

if TYPE_CHECKING:
    from dbfirewall.proxy.agent_side import AgentSide
    from dbfirewall.proxy.segment import Segment
    from dbfirewall.proxy.server_side import ServerSide

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Gates:
    """See the module's docstring. `open`: releases whose end is not known yet. `segment`: see `Segment`."""

    def __init__(self, side: AgentSide, server_side: ServerSide) -> None:
        self.session = side.session
        self.side = side
        self.server_side = server_side
        self.aside = Aside(self.session, server_side)
        self.segment: Segment | None = None
        self.open: list[Release] = []
        self._answer: tuple[bytes, No | Release] | None = None
        self._charged = b""
        self._interrupt: Callable[[BaseException], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self.session.on_end.append(self._ended)
        self.session.call_ended, self.session.interrupt = self._call_ended, self._cancelled

    # -- the agent's side asks --------------------------------------------------------------------------------

    def query(self, raw: bytes, sql: bytes, verdict: Verdict) -> Outcome | Release:
        """What becomes of a Query; a Release: it may go on by that."""
        return self._pass(Held(sql, verdict, self.session.judge, raw), Owed.QUERY)

    def bind(self, raw: bytes, prepared: Prepared, statement: bytes, values: bytes) -> Outcome | Release:
        """What becomes of a Bind of `prepared`, whose name is `statement`; a Release: it may go on by that."""
        held = Held(prepared.sql, prepared.verdict, self.session.judge, raw, prepared, statement, values)
        return self._pass(held, Owed.PARSE)

    def _pass(self, held: Held, owed: Owed) -> Outcome | Release:
        session, side = self.session, self.side
        if self._answer is not None:
            raw, answer = self._answer
            if raw == held.raw and isinstance(answer, Release):
                return answer
            self._answer = None
            if raw == held.raw and isinstance(answer, No):
                self._charged = b""
                refused = session.held_back(
                    held.sql, held.verdict, answer.fields, answer.approval, held.values
                )
                return side.poison(owed, refused)
        if held.verdict.outcome == "gate" and session.firewall.approving.approvals is None:
            fields = refusal.store_unavailable(held.verdict.decision)
            return side.poison(owed, session.held_back(held.sql, held.verdict, fields, "", held.values))
        if session.pending:
            return side.until_quiet()
        if self._charged != held.raw:
            if (over := session.charge()) is not None:
                return side.poison(owed, session.refused_by(held.sql, over, "limits", held.values or None))
            self._charged = held.raw
        return self.start(Errand(self, held).run())

    def gone_on(self, release: Release) -> None:
        """The statement that `release` is for is on its way."""
        self._answer, self._charged = None, b""
        self.keep(release)
        reached(Step.SENT)

    # -- errands ----------------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None]) -> object:
        """Keep the message at hand, and what follows, while `work` is under way."""
        session = self.session
        session.busy = True
        go_on = self.side.hold()
        session.firewall.tasks.spawn(f"gate of {session.id}", self._run(work, go_on))
        return HOLD

    async def _run(self, work: Coroutine[Any, Any, None], go_on: Callable[[], None]) -> None:
        session = self.session
        try:
            await work
        except ConnectionError:
            session.end(why="connection lost")
            return
        except Exception as error:  # noqa: BLE001  what can't be decided must not wait for ever, nor run
            session.failed(error)
            return
        finally:
            session.busy = False
        if not session.ended:
            go_on()

    def answer(self, held: Held, answer: No | Release) -> None:
        """What the stream finds when it goes on at `held`."""
        self._answer = (held.raw, answer)
        if isinstance(answer, Release):
            self.keep(answer)

    def done(self, held: Held) -> None:
        """The message has been dealt with: the stream goes on behind it."""
        self._charged = b""
        self.side.discard(len(held.raw))

    # -- waiting for people -----------------------------------------------------------------------------------

    async def wait_for(self, approval: str, decided: Coroutine[Any, Any, _T]) -> _T:
        """What `decided` comes to. Raises Interrupted where the agent cancels, ConnectionError where it leaves."""
        session = self.session
        waiter = session.firewall.tasks.spawn(f"waiting for {approval}", decided)
        failure: list[BaseException] = []

        def interrupt(why: BaseException) -> None:
            failure.append(why)
            waiter.cancel()

        self._interrupt = interrupt
        session.waiting_for = approval
        try:
            await asyncio.wait([waiter])
        finally:
            self._interrupt, session.waiting_for = None, ""
            waiter.cancel()
        if failure:
            raise failure[0]
        return cast("_T", waiter.result())

    def _cancelled(self) -> bool:
        if self._interrupt is None:
            return False
        self._interrupt(Interrupted(self.session.waiting_for))
        return True

    def tell(self, fields: ErrorFields) -> None:
        """Send the agent a notice, at once."""
        session = self.session
        if not session.torn and not session.ended:
            session.say(notice(fields))

    # -- what became of releases ------------------------------------------------------------------------------

    def watch(self, lost: Callable[[], None] | None) -> None:
        """Call `lost` where the session ends; None: no more."""
        self._on_lost = lost

    def keep(self, release: Release) -> None:
        """Somebody has to find out what becomes of this one. What needs no approval is nobody's business."""
        if release.request is not None and not any(release is one for one in self.open):
            self.open.append(release)
            self.session.wants_idle = self._at_idle

    def over(self, release: Release) -> None:
        """The end of this one is known, and on its way to the store."""
        self.open = [one for one in self.open if one is not release]
        if not self.open:
            self.session.wants_idle = None

    def _call_ended(self, release: Release, rows: int | None, error: str | None) -> None:
        """A statement that was released as it is has ended. Others are followed by `Relay` and `Segment`."""
        if release.way is Way.PLAIN and any(release is one for one in self.open):
            self.over(release)
            release.error = error or ""
            release.affected = (rows,)
            release.ran = error is None
            self.session.firewall.approving.ended_plain(release)

    def _at_idle(self) -> None:
        if self.session.busy or self.segment is not None:
            return
        for release in list(self.open):
            self.over(release)
            self.session.firewall.approving.transaction_over(release)

    def _ended(self) -> None:
        if self._interrupt is not None:
            self._interrupt(ConnectionError("the agent has left"))
        if self._on_lost is not None:
            self._on_lost()
        for release in list(self.open):
            self.over(release)
            self.session.firewall.approving.session_over(release)
