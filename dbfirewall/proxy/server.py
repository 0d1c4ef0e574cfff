"""Running the firewall: listeners, signals, drain. `serve` is what `dbfirewall serve` calls."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from dbfirewall.errors import SqlState
from dbfirewall.proxy.connection import Connection
from dbfirewall.proxy.firewall import Firewall
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.refusals import fatal
from dbfirewall.proxy.session import Session
from dbfirewall.proxy.tls import agent_context
from dbfirewall.settings import Settings

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
"""How long an outcome may wait in memory when no statement follows it."""

CANCEL_SECONDS = 5.0
"""How long the end waits for the server to hear that it need not go on with what the last sessions ran."""

BACKLOG = 512


Admin = Callable[[Firewall, asyncio.Event], Coroutine[Any, Any, None]]
"""Serves the admin listener on a firewall's state until the event is set."""


async def serve(settings: Settings, rules_path: Path, listener: socket.socket, admin: Admin) -> int:
    """Run until SIGTERM or SIGINT, then drain; returns the exit status. Raises ConfigError, AuditError.

    `listener`: bound, not listening yet.
    """
    context = _agent_context(settings)
    firewall = Firewall(settings, rules_path)
    stop = asyncio.Event()
    try:
        firewall.load()
        await firewall.approving.start()
        firewall.audit.flush()
        _on_signals(firewall, stop)
        server = await _listen(
            firewall, listener, context, tls_required=not settings.listen.loopback and context is not None
        )
        web_stop = asyncio.Event()
        web = firewall.tasks.spawn("admin listener", admin(firewall, web_stop))
        firewall.tasks.spawn("audit flush", _flush_forever(firewall))
        if settings.limits.idle_timeout is not None:
            firewall.tasks.spawn("idle sessions", _end_idle_forever(firewall, settings.limits.idle_timeout))
        log.info("listening on %s", _name(listener))
        await stop.wait()
        server.close()
        await _drain(firewall)
        web_stop.set()
        await asyncio.wait([web], timeout=5.0)
    finally:
        await firewall.tasks.close()
        await firewall.approving.close()
        firewall.pool.close()
        firewall.audit.close()
    return 0


def _agent_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is None or settings.tls == "off":
        return None
    return agent_context(settings.tls.cert, settings.tls.key, settings.tls.client_ca)


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


async def _listen(
    firewall: Firewall, listener: socket.socket, context: ssl.SSLContext | None, *, tls_required: bool
) -> asyncio.Server:
    def connected(peer: Peer) -> None:
        if firewall.draining or not firewall.accept():
            firewall.metrics.connections_refused.inc("draining" if firewall.draining else "connections")
            peer.close(fatal(SqlState.TOO_MANY_CONNECTIONS, "Too many connections.", hint="Retry later."))
            return
        Connection(firewall, peer, context, tls_required=tls_required).begin()

    listener.listen(BACKLOG)
    return await asyncio.get_running_loop().create_server(
        lambda: Peer(connected), sock=listener, backlog=BACKLOG
    )


def _on_signals(firewall: Firewall, stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT drain, the second one at once; SIGHUP reloads the rules."""
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        if stop.is_set():
            firewall.stop_now.set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, ask_to_stop)
    loop.add_signal_handler(signal.SIGINT, ask_to_stop)
    loop.add_signal_handler(signal.SIGHUP, firewall.reload_soon)


async def _drain(firewall: Firewall) -> None:
    """Idle sessions end now, others when they become idle, and all of them at the deadline."""
    firewall.draining = True
    log.info("draining %d sessions", len(firewall.sessions))
    for session in list(firewall.sessions.values()):
        if session.idle:
            session.drain()
    deadline = asyncio.get_running_loop().time() + firewall.settings.limits.drain_timeout
    while firewall.sessions and asyncio.get_running_loop().time() < deadline:
        try:
            await asyncio.wait_for(firewall.stop_now.wait(), 0.05)
            break
        except TimeoutError:
            pass
    for session in list(firewall.sessions.values()):
        session.drain()
    await asyncio.sleep(0.05)  # let the last errors leave
    await firewall.cancels_sent(CANCEL_SECONDS)


class IdleWatch:
    """Who has sent nothing for `timeout` seconds while nothing of theirs was running."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._quiet: dict[str, tuple[int, float]] = {}

    def look(self, sessions: Iterable[Session], now: float) -> list[Session]:
        """Those among `sessions` whose time is up. To be asked again and again, `now` in seconds."""
        seen, self._quiet = self._quiet, {}
        ended = []
        for session in sessions:
            # Whatever an agent sends is answered, so what was sent to it says whether it was heard of.
            answered, since = seen.get(session.id, (-1, now))
            if session.pending or session.busy or answered != session.sent:
                since = now
            self._quiet[session.id] = session.sent, since
            if now - since >= self._timeout:
                ended.append(session)
        return ended


async def _end_idle_forever(firewall: Firewall, seconds: float) -> Any:
    watch = IdleWatch(seconds)
    last = fatal(
        SqlState.SESSION_ENDED, f"The session was idle for {seconds:g} s or more.", hint="Connect again."
    )
    while True:
        await asyncio.sleep(min(seconds / 4, 5.0))
        for session in watch.look(firewall.sessions.values(), asyncio.get_running_loop().time()):
            session.end(last, "idle")


async def _flush_forever(firewall: Firewall) -> Any:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        firewall.flush_audit()
