"""Server → agent: one walk over each chunk, looking inside only where the session's state or the audit needs it.

Rows are skipped by their headers; whole chunks go on in one write. What is looked at: CommandComplete (rows for
the audit), ReadyForQuery (transaction status), ErrorResponse (our poison comes back as our refusal),
ParameterStatus (tripwires), and whatever settles an entry of `Session.pending`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dbfirewall.errors import ProtocolError, SqlState
from dbfirewall.proxy.pending import BIND, SYNC, Call, CopyState, Owed, Pending
from dbfirewall.proxy.session import MAX_PENDING, Session
from dbfirewall.wire import messages as m
from dbfirewall.wire.backend import (
    decode_command_complete,
    decode_error_response,
    decode_parameter_status,
    decode_ready_for_query,
    tag_rows,
)

_LENGTH: Final = struct.Struct(">I").unpack_from
_STREAMED: Final = frozenset(
    (m.DATA_ROW, m.COPY_DATA, m.ROW_DESCRIPTION, m.PARAMETER_DESCRIPTION, m.NOTIFICATION_RESPONSE)
)
"""May be longer than a chunk; only their headers matter."""

_EMPTY: Final = 4
"""The length of a message without a body."""

MAX_INSPECTED: Final = 1024 * 1024
"""Security limit: the longest message from the server that is held whole in order to look inside."""

MAX_PRIVATE: Final = 16 * 1024 * 1024
"""Security limit: the same where the firewall itself asked."""

_NEVER_STREAMED: Final[frozenset[int]] = frozenset()

TOO_MANY_ROWS_AMID_OTHERS: Final = (
    "The session was ended: a result has more rows than this role may read with one statement, "
    "and other statements were sent along with it. Send it alone, with a LIMIT."
)

Handler = Callable[[bytes, int, int], bytes | None]


@dataclass(frozen=True, slots=True)
class Diversion:
    """What `ServerSide.divert` has put aside."""

    handlers: dict[int, Handler]
    streamed: frozenset[int]
    max_inspected: int
    skip_rows: bool


class ServerSide:
    """Walks what the server sends in one session. `receive` is the server peer's receiver."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._held = b""
        self._stream_left = 0
        self._swallow = False
        self._later: list[Callable[[], None]] = []
        self._skip_rows = True
        self._completed = 0
        self._streamed = _STREAMED
        self._max_inspected = MAX_INSPECTED
        self._handlers: dict[int, Handler] = {
            m.DATA_ROW: self._data_row,
            m.COPY_DATA: self._data_row,
            m.ROW_DESCRIPTION: self._row_description,
            m.NO_DATA: self._row_description,
            m.PARAMETER_DESCRIPTION: self._relay,
            m.NOTIFICATION_RESPONSE: self._relay,
            m.NOTICE_RESPONSE: self._relay,
            m.COMMAND_COMPLETE: self._command_complete,
            m.EMPTY_QUERY_RESPONSE: self._command_complete,
            m.PORTAL_SUSPENDED: self._command_complete,
            m.READY_FOR_QUERY: self._ready,
            m.ERROR_RESPONSE: self._error,
            m.PARSE_COMPLETE: self._parse_complete,
            m.BIND_COMPLETE: self._bind_complete,
            m.CLOSE_COMPLETE: self._close_complete,
            m.PARAMETER_STATUS: self._parameter_status,
            m.COPY_IN_RESPONSE: self._copy_in,
            m.COPY_OUT_RESPONSE: self._relay,
            m.COPY_DONE: self._relay,
        }

    # -- diversions -------------------------------------------------------------------------------------------

    @property
    def handlers(self) -> dict[int, Handler]:
        """What is done with each kind of message now."""
        return self._handlers

    def divert(self, handlers: dict[int, Handler], *, whole: bool) -> Diversion:
        """Use `handlers`, until `restore` is called with what is returned. Not from inside one of them.

        `whole`: rows too are held until they are complete.
        """
        before = Diversion(self._handlers, self._streamed, self._max_inspected, skip_rows=self._skip_rows)
        self._handlers, self._skip_rows = handlers, self._skip_rows and not whole
        if whole:
            self._streamed, self._max_inspected = _NEVER_STREAMED, MAX_PRIVATE
        return before

    def restore(self, before: Diversion) -> None:
        """Go back to what was done before a `divert`."""
        self._handlers, self._streamed = before.handlers, before.streamed
        self._max_inspected, self._skip_rows = before.max_inspected, before.skip_rows

    def after_walk(self, work: Callable[[], None]) -> None:
        """Do `work` when the chunk at hand has been dealt with, and the agent has got what is its own."""
        self._later.append(work)

    def receive(self, data: bytes) -> None:
        """Take one chunk; relays what is complete, and rows as they come."""
        try:
            self._walk(data)
        except Exception as error:  # noqa: BLE001  the last line of defence: it ends the session
            self.session.failed(error)

    def _walk(self, data: bytes) -> None:
        session = self.session
        buf = self._held + data if self._held else data
        size = len(buf)
        pos = min(self._stream_left, size)
        run = pos if self._swallow else 0
        self._stream_left -= pos
        out: list[bytes] = []
        handlers, before, pending = self._handlers, session.sent, session.pending
        skip_rows = self._skip_rows and session.max_rows is None
        while size - pos >= 5:
            kind = buf[pos]
            length: int = _LENGTH(buf, pos + 1)[0]
            end = pos + 1 + length
            if kind == m.DATA_ROW and skip_rows and pos < end <= size:
                pos = end
                continue
            if kind == m.BIND_COMPLETE and length == _EMPTY and pending and pending[0] is BIND:
                pending.popleft()
                session.portals.confirm()
                pos = end
                continue
            handler = handlers.get(kind)
            if handler is None or length < 4:
                raise ProtocolError(
                    "the server sent a message that this session cannot have", SqlState.PROTOCOL
                )
            if end > size:
                if kind not in self._streamed:
                    if length > self._max_inspected:
                        raise ProtocolError("the server sent a message that is too long", SqlState.PROTOCOL)
                    break
                self._stream_left = end - size
                self._swallow = False
                end = size
            session.sent = before + end
            try:
                result = handler(buf, pos + 5, end)
            except Exception:
                # What came before it is the agent's all the same, however the network cut it.
                session.agent_peer.send(b"".join((*out, buf[run:pos])))
                session.torn = False
                raise
            if result is not None:
                out += (buf[run:pos], result)
                run = end
                self._swallow = True
            pos = end
        out.append(buf[run:pos] if run or pos < size else buf)
        self._held = buf[pos:]
        session.sent = before + pos
        reply = out[0] if len(out) == 1 else b"".join(out)
        session.firewall.bytes_to_agent.value += len(reply)
        session.agent_peer.send(reply)
        session.torn = self._stream_left > 0 and not self._swallow
        if self._later or session.relieved or session.settled or session.firewall.draining:
            self._after_walk()

    def _after_walk(self) -> None:
        """Go on with what the agent has sent, now that it has got what came before; end where it is time to."""
        session = self.session
        later, self._later = self._later, []
        for go_on in later:
            go_on()
        if session.settled is not None and not (session.pending if session.settle_all else session.unsettled):
            settle, session.settled = session.settled, None
            settle()
        if session.relieved is not None and len(session.pending) < MAX_PENDING // 2:
            relieve, session.relieved = session.relieved, None
            relieve()
        if session.firewall.draining and session.idle:
            session.drain()

    # -- rows -------------------------------------------------------------------------------------------------

    def _relay(self, buf: bytes, start: int, end: int) -> None:
        """Nothing in it matters here."""

    def _data_row(self, buf: bytes, start: int, end: int) -> bytes | None:
        """A row of a result or of a COPY TO STDOUT; beyond the limit it goes no further, and no more are made."""
        limit = self.session.max_rows
        if limit is None:
            return None
        call = self._running()
        call.rows += 1
        if call.rows <= limit:
            return None
        if not call.cut:
            self._cut(call)
        return b""

    def _cut(self, call: Call) -> None:
        """The first row too many. The server is asked for no more, and the result ends in an error.

        Not so where other statements share its fate as one implicit transaction: they may be done already, and would
        stay done after that error. Then the session ends, as it would where a connection breaks.
        """
        session = self.session
        call.cut = True
        if not self._alone(call):
            session.row_limit_error(call)
            raise ProtocolError(TOO_MANY_ROWS_AMID_OTHERS, SqlState.LIMIT)
        # What the agent sends next must not run into this cancel.
        session.firewall.cancel_upstream(session, session.hold_agent())

    def _alone(self, call: Call) -> bool:
        """Whether nothing was sent that the error of `call` would have to take along."""
        session = self.session
        if session.status == m.STATUS_IDLE and self._completed:
            return False
        if session.pending[0].kind is Owed.QUERY:
            return self._completed + 1 >= len(call.verdict.statements)
        return len(session.pending) == 1 or session.pending[1].kind is Owed.SYNC

    def _row_description(self, buf: bytes, start: int, end: int) -> None:
        if self.session.pending and self.session.pending[0].kind is Owed.DESCRIBE:
            self.session.pending.popleft()

    def _running(self) -> Call:
        if self.session.pending:
            call = self.session.pending[0].call
            if call is not None:
                return call
        raise out_of_step()

    # -- settling ---------------------------------------------------------------------------------------------

    def _command_complete(self, buf: bytes, start: int, end: int) -> bytes | None:
        """The end of one statement: of an Execute, or of one in a Query that may hold more."""
        session = self.session
        call = self._running()
        self._completed += 1
        tag = decode_command_complete(buf, start, end) if end > start else b""
        rows = tag_rows(tag)
        if call.verdict.deallocates:
            session.deallocated(call, tag)
        if session.pending[0].kind is Owed.EXECUTE:
            session.pending.popleft()
            session.end_call(call, rows, SqlState.LIMIT if call.cut else None)
            # The agent is told of an error: as after any other, what it sends up to its Sync is dropped.
            session.skipping = session.skipping or (call.cut and not session.pending)
        else:
            call.total += rows
        return session.row_limit_error(call) if call.cut else None

    def _ready(self, buf: bytes, start: int, end: int) -> None:
        session = self.session
        status = decode_ready_for_query(buf, start, end)
        self._completed = 0
        if session.pending:
            entry = session.pending.popleft()
            if entry is SYNC:
                pass
            elif entry.kind is Owed.QUERY:
                call = entry.call
                session.names.forget(b"", entry.sent_before)
                if call is not None:
                    session.portals.close(b"", call.bind)
                    if not call.ended:
                        session.end_call(call, call.total, SqlState.LIMIT if call.cut else None)
            elif entry.kind is not Owed.SYNC:
                raise out_of_step()
        else:
            raise out_of_step()
        session.status = status
        if status == m.STATUS_IDLE and (session.portals or session.catalog_changed or session.wants_idle):
            session.became_idle()
        if session.copy is not CopyState.NONE and not session.pending:
            raise out_of_step()

    def _error(self, buf: bytes, start: int, end: int) -> bytes | None:
        session = self.session
        pending = session.pending
        head, last = (pending[0], pending[-1]) if pending else (SYNC, SYNC)
        state, replacement = "", None
        if head.poison and buf.find(head.poison, start, end) >= 0:
            replacement = head.error
        else:
            state = decode_error_response(buf, start, end).get("C", "")
            session.firewall.metrics.upstream_errors.inc(state[:2])
        if head.kind is Owed.SYNC:
            return None
        call = head.call
        if call is not None:
            if call.cut:
                state, replacement = SqlState.LIMIT, session.row_limit_error(call)
            call.ended = True
            session.end_call(call, call.total or None, state)
        if head.kind is not Owed.QUERY:
            self._skip_to_sync(state)
        if session.copy is not CopyState.NONE and (head is last or not pending):
            session.copy, session.copies = CopyState.NONE, 0
            self._later.append(session.copy_settled)
        return replacement

    def _skip_to_sync(self, error: str) -> None:
        """The server skips what follows an error up to the next Sync, and so forgets it ever saw it."""
        session = self.session
        while session.pending:
            if session.pending[0].kind is Owed.SYNC:
                return
            entry = session.pending.popleft()
            if entry is BIND:
                session.portals.withdraw()
            elif entry.prepared is not None:
                session.names.withdraw(entry.name, entry.prepared)
            if entry.call is not None and not entry.call.ended:
                entry.call.ended = True
                session.end_call(entry.call, None, error)
        session.skipping = True

    def _parse_complete(self, buf: bytes, start: int, end: int) -> None:
        entry = self._settle(Owed.PARSE)
        if entry.prepared is None:
            raise out_of_step()
        self.session.names.confirm(entry.name, entry.prepared)

    def _bind_complete(self, buf: bytes, start: int, end: int) -> None:
        if self._settle(Owed.BIND) is BIND:
            self.session.portals.confirm()

    def _close_complete(self, buf: bytes, start: int, end: int) -> None:
        entry = self._settle(Owed.CLOSE)
        if entry.of_statement:
            self.session.names.forget(entry.name, entry.sent_before)
        else:
            self.session.portals.close(entry.name, entry.sent_before)

    def _settle(self, kind: Owed) -> Pending:
        if not self.session.pending or self.session.pending[0].kind is not kind:
            raise out_of_step()
        return self.session.pending.popleft()

    def _copy_in(self, buf: bytes, start: int, end: int) -> None:
        """CopyInResponse: only to a COPY FROM STDIN, after which nothing else was sent."""
        session = self.session
        if session.copy is not CopyState.PENDING or self._running() is not session.pending[-1].call:
            raise out_of_step()
        session.copy = CopyState.ACTIVE
        session.copies -= 1
        self._later.append(session.copy_settled)

    # -- tripwires --------------------------------------------------------------------------------------------

    def _parameter_status(self, buf: bytes, start: int, end: int) -> None:
        session = self.session
        status = decode_parameter_status(buf, start, end)
        name = status.name.decode("utf-8", "replace").lower()
        wanted = session.tripwires.get(name)
        value = session.reported[name] = status.value.decode("utf-8", "replace")
        if wanted is None or value == wanted:
            return
        if name not in _NEVER_LOOSENED and ("*" in session.loosened or name in session.loosened):
            return
        session.firewall.metrics.tripwires.inc(name)
        session.audit.event("tripwire", sql=f"{name}={value}", sqlstate=SqlState.SESSION_ENDED)
        text = f"The session was ended: {name} changed to a value that this role may not have."
        raise ProtocolError(text, SqlState.SESSION_ENDED)


_NEVER_LOOSENED: Final = frozenset({"client_encoding", "standard_conforming_strings"})
"""Every decision rests on these two: no rule can make their change safe."""


def out_of_step() -> ProtocolError:
    """The one answer to a server message that fits nothing that was sent."""
    return ProtocolError("the session lost step with the server and was ended", SqlState.SESSION_ENDED)
