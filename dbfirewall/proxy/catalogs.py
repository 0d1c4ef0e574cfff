"""One catalog snapshot per database, kept fresh: at start, after DDL that passes through, and on an interval."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from dbfirewall.catalog.loader import catalog_fingerprint, load_catalog
from dbfirewall.catalog.types import Catalog
from dbfirewall.errors import CatalogError
from dbfirewall.metrics import Metrics
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.pooler import demand_no_pooler, demand_own_session
from dbfirewall.proxy.tasks import TaskOwner
from dbfirewall.proxy.upstream import Credentials

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""Pause after a failed load."""

DEBOUNCE_SECONDS = 0.05
"""DDL that comes in a run causes one refresh."""

RESTS = 3.0
"""While DDL keeps coming, what a refresh took is rested this many times: the server is there for others too."""

MAX_REST_SECONDS = 1.0
"""Yet no change waits longer than this."""


@dataclass
class _Watched:
    target: Target
    credentials: Credentials
    catalog: Catalog | None = None
    fingerprint: str = ""
    problem: str = "not loaded yet"
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)


class CatalogService:
    """Watches databases. `on_change` is called with the database's name when its snapshot was replaced."""

    def __init__(self, metrics: Metrics, interval: float, on_change: Callable[[str], None]) -> None:
        self._metrics = metrics
        self._interval = interval
        self._on_change = on_change
        self._watched: dict[str, _Watched] = {}
        self._version = 0
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def watch(self, name: str, target: Target, credentials: Credentials, owner: TaskOwner) -> None:
        """Begin (or go on) to watch a database with these credentials.

        The snapshot of the same database stays in use when only the credentials change.
        """
        known = self._watched.get(name)
        if known is not None and known.target == target:
            known.credentials = credentials
            return
        if name in self._tasks:
            self._tasks.pop(name).cancel()
        self._watched[name] = _Watched(target, credentials)
        self._tasks[name] = owner.spawn(f"catalog of {name}", self._watch(name, self._watched[name]))

    def keep(self, names: frozenset[str]) -> None:
        """Stop watching databases that the rules no longer name."""
        for name in self._watched.keys() - names:
            self._tasks.pop(name).cancel()
            del self._watched[name]

    def current(self, name: str) -> Catalog | None:
        """The snapshot in use, None where there has been none yet."""
        watched = self._watched.get(name)
        return watched.catalog if watched is not None else None

    async def wait_for(self, name: str, seconds: float) -> Catalog:
        """The snapshot, waiting for the first one. Raises CatalogError when it does not come in time."""
        watched = self._watched.get(name)
        if watched is None:
            raise CatalogError("the rules no longer name this database")
        if watched.catalog is None:
            watched.wanted.set()
            try:
                async with asyncio.timeout(seconds):
                    await watched.loaded.wait()
            except TimeoutError:
                raise CatalogError(watched.problem) from None
        catalog = watched.catalog
        if catalog is None:
            raise CatalogError(watched.problem)
        return catalog

    def refresh_soon(self, name: str) -> None:
        """Something that changes names has run."""
        if name in self._watched:
            self._watched[name].wanted.set()

    def problems(self) -> list[str]:
        """What is not loaded, in sentences."""
        return [
            f"the catalog of database {name} is not loaded: {watched.problem}"
            for name, watched in self._watched.items()
            if watched.catalog is None
        ]

    async def _watch(self, name: str, watched: _Watched) -> None:
        while True:
            watched.wanted.clear()
            began = time.monotonic()
            loaded = await self._load(name, watched)
            ended = time.monotonic()
            rested = ended + min(RESTS * (ended - began), MAX_REST_SECONDS)
            pause = self._interval if loaded else RETRY_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await watched.wanted.wait()
                await asyncio.sleep(max(DEBOUNCE_SECONDS, rested - time.monotonic()))
            except TimeoutError:
                pass

    async def _load(self, name: str, watched: _Watched) -> bool:
        try:
            connection = await connect_asyncpg(watched.target, watched.credentials)
            try:
                await _demand_sessions(watched, connection)
                await self._read(name, watched, connection)
            finally:
                await connection.close(timeout=2.0)
        except Exception as error:  # noqa: BLE001  whatever it was: a snapshot that nobody refreshes gets stale
            watched.problem = f"{type(error).__name__}: {error}"
            log.warning("catalog of %s: %s", name, watched.problem)
            self._metrics.catalog_refreshes.inc(name, "failed")
            return False
        self._metrics.catalog_refreshes.inc(name, "ok")
        return True

    async def _read(self, name: str, watched: _Watched, connection: asyncpg.Connection) -> None:
        fingerprint = await catalog_fingerprint(connection)
        if watched.catalog is not None and fingerprint == watched.fingerprint:
            return
        self._version += 1
        catalog = await load_catalog(connection, self._version)
        watched.catalog = catalog
        self._metrics.catalog_loaded.set(time.time(), name)
        watched.loaded.set()
        self._on_change(name)
        watched.fingerprint = fingerprint


async def _demand_sessions(watched: _Watched, connection: asyncpg.Connection) -> None:
    """Raises CatalogError where a session with the database would not be one; see dbfirewall.proxy.pooler."""
    if not watched.target.session_pooler:
        await demand_no_pooler(connection)
        return
    second = await connect_asyncpg(watched.target, watched.credentials)
    try:
        await demand_own_session(connection, second)
    finally:
        await second.close(timeout=2.0)


async def connect_asyncpg(target: Target, credentials: Credentials) -> asyncpg.Connection:
    """A connection for reading catalogs, with this target's TLS."""
    tls: ssl.SSLContext | bool | str = target.sslmode
    if target.sslmode in ("require", "verify-ca", "verify-full"):
        tls = target.tls_context()
    elif target.sslmode == "disable" or target.unix_path is not None:
        tls = False
    return await asyncpg.connect(
        host=target.host,
        port=target.port,
        user=credentials.user,
        password=credentials.password,
        database=target.database,
        ssl=tls,
        direct_tls=target.direct_tls,
        timeout=target.connect_timeout,
        command_timeout=60.0,
        server_settings={"application_name": "dbfirewall catalog"},
    )
