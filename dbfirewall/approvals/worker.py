"""A thread that does one thing after the other, for an event loop that never waits for it longer than it wants to.

Rules:

- What was not begun when its caller gave up never begins. What runs then is interrupted.
- Where even that does not end it (a disk that hangs), callers are refused at once until it has ended.
- The thread is a daemon: a hanging disk does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from dbfirewall.errors import StoreError

_T = TypeVar("_T")


class Worker:
    """`begin`: called in the thread before each job; `interrupt`: from the loop, to end the one that runs."""

    def __init__(self, name: str, begin: Callable[[], None], interrupt: Callable[[], None]) -> None:
        self._name = name
        self._begin = begin
        self._interrupt = interrupt
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running: _Job | None = None
        self._stuck = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def ask(self, work: Callable[[], _T], seconds: float) -> _T:
        """What `work` returns or raises in the thread; StoreError where that takes longer than `seconds`."""
        if self._stuck:
            raise StoreError(f"{self._name} does not answer")
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.put(job)
        try:
            async with asyncio.timeout(seconds):
                return await job.answer  # type: ignore[no-any-return]
        except TimeoutError:
            self._give_up(job, stuck=True)
            raise StoreError(f"{self._name} did not answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            self._give_up(job, stuck=False)
            raise

    def post(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Do `work` some time, without waiting for it."""
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.put(job)
        return job.answer

    def _give_up(self, job: _Job, *, stuck: bool) -> None:
        with self._lock:
            job.unwanted = True
            if self._running is job:
                self._stuck = stuck
                self._interrupt()

    async def stop(self, last: Callable[[], None], seconds: float) -> None:
        """Do what was asked for, then `last`, and end the thread; wait for that, but for no longer than `seconds`."""
        with contextlib.suppress(StoreError):
            await self.ask(last, seconds)
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                if job.unwanted:
                    continue
                self._running = job
                self._begin()
            outcome = job.run()
            with self._lock:
                self._running = None
                self._stuck = False
            job.tell(*outcome)


class _Job:
    """Something for the thread to do, and the future of its answer."""

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.unwanted = False
        self._work = work
        self._loop = loop

    def run(self) -> tuple[Any, Exception | None]:
        """Do it, in the thread: its result, or what it raised."""
        try:
            return self._work(), None
        except Exception as error:  # noqa: BLE001  whatever it was belongs to the one who asked
            return None, error

    def tell(self, result: Any, problem: Exception | None) -> None:
        """Hand the outcome to the loop, from the thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, result, problem)

    def _settle(self, result: Any, problem: Exception | None) -> None:
        if self.answer.done():
            return
        if problem is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(problem)
