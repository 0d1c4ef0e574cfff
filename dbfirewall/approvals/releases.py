"""Releases: what of this process is under way, and what nobody will ever report the end of.

A request that is `releasing` has an owner, `instance/run`, which is this process or another one. Here:

- begun by us and not ended: the proxy is at it (`active`). Nothing to do.
- ours, but `begin` never came back with it (the store answered too late, or its caller was cancelled): nothing ran,
  because nothing may run then. It becomes approved again.
- its caller could not see what became of it (`doubt`): `resolve` is asked until it has called `finish`.
- `finish` was said, and the store did not answer: it is said again.
- of a process that is gone: it is taken over by exactly one other, as `instance/run*`, and `resolve` is asked. The
  mark is in the store: even a lost answer never makes it look like one that did not run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

from dbfirewall.approvals.model import Request, State
from dbfirewall.approvals.store import TAKEN, Query, Store
from dbfirewall.errors import StoreError

log = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
"""How often a release may be rolled back by errors of the server before the request has failed."""

SILENT_SECONDS: Final = 30.0
"""After how long without a sign of life a process is taken for dead."""

Resolve = Callable[[Request], Awaitable[None]]
Spawn = Callable[[str, Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a release, as `finish` was told. `xid`, `attempt`: of the release that is meant."""

    state: State
    affected: tuple[int | None, ...] = ()
    error: str = ""
    note: str = ""
    xid: str | None = None
    attempt: int | None = None


class Releases:
    """See the module's docstring. `owner`: this process."""

    def __init__(self, store: Store, owner: str, now: Callable[[], float]) -> None:
        self.resolve: Resolve | None = None
        self._store = store
        self._owner = owner
        self._now = now
        # By request: the number of the attempt, so that what is said late of an earlier one has no effect.
        self._active: dict[str, int] = {}
        self._doubtful: dict[str, int] = {}
        self._unsaid: dict[tuple[str, int | None], Ending] = {}
        self._resolving: dict[str, asyncio.Task[Any]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, request_id: str, xid: str) -> Request | None:
        """See Approvals.begin_release. Raises StoreError."""
        async with self._lock(request_id):
            request = await self._store.begin_release(request_id, self._owner, xid, self._now())
            if request is not None:
                self._active[request_id] = request.attempts
            return request

    def doubt(self, request_id: str) -> None:
        """Whoever released it can't see what became of it."""
        attempt = self._active.pop(request_id, None)
        if attempt is not None:
            self._doubtful[request_id] = attempt

    async def finish(self, request_id: str, ending: Ending) -> Request | None:
        """Say what became of it. Raises StoreError; then it is said again by `look_after`."""
        key = (request_id, ending.attempt)
        self._unsaid[key] = ending
        request = await self._say(request_id, ending)
        if self._unsaid.get(key) is ending:
            del self._unsaid[key]
        ended = ending.attempt if request is None else request.attempts
        for known in (self._active, self._doubtful):
            if ended is not None and known.get(request_id) == ended:
                del known[request_id]
        return request

    async def _say(self, request_id: str, ending: Ending) -> Request | None:
        state, note = ending.state, ending.note
        if state is State.APPROVED:
            before = await self._store.get(request_id)
            if before is not None and before.attempts >= MAX_ATTEMPTS:
                state, note = State.FAILED, f"given up after {before.attempts} attempts. {note}".strip()
        return await self._store.finish(
            request_id, state, self._now(),
            affected=ending.affected, error=ending.error, note=note, xid=ending.xid, attempt=ending.attempt,
        )  # fmt: skip

    async def look_after(self, spawn: Spawn) -> None:
        """One round over everything that is releasing. Raises StoreError."""
        for (request_id, _), ending in list(self._unsaid.items()):
            await self.finish(request_id, ending)
        await self._store.orphans(self._owner, SILENT_SECONDS)
        for request in await self._store.list(Query(states=(State.RELEASING,), limit=500)):
            doubtful = self._doubtful.get(request.id) == request.attempts
            if request.owner == self._owner + TAKEN or (request.owner == self._owner and doubtful):
                self._ask(request, spawn)
            elif self._is_forgotten(request):
                await self._never_began(request.id)

    def _is_forgotten(self, request: Request) -> bool:
        """Whether the store says that we release it, and nobody here knows of that."""
        return (
            request.state is State.RELEASING
            and request.owner == self._owner
            and request.attempts not in (self._active.get(request.id), self._doubtful.get(request.id))
        )

    async def _never_began(self, request_id: str) -> None:
        async with self._lock(request_id):
            request = await self._store.get(request_id)
            if request is None or not self._is_forgotten(request):
                return
            log.warning("request %s was not released: the store had answered too late", request_id)
            note = "the store answered too late: it did not run, and is approved still"
            await self._store.finish(
                request_id, State.APPROVED, self._now(), note=note, attempt=request.attempts
            )

    def _ask(self, request: Request, spawn: Spawn) -> None:
        running = self._resolving.get(request.id)
        if self.resolve is None or (running is not None and not running.done()):
            return
        self._resolving = {key: task for key, task in self._resolving.items() if not task.done()}
        self._resolving[request.id] = spawn(f"outcome of {request.id}", self._resolve(request, self.resolve))

    async def _resolve(self, request: Request, resolve: Resolve) -> None:
        try:
            await resolve(request)
        except (StoreError, OSError) as error:
            log.warning("the outcome of %s is not known yet: %s", request.id, error)

    def _lock(self, request_id: str) -> asyncio.Lock:
        return self._locks.setdefault(request_id, asyncio.Lock())
