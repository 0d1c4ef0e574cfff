"""`pin: strict`: the server's own proof, statement by statement, that a read-only role only reads.

What it rests on, measured: `BEGIN READ ONLY` with a snapshot taken can't be undone inside that transaction, only
ended; and a Parse holds one statement, the server refuses a second one (docs/security-model.md). So:

- Agent text never travels as a simple Query, only as one Parse.
- It runs inside a transaction that the firewall opened by `BEGIN … READ ONLY; SELECT 1`. Nothing of it is sent
  before the server has confirmed that transaction (ReadyForQuery `T`).
- One unverified statement at a time: an Execute is completed before the next message goes.
- A statement must describe to rows exactly if its facts say so, and answer with a tag that its facts allow; an
  EXECUTE as what was prepared under its name.
  ReadyForQuery must not be `I` before the transaction was ended on purpose. What does not fit ends the session.
- The agent sees none of the messages that were added.

States of the transaction around the agent's statements::

    NONE ──a statement──────▶ OPENING ──T──▶ OURS ──end of its unit──▶ CLOSING ──▶ NONE
    NONE ──the agent's BEGIN▶ OPENING ──T──▶ AGENTS ──its COMMIT or ROLLBACK──▶ NONE
    OURS ──BEGIN in a pipeline──▶ AGENTS
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Final

from dbfirewall.errors import ProtocolError, SqlState
from dbfirewall.gate import HOUSEKEEPING, Verdict
from dbfirewall.policy.decision import Decision
from dbfirewall.policy.refusal import refusal
from dbfirewall.proxy.agent_side import AgentSide
from dbfirewall.proxy.agent_stream import Outcome
from dbfirewall.proxy.pending import Added, Owed, Pending, Prepared, added_entry
from dbfirewall.proxy.release import Release
from dbfirewall.proxy.server_side import Handler, ServerSide, out_of_step
from dbfirewall.proxy.session import Session
from dbfirewall.sql.facts import Effect
from dbfirewall.wire import messages as m
from dbfirewall.wire.backend import decode_command_complete
from dbfirewall.wire.frontend import (
    Bind,
    BindParameters,
    Execute,
    Parse,
    Target,
    decode_parse,
    encode_bind,
    encode_bind_parameters,
    encode_describe,
    encode_execute,
    encode_parse,
    encode_query,
)

CONTROL: Final = frozenset({"begin", "commit", "rollback", "savepoint"})
"""Actions of statements that need no transaction of ours around them."""

_UNIT: Final = (
    encode_bind(Bind(b"", b"", encode_bind_parameters(BindParameters())))
    + encode_describe(Target(m.TARGET_PORTAL, b""))
    + encode_execute(Execute(b""))
    + m.SYNC_MESSAGE
)
_COMMIT: Final = encode_query(b"COMMIT")
_MODES: Final = {
    "isolation level read uncommitted": b", ISOLATION LEVEL READ UNCOMMITTED",
    "isolation level read committed": b", ISOLATION LEVEL READ COMMITTED",
    "isolation level repeatable read": b", ISOLATION LEVEL REPEATABLE READ",
    "isolation level serializable": b", ISOLATION LEVEL SERIALIZABLE",
    "deferrable": b", DEFERRABLE",
}
"""Words of a `begin` effect's detail → what our own BEGIN says for them."""


class Transaction(Enum):
    """See the module's diagram."""

    NONE = "none"
    OPENING = "opening"
    OURS = "ours"
    AGENTS = "agents"
    CLOSING = "closing"


class StrictAgentSide(AgentSide):
    """The agent's side under `pin: strict`. `transaction` is moved on by `StrictServerSide` too."""

    def __init__(self, session: Session, max_message: int) -> None:
        super().__init__(session, max_message)
        self.transaction = Transaction.NONE
        self.ended = False
        self._handlers = {kind: self._one_at_a_time(kind, work) for kind, work in self._handlers.items()}

    def settled(self) -> None:
        """What was waited for has been answered: go on with what the agent has sent."""
        self._release()

    def _one_at_a_time(self, kind: int, work: Callable[[bytes, int, int], Outcome]) -> Handler:
        def step(buf: bytes, start: int, end: int) -> Outcome:
            if kind == m.TERMINATE:
                return work(buf, start, end)
            if self.transaction in (Transaction.OPENING, Transaction.CLOSING) or self._running():
                return self._wait()
            if kind in (m.PARSE, m.BIND, m.EXECUTE, m.DESCRIBE, m.CLOSE) and not self.session.skipping:
                if self.ended:
                    return self._refuse(
                        Owed.PARSE, "Nothing but Sync may follow COMMIT or ROLLBACK in a pipeline."
                    )
                if self.transaction is Transaction.NONE:
                    return self._open(b"")
            return work(buf, start, end)

        return step  # type: ignore[return-value]  # HOLD is part of Outcome

    def _common_tail(self, buf: bytes, bind: int, end: int) -> int:
        """Nothing is taken together here: each message waits for the one before."""
        return end

    def _running(self) -> bool:
        """Whether a statement has been sent that the server has not finished."""
        return any(
            entry.kind in (Owed.EXECUTE, Owed.QUERY) and not entry.poison for entry in self.session.pending
        )

    def _open(self, modes: bytes) -> object:
        """Open our transaction, and hold the agent's message until the server has confirmed it."""
        self.transaction = Transaction.OPENING
        self.session.pending.append(added_entry(Owed.QUERY, Added.OPEN))
        return self._wait(encode_query(b"BEGIN READ ONLY%s; SELECT 1" % modes))

    # -- simple protocol --------------------------------------------------------------------------------------

    def _ready_to_run(self, verdict: Verdict) -> bool:
        if self.transaction is not Transaction.NONE or not verdict.statements or len(verdict.statements) > 1:
            return True
        if _action(verdict) in CONTROL or _unprovable(self._foretold(verdict)):
            return True
        self._open(b"")
        return False

    def _run_query(self, sql: bytes, verdict: Verdict, release: Release | None = None) -> Outcome:
        session = self.session
        if len(verdict.statements) > 1:
            return self._refuse(Owed.QUERY, "This role sends one statement at a time (pin: strict).", sql)
        verdict = self._foretold(verdict)
        if _unprovable(verdict):
            return self._refuse(Owed.QUERY, _UNPROVABLE, sql)
        call = session.begin_call(sql, verdict, release=release)
        # What stands under the empty name then is ours, or nothing.
        session.take_empty_names()
        if verdict.decision is HOUSEKEEPING or not verdict.statements:
            session.pending.append(Pending(Owed.QUERY, call))
            return None if verdict.decision is HOUSEKEEPING else encode_query(b"")
        if _action(verdict) == "begin" and self.transaction is Transaction.NONE:
            self.transaction = Transaction.OPENING
            session.pending.append(added_entry(Owed.QUERY, Added.BEGIN, call))
            return encode_query(b"BEGIN READ ONLY%s; SELECT 1" % _modes(verdict.statements[0].effects))
        ours = self.transaction is Transaction.OURS
        session.pending += (
            added_entry(Owed.PARSE, Added.HIDDEN),
            added_entry(Owed.BIND, Added.HIDDEN),
            added_entry(Owed.DESCRIBE, Added.DESCRIBE, call),
            Pending(Owed.EXECUTE, call),
            added_entry(Owed.SYNC, Added.HIDDEN if ours else Added.NO),
        )
        unit = encode_parse(Parse(b"", sql)) + _UNIT
        return unit + self._close_ours() if ours else unit

    def _foretold(self, verdict: Verdict) -> Verdict:
        """`verdict`; of an EXECUTE with the answer of what its name means, where that is told.

        Nothing is on its way here, so that the name still means the same when the server looks it up.
        """
        (statement, *others) = verdict.statements or (None,)
        if statement is None or others or statement.kind != "execute":
            return verdict
        (name,) = (str(effect.object[-1]) for effect in statement.effects if effect.action == "execute")
        answers = {_answer(prepared, name) for prepared in self.session.names.meanings(name.encode())}
        if len(answers) != 1:
            return verdict
        ((tags, rows),) = answers
        return replace(verdict, statements=(replace(statement, tags=tags, returns_rows=rows),))

    def _close_ours(self) -> bytes:
        self.transaction = Transaction.CLOSING
        self.session.pending.append(added_entry(Owed.QUERY, Added.CLOSE))
        return _COMMIT

    def _refuse(self, kind: Owed, reason: str, sql: bytes = b"") -> bytes:
        decision = Decision("deny", SqlState.NOT_UNDERSTOOD, "pin: strict", reason, retry="after-rewrite")
        refused = self.session.refused_by(sql, refusal(decision), "pin: strict")
        return self.poison(kind, refused)

    # -- extended protocol ------------------------------------------------------------------------------------

    def _parse(self, buf: bytes, start: int, end: int) -> Outcome:
        """A Parse that goes on is described by us as well: its rows must be what its facts say."""
        result = super()._parse(buf, start, end)
        if result is not None:
            return result
        parse, prepared = decode_parse(buf, start, end), self.session.pending[-1].prepared
        if prepared is not None and _unprovable(prepared.verdict):
            self.session.pending.pop()
            self.session.names.withdraw(parse.name, prepared)
            return self._refuse(Owed.PARSE, _UNPROVABLE, parse.sql)
        self.session.pending.append(added_entry(Owed.DESCRIBE, Added.CHECK, prepared=prepared))
        return buf[start - m.HEADER : end] + encode_describe(Target(m.TARGET_STATEMENT, parse.name))

    def _execute(self, buf: bytes, start: int, end: int) -> Outcome:
        result = super()._execute(buf, start, end)
        if result is not None:
            return result
        call = self.session.pending[-1].call
        action = _action(call.verdict) if call is not None else ""
        if action == "begin" and self.transaction is Transaction.OURS:
            self.transaction = Transaction.AGENTS
        self.ended = self.ended or action in ("commit", "rollback")
        return buf[start - m.HEADER : end] + m.FLUSH_MESSAGE

    def _sync(self, buf: bytes, start: int, end: int) -> Outcome:
        result = super()._sync(buf, start, end)
        if self.transaction is not Transaction.OURS:
            return result
        self.session.pending[-1] = added_entry(Owed.SYNC, Added.HIDDEN)
        return m.SYNC_MESSAGE + self._close_ours()


_UNPROVABLE: Final = (
    "What EXECUTE runs can't be proved here (pin: strict): send it as a simple query, or bind it."
)


def _answer(prepared: Prepared, name: str) -> tuple[tuple[str, ...], bool]:
    """The tags of what was prepared under this name, and whether it returns rows; no tags where that is not told."""
    for statement in prepared.verdict.statements:
        if prepared.from_sql and statement.prepares == name:
            return statement.inner_tags, statement.inner_rows
    if prepared.from_sql or len(prepared.verdict.statements) != 1:
        return (), False
    return prepared.verdict.statements[0].tags, prepared.verdict.statements[0].returns_rows


def _unprovable(verdict: Verdict) -> bool:
    """Whether the facts do not say what the server must answer."""
    return any(not statement.tags for statement in verdict.statements)


def _action(verdict: Verdict) -> str:
    """What a statement is, where it is transaction control; else its first action."""
    effects = verdict.statements[0].effects if verdict.statements else ()
    return effects[0].action if effects else ""


def _modes(effects: tuple[Effect, ...]) -> bytes:
    """The isolation level and deferrability that the agent's BEGIN asked for, in our own words."""
    words = [word for effect in effects if effect.action == "begin" for word in effect.detail.split(", ")]
    return b"".join(_MODES.get(word, b"") for word in words)


class StrictServerSide(ServerSide):
    """The server's side under `pin: strict`: swallows what was added, checks what was asked for."""

    def __init__(self, session: Session, agent_side: StrictAgentSide) -> None:
        super().__init__(session)
        self._skip_rows = False
        self._agent_side = agent_side
        self._handlers = {kind: self._checked(kind, work) for kind, work in self._handlers.items()}

    def _checked(self, kind: int, work: Handler) -> Handler:
        def step(buf: bytes, start: int, end: int) -> bytes | None:
            pending = self.session.pending
            entry = pending[0] if pending else None
            if kind == m.PARAMETER_STATUS:
                return work(buf, start, end)
            if kind == m.ERROR_RESPONSE:
                error = work(buf, start, end)
                self._later.append(self._agent_side.settled)
                return error
            if kind == m.NOTICE_RESPONSE:
                return b"" if entry is not None and self._is_added_begin(entry) else work(buf, start, end)
            if entry is not None and entry.added is not Added.NO:
                return self._added(kind, entry, work, buf, start, end)
            if kind == m.COMMAND_COMPLETE and entry is not None and entry.call is not None:
                _check_tag(entry.call.verdict, buf, start, end)
            result = work(buf, start, end)
            if kind == m.READY_FOR_QUERY:
                self._after_unit()
            elif kind in (m.COMMAND_COMPLETE, m.EMPTY_QUERY_RESPONSE, m.PORTAL_SUSPENDED):
                self._later.append(self._agent_side.settled)
            return result

        return step

    def _is_added_begin(self, entry: Pending) -> bool:
        """`there is already a transaction in progress`, in answer to a BEGIN inside our own."""
        return (
            entry.kind is Owed.EXECUTE and entry.call is not None and _action(entry.call.verdict) == "begin"
        )

    def _added(
        self, kind: int, entry: Pending, work: Handler, buf: bytes, start: int, end: int
    ) -> bytes | None:
        """An answer to something that the agent did not send (or not so)."""
        if kind == m.READY_FOR_QUERY:
            work(buf, start, end)
            return self._added_ready(entry)
        if entry.added is Added.BEGIN and kind == m.COMMAND_COMPLETE and entry.call is not None:
            if entry.call.ended:
                return b""
            entry.call.ended = True
            self.session.end_call(entry.call, 0)
            return None
        if entry.kind is Owed.QUERY:
            return b""
        if kind in (m.ROW_DESCRIPTION, m.NO_DATA):
            _check_rows(entry, described=kind == m.ROW_DESCRIPTION)
            work(buf, start, end)
            return None if entry.added is Added.DESCRIBE and kind == m.ROW_DESCRIPTION else b""
        if kind == m.PARSE_COMPLETE:
            self.session.pending.popleft()
        elif kind != m.PARAMETER_DESCRIPTION:
            work(buf, start, end)
        return b""

    def _added_ready(self, entry: Pending) -> bytes | None:
        """ReadyForQuery after something that was added: the transaction must be where we think it is."""
        side, status = self._agent_side, self.session.status
        if entry.added is Added.HIDDEN:
            if status == m.STATUS_IDLE and not side.ended:
                raise out_of_step()
            return b""
        if entry.added is Added.CLOSE:
            if status != m.STATUS_IDLE:
                raise out_of_step()
            side.transaction, side.ended = Transaction.NONE, False
            self._later.append(self._agent_side.settled)
            return None
        if status != m.STATUS_IN_TRANSACTION:
            raise ProtocolError("the read-only transaction could not be opened", SqlState.SESSION_ENDED)
        side.transaction = Transaction.OURS if entry.added is Added.OPEN else Transaction.AGENTS
        self._later.append(self._agent_side.settled)
        return b"" if entry.added is Added.OPEN else None

    def _after_unit(self) -> None:
        """ReadyForQuery that the agent sees."""
        side, status = self._agent_side, self.session.status
        if side.transaction is Transaction.AGENTS and status == m.STATUS_IDLE:
            side.transaction = Transaction.NONE
        elif status != m.STATUS_IDLE and side.transaction is Transaction.NONE:
            raise out_of_step()
        side.ended = False
        self._later.append(self._agent_side.settled)


def _check_tag(verdict: Verdict, buf: bytes, start: int, end: int) -> None:
    """The command tag must be one that the statement's facts allow."""
    if not verdict.statements:
        return
    tag = decode_command_complete(buf, start, end).decode("utf-8", "replace")
    allowed = {word for statement in verdict.statements for word in statement.tags}
    if not any(tag == word or tag.startswith(word + " ") for word in allowed):
        raise ProtocolError("the server ran something else than was judged", SqlState.SESSION_ENDED)


def _check_rows(entry: Pending, *, described: bool) -> None:
    """A statement returns rows exactly if its facts say so; a FETCH of a cursor that is not there has none.

    Nor has an EXECUTE of a name that is not there: the error follows, and no other answer will do.
    """
    holder = entry.call or entry.prepared
    if holder is None or not holder.verdict.statements:
        return
    statement = holder.verdict.statements[0]
    if statement.kind == "fetch" and not described:
        return
    if statement.kind == "execute" and not described and entry.call is not None:
        entry.call.verdict = replace(entry.call.verdict, statements=(replace(statement, tags=()),))
        return
    if statement.returns_rows != described:
        raise ProtocolError("the server understood something else than was judged", SqlState.SESSION_ENDED)
