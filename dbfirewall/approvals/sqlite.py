"""A store in one SQLite file, for one firewall: the default. Nothing of it happens on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from dbfirewall.approvals.sqlite_file import SqliteFile
from dbfirewall.approvals.stepped import SteppedStore
from dbfirewall.approvals.store_sql import Steps
from dbfirewall.approvals.worker import Worker
from dbfirewall.errors import StoreError

ANSWER_SECONDS: Final = 5.0
"""Security limit: how long anybody waits for the store."""

CHECK_SECONDS: Final = 60.0
"""How long reading the whole file may take at the start."""

POLL_SECONDS: Final = 0.5
"""How often to look whether another process changed the file."""

_T = TypeVar("_T")


class SqliteStore(SteppedStore):
    """The store in the file `path`; it and its folder are nobody else's to read."""

    def __init__(self, path: Path, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        super().__init__()
        self._answer_seconds = answer_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._file = SqliteFile(path, self._tell_loop)
        self._worker: Worker | None = None
        self._poller: asyncio.TimerHandle | None = None
        self._polled: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """See Store. Raises StoreError where the file can't be used; it can be called again."""
        self._loop = asyncio.get_running_loop()
        if self._worker is None:
            self._worker = Worker(str(self._file.path), self._begin, self._file.interrupt)
        await self._worker.ask(self._file.check_whole, CHECK_SECONDS)
        if self._poller is None:
            self._poll_later(self._loop)

    async def close(self) -> None:
        """See Store."""
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop(self._file.close, self._answer_seconds)

    async def check(self) -> str:
        """See Store."""
        try:
            await self._ask(self._file.check_writable)
        except StoreError as error:
            return str(error)
        return ""

    async def prune(self, before: float) -> int:
        """See Store; the file shrinks with it."""
        gone = await super().prune(before)
        if gone:
            await self._ask(self._file.shrink)
        return gone

    async def run(self, steps: Callable[[], Steps[_T]], *, write: bool = True) -> _T:
        """See SteppedStore."""
        return await self._ask(lambda: self._file.run(steps(), write=write))

    async def _ask(self, work: Callable[[], _T]) -> _T:
        if self._worker is None:
            raise StoreError("the store of approvals is closed")
        return await self._worker.ask(work, self._answer_seconds)

    def _begin(self) -> None:
        self._file.unwanted = False

    def _tell_loop(self, request_id: str) -> None:
        """From the thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._tell, request_id)

    def _poll_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._poller = loop.call_later(POLL_SECONDS, self._poll, loop)

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._worker is not None:
            if self._polled is None or self._polled.done():
                self._polled = self._worker.post(self._file.poll)
            self._poll_later(loop)
