"""A store over anything that can run the steps of dbfirewall.approvals.store_sql in a transaction."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from dbfirewall.approvals import store_sql, undo_sql
from dbfirewall.approvals.model import Envelope, Options, Preview, Request, Snapshot, State, Terms, Vote
from dbfirewall.approvals.store import TAKEN, Query
from dbfirewall.approvals.store_sql import Steps

_T = TypeVar("_T")


class SteppedStore(ABC):
    """Every method of dbfirewall.approvals.store.Store, as one call of `run`."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[str], None]] = []
        self._heard: dict[str, tuple[int, float]] = {}

    @abstractmethod
    async def run(self, steps: Callable[[], Steps[_T]], *, write: bool = True) -> _T:
        """Run a new generator of `steps` in one durable transaction, and tell of its NOTIFY steps after that.

        Raises StoreError; what the steps raise rolls back. `steps` is called again where nothing can have happened
        at its first attempt. `write`: whether they change anything.
        """

    def on_change(self, listener: Callable[[str], None]) -> None:
        """See Store. An empty id: anything may have changed."""
        self._listeners.append(listener)

    def _tell(self, request_id: str) -> None:
        for listener in self._listeners:
            listener(request_id)

    async def submit(
        self, snapshot: Snapshot, terms: tuple[Terms, ...], options: Options, now: float
    ) -> tuple[Request, bool]:
        """See Store."""
        return await self.run(partial(store_sql.submit, snapshot, terms, options, now))

    async def get(self, request_id: str) -> Request | None:
        """See Store."""
        return await self.run(partial(store_sql.get, request_id), write=False)

    async def list(self, query: Query) -> Sequence[Request]:
        """See Store."""
        return await self.run(partial(store_sql.listing, query), write=False)

    async def pending(self) -> frozenset[str]:
        """See Store."""
        return await self.run(store_sql.pending, write=False)

    async def count(self) -> dict[State, int]:
        """See Store."""
        return await self.run(store_sql.count, write=False)

    async def attach_preview(self, request_id: str, preview: Preview, now: float) -> Request | None:
        """See Store."""
        return await self.run(partial(store_sql.attach_preview, request_id, preview, now))

    async def vote(
        self, request_id: str, vote: Vote, state: State, envelope: Envelope | None,
        *, undo_accepted: bool, expected: int,
    ) -> Request | None:  # fmt: skip
        """See Store."""
        return await self.run(
            partial(store_sql.vote, request_id, vote, state, envelope, undo_accepted, expected)
        )

    async def begin_release(self, request_id: str, owner: str, xid: str, now: float) -> Request | None:
        """See Store."""
        return await self.run(partial(store_sql.begin_release, request_id, owner, xid, now))

    async def finish(
        self, request_id: str, state: State, now: float,
        *, affected: tuple[int | None, ...] = (), error: str = "", note: str = "", xid: str | None = None,
        attempt: int | None = None,
    ) -> Request | None:  # fmt: skip
        """See Store."""
        return await self.run(
            partial(store_sql.finish, request_id, state, now, affected, error, note, xid, attempt)
        )

    async def withdraw(self, request_id: str, note: str, now: float) -> Request | None:
        """See Store."""
        return await self.run(partial(store_sql.withdraw, request_id, note, now))

    async def mark(
        self, request_id: str, *, agent_gone: bool | None = None, told: bool | None = None
    ) -> None:
        """See Store."""
        await self.run(partial(store_sql.mark, request_id, agent_gone, told))

    async def expire(self, now: float) -> Sequence[Request]:
        """See Store."""
        return await self.run(partial(store_sql.expire, now))

    async def keep_undo(self, request_id: str, sequence: int, document: str, rows: int) -> None:
        """See Store."""
        await self.run(partial(undo_sql.keep_undo, request_id, sequence, document, rows))

    async def undo(self, request_id: str) -> Sequence[str]:
        """See Store."""
        return await self.run(partial(undo_sql.undo, request_id), write=False)

    async def mark_undone(self, request_id: str, *, undone: bool) -> bool:
        """See Store."""
        return await self.run(partial(undo_sql.mark_undone, request_id, undone))

    async def beat(self, owner: str, now: float) -> None:
        """See Store."""
        await self.run(partial(store_sql.beat, owner, now))

    async def orphans(self, owner: str, silent: float) -> Sequence[Request]:
        """See Store."""
        owned, beats = await self.run(partial(store_sql.releasing_of_others, owner), write=False)
        if not owned:
            return ()
        gone = {former for former in set(owned.values()) if self._is_gone(former, owner, beats, silent)}
        orphaned = {request_id: former for request_id, former in owned.items() if former in gone}
        return await self.run(partial(store_sql.take_over, orphaned, owner + TAKEN)) if orphaned else ()

    def _is_gone(self, former: str, owner: str, beats: dict[str, int], silent: float) -> bool:
        """Whether `former` is an earlier run of this instance, or has not beaten for `silent` seconds of ours."""
        if former.rpartition("/")[0] == owner.rpartition("/")[0]:
            return True
        now, beat = time.monotonic(), beats.get(former.removesuffix(TAKEN), 0)
        known = self._heard.get(former)
        if known is None or known[0] != beat:
            self._heard[former] = known = (beat, now)
        return now - known[1] >= silent

    async def prune(self, before: float) -> int:
        """See Store."""
        total = 0
        while gone := await self.run(partial(store_sql.prune, before)):
            total += gone
        return total

    async def secret(self, name: str) -> bytes:
        """See Store."""
        return await self.run(partial(store_sql.secret, name))
