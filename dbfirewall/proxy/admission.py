"""An agent's way in: encryption, startup packet, SCRAM, and what its startup parameters ask for.

Rules:
- One SSLRequest and one GSSENCRequest at most; nothing may be glued to an SSLRequest (CVE-2021-23214).
- No agent, wrong password, wrong role: the same steps, the same text, 28P01.
- Startup parameters are `set` effects: judged by the same function and rules as SET (docs/rules.md).
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfirewall.errors import DbfirewallError, ProtocolError, SqlState
from dbfirewall.policy.decision import Context, Decision, decide
from dbfirewall.policy.models import Agent, Role
from dbfirewall.proxy.peer import Peer
from dbfirewall.sql.facts import Analysis, Effect, Statement
from dbfirewall.wire import messages as m
from dbfirewall.wire.framing import Framer, Phase
from dbfirewall.wire.startup import (
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    decode_startup_packet,
    encode_negotiate_protocol_version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Turned(DbfirewallError):  # noqa: N818  not an error of ours: somebody is turned away
    """An agent is turned away with a FATAL error. `hint` and `detail` go to the agent too."""

    def __init__(
        self, sqlstate: str, message: str, *, detail: str = "", hint: str = "", reason: str = ""
    ) -> None:
        self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint
        self.reason = reason or "refused"
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Request:
    """A startup packet, read. `negotiate`: the NegotiateProtocolVersion message to send first, or empty."""

    user: str
    database: str | None
    parameters: dict[str, str]
    version: int
    negotiate: bytes
    encrypted: bool


async def read_request(peer: Peer, framer: Framer, context: ssl.SSLContext | None) -> Request | CancelRequest:
    """The peer's startup packet, after whatever encryption it asks for. Raises ProtocolError, Turned."""
    asked: set[type] = set()
    if context is not None and await peer.first_byte() == m.TLS_HANDSHAKE:
        await _direct_tls(peer, context)
        asked = {SSLRequest, GSSENCRequest}
    while True:
        packet = await _next_packet(peer, framer)
        if isinstance(packet, CancelRequest):
            return packet
        if isinstance(packet, StartupMessage):
            return _request(packet, encrypted=peer.tls is not None)
        if type(packet) in asked or peer.tls is not None:
            raise ProtocolError("encryption was asked for twice")
        asked.add(type(packet))
        if isinstance(packet, SSLRequest) and context is not None:
            if framer.buffered:
                raise ProtocolError("received unencrypted data after SSL request")
            peer.send(m.ENCRYPTION_ACCEPTED)
            await peer.start_tls(context, server_side=True)
        else:
            peer.send(m.ENCRYPTION_REFUSED)


async def _next_packet(
    peer: Peer, framer: Framer
) -> StartupMessage | SSLRequest | GSSENCRequest | CancelRequest:
    while (frame := framer.next()) is None:
        framer.feed(await peer.read_some())
    return decode_startup_packet(frame.body, 0, len(frame.body))


async def _direct_tls(peer: Peer, context: ssl.SSLContext) -> None:
    """TLS from the first byte; ALPN is mandatory, as in Postgres 17 (protocol-flow, 'SSL Session Encryption')."""
    await peer.start_tls(context, server_side=True, take_buffered=True)
    if peer.tls is None or peer.tls.object.selected_alpn_protocol() != "postgresql":
        raise ProtocolError("direct TLS connection without the ALPN protocol negotiation extension")


def _request(packet: StartupMessage, *, encrypted: bool) -> Request:
    if packet.version >> 16 != m.PROTOCOL_3_0 >> 16:
        raise Turned(SqlState.NOT_UNDERSTOOD, "unsupported frontend protocol: server supports 3.0 to 3.2")
    parameters = {name: value for name, value in packet.parameters.items() if not name.startswith("_pq_.")}
    unsupported = tuple(name for name in packet.parameters if name.startswith("_pq_."))
    version = packet.version if packet.version in (m.PROTOCOL_3_0, m.PROTOCOL_3_2) else m.PROTOCOL_3_2
    if packet.version < m.PROTOCOL_3_2:
        version = m.PROTOCOL_3_0
    negotiate = b""
    if version != packet.version or unsupported:
        negotiate = encode_negotiate_protocol_version(NegotiateProtocolVersion(version, unsupported))
    user = parameters.pop("user", "")
    if not user:
        raise Turned(SqlState.NOT_AUTHORIZED, "no PostgreSQL user name specified in startup packet")
    if parameters.pop("replication", "false").lower() not in ("false", "off", "no", "0", ""):
        raise Turned(SqlState.NOT_UNDERSTOOD, "Replication connections are refused.", reason="replication")
    return Request(user, parameters.pop("database", None), parameters, version, negotiate, encrypted)


def startup_parameters(request: Request, role: Role) -> dict[str, str]:
    """The parameters that the agent may start its session with. Raises Turned with the rule's refusal.

    `options` is read as Postgres' own command line (`-c name=value`, `--name=value`); nothing else in it passes.
    """
    asked = {name.lower(): value for name, value in request.parameters.items() if name != "options"}
    asked |= _options(request.parameters.get("options", ""))
    if any(name in _NO_PARAMETERS or name.startswith("_pq_.") for name in asked):
        raise Turned(SqlState.DENIED, "The startup options are not understood.", reason="options")
    application = asked.get("application_name", "")
    judged = {name: value for name, value in asked.items() if name != "application_name"}
    decision = _judge_parameters(judged, role, application)
    if decision.outcome != "allow":
        raise _turned(decision)
    return asked


_NO_PARAMETERS = frozenset({"user", "database", "replication", "options"})
"""Names that a startup packet reads as something else than a parameter: in ours, they are the firewall's to say."""

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][A-Za-z0-9_.-]*)=((?:\\.|[^\s\\])*)\s*")


def _options(text: str) -> dict[str, str]:
    """`-c name=value` and `--name=value`, backslash-escaped as libpq's `options` says."""
    found: dict[str, str] = {}
    position = len(text) - len(text.lstrip())
    while position < len(text):
        match = _OPTION.match(text, position)
        if match is None:
            raise Turned(SqlState.DENIED, "The startup options are not understood.", reason="options")
        found[match[1].lower().replace("-", "_")] = re.sub(r"\\(.)", r"\1", match[2])
        position = match.end()
    return found


def _judge_parameters(parameters: Mapping[str, str], role: Role, application: str) -> Decision:
    effects = tuple(Effect("set", (name,), value=value) for name, value in sorted(parameters.items()))
    statements = (Statement("set", effects),) if effects else ()
    return decide(Analysis(statements), role, Context(application_name=application))


def _turned(decision: Decision) -> Turned:
    from dbfirewall.policy.refusal import refusal  # noqa: PLC0415  only on this rare path

    fields = refusal(decision)
    return Turned(fields.sqlstate, fields.message, detail=fields.detail, hint=fields.hint, reason="parameter")


def check_database(request: Request, agent: Agent) -> str:
    """The one of the agent's databases that is asked for. Raises Turned for any other.

    Without one named, libpq means the user's name; we mean the agent's first.
    """
    if not request.database:
        return agent.database[0]
    if request.database in agent.database:
        return request.database
    known = ", ".join(agent.database)
    raise Turned(
        SqlState.NO_DATABASE,
        f'database "{request.database}" does not exist',
        hint=f"This agent's database is {known}."
        if len(agent.database) == 1
        else f"This agent's databases are {known}.",
        reason="database",
    )


def startup_framer() -> Framer:
    """The framer of a new connection."""
    return Framer(Phase.STARTUP)
