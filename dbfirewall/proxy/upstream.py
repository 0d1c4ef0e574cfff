"""Connecting to Postgres with the role's own login: dial, TLS as `sslmode` says, authenticate, first ReadyForQuery.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, field

from dbfirewall.errors import DbfirewallError, ProtocolError, SqlState
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.pooler import OWN_SETTINGS, confirm_own_settings
from dbfirewall.proxy.upstream_auth import AuthError, SaltedKeys, UpstreamAuth
from dbfirewall.wire import backend
from dbfirewall.wire import messages as m
from dbfirewall.wire.body import message
from dbfirewall.wire.framing import Frame, Framer, Phase
from dbfirewall.wire.startup import (
    CancelRequest,
    StartupMessage,
    encode_cancel_request,
    encode_startup_message,
)

log = logging.getLogger(__name__)


class UpstreamError(DbfirewallError):
    """Postgres can't be reached or refuses us. `refusal`: the server's own ErrorResponse fields, if it sent any."""

    def __init__(self, message: str, refusal: dict[str, str] | None = None) -> None:
        self.refusal = refusal or {}
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Upstream:
    """An authenticated server connection, idle. `parameters`: as reported so far, in the server's order."""

    peer: Peer
    parameters: dict[str, str]
    pid: int
    key: bytes
    notices: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The firewall's login. Its repr shows no password."""

    user: str
    password: str | None = field(default=None, repr=False)
    keys: SaltedKeys = field(default_factory=SaltedKeys, repr=False, compare=False)


async def connect(target: Target, credentials: Credentials, parameters: dict[str, str]) -> Upstream:
    """An idle session on `target`, opened with the startup `parameters`. Raises UpstreamError."""
    try:
        async with asyncio.timeout(target.connect_timeout):
            return await _connect_by_mode(target, credentials, parameters)
    except TimeoutError:
        raise UpstreamError("timed out") from None


async def _connect_by_mode(target: Target, credentials: Credentials, parameters: dict[str, str]) -> Upstream:
    """Like libpq: `allow` and `prefer` try the other way when the server turns the first one down."""
    attempts = {"disable": (False,), "allow": (False, True), "prefer": (True, False)}.get(
        target.sslmode, (True,)
    )
    if target.unix_path is not None:
        attempts = (False,)
    for encrypted in attempts[:-1]:
        try:
            return await _attempt(target, credentials, parameters, encrypted=encrypted)
        except UpstreamError as error:
            if error.refusal.get("C") != SqlState.NOT_AUTHORIZED:
                raise
    return await _attempt(target, credentials, parameters, encrypted=attempts[-1])


async def _attempt(
    target: Target, credentials: Credentials, parameters: dict[str, str], *, encrypted: bool
) -> Upstream:
    peer = await dial(target, encrypted=encrypted)
    try:
        return await _log_in(peer, target, credentials, parameters)
    except (ProtocolError, AuthError, ConnectionError, ssl.SSLError) as error:
        peer.abort()
        raise UpstreamError(str(error)) from error
    except BaseException:
        peer.abort()
        raise


async def dial(target: Target, *, encrypted: bool) -> Peer:
    """A connection to `target`, with TLS where `encrypted` (and, for sslmode prefer, where the server can)."""
    loop = asyncio.get_running_loop()
    try:
        if target.unix_path is not None:
            _, peer = await loop.create_unix_connection(Peer, target.unix_path)
        else:
            _, peer = await loop.create_connection(Peer, target.host, target.port)
    except OSError as error:
        raise UpstreamError(f"cannot connect: {error.strerror or error}") from None
    if encrypted:
        try:
            await _encrypt(peer, target)
        except (ConnectionError, ssl.SSLError, ProtocolError) as error:
            peer.abort()
            raise UpstreamError(str(error)) from None
        except BaseException:
            peer.abort()
            raise
    return peer


async def _encrypt(peer: Peer, target: Target) -> None:
    if not target.direct_tls:
        peer.send(m.SSL_REQUEST_MESSAGE)
        answer = await peer.read_exactly(1)
        if answer == m.ENCRYPTION_REFUSED and target.sslmode == "prefer":
            return
        if answer != m.ENCRYPTION_ACCEPTED:
            raise ProtocolError("the server does not support TLS, but sslmode demands it")
    await peer.start_tls(target.tls_context(), server_side=False, hostname=target.host)
    if target.direct_tls and (peer.tls is None or peer.tls.object.selected_alpn_protocol() != "postgresql"):
        raise ProtocolError("direct TLS with a server that does not name the ALPN protocol postgresql")


async def _log_in(
    peer: Peer, target: Target, credentials: Credentials, parameters: dict[str, str]
) -> Upstream:
    own = {
        name: value for name, value in parameters.items() if target.session_pooler and name in OWN_SETTINGS
    }
    sent = {name: value for name, value in parameters.items() if name not in own}
    startup = {**sent, "user": credentials.user, "database": target.database}
    peer.send(encode_startup_message(StartupMessage(m.PROTOCOL_3_0, startup)))
    certificate = peer.tls.object.getpeercert(binary_form=True) if peer.tls is not None else None
    auth = UpstreamAuth(
        credentials.user,
        credentials.password,
        encrypted=peer.tls is not None,
        certificate=certificate if target.channel_binding != "disable" else None,
        require_channel_binding=target.channel_binding == "require",
        keys=credentials.keys,
    )
    framer = Framer(Phase.SERVER_STARTUP)
    while not auth.done:
        frame = await next_frame(peer, framer)
        if frame.type != m.AUTHENTICATION:
            raise ProtocolError("the server answered out of turn during authentication")
        if reply := auth.receive(frame.body):
            peer.send(reply)
    upstream = await _until_ready(peer, framer)
    if own:
        await confirm_own_settings(peer, own)
    return upstream


async def _until_ready(peer: Peer, framer: Framer) -> Upstream:
    parameters: dict[str, str] = {}
    notices: list[bytes] = []
    pid, key = 0, b""
    while True:
        frame = await next_frame(peer, framer)
        if frame.type == m.PARAMETER_STATUS:
            status = backend.decode_parameter_status(frame.body, 0, len(frame.body))
            parameters[status.name.decode("utf-8", "replace")] = status.value.decode("utf-8", "replace")
        elif frame.type == m.BACKEND_KEY_DATA:
            data = backend.decode_backend_key_data(frame.body, 0, len(frame.body))
            pid, key = data.pid, data.key
        elif frame.type == m.NOTICE_RESPONSE:
            notices.append(message(m.NOTICE_RESPONSE, frame.body))
        elif frame.type == m.READY_FOR_QUERY:
            if framer.buffered:
                raise ProtocolError("the server sent more than was asked for")
            return Upstream(peer, parameters, pid, key, notices)
        else:
            raise ProtocolError("the server answered out of turn at startup")


async def next_frame(peer: Peer, framer: Framer) -> Frame:
    """The peer's next message. Raises UpstreamError with the server's words where that is an error."""
    while (frame := framer.next()) is None:
        framer.feed(await peer.read_some())
    if frame.type == m.ERROR_RESPONSE:
        fields = backend.decode_error_response(frame.body, 0, len(frame.body))
        raise UpstreamError(fields.get("M", "the server refused the connection"), fields)
    return frame


async def send_cancel(target: Target, pid: int, key: bytes) -> None:
    """Ask the server to cancel what `pid` runs; returns when the server has taken it in."""
    encrypted = target.sslmode not in ("disable", "allow") and target.unix_path is None
    try:
        async with asyncio.timeout(target.connect_timeout):
            peer = await dial(target, encrypted=encrypted)
            peer.send(encode_cancel_request(CancelRequest(pid, key)))
            try:
                await peer.read_some()
            except ConnectionError:
                pass  # the server closes without a word: that is its answer
            finally:
                peer.abort()
    except (UpstreamError, TimeoutError) as error:
        log.warning("cancel request failed: %s", error)
