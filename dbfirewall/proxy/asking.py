"""Asking people about one held-back statement: the snapshot, the request, the wait, and what the agent hears.

The agent hears of a request only once it is stored. While it waits, nothing is open on the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbfirewall.approvals.document import moment
from dbfirewall.approvals.model import Options, Parameter, Request, Snapshot, State, Terms
from dbfirewall.approvals.terms import terms_and_options
from dbfirewall.errors import StoreError
from dbfirewall.gate import Judge, Verdict
from dbfirewall.policy import refusal
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview.definitions import definitions
from dbfirewall.preview.talk import Talk
from dbfirewall.proxy.pending import Prepared
from dbfirewall.proxy.release import Interrupted, Step, reached
from dbfirewall.proxy.shown import parameters_of

if TYPE_CHECKING:
    from dbfirewall.proxy.gates import Gates

_SETTINGS: Final = """
SELECT pg_catalog.lower(s.name), s.setting FROM pg_catalog.pg_settings AS s
WHERE s.name OPERATOR(pg_catalog.=) ANY (
        '{search_path,DateStyle,IntervalStyle,TimeZone}'::pg_catalog.text[])
   OR (s.source OPERATOR(pg_catalog.=) 'session' AND (
        s.category OPERATOR(pg_catalog.~~) 'Client Connection Defaults /%'
        OR s.category OPERATOR(pg_catalog.~~) 'Version and Platform Compatibility /%')
      AND s.name OPERATOR(pg_catalog.<>) ALL (
        '{statement_timeout,lock_timeout,idle_in_transaction_session_timeout,idle_session_timeout,
          transaction_timeout,client_min_messages,client_encoding,extra_float_digits,bytea_output,
          application_name,default_transaction_read_only}'::pg_catalog.text[]))
UNION ALL SELECT 'current_user', CURRENT_USER::pg_catalog.text
UNION ALL SELECT 'session_user', SESSION_USER::pg_catalog.text
"""
"""What can change a statement's meaning: a few that always count, and whatever else this session has SET."""

_REPORTED: Final = ("search_path", "datestyle", "intervalstyle", "timezone")

CANCELLED: Final = ErrorFields("57014", "canceling statement due to user request")


@dataclass(frozen=True, slots=True)
class Held:
    """A statement at which the agent's stream stands.

    `raw`: the whole message, a Query or a Bind. `prepared`, `statement`: what a Bind binds, and its name.
    `values`: what stands in a Bind after its names.
    """

    sql: bytes
    verdict: Verdict
    judge: Judge
    raw: bytes
    prepared: Prepared | None = None
    statement: bytes = b""
    values: bytes = b""


@dataclass(frozen=True, slots=True)
class No:
    """It may not run. `approval`: the request that this is about."""

    fields: ErrorFields
    approval: str = ""


class Asking:
    """One statement's way to a yes, or to what the agent has to be told.

    `talk`: sees what the statement will see. `types`: asks the server for the types of its parameters.
    """

    def __init__(
        self, gates: Gates, held: Held, talk: Talk, types: Callable[[], Awaitable[tuple[int, ...]]]
    ) -> None:
        self._types = types
        self._gates = gates
        self._session = gates.session
        self._approving = gates.session.firewall.approving
        self._held = held
        self._talk = talk
        self.terms: tuple[Terms, ...] = ()
        self.options = Options()
        self.parameters: tuple[Parameter, ...] = ()
        self.settings: Mapping[str, str] = {}

    async def ask(self, *, in_transaction: bool) -> Request | No:
        """An approved request, or what to tell the agent. Raises ServerError, ConnectionError."""
        held, decision = self._held, self._held.verdict.decision
        approvals = self._approving.approvals
        if approvals is None:
            return No(refusal.store_unavailable(decision))
        self.terms, self.options = terms_and_options(decision, self._session.role)
        snapshot = await self._snapshot(in_transaction=in_transaction)
        try:
            request, new = await approvals.submit(snapshot, self.terms, self.options)
            reached(Step.SUBMITTED)
            if new or (request.state is State.PENDING and request.preview is None):
                self._approving.preview_soon(request, held.verdict.statements)
            if request.state is State.PENDING:
                request = await self._wait(request, in_transaction=in_transaction)
            if request.state is State.EXPIRED:
                await approvals.mark(request.id, told=True)
        except StoreError:
            return No(refusal.store_unavailable(decision))
        except Interrupted as interrupted:
            return No(CANCELLED, interrupted.approval)
        if request.state is State.APPROVED:
            return request
        return self.no(request, in_transaction=in_transaction)

    def no(self, request: Request, *, in_transaction: bool = False) -> No:
        """What the agent hears of a request that does not let its statement run now."""
        decision, expires = self._held.verdict.decision, moment(request.expires_at)
        if request.state is State.PENDING:
            url = self._approving.url(request.id)
            fields = refusal.pending(
                decision, request.id, url=url, expires=expires, in_transaction=in_transaction
            )
        elif request.state is State.DENIED:
            fields = refusal.denied(decision, request.id, reason=request.reason, expires=expires)
        elif request.state is State.EXPIRED:
            fields = refusal.expired(decision, request.id)
        elif request.state is State.UNKNOWN:
            fields = refusal.unsettled(decision, request.id)
        elif request.state in (State.RELEASING, State.DONE, State.APPROVED):
            fields = refusal.in_hand(decision, request.id)
        else:
            fields = refusal.withdrawn(decision, request.id, note=request.note or request.error)
        return No(fields, request.id)

    async def definitions(self, talk: Talk) -> str:
        """A digest of all that the statement touches, as `talk` sees it."""
        return await definitions(talk, self._held.verdict.statements)

    # -- the request ------------------------------------------------------------------------------------------

    async def _snapshot(self, *, in_transaction: bool) -> Snapshot:
        session, held, verdict = self._session, self._held, self._held.verdict
        settings = await self._talk.run(_SETTINGS)
        self.settings = {str(name): value or "" for name, value in settings.rows} | self._reported()
        if held.prepared is not None:
            self.parameters = parameters_of(held.values, held.prepared.oids, await self._types())
        effects = (effect for statement in verdict.statements for effect in statement.effects)
        return Snapshot(
            agent=session.agent,
            role=session.role.name,
            database=session.database,
            sql=held.sql,
            parameters=self.parameters,
            settings=self.settings,
            definitions=await self.definitions(self._talk),
            session=session.id,
            peer=session.address,
            application=session.application,
            in_transaction=in_transaction,
            extended=held.prepared is not None,
            rules_revision=session.firewall.rules.revision,
            catalog_version=session.judge.scope.catalog.version,
            effects=tuple(dict.fromkeys((effect.action, effect.object_name) for effect in effects)),
            rule=verdict.decision.rule,
            reason=verdict.decision.reason,
        )

    def _reported(self) -> dict[str, str]:
        """Under `pin: strict` the server was asked elsewhere: what it reported of this session counts."""
        if self._session.role.pin != "strict":
            return {}
        reported = self._session.reported
        return {name: reported[name] for name in _REPORTED if name in reported}

    async def _wait(self, request: Request, *, in_transaction: bool) -> Request:
        """Hold the statement for as long as its rule says, or until somebody has decided."""
        seconds = self.options.hold
        if seconds <= 0 or (in_transaction and not self.options.hold_in_transaction):
            return request
        approvals = self._approving.approvals
        if approvals is None:
            return request
        decision = self._held.verdict.decision
        self._gates.tell(
            refusal.waiting(decision, request.id, url=self._approving.url(request.id), seconds=seconds)
        )
        reached(Step.TOLD)
        try:
            return await self._gates.wait_for(request.id, approvals.wait(request.id, seconds))
        except (Interrupted, ConnectionError):
            await self._approving.abandoned(request)
            raise
