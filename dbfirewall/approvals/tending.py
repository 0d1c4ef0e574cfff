"""What has to be done for requests without anybody asking: expiry, forgetting, signs of life, unreported releases.

A store that fails makes it wait for the next round; `Approvals.available` says so meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from dbfirewall.approvals.model import Request, State
from dbfirewall.approvals.releases import Releases, Spawn
from dbfirewall.errors import AuditError, StoreError

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

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
"""Seconds between attempts to open the store."""


class Tending:
    """See the module's docstring. `retention`: seconds for which ended requests are kept."""

    def __init__(self, approvals: Approvals, releases: Releases, retention: float) -> None:
        self._approvals = approvals
        self._releases = releases
        self._retention = retention
        self._opened = asyncio.Event()
        self._unrecorded: deque[Request] = deque()
        self._began = (approvals.now(), time.monotonic())

    async def start(self, spawn: Spawn) -> None:
        """Open the store, if that can be done now, and begin with the rounds."""
        if not await self._open():
            spawn("approvals: open the store", self._open_later())
        store, owner, now = self._approvals.store, self._approvals.owner, self._approvals.now
        rounds: tuple[tuple[str, float, Callable[[], Awaitable[object]]], ...] = (
            ("expire", EXPIRE_EVERY, self.expire),
            ("beat", BEAT_EVERY, lambda: store.beat(owner, now())),
            ("releases", RELEASES_EVERY, lambda: self._releases.look_after(spawn)),
            ("count", COUNT_EVERY, self._count),
            ("prune", PRUNE_EVERY, lambda: store.prune(self._oldest())),
        )
        for name, seconds, work in rounds:
            spawn(f"approvals: {name}", self._rounds(name, seconds, work))

    async def expire(self) -> None:
        """Make expired what is, and put it on record. Raises StoreError, AuditError."""
        self._unrecorded += await self._approvals.store.expire(self._approvals.now())
        while self._unrecorded:
            self._approvals.audit("approval_expired", self._unrecorded[0])
            self._unrecorded.popleft()

    async def _open(self) -> bool:
        try:
            await self._approvals.ask("open", self._approvals.store.open())
        except StoreError:
            return False
        self._opened.set()
        return True

    async def _open_later(self) -> None:
        pause = FIRST_PAUSE
        while not await self._open():
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _rounds(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        await self._opened.wait()
        while not self._approvals.closed and not _cancelled():
            try:
                await self._approvals.ask(name, work())
            except StoreError:
                pass  # `ask` has said it
            except AuditError as error:
                log.error("approvals: %s: %s", name, error)  # noqa: TRY400  no traceback
            except Exception:
                # Whatever it was, the round that fails must not be the last one.
                log.exception("approvals: %s", name)
            await asyncio.sleep(seconds)

    async def _count(self) -> None:
        counts = await self._approvals.store.count()
        for state in State:
            self._approvals.metrics.approvals.set(counts.get(state, 0), str(state))

    def _oldest(self) -> float:
        """What ended before this is forgotten. A clock that leaps ahead while we run does not empty the store."""
        wall, monotonic = self._began
        return min(self._approvals.now(), wall + time.monotonic() - monotonic) - self._retention


def _cancelled() -> bool:
    """Whether this task was to end, and what it waited for made another error of that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
