"""One accepted connection, from its first byte to a running session (or to being turned away)."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from typing import TYPE_CHECKING

from dbfirewall.errors import AuditError, CatalogError, ProtocolError, SqlState
from dbfirewall.policy.models import Agent, Role
from dbfirewall.proxy.admission import (
    Request,
    Turned,
    check_database,
    read_request,
    startup_framer,
    startup_parameters,
)
from dbfirewall.proxy.agent_side import AgentSide
from dbfirewall.proxy.gates import Gates
from dbfirewall.proxy.login import authenticate
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.pins import pins, tripwires
from dbfirewall.proxy.refusals import fatal
from dbfirewall.proxy.server_side import ServerSide
from dbfirewall.proxy.session import Session
from dbfirewall.proxy.strict import StrictAgentSide, StrictServerSide
from dbfirewall.proxy.upstream import Upstream, UpstreamError, connect
from dbfirewall.wire import backend
from dbfirewall.wire import messages as m
from dbfirewall.wire.authentication import AuthenticationOk, encode_authentication
from dbfirewall.wire.framing import Framer
from dbfirewall.wire.startup import CancelRequest

if TYPE_CHECKING:
    from dbfirewall.proxy.firewall import Firewall

log = logging.getLogger(__name__)

INVALID_PARAMETER_VALUE = "22023"
"""The server's word on a startup parameter that the agent asked for, such as a time zone: relayed as it is."""

CANCEL_KEY_BYTES = {m.PROTOCOL_3_0: 4, m.PROTOCOL_3_2: 32}


class Connection:
    """Brings one agent from accept to session. `context`: TLS towards agents, None where it is off."""

    def __init__(
        self, firewall: Firewall, peer: Peer, context: ssl.SSLContext | None, *, tls_required: bool
    ) -> None:
        self._firewall = firewall
        self._peer = peer
        self._context = context
        self._tls_required = tls_required
        self._framer: Framer = startup_framer()
        self._agent: str | None = None
        self._task: asyncio.Task[None] | None = None
        address = peer.transport.get_extra_info("peername")
        self.address = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "local"
        self._host = address[0] if isinstance(address, tuple) else "local"

    def begin(self) -> None:
        """Start to `run`, and wait among those that have not logged in."""
        self._firewall.waiting.enter(self, self._host)
        self._task = self._firewall.tasks.spawn("connection", self.run())

    def give_way(self) -> None:
        """Somebody else needs this place more: end, and free it at once."""
        firewall = self._firewall
        if self._task is None or not firewall.waiting.leave(self, self._host):
            return
        self._task.cancel()
        firewall.connections.closed(None)
        self._turn_away(
            Turned(
                SqlState.TOO_MANY_CONNECTIONS, "Too many connections.", hint="Retry later.", reason="crowded"
            )
        )

    async def run(self) -> None:
        """Until the session runs, or the connection is closed."""
        limits = self._firewall.settings.limits
        session: Session | None = None
        try:
            async with asyncio.timeout(limits.handshake_timeout) as timeout:
                request = await read_request(self._peer, self._framer, self._context)
                if isinstance(request, CancelRequest):
                    # Clients take the end of this connection for the end of the request: what they send next
                    # must not be hit by it.
                    self._firewall.cancel(request.pid, request.key, self._peer.close)
                    return
                agent, role = await self._log_in(request, timeout.when() or 0.0)
            session = await self._open(request, agent, role)
        except Turned as turned:
            self._turn_away(turned)
        except ProtocolError as error:
            self._turn_away(Turned(error.sqlstate, str(error), reason="protocol"))
        except TimeoutError:
            self._turn_away(Turned(SqlState.PROTOCOL, "The startup took too long.", reason="timeout"))
        except AuditError as error:
            log.critical("%s", error)
            text = "The audit record cannot be written, so nothing may run."
            self._turn_away(Turned(SqlState.NOT_READY, text, reason="audit"), recorded=False)
        except ConnectionError:
            self._peer.abort()
        except Exception:  # whatever goes wrong at startup must end this connection, and no other
            log.exception("startup of a connection failed")
            self._turn_away(Turned(SqlState.INTERNAL, "Internal error at startup.", reason="internal"))
        finally:
            waited = self._firewall.waiting.leave(self, self._host)
            if waited or (session is None and self._agent is not None):
                self._firewall.connections.closed(self._agent)

    # -- steps ------------------------------------------------------------------------------------------------

    async def _log_in(self, request: Request, deadline: float) -> tuple[Agent, Role]:
        if self._tls_required and not request.encrypted:
            raise Turned(
                SqlState.NOT_AUTHORIZED,
                "This firewall accepts only TLS connections.",
                hint="Connect with sslmode=require or stronger.",
                reason="plaintext",
            )
        if request.negotiate:
            self._peer.send(request.negotiate)
        agent = await authenticate(
            self._firewall, self._peer, self._framer, request.user, self._host, deadline
        )
        self._peer.send(encode_authentication(AuthenticationOk()))
        check_database(request, agent)
        role = self._firewall.rules.roles[agent.role]
        limit = role.limits.connections or self._firewall.settings.limits.connections_per_agent
        if not self._firewall.connections.authenticated(request.user, limit):
            raise Turned(
                SqlState.TOO_MANY_CONNECTIONS,
                f"This agent has its {limit} connections already.",
                hint="Close one of them, or retry later.",
                reason="agent connections",
            )
        self._agent = request.user
        self._firewall.waiting.leave(self, self._host)
        return agent, role

    async def _open(self, request: Request, agent: Agent, role: Role) -> Session:
        firewall = self._firewall
        asked = startup_parameters(request, role)
        database = check_database(request, agent)
        # The rules may be reloaded at every await: `_start` looks whether these are still in force.
        target, credentials = firewall.targets[database], firewall.credentials[database, role.name]
        path = firewall.search_path(role, database)
        try:
            catalog = await firewall.catalogs.wait_for(database, target.connect_timeout)
        except CatalogError as error:
            log.warning("no catalog of %s: %s", database, error)
            raise _unavailable() from None
        wanted = pins(role, path, catalog.server_version) | asked
        try:
            upstream = await connect(target, credentials, wanted)
        except UpstreamError as error:
            firewall.metrics.upstream_failures.inc(database, "connect")
            if error.refusal.get("C") == INVALID_PARAMETER_VALUE:
                raise Turned(INVALID_PARAMETER_VALUE, str(error), reason="parameter") from None
            log.warning("cannot connect to %s: %s", database, error)
            raise _unavailable() from None
        try:
            return self._start(request, database, role, asked, upstream)
        except BaseException:
            upstream.peer.abort()
            raise

    def _start(
        self, request: Request, database: str, role: Role, asked: dict[str, str], upstream: Upstream
    ) -> Session:
        firewall = self._firewall
        if self._peer.lost:
            raise ConnectionResetError("the agent left")
        if firewall.rules.roles.get(role.name) is not role:
            raise Turned(
                SqlState.NOT_READY, "The rules were changed while this session began.",
                hint="Connect again.", reason="rules",
            )  # fmt: skip
        application = asked.get("application_name", "")
        path = None if "search_path" in asked else firewall.search_path(role, database)
        judge = firewall.judge(role, database, application, path)
        wires = tripwires(role, asked, upstream.parameters)
        footing = firewall.footing(role, database)
        if judge is None or footing is None:
            raise _unavailable()
        session_id = secrets.token_hex(6)
        audit = firewall.audit.session(
            session_id=session_id, agent=request.user, role=role.name, database=database,
            peer=self.address, application=application,
        )  # fmt: skip
        session = Session(firewall, session_id, request.user, role, database, application,
                          self._peer, upstream, audit, judge, wires, footing)  # fmt: skip
        session.address = self.address
        if path is None:
            session.search_path = None
        audit.event("session_start")
        firewall.audit.flush()
        login = self._agent
        session.on_end.append(lambda: firewall.connections.closed(login))
        try:
            self._greet(request, session, upstream)
        except Exception as error:  # noqa: BLE001  the session counts from here on: it must end as one
            session.failed(error)
        return session

    def _greet(self, request: Request, session: Session, upstream: Upstream) -> None:
        """Tell the agent that it is in, and connect the two sides."""
        firewall, peer = self._firewall, self._peer
        cancel = firewall.register(session, upstream.pid, CANCEL_KEY_BYTES[request.version])
        status = [
            backend.encode_parameter_status(backend.ParameterStatus(name.encode(), value.encode()))
            for name, value in upstream.parameters.items()
        ]
        key = backend.encode_backend_key_data(backend.BackendKeyData(cancel.pid, cancel.key))
        ready = backend.encode_ready_for_query(m.STATUS_IDLE)
        peer.send(b"".join([*status, *upstream.notices, key, ready]))
        agent_side, server_side = sides(session, firewall.settings.limits.message_bytes)
        session.copy_settled, session.hold_agent = agent_side.copy_settled, agent_side.hold
        peer.pair(upstream.peer)
        upstream.peer.pair(peer)
        peer.on_lost, upstream.peer.on_lost = session.agent_lost, session.server_lost
        if upstream.peer.lost:
            session.server_lost(None)
            return
        upstream.peer.go_hot(server_side.receive)
        peer.go_hot(agent_side.receive, self._framer.take())

    def _turn_away(self, turned: Turned, *, recorded: bool = True) -> None:
        firewall = self._firewall
        firewall.metrics.connections_refused.inc(turned.reason)
        self._peer.close(fatal(turned.sqlstate, str(turned), detail=turned.detail, hint=turned.hint))
        if not recorded or firewall.draining:
            return
        try:
            firewall.record_stranger(
                "refused_connection", peer=self.address, agent=self._agent, sqlstate=turned.sqlstate,
                error=turned.reason,
            )  # fmt: skip
        except AuditError as error:
            log.critical("audit record failed for a refused connection: %s", error)


def sides(session: Session, max_message: int) -> tuple[AgentSide, ServerSide]:
    """The two directions of a session, as the role's pin demands."""
    agent_side: AgentSide
    if session.role.pin == "strict":
        agent_side = strict = StrictAgentSide(session, max_message)
        server_side: ServerSide = StrictServerSide(session, strict)
    else:
        agent_side, server_side = AgentSide(session, max_message), ServerSide(session)
    agent_side.gates = Gates(agent_side, server_side)
    return agent_side, server_side


def _unavailable() -> Turned:
    """Nothing of why: that is the operator's to know (see the log)."""
    return Turned(
        SqlState.UPSTREAM_DOWN, "The database behind the firewall cannot be reached now.",
        hint="Retry later.", reason="upstream",
    )  # fmt: skip
