"""Processes that do one thing to a store and are killed by SIGKILL at a chosen moment of it.

They are forked from a server that has everything imported, so that each costs some hundredths of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

from dbfirewall.approvals import sqlite_file
from dbfirewall.approvals.model import State, Vote
from dbfirewall.approvals.postgres import PostgresStore
from tests.approvals.places import NOW, OPTIONS, PREVIEW, TERMS, AnyStore, Place, PostgresPlace, asked

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])

Method = Callable[[AnyStore, str], Coroutine[Any, Any, object]]


async def submit(store: AnyStore, _id: str) -> object:
    """A new request."""
    return await store.submit(asked(agent="new"), TERMS, OPTIONS, NOW)


async def preview(store: AnyStore, request_id: str) -> object:
    """Its preview."""
    return await store.attach_preview(request_id, PREVIEW, NOW)


async def approve(store: AnyStore, request_id: str) -> object:
    """pending → approved."""
    vote = Vote("alice", True, NOW, groups=("dba",))
    return await store.vote(request_id, vote, State.APPROVED, None, undo_accepted=False, expected=0)


async def begin(store: AnyStore, request_id: str) -> object:
    """approved → releasing."""
    return await store.begin_release(request_id, "here/1", "4711", NOW)


async def keep_undo(store: AnyStore, request_id: str) -> object:
    """A captured table."""
    await store.keep_undo(request_id, 0, "document", 3)
    return None


async def finish(store: AnyStore, request_id: str) -> object:
    """releasing → done."""
    return await store.finish(request_id, State.DONE, NOW, affected=(3,))


async def roll_back(store: AnyStore, request_id: str) -> object:
    """releasing → approved, and its undo is gone."""
    return await store.finish(request_id, State.APPROVED, NOW, note="rolled back")


async def withdraw(store: AnyStore, request_id: str) -> object:
    """approved → withdrawn."""
    return await store.withdraw(request_id, "gone", NOW)


async def mark(store: AnyStore, request_id: str) -> object:
    """Its agent has left."""
    await store.mark(request_id, agent_gone=True)
    return None


async def expire(store: AnyStore, _id: str) -> object:
    """approved → expired."""
    return await store.expire(NOW + 3600.0)


async def take_over(store: AnyStore, _id: str) -> object:
    """releasing, of another one."""
    return await store.orphans("here/2", 30.0)


async def forget(store: AnyStore, _id: str) -> object:
    """What ended."""
    return await store.prune(NOW + 1e6)


async def secret(store: AnyStore, _id: str) -> object:
    """A new one."""
    return await store.secret("cookies")


async def ended(store: AnyStore, request_id: str) -> None:
    """A request that is done, with its undo."""
    await keep_undo(store, request_id)
    await finish(store, request_id)


def perform(place: Place, method: Method, request_id: str, moment: int) -> int:
    """Do `method` in a process that is killed before its statement number `moment` (from 1; BEGIN and COMMIT count).

    Past the last one it is killed when the method has returned. Returns how many statements there were, 0 if killed.
    """
    here, there = _processes.Pipe()
    process = _processes.Process(target=_perform, args=(place, method, request_id, moment, there))
    process.start()
    there.close()
    statements = 0
    with contextlib.suppress(EOFError):
        statements = here.recv()
    process.join(60)
    assert process.exitcode == (0 if statements else -signal.SIGKILL)
    return statements


def _perform(place: Place, method: Method, request_id: str, moment: int, pipe: Any) -> None:
    async def main() -> None:
        store = place.store()
        await store.open()
        if isinstance(store, PostgresStore) and store._listening is not None:
            store._listening.cancel()  # what it says to the server is not counted
        count = Count(moment, postgres=isinstance(place, PostgresPlace))
        await method(store, request_id)
        total = count.statements
        count.next()
        pipe.send(total)
        os._exit(0)  # without closing anything

    asyncio.run(main())


class Count:
    """Counts the statements that go to the database from now on, and dies at one of them."""

    def __init__(self, moment: int, *, postgres: bool) -> None:
        self.statements = 0
        self._moment = moment
        if postgres:
            for name in ("execute", "fetch"):  # a transaction's BEGIN and COMMIT are `execute`, too
                setattr(asyncpg.Connection, name, self._counted(getattr(asyncpg.Connection, name)))
        else:
            opened = sqlite_file.SqliteFile._open
            made = functools.partial(_Counted, self)
            sqlite_file.SqliteFile._open = lambda file: made(opened(file))  # type: ignore[assignment, method-assign, return-value]

    def next(self) -> None:
        """A statement is about to go."""
        self.statements += 1
        if self.statements == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def _counted(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        async def execute(connection: Any, statement: str, *values: Any, **keywords: Any) -> Any:
            self.next()
            return await call(connection, statement, *values, **keywords)

        return execute


class _Counted:
    """A connection to a file whose statements are counted."""

    def __init__(self, count: Count, connection: sqlite3.Connection) -> None:
        self._count = count
        self._connection = connection

    def execute(self, statement: str, *values: Any) -> Any:
        """See sqlite3."""
        self._count.next()
        return self._connection.execute(statement, *values)

    def executescript(self, script: str) -> Any:
        """See sqlite3."""
        self._count.next()
        return self._connection.executescript(script)


def race(place: Place, method: Method, request_id: str, processes: int, tries: int) -> list[int]:
    """`method` by many processes at the same moment, `tries` times in each: how many answers each of them got."""
    barrier = _processes.Barrier(processes)
    pipes, running = [], []
    for number in range(processes):
        here, there = _processes.Pipe()
        process = _processes.Process(
            target=_race, args=(place, method, request_id, number, tries, barrier, there)
        )
        process.start()
        there.close()
        pipes.append(here)
        running.append(process)
    answers = [pipe.recv() for pipe in pipes]
    for process in running:
        process.join(60)
    return answers


def _race(
    place: Place, method: Method, request_id: str, number: int, tries: int, barrier: Any, pipe: Any
) -> None:
    async def main() -> None:
        store = place.store()
        await store.open()
        barrier.wait(60)
        answers = await asyncio.gather(*(method(store, f"{request_id}") for _ in range(tries)))
        pipe.send(sum(answer is not None for answer in answers))
        await store.close()

    asyncio.run(main())
