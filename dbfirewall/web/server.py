"""Serves the admin application on the running event loop. Signals stay with the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from dbfirewall.errors import ConfigError

MAX_CONNECTIONS: Final = 256
"""Security limit: further connections to the admin listener are answered 503."""
MAX_HEADER_BYTES: Final = 16 * 1024
"""Security limit: a longer request head is refused."""
KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept, so that scrapers reuse theirs."""
GRACE: Final = 3
"""Seconds that requests get to finish at shutdown."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to `host`:`port`, not listening yet. Raises ConfigError where that can't be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        msg = f"cannot listen on {host}:{port}: {error.strerror}"
        raise ConfigError(msg) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        msg = f"cannot listen on {host}:{port}: {error.strerror}"
        raise ConfigError(msg) from error
    sock.setblocking(False)
    return sock


async def serve_admin(app: ASGIApp, sock: socket.socket, shutdown: asyncio.Event) -> None:
    """Answer requests on `sock` (from `bind`) until `shutdown` is set; closes it."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    await _Server(config, shutdown).serve(sockets=[sock])


class _Server(uvicorn.Server):
    """A uvicorn server that is stopped by an event and installs no signal handlers."""

    def __init__(self, config: uvicorn.Config, shutdown: asyncio.Event) -> None:
        super().__init__(config)
        self._shutdown = shutdown

    async def on_tick(self, counter: int) -> bool:
        return self._shutdown.is_set() or await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
