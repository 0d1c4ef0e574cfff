"""What has to be done for requests without anybody asking: expiry, forgetting, signs of life, unreported releases.

A failing store only makes it wait for the next round; `Approvals.available` says so meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from dbfirewall.approvals.model import State
from dbfirewall.approvals.releases import Releases, Spawn
from dbfirewall.errors import StoreError

if TYPE_CHECKING:
    from dbfirewall.approvals.service import Approvals

log = logging.getLogger(__name__)

RETENTION_SECONDS: Final = 30 * 86_400.0
EXPIRE_EVERY: Final = 1.0
BEAT_EVERY: Final = 5.0
RELEASES_EVERY: Final = 2.0
COUNT_EVERY: Final = 5.0
PRUNE_EVERY: Final = 3_600.0
"""Seconds between rounds."""


class Tending:
    """See the module's docstring. `retention`: seconds for which ended requests are kept."""

    def __init__(self, approvals: Approvals, releases: Releases, retention: float) -> None:
        self._approvals = approvals
        self._releases = releases
        self._retention = retention
        self._opened = False
        self._opening = asyncio.Lock()
        self._began = (approvals.now(), time.monotonic())

    async def start(self, spawn: Spawn) -> None:
        """Open the store, if that can be done now, and begin with the rounds."""
        store = self._approvals.store
        await self._round("open", self._open)
        rounds: tuple[tuple[str, float, Callable[[], Awaitable[object]]], ...] = (
            ("expire", EXPIRE_EVERY, self.expire),
            ("beat", BEAT_EVERY, lambda: store.beat(self._approvals.owner, self._approvals.now())),
            ("releases", RELEASES_EVERY, lambda: self._releases.look_after(spawn)),
            ("count", COUNT_EVERY, self._count),
            ("prune", PRUNE_EVERY, lambda: store.prune(self._oldest())),
        )
        for name, seconds, work in rounds:
            spawn(f"approvals: {name}", self._rounds(name, seconds, work))

    async def expire(self) -> None:
        """Make expired what is, and put it on record. Raises StoreError, AuditError."""
        for request in await self._approvals.store.expire(self._approvals.now()):
            self._approvals.audit("approval_expired", request)

    async def _rounds(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            if self._opened or await self._round("open", self._open):
                await self._round(name, work)
            await asyncio.sleep(seconds)

    async def _round(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        try:
            await self._approvals.ask(name, work())
        except StoreError as error:
            log.warning("approvals: %s: %s", name, error)
            return False
        return True

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                await self._approvals.store.open()
                self._opened = True

    async def _count(self) -> None:
        counts = await self._approvals.store.count()
        for state in State:
            self._approvals.metrics.approvals.set(counts.get(state, 0), str(state))

    def _oldest(self) -> float:
        """What ended before this is forgotten. A clock that leaps ahead while we run does not empty the store."""
        wall, monotonic = self._began
        return min(self._approvals.now(), wall + time.monotonic() - monotonic) - self._retention
