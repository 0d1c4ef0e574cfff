"""One agent's session: the state that both directions share, and how a session ends.

`agent_side` walks what the agent sends, `server_side` what Postgres answers; both work on a `Session`.

Rules:
- Nothing is forwarded before its audit record is flushed.
- A session that can't be kept in step ends: FATAL to the agent, abort towards the server.
- A lost agent: what it was running is cancelled, its backend does not stay.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from dbfirewall.audit import AuditSession, decision_members
from dbfirewall.errors import AuditError, ProtocolError, SqlState
from dbfirewall.gate import UNCHANGED, Judge, SessionFacts, Unchanged, Verdict
from dbfirewall.policy.decision import Decision
from dbfirewall.policy.models import Role
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.pending import Call, CopyState, Owed, Pending, Prepared, Refused, StatementNames
from dbfirewall.proxy.pins import Footing
from dbfirewall.proxy.portals import Portals
from dbfirewall.proxy.refusals import error_response, fatal, refuse
from dbfirewall.proxy.release import Release
from dbfirewall.proxy.upstream import Upstream
from dbfirewall.wire import messages as m

if TYPE_CHECKING:
    from dbfirewall.proxy.firewall import Firewall

log = logging.getLogger(__name__)

MAX_PORTALS = 10_000
"""Security limit: named portals that one transaction may hold."""


MAX_PENDING = 10_000
"""Security limit: messages that the server has not answered before no more are read (and those of one chunk)."""


class Session:
    """State of one session. `tripwires`: reported parameter (lower case) → the value it must keep.

    `footing`: what was settled with the server when it began, and can't be changed any more.
    """

    def __init__(
        self,
        firewall: Firewall,
        session_id: str,
        agent: str,
        role: Role,
        database: str,
        application: str,
        agent_peer: Peer,
        upstream: Upstream,
        audit: AuditSession,
        judge: Judge,
        tripwires: dict[str, str],
        footing: Footing,
    ) -> None:
        self.firewall = firewall
        self.id = session_id
        self.agent = agent
        self.role = role
        self.max_rows = role.limits.max_rows
        self.database = database
        self.address = ""
        """Where the agent is connected from."""
        self.application = application
        self.agent_peer = agent_peer
        self.server_peer = upstream.peer
        self.upstream_pid = upstream.pid
        self.upstream_key = upstream.key
        self.audit = audit
        self.judge = judge
        self.tripwires = tripwires
        self.footing = footing
        self.loosened: set[str] = set()
        self.pending: deque[Pending] = deque()
        self.names = StatementNames()
        self.portals = Portals()
        self.status = m.STATUS_IDLE
        self.copy = CopyState.NONE
        self.copies = 0
        self.catalog_changed = False
        self.wants_idle: Callable[[], None] | None = None
        """Called at each ReadyForQuery that says that no transaction is open."""
        self.call_ended: Callable[[Release, int | None, str | None], None] = _unheard
        self.reported = {name.lower(): value for name, value in upstream.parameters.items()}
        self.busy = False
        """Whether something is under way on the server that the agent did not send, or not so."""
        self.interrupt: Callable[[], bool] = bool
        """The agent cancels: whether that was of something that waits for people."""
        self.waiting_for = ""
        """The approval that a statement waits for."""
        self.skipping = False
        self.sent = 0
        self.search_path: tuple[str, ...] | Unchanged | None = UNCHANGED
        self.torn = False
        """Whether what was sent to the agent ends inside a message: then nothing of ours can be said any more."""
        self.ended = False
        self.terminating = False
        self.copy_settled: Callable[[], None] = _nothing
        self.relieved: Callable[[], None] | None = None
        self.settled: Callable[[], None] | None = None
        self.settle_all = False
        """Whether `settled` waits for every answer, and not just for those up to the last Sync."""
        self.hold_agent: Callable[[], Callable[[], None]] = lambda: _nothing
        self.facts = SessionFacts(executable=self._executable)
        self._ready: tuple[bytes, Judge, Verdict] | None = None
        self._executing = False
        self.on_end: list[Callable[[], None]] = []

    # -- judging ----------------------------------------------------------------------------------------------

    def judge_text(self, sql: bytes, oids: bytes = b"") -> Verdict | None:
        """The verdict on `sql`, its parameters of these types, as of now; None where a worker must read it first."""
        verdict = self._judge_text(sql)
        return verdict if verdict is None or not oids else self.judge.with_types(verdict, oids)

    def _judge_text(self, sql: bytes) -> Verdict | None:
        if self._ready is not None:
            text, judge, verdict = self._ready
            self._ready = None
            if text == sql and judge is self.judge:
                return verdict
        return self.judge.judge(sql, self.facts)

    def judge_again(self, sql: bytes, verdict: Verdict, judge: Judge, oids: bytes = b"") -> Verdict | None:
        """`verdict`, or a new one where rules or catalog changed since `judge` gave it."""
        if judge is self.judge and verdict.reusable:
            return verdict
        return self.judge_text(sql, oids)

    def take_verdict(self, sql: bytes, judge: Judge, verdict: Verdict) -> None:
        """What a worker's reading of `sql` led to; `judge_text` asks for it next."""
        self._ready = (sql, judge, verdict)

    def note_protocol_prepared(self) -> None:
        """A named statement was prepared through the protocol."""
        self.facts = SessionFacts(protocol_prepared=True, executable=self._executable)

    def _executable(self, name: str) -> Decision | None:
        """What EXECUTE `name` amounts to: the strictest decision on any meaning of that name."""
        if self._executing:
            return None  # an EXECUTE of an EXECUTE: nobody needs it, and it could go round in a circle
        found: Decision | None = None
        self._executing = True
        try:
            for prepared in tuple(self.names.meanings(name.encode())):
                verdict = self.judge_again(prepared.sql, prepared.verdict, prepared.judge, prepared.oids)
                if verdict is None:
                    return None
                if found is None or verdict.outcome != "allow":
                    found = verdict.decision
        finally:
            self._executing = False
        return found

    def charge(self) -> ErrorFields | None:
        """Count one statement against the agent's rate; the refusal where it is used up."""
        rate = self.role.limits.queries
        if rate is None or (wait := self.firewall.rates.charge(self.agent, rate.count, rate.seconds)) <= 0.0:
            return None
        self.firewall.metrics.limited.inc(self.role.name, "queries")
        return ErrorFields.limit(
            f"The rate limit of this role ({rate}) is used up.",
            f"Wait {math.ceil(wait)} s before the next statement.",
        )

    def row_limit_error(self, call: Call) -> bytes:
        """53400 in the place of the end of a result that was cut at `max_rows`."""
        if not call.refused_rows:
            call.refused_rows = True
            self.firewall.metrics.limited.inc(self.role.name, "max_rows")
        limit = self.role.limits.max_rows
        return error_response(ErrorFields.limit(
            f"The result has more than the {limit} rows that this role may read with one statement.",
            "Add a LIMIT, a narrower WHERE, or aggregate.",
        ))  # fmt: skip

    # -- records ----------------------------------------------------------------------------------------------

    def record(self, sql: bytes, verdict: Verdict, params: bytes | None = None) -> str:
        """Append the audit record of one statement and count it; `flush` follows before anything is sent."""
        verdict.cell.value += 1
        return self.audit.statement(self.firewall.audit.sql_member(sql), verdict.audit, params)

    def begin_call(
        self,
        sql: bytes,
        verdict: Verdict,
        params: bytes | None = None,
        text: str | None = None,
        release: Release | None = None,
    ) -> Call:
        """A statement is about to run: record it, and note what it may change in the session.

        `text`: the audit's `sql_member` of `sql`, where it is at hand. `release`: by which it runs, where it was
        held back.
        """
        verdict.cell.value += 1
        if text is None:
            text = self.firewall.audit.sql_member(sql)
        approval = None if release is None or release.request is None else release.request.id
        members = verdict.audit if approval is None else verdict.released
        audit_id = self.audit.statement(text, members, params, approval)
        call = Call(audit_id, sql, verdict, self.judge, self.sent)
        call.release = release
        if verdict.plain:
            return call
        if verdict.loosens:
            self.loosened |= verdict.loosens
        if verdict.search_path is not UNCHANGED and verdict.search_path != self.search_path:
            self.search_path = verdict.search_path
            self.refresh_judge()
        call.names_sent = self.names.sent
        for name in verdict.prepares:
            self.names.add_from_sql(name, Prepared(sql, verdict, self.judge, text=text))
        return call

    def end_call(self, call: Call, rows: int | None, error: str | None = None) -> None:
        """Append the outcome of a call."""
        duration = (perf_counter() - call.started) * 1000.0
        self.audit.outcome(call.audit_id, rows, self.sent - call.sent, duration, error)
        call.sent = self.sent
        if call.verdict.changes_catalog and error is None:
            self.catalog_changed = True
        if call.release is not None:
            self.call_ended(call.release, rows, error)

    def deallocated(self, call: Call, tag: bytes) -> None:
        """A statement that may drop prepared statements has run; `tag`: its command tag."""
        if tag in (b"DEALLOCATE ALL", b"DISCARD ALL"):
            self.names.forget_all(call.names_sent)
        elif len(call.verdict.statements) == 1:
            for effect in call.verdict.statements[0].effects:
                if effect.action == "deallocate" and tag == b"DEALLOCATE":
                    self.names.forget(str(effect.object[0]).encode(), call.names_sent)

    def refused_by(self, sql: bytes, fields: ErrorFields, rule: str, params: bytes | None = None) -> Refused:
        """Record a refusal that no rule of the role decided (a limit, the protocol)."""
        decision = decision_members((), "deny", rule, fields.sqlstate)
        self.audit.statement(self.firewall.audit.sql_member(sql), decision, params)
        return refuse(fields)

    def refused(self, sql: bytes, verdict: Verdict, params: bytes | None = None) -> Refused:
        """Record a refusal; what to put in the statement's place."""
        self.record(sql, verdict, params)
        if verdict.error is None:
            raise ProtocolError("refused", SqlState.INTERNAL)
        return refuse(verdict.error)

    def held_back(
        self, sql: bytes, verdict: Verdict, fields: ErrorFields, approval: str, params: bytes | None = None
    ) -> Refused:
        """Record that a statement may not run now (or not like this); what to put in its place."""
        verdict.cell.value += 1
        effects = [effect for statement in verdict.statements for effect in statement.effects]
        outcome: Literal["gate", "deny"] = "gate" if verdict.outcome == "gate" else "deny"
        decision = decision_members(effects, outcome, verdict.decision.rule, str(fields.sqlstate))
        self.audit.statement(self.firewall.audit.sql_member(sql), decision, params or None, approval or None)
        return refuse(fields)

    # -- life -------------------------------------------------------------------------------------------------

    def take_empty_names(self) -> None:
        """A Query goes out that the server's side does not settle as usual: under the empty name nothing is left."""
        self.names.forget(b"", self.names.sent)
        self.portals.close(b"", self.portals.sent)

    @property
    def unsettled(self) -> bool:
        """Whether something was sent, up to the last Sync or Query, that the server has not answered."""
        return any(entry.kind in (Owed.SYNC, Owed.QUERY) for entry in self.pending)

    @property
    def idle(self) -> bool:
        """Nothing is running and no transaction is open."""
        return not self.pending and self.status == m.STATUS_IDLE and (not self.busy or bool(self.waiting_for))

    def next_query(self) -> None:
        """A Query is about to be sent. Behind Binds without a Sync it ends no implicit transaction (PostgreSQL 14 to
        18), though ReadyForQuery says that a transaction is open: the next Sync ends it.
        """
        unsynced = self.portals.segment == self.names.segment
        self.names.next_segment()
        if unsynced:
            self.portals.segment = self.names.segment

    def became_idle(self) -> None:
        """ReadyForQuery says that no transaction is open."""
        if self.portals and not self.pending:
            # Where more was sent, some of these may be bound in it; a portal that is gone is the server's to say.
            self.portals.clear()
        if self.catalog_changed:
            self.catalog_changed = False
            self.firewall.catalog_changed(self)
        if self.wants_idle is not None:
            self.wants_idle()

    def say(self, messages: bytes) -> None:
        """Send the agent what the server did not send, or not so."""
        self.sent += len(messages)
        self.firewall.bytes_to_agent.value += len(messages)
        self.agent_peer.send(messages)

    def refresh_judge(self) -> None:
        """Take the current judge: rules were reloaded, the catalog changed, or the search_path did."""
        judge = self.firewall.judge_for(self)
        if judge is None:
            self.end(
                fatal(SqlState.SESSION_ENDED, "This agent's access was changed; connect again."),
                "rules changed",
            )
        else:
            self.judge = judge
            self.max_rows = self.role.limits.max_rows

    def failed(self, error: Exception) -> None:
        """One direction's handler raised: the session ends with a fitting error, details only in the log."""
        if isinstance(error, ProtocolError):
            self.end(fatal(error.sqlstate, str(error)), f"protocol: {error}", abort=True)
        elif isinstance(error, AuditError):
            log.critical("audit record failed, session %s ends: %s", self.id, error)
            self.firewall.metrics.audit_failures.inc()
            text = "The audit record cannot be written, so nothing may run. The session ends."
            hint = "Tell the operator; retry later."
            self.end(fatal(SqlState.SESSION_ENDED, text, hint=hint), "audit failed", abort=True)
        else:
            log.error("session %s failed", self.id, exc_info=error)
            text = f"Internal error, see the log for session {self.id}."
            self.end(fatal(SqlState.INTERNAL, text), "internal error", abort=True)

    def end(self, last: bytes = b"", why: str = "", *, abort: bool = False) -> None:
        """End the session: `last` to the agent, nothing more to the server. Safe to call again.

        `abort`: without a Terminate for the server, as where something runs or is queued.
        """
        if self.ended:
            return
        self.ended = True
        running = (bool(self.pending) or (self.busy and not self.waiting_for)) and not self.server_peer.lost
        self.agent_peer.close(b"" if self.torn else last)
        if abort or running or self.pending or self.server_peer.queued():
            self.server_peer.abort()
        else:
            self.server_peer.close(m.TERMINATE_MESSAGE)
        if running:
            self.firewall.cancel_upstream(self)
        try:
            self.audit.event("session_end", error=why or None)
        except AuditError as error:
            log.critical("audit record failed at the end of session %s: %s", self.id, error)
        for callback in self.on_end:
            callback()

    def drain(self) -> None:
        """The firewall shuts down."""
        text = "The firewall is shutting down; connect again later."
        self.end(fatal(SqlState.SESSION_ENDED, text), "shutdown")

    def agent_lost(self, _error: Exception | None) -> None:
        """The agent's connection is gone. After its Terminate, what it had sent may still finish."""
        if not (self.terminating and self.pending):
            self.end(why="agent disconnected")

    def server_lost(self, _error: Exception | None) -> None:
        """Postgres closed the connection. If it said why, that is on its way to the agent already."""
        self.end(why="" if self.terminating and not self.pending else "server disconnected")


def _nothing() -> None:
    """Until the agent's side is there."""


def _unheard(_release: Release, _rows: int | None, _error: str | None) -> None:
    """Until the gates are there."""
