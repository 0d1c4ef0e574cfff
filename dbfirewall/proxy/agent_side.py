"""Agent → server: what each message means, looking inside only where a decision is needed.

Handlers answer as `agent_stream` says: None lets a message go on, byte for byte.
https://www.postgresql.org/docs/current/protocol-flow.html
"""

from __future__ import annotations

from typing import Final

from dbfirewall.errors import ProtocolError
from dbfirewall.gate import Verdict
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.proxy.agent_stream import HOLD, AgentStream, Outcome
from dbfirewall.proxy.gates import Gates
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
from dbfirewall.proxy.release import Release
from dbfirewall.proxy.session import MAX_PORTALS, Session
from dbfirewall.wire import messages as m
from dbfirewall.wire.frontend import (
    Execute,
    Parse,
    Target,
    decode_close,
    decode_describe,
    decode_execute,
    decode_parse,
    encode_describe,
    encode_execute,
    encode_parse,
    encode_query,
)

_EXECUTE_SYNC: Final = encode_execute(Execute(b"")) + m.SYNC_MESSAGE
_TAILS: Final = (
    (encode_describe(Target(m.TARGET_PORTAL, b"")) + _EXECUTE_SYNC, True),
    (_EXECUTE_SYNC, False),
)
"""What most drivers send after a Bind of the unnamed portal, to the byte: (bytes, whether with a Describe)."""
_NO_PARAMETERS: Final = 6
"""Length of Bind's parameter section when it has no parameters: three zero counts."""


class AgentSide(AgentStream):
    """What each message of an agent means: judged, recorded, and put down as owed by the server."""

    gates: Gates

    def __init__(self, session: Session, max_message: int) -> None:
        super().__init__(session, max_message)
        self._handlers = {
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
        if verdict.held_back:
            return self._query_by_release(buf[start - m.HEADER : end], sql, verdict)
        if verdict.outcome == "allow" and not self._ready_to_run(verdict):
            return HOLD
        if (over := session.charge()) is not None:
            return self.poison(Owed.QUERY, session.refused_by(sql, over, "limits"))
        if verdict.outcome != "allow":
            return self.poison(Owed.QUERY, session.refused(sql, verdict))
        if verdict.prepares and session.names.full(sql):
            return self.poison(Owed.QUERY, session.refused_by(sql, too_many("prepared statements"), "limits"))
        session.next_query()
        return self._run_query(sql, verdict)

    def _query_by_release(self, raw: bytes, sql: bytes, verdict: Verdict) -> Outcome:
        """A Query that needs approval, or whose rows are counted."""
        release = self.gates.query(raw, sql, verdict)
        if not isinstance(release, Release):
            return release
        if not self._ready_to_run(verdict):
            return HOLD
        self.session.next_query()
        self.gates.gone_on(release)
        result = self._run_query(sql, verdict, release)
        return result if result is not None or verdict.forward is None else encode_query(verdict.forward)

    def _ready_to_run(self, verdict: Verdict) -> bool:
        """Whether an allowed statement may go now; where not, `_waiting` is set."""
        return True

    def _run_query(self, sql: bytes, verdict: Verdict, release: Release | None = None) -> Outcome:
        session = self.session
        call = session.begin_call(sql, verdict, release=release)
        call.bind = session.portals.sent
        entry = Pending(Owed.QUERY, call)
        entry.sent_before = session.names.sent
        session.pending.append(entry)
        if verdict.copy_in:
            session.copy, session.copies = CopyState.PENDING, verdict.copy_in
        return None

    def _parse(self, buf: bytes, start: int, end: int) -> Outcome:
        session = self.session
        if session.skipping:
            return b""
        name, sql, oids = decode_parse(buf, start, end)
        verdict = session.judge_text(sql, oids)
        if verdict is None:
            return self._hold(sql)
        if verdict.outcome == "deny":
            if (over := session.charge()) is not None:
                return self.poison(Owed.PARSE, session.refused_by(sql, over, "limits"))
            return self.poison(Owed.PARSE, session.refused(sql, verdict))
        if len(name) > MAX_NAME:
            return self.poison(Owed.PARSE, session.refused_by(sql, NAME_TOO_LONG, "protocol"))
        if session.names.full(sql):
            return self.poison(Owed.PARSE, session.refused_by(sql, too_many("prepared statements"), "limits"))
        text = session.firewall.audit.sql_member(sql)
        prepared = Prepared(sql, verdict, session.judge, text=text, oids=oids)
        session.names.add(name, prepared)
        session.pending.append(parse_entry(name, prepared))
        if name and not session.facts.protocol_prepared:
            session.note_protocol_prepared()
        return None if verdict.forward is None else encode_parse(Parse(name, verdict.forward, oids))

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
            return self.poison(Owed.PARSE, session.refused_by(b"", no_such_statement(name), "protocol"))
        if len(meanings) > 1 and any(one.sql != meanings[0].sql for one in meanings):
            return self._unsettled(name)
        params = buf[name_end + 1 : end] if end - name_end - 1 > _NO_PARAMETERS else None
        prepared = meanings[-1]
        verdict = prepared.verdict
        if prepared.judge is not session.judge or not verdict.reusable:
            again = session.judge_text(prepared.sql, prepared.oids)
            if again is None:
                return self._hold(prepared.sql)
            prepared.verdict, prepared.judge = again, session.judge
            verdict = again
        release: Release | None = None
        if verdict.held_back:
            found = self._bind_by_release(buf[start - m.HEADER : end], portal, name, prepared, params)
            if not isinstance(found, Release):
                return found
            release = found
        elif verdict.outcome != "allow":
            if prepared.segment != session.names.segment and session.unsettled:
                return self._until_settled()
            return self.poison(Owed.PARSE, session.refused(prepared.sql, verdict, params))
        elif (over := session.charge() or self._no_room(portal, prepared)) is not None:
            return self.poison(Owed.PARSE, session.refused_by(prepared.sql, over, "limits", params))
        call = session.begin_call(prepared.sql, verdict, params, prepared.text, release=release)
        session.portals.bind(portal, call, session.names.segment)
        session.pending.append(BIND)
        return None

    def _bind_by_release(
        self, raw: bytes, portal: bytes, name: bytes, prepared: Prepared, params: bytes | None
    ) -> Outcome | Release:
        """A Bind of what needs approval, or of what has its rows counted."""
        session = self.session
        if (over := self._no_room(portal, prepared)) is not None:
            return self.poison(Owed.PARSE, session.refused_by(prepared.sql, over, "limits", params))
        release = self.gates.bind(raw, prepared, name, params or b"")
        if isinstance(release, Release):
            self.gates.gone_on(release)
        return release

    def _no_room(self, portal: bytes, prepared: Prepared) -> ErrorFields | None:
        """The refusal of a Bind for whose names there is no room."""
        session = self.session
        if len(portal) > MAX_NAME:
            return NAME_TOO_LONG
        if len(session.portals) >= MAX_PORTALS:
            return too_many("portals")
        if prepared.verdict.prepares and session.names.full(prepared.sql):
            return too_many("prepared statements")
        return None

    def _unsettled(self, name: bytes) -> Outcome:
        """A name that may mean different texts: what runs must be what is on record, so the server's word on what
        was sent up to the last Sync is waited for. Where even that does not settle it (PREPARE), it is refused.
        """
        session = self.session
        if session.unsettled:
            return self._until_settled()
        return self.poison(Owed.PARSE, session.refused_by(b"", unsettled_statement(name), "protocol"))

    def _until_settled(self) -> object:
        """Keep the message at hand, and what follows, until the server has answered all up to the last Sync."""
        self.session.settled = self.hold()
        return HOLD

    def _common_tail(self, buf: bytes, bind: int, end: int) -> int:
        """The end of what follows the Bind at `bind`, where that is the usual Execute and Sync; else `end`.

        The same as walking them one by one, for a portal that was bound just now.
        """
        if self._stepped or buf[bind + m.HEADER]:
            return end
        for tail, described in _TAILS:
            if buf.startswith(tail, end):
                call = self.session.portals.get(b"")
                if call is None or call.verdict.copy_in:
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
        if call is not None and call.segment != session.names.segment and session.unsettled:
            return self._until_settled()
        if call is None:
            return self.poison(Owed.PARSE, session.refused_by(b"", no_such_portal(portal), "protocol"))
        if call.judge is not session.judge or not call.verdict.reusable:
            verdict = session.judge_again(call.sql, call.verdict, call.judge)
            if verdict is None:
                return self._hold(call.sql)
            if verdict.outcome != "allow":
                return self.poison(Owed.PARSE, session.refused(call.sql, verdict))
            call.judge = session.judge
        session.pending.append(Pending(Owed.EXECUTE, call))
        if call.verdict.copy_in:
            session.copy, session.copies = CopyState.PENDING, 1
        return None

    def _function_call(self, buf: bytes, start: int, end: int) -> Outcome:
        """The fast-path function call carries no SQL that could be judged: always refused."""
        if self.session.skipping:
            return b""
        return self.poison(Owed.QUERY, self.session.refused_by(b"", FUNCTION_CALL, "built-in"))

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
        sent = self.session.names.sent if of_statement else self.session.portals.sent
        self.session.pending.append(close_entry(target.name, sent, of_statement=of_statement))
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

    def _terminate(self, buf: bytes, start: int, end: int) -> Outcome:
        """An orderly end: what was sent before still runs, as it would without us."""
        session = self.session
        if not session.pending:
            session.end()
            return b""
        session.terminating = True
        return None

    def _begin_body(self, kind: int) -> Outcome:
        """A message whose body is not all here and will not be held: CopyData, or a text that is too long."""
        if kind == m.COPY_DATA:
            return self._copy(b"", 0, 0)
        if self.session.skipping:
            return b""
        refused = self.session.refused(b"", self.session.judge.too_long())
        return self.poison(Owed.QUERY if kind == m.QUERY else Owed.PARSE, refused)

    def poison(self, kind: Owed, refused: Refused) -> bytes:
        """Put a refusal in a message's place. In the extended protocol the server then skips up to the next Sync."""
        entry = poisoned(kind, refused)
        entry.sent_before = self.session.names.sent
        self.session.pending.append(entry)
        if kind is Owed.QUERY:
            return poison_query(refused)
        self.session.skipping = True
        return poison_parse(refused)
