"""Agent → server: one walk over each chunk, looking at headers, and inside only where a decision is needed.

Runs of messages that need no change are forwarded in one write, byte for byte. A handler returns None to let its
message go on, bytes to put in its place (empty: drop it), or HOLD to stop here until a decision is ready.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import perf_counter
from typing import Final

from dbfirewall.errors import ProtocolError
from dbfirewall.gate import Verdict
from dbfirewall.proxy.pending import (
    BIND,
    DESCRIBE,
    SYNC,
    CopyState,
    Owed,
    Pending,
    Prepared,
    Refused,
    close_entry,
    parse_entry,
    poisoned,
)
from dbfirewall.proxy.refusals import (
    FUNCTION_CALL,
    MAX_NAME,
    NAME_TOO_LONG,
    no_such_portal,
    no_such_statement,
    poison_parse,
    poison_query,
    too_many,
    unsettled_statement,
)
from dbfirewall.proxy.session import MAX_PENDING, MAX_PORTALS, Session
from dbfirewall.wire import limits
from dbfirewall.wire import messages as m
from dbfirewall.wire.frontend import (
    Execute,
    Target,
    decode_close,
    decode_describe,
    decode_execute,
    decode_parse,
    encode_describe,
    encode_execute,
)

HOLD: Final = object()
"""A handler's answer: the decision is not ready; keep this message and all that follows."""

Outcome = bytes | object | None
Handler = Callable[[bytes, int, int], Outcome]

_LENGTH: Final = struct.Struct(">I").unpack_from
_EXECUTE_SYNC: Final = encode_execute(Execute(b"")) + m.SYNC_MESSAGE
_TAILS: Final = (
    (encode_describe(Target(m.TARGET_PORTAL, b"")) + _EXECUTE_SYNC, True),
    (_EXECUTE_SYNC, False),
)
"""What most drivers send after a Bind of the unnamed portal, to the byte: (bytes, whether with a Describe)."""
_NO_PARAMETERS: Final = 6
"""Length of Bind's parameter section when it has no parameters: three zero counts."""


class AgentSide:
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
        self._handlers: dict[int, Handler] = {
            m.QUERY: self._query,
            m.PARSE: self._parse,
            m.BIND: self._bind,
            m.DESCRIBE: self._describe,
            m.CLOSE: self._close,
            m.EXECUTE: self._execute,
            m.SYNC: self._sync,
            m.FLUSH: self._flush,
            m.COPY_DATA: self._copy,
            m.COPY_DONE: self._copy,
            m.COPY_FAIL: self._copy,
            m.FUNCTION_CALL: self._function_call,
            m.TERMINATE: self._terminate,
        }

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
        except Exception as error:  # noqa: BLE001  the last line of defence: it ends the session
            session.failed(error)

    def hold(self) -> Callable[[], None]:
        """Stop reading the agent until what is returned is called, once or more often. Holds add up."""
        self._holds += 1
        self._waiting = True
        self.session.agent_peer.pause()
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
            return b""
        data = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts.clear()
        self._size = self._needed = 0
        return data

    def _walk(self, buf: bytes) -> None:  # noqa: C901  one loop, kept whole: it runs for every chunk
        started = perf_counter()
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

    def _begin_body(self, kind: int) -> Outcome:
        """A message whose body is not all here and will not be held: CopyData, or a text that is too long."""
        if kind == m.COPY_DATA:
            return self._copy(b"", 0, 0)
        if self.session.skipping:
            return b""
        refused = self.session.refused(b"", self.session.judge.too_long())
        return self._poison(Owed.QUERY if kind == m.QUERY else Owed.PARSE, refused)

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

    # -- statements -------------------------------------------------------------------------------------------

    def _query(self, buf: bytes, start: int, end: int) -> Outcome:
        session = self.session
        if session.skipping:
            return b""
        if buf[end - 1] or end == start:
            raise ProtocolError("a Query message must end in one NUL byte")
        sql = buf[start : end - 1]
        verdict = session.judge_text(sql)
        if verdict is None:
            return self._hold(sql)
        if verdict.outcome == "allow" and not self._ready_to_run(verdict):
            return HOLD
        if (over := session.charge()) is not None:
            return self._poison(Owed.QUERY, session.refused_by(sql, over, "limits"))
        if verdict.outcome != "allow":
            return self._poison(Owed.QUERY, session.refused(sql, verdict))
        if verdict.prepares and session.names.full(sql):
            return self._poison(
                Owed.QUERY, session.refused_by(sql, too_many("prepared statements"), "limits")
            )
        session.names.next_segment()
        return self._run_query(sql, verdict)

    def _ready_to_run(self, verdict: Verdict) -> bool:
        """Whether an allowed statement may go now; where not, `_waiting` is set."""
        return True

    def _run_query(self, sql: bytes, verdict: Verdict) -> Outcome:
        session = self.session
        session.pending.append(Pending(Owed.QUERY, session.begin_call(sql, verdict)))
        if verdict.copy_in:
            session.copy, session.copies = CopyState.PENDING, verdict.copy_in
        return None

    def _parse(self, buf: bytes, start: int, end: int) -> Outcome:
        session = self.session
        if session.skipping:
            return b""
        name, sql, _oids = decode_parse(buf, start, end)
        verdict = session.judge_text(sql)
        if verdict is None:
            return self._hold(sql)
        if verdict.outcome == "deny":
            if (over := session.charge()) is not None:
                return self._poison(Owed.PARSE, session.refused_by(sql, over, "limits"))
            return self._poison(Owed.PARSE, session.refused(sql, verdict))
        if len(name) > MAX_NAME:
            return self._poison(Owed.PARSE, session.refused_by(sql, NAME_TOO_LONG, "protocol"))
        if session.names.full(sql):
            return self._poison(
                Owed.PARSE, session.refused_by(sql, too_many("prepared statements"), "limits")
            )
        prepared = Prepared(sql, verdict, session.judge, text=session.firewall.audit.sql_member(sql))
        session.names.add(name, prepared)
        session.pending.append(parse_entry(name, prepared))
        if name and not session.facts.protocol_prepared:
            session.note_protocol_prepared()
        return None

    def _bind(self, buf: bytes, start: int, end: int) -> Outcome:
        session = self.session
        if session.skipping:
            return b""
        portal_end = buf.find(0, start, end)
        name_end = buf.find(0, portal_end + 1, end)
        if portal_end < 0 or name_end < 0:
            raise ProtocolError("invalid Bind message")
        portal, name = buf[start:portal_end], buf[portal_end + 1 : name_end]
        meanings = session.names.meanings(name)
        if not meanings:
            return self._poison(Owed.PARSE, session.refused_by(b"", no_such_statement(name), "protocol"))
        if len(meanings) > 1 and any(one.sql != meanings[0].sql for one in meanings):
            return self._unsettled(name)
        params = buf[name_end + 1 : end] if end - name_end - 1 > _NO_PARAMETERS else None
        prepared = meanings[-1]
        verdict = prepared.verdict
        if prepared.judge is not session.judge or not verdict.reusable:
            again = session.judge_text(prepared.sql)
            if again is None:
                return self._hold(prepared.sql)
            prepared.verdict, prepared.judge = again, session.judge
            verdict = again
        if verdict.outcome != "allow":
            return self._poison(Owed.PARSE, session.refused(prepared.sql, verdict, params))
        if (over := session.charge()) is not None:
            return self._poison(Owed.PARSE, session.refused_by(prepared.sql, over, "limits", params))
        if len(portal) > MAX_NAME:
            return self._poison(
                Owed.PARSE, session.refused_by(prepared.sql, NAME_TOO_LONG, "protocol", params)
            )
        if len(session.portals) >= MAX_PORTALS:
            return self._poison(
                Owed.PARSE, session.refused_by(prepared.sql, too_many("portals"), "limits", params)
            )
        if verdict.prepares and session.names.full(prepared.sql):
            return self._poison(
                Owed.PARSE,
                session.refused_by(prepared.sql, too_many("prepared statements"), "limits", params),
            )
        session.portals[portal] = session.begin_call(prepared.sql, verdict, params, prepared.text)
        session.pending.append(BIND)
        return None

    def _unsettled(self, name: bytes) -> Outcome:
        """A name that may mean different texts: what runs must be what is on record, so the server's word on what
        was sent up to the last Sync is waited for. Where even that does not settle it (PREPARE), it is refused.
        """
        session = self.session
        if any(entry.kind in (Owed.SYNC, Owed.QUERY) for entry in session.pending):
            session.settled = self.hold()
            return HOLD
        return self._poison(Owed.PARSE, session.refused_by(b"", unsettled_statement(name), "protocol"))

    def _common_tail(self, buf: bytes, bind: int, end: int) -> int:
        """The end of what follows the Bind at `bind`, where that is the usual Execute and Sync; else `end`.

        The same as walking them one by one, for a portal that was bound just now.
        """
        if buf[bind + m.HEADER]:
            return end
        for tail, described in _TAILS:
            if buf.startswith(tail, end):
                call = self.session.portals[b""]
                if call.verdict.copy_in:
                    return end
                self.session.names.next_segment()
                execute = Pending(Owed.EXECUTE, call)
                self.session.pending += (DESCRIBE, execute, SYNC) if described else (execute, SYNC)
                return end + len(tail)
        return end

    def _execute(self, buf: bytes, start: int, end: int) -> Outcome:
        session = self.session
        if session.skipping:
            return b""
        portal = decode_execute(buf, start, end).portal
        call = session.portals.get(portal)
        if call is None:
            return self._poison(Owed.PARSE, session.refused_by(b"", no_such_portal(portal), "protocol"))
        if call.judge is not session.judge or not call.verdict.reusable:
            verdict = session.judge_again(call.sql, call.verdict, call.judge)
            if verdict is None:
                return self._hold(call.sql)
            if verdict.outcome != "allow":
                return self._poison(Owed.PARSE, session.refused(call.sql, verdict))
            call.judge = session.judge
        session.pending.append(Pending(Owed.EXECUTE, call))
        if call.verdict.copy_in:
            session.copy, session.copies = CopyState.PENDING, 1
        return None

    def _function_call(self, buf: bytes, start: int, end: int) -> Outcome:
        """The fast-path function call carries no SQL that could be judged: always refused."""
        if self.session.skipping:
            return b""
        return self._poison(Owed.QUERY, self.session.refused_by(b"", FUNCTION_CALL, "built-in"))

    # -- the rest ---------------------------------------------------------------------------------------------

    def _describe(self, buf: bytes, start: int, end: int) -> Outcome:
        if self.session.skipping:
            return b""
        decode_describe(buf, start, end)
        self.session.pending.append(DESCRIBE)
        return None

    def _close(self, buf: bytes, start: int, end: int) -> Outcome:
        if self.session.skipping:
            return b""
        target = decode_close(buf, start, end)
        of_statement = target.kind == m.TARGET_STATEMENT
        self.session.pending.append(
            close_entry(target.name, self.session.names.sent, of_statement=of_statement)
        )
        return None

    def _sync(self, buf: bytes, start: int, end: int) -> Outcome:
        if end != start:
            raise ProtocolError("invalid Sync message")
        self.session.skipping = False
        self.session.names.next_segment()
        self.session.pending.append(SYNC)
        return None

    def _flush(self, buf: bytes, start: int, end: int) -> Outcome:
        if end != start:
            raise ProtocolError("invalid Flush message")
        return None

    def _copy(self, buf: bytes, start: int, end: int) -> Outcome:
        """Outside of a COPY it was on its way when the server ended that one: dropped, as the server would."""
        return b""

    def _in_copy(self, kind: int, buf: bytes, start: int, end: int) -> Outcome:
        """While a COPY FROM STDIN is under way: nothing is sent before the server has said CopyInResponse (or an
        error), and after that only data. A Sync or Flush would be ignored by the server, so it stays here; sent
        on, nobody could say whether the server read it before or after an error.
        """
        session = self.session
        if kind == m.TERMINATE:
            return self._terminate(buf, start, end)
        if session.copy is CopyState.PENDING:
            return self._wait()
        if kind in (m.SYNC, m.FLUSH):
            return b""
        if kind in (m.COPY_DONE, m.COPY_FAIL):
            session.copy = CopyState.PENDING if session.copies else CopyState.NONE
        elif kind != m.COPY_DATA:
            raise ProtocolError(f"unexpected message type {kind} during COPY from stdin")
        return None

    def copy_settled(self) -> None:
        """The server has answered a COPY FROM STDIN: with CopyInResponse, or with an error."""
        self._release()

    def _terminate(self, buf: bytes, start: int, end: int) -> Outcome:
        """An orderly end: what was sent before still runs, as it would without us."""
        session = self.session
        if not session.pending:
            session.end(why="terminated by the agent")
            return b""
        session.terminating = True
        return None

    def _poison(self, kind: Owed, refused: Refused) -> bytes:
        """Put a refusal in a message's place. In the extended protocol the server then skips up to the next Sync."""
        self.session.pending.append(poisoned(kind, refused))
        if kind is Owed.QUERY:
            return poison_query(refused)
        self.session.skipping = True
        return poison_parse(refused)

    def _hold(self, sql: bytes) -> object:
        """Keep the message at hand, and what follows, until a worker has read `sql`."""
        self.session.firewall.read_in_worker(self.session, sql, self.hold())
        return HOLD

    def _wait(self, added: bytes = b"") -> object:
        """Keep the message at hand, and what follows, until the server has answered; `added` goes to it before."""
        self._added = added
        self._release = self.hold()
        return HOLD


def _nothing() -> None:
    """Nothing is held."""
