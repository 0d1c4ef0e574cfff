"""The agent's byte stream: cutting chunks into messages, keeping what is incomplete, forwarding runs of messages.

What a message means is `AgentSide`'s. A handler returns None to let its message go on, bytes to put in its place
(empty: drop it), or HOLD to stop here until a decision is ready.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final

from dbfirewall.errors import ProtocolError
from dbfirewall.proxy.pending import CopyState, Owed
from dbfirewall.proxy.session import MAX_PENDING, Session
from dbfirewall.wire import limits
from dbfirewall.wire import messages as m

HOLD: Final = object()
"""A handler's answer: the decision is not ready; keep this message and all that follows."""

Outcome = bytes | object | None
Handler = Callable[[bytes, int, int], Outcome]
Step = Callable[[int, Handler, bytes, int, int], Outcome]

MAX_KEPT: Final = 256 * 1024
"""Security limit: bytes of a held agent that are read ahead, beyond the message at hand."""

TURN: Final = 0.01
"""Security limit: seconds of one agent's turn, to the end of a message. A flood leaves others theirs."""

_LENGTH: Final = struct.Struct(">I").unpack_from


class AgentStream:
    """Walks what one agent sends. `receive` is the agent peer's receiver."""

    def __init__(self, session: Session, max_message: int) -> None:
        self.session = session
        self._max_message = max_message
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 0
        self._stream_left = 0
        self._discard_left = 0
        self._relay_skipped = False
        self._holds = 0
        self._waiting = False
        self._release: Callable[[], None] = _nothing
        self._added = b""
        self._stepped = False
        self._handlers: dict[int, Handler] = {}

    def receive(self, data: bytes) -> None:
        """Take one chunk; forwards, replaces or holds what is complete in it."""
        session = self.session
        try:
            if self._parts or self._waiting:
                data = self._collect(data)
            if data and not session.ended:
                self._walk(data)
                if len(session.pending) > MAX_PENDING:
                    session.relieved = self.hold()
                    session.agent_peer.pause()
                if self._parts and self._size >= self._needed and not self._waiting:
                    session.firewall.soon(self.hold())
        except Exception as error:  # noqa: BLE001  the last line of defence: it ends the session
            session.failed(error)

    def hold(self) -> Callable[[], None]:
        """Keep what the agent sends until what is returned is called, once or more often. Holds add up.

        Up to a limit it is read all the same, so that an agent that leaves is noticed.
        """
        self._holds += 1
        self._waiting = True
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._holds -= 1
                if not self._holds:
                    self._go_on()

        return release

    def _go_on(self) -> None:
        self._waiting = False
        self.session.agent_peer.resume()
        self.receive(b"")

    def _collect(self, data: bytes) -> bytes:
        """All that was kept, with `data`, once it can be gone on with; until then nothing."""
        self._parts.append(data)
        self._size += len(data)
        if self._waiting or self._size < self._needed:
            if self._waiting and self._size >= MAX_KEPT:
                self.session.agent_peer.pause()
            return b""
        data = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts.clear()
        self._size = self._needed = 0
        return data

    def _walk(self, buf: bytes) -> None:  # noqa: C901  one loop, kept whole: it runs for every chunk
        started = perf_counter()
        turn_over = started + TURN
        size = len(buf)
        run = pos = 0
        out: list[bytes] = []
        if self._stream_left or self._discard_left:
            run = pos = self._skip_body(size)
            if self._relay_skipped:
                out.append(buf[:pos])
        handlers, session = self._handlers, self.session
        while size - pos >= 5:
            kind = buf[pos]
            length: int = _LENGTH(buf, pos + 1)[0]
            end = pos + 1 + length
            if end > size and not self._complete_enough(kind, length):
                break
            handler = handlers.get(kind)
            if handler is None or length < 4:
                raise ProtocolError(f"invalid frontend message type {kind}")
            if session.copy is not CopyState.NONE:
                result = self._in_copy(kind, buf, pos + 5, min(end, size))
            elif end > size:
                result = self._begin_body(kind)
            else:
                result = handler(buf, pos + 5, end)
            if result is HOLD:
                break
            if end > size:
                self._begin_rest(end - size, relayed=result is None)
                end = size
            if result is None:
                pos = end if kind != m.BIND else self._common_tail(buf, pos, end)
            else:
                out += (buf[run:pos], result)  # type: ignore[arg-type]  # not HOLD: bytes
                pos = run = end
            if perf_counter() > turn_over:
                break
        if pos > run:
            out.append(buf[run:pos] if run or pos < size else buf)
        if self._added:
            out.append(self._added)
            self._added = b""
        self._keep(buf, pos, size)
        self._forward(out, started)

    # -- incomplete messages ----------------------------------------------------------------------------------

    def _skip_body(self, size: int) -> int:
        """How many leading bytes belong to a message that was dealt with by its header."""
        if self._stream_left:
            skipped = min(self._stream_left, size)
            self._stream_left -= skipped
            self._relay_skipped = True
            return skipped
        self._relay_skipped = False
        skipped = min(self._discard_left, size)
        self._discard_left -= skipped
        return skipped

    def _complete_enough(self, kind: int, length: int) -> bool:
        """Whether a message can be dealt with though its body is not all here. Checks its size first."""
        limit = limits.FRONTEND.get(kind)
        if limit is None:
            raise ProtocolError(f"invalid frontend message type {kind}")
        if kind == m.COPY_DATA and length <= limit:
            return True
        sql = kind in (m.QUERY, m.PARSE)
        if length > (self._max_message if sql else min(limit, self._max_message)):
            raise ProtocolError(f"message of {length} bytes is too long")
        return sql and length > self.session.firewall.max_sql_bytes + 256

    def _begin_rest(self, left: int, *, relayed: bool) -> None:
        if relayed:
            self._stream_left = left
        else:
            self._discard_left = left

    def _keep(self, buf: bytes, pos: int, size: int) -> None:
        if pos == size:
            return
        self._parts.append(buf[pos:] if pos else buf)
        self._size = size - pos
        self._needed = 0 if self._waiting else 5 if self._size < 5 else 1 + _LENGTH(buf, pos + 1)[0]

    def _forward(self, out: list[bytes], started: float) -> None:
        session = self.session
        firewall = session.firewall
        if not out or session.ended:
            return
        firewall.audit.flush()
        data = out[0] if len(out) == 1 else b"".join(out)
        if data:
            session.server_peer.send(data)
            firewall.bytes_to_server.value += len(data)
        firewall.metrics.added_latency.observe(perf_counter() - started)

    def _hold(self, sql: bytes) -> object:
        """Keep the message at hand, and what follows, until a worker has read `sql`."""
        self.session.firewall.read_in_worker(self.session, sql, self.hold())
        return HOLD

    def _wait(self, added: bytes = b"") -> object:
        """Keep the message at hand, and what follows, until the server has answered; `added` goes to it before."""
        self._added = added
        self._release = self.hold()
        return HOLD

    def until_quiet(self) -> object:
        """Keep the message at hand, and what follows, until the server owes no answer at all."""
        session = self.session
        if session.pending[-1].kind not in (Owed.SYNC, Owed.QUERY):
            self._added = m.FLUSH_MESSAGE
        session.settled, session.settle_all = self.hold(), True
        return HOLD

    def discard(self, size: int) -> None:
        """While held: the first `size` bytes of what is kept have been dealt with."""
        self._discard_left = size

    def step_through(self, step: Step) -> dict[int, Handler]:
        """Let every message go through `step`, with its usual handler; returns the usual ones."""
        usual = dict(self._handlers)
        for kind, work in usual.items():
            self._handlers[kind] = partial(step, kind, work)
        self._stepped = True
        return usual

    def step_as_usual(self, usual: dict[int, Handler]) -> None:
        """The end of `step_through`."""
        self._handlers.update(usual)
        self._stepped = False

    def copy_settled(self) -> None:
        """The server has answered a COPY FROM STDIN: with CopyInResponse, or with an error."""
        self._release()

    # -- what messages mean (see AgentSide) -------------------------------------------------------------------

    def _in_copy(self, kind: int, buf: bytes, start: int, end: int) -> Outcome:
        """What becomes of a message while a COPY FROM STDIN is under way."""
        raise NotImplementedError

    def _begin_body(self, kind: int) -> Outcome:
        """A message whose body is not all here and will not be held: CopyData, or a text that is too long."""
        raise NotImplementedError

    def _common_tail(self, buf: bytes, bind: int, end: int) -> int:
        """The end of what can be taken together with the Bind at `bind` that ends at `end`."""
        raise NotImplementedError


def _nothing() -> None:
    """Nothing is held."""
