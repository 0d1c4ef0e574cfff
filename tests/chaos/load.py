"""What agents do all the while: reads, writes, refused statements, transactions, pipelines, COPY.

Each answer is checked.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

HANG_SECONDS = 30.0
"""Every fault is over long before; what takes longer hangs."""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Load:
    """Sessions of one agent on `dsn`, until `stop`.

    `done`: how often what. `say` is told at once what is `wrong` (an answer that was not its own) and what `hung`.
    """

    def __init__(self, dsn: str, seed: int, say: Callable[[str, object], None]) -> None:
        self._dsn = dsn
        self._say = say
        self._seed = seed
        self._numbers = itertools.count(1)
        self.stop = asyncio.Event()
        self.done: Counter[str] = Counter()

    def nonce(self) -> str:
        """Like no other of this load, and no part of one."""
        return f"n{self._seed}x{next(self._numbers)}e"

    async def session(self, number: int) -> None:
        """One client: connects, works, and connects again when it was thrown out."""
        source = random.Random(f"{self._seed} {number}")
        while not self.stop.is_set():
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, connect_timeout=10
                )
            except psycopg.Error:
                self.done["no connection"] += 1
                await asyncio.sleep(0.1)
                continue
            try:
                await self._work(connection, source)
            finally:
                await connection.close()

    async def _work(self, connection: Connection, source: random.Random) -> None:
        works: list[Callable[[Connection], Awaitable[None]]] = [
            self._read, self._read, self._write, self._prepared, self._refused, self._transaction, self._pipeline,
            self._copy,
        ]  # fmt: skip
        for _ in range(source.randrange(1, 40)):
            work = source.choice(works)
            name = work.__name__.strip("_")
            try:
                await asyncio.wait_for(work(connection), HANG_SECONDS)
            except TimeoutError:
                self._say("hung", name)
                return
            except psycopg.Error:
                self.done["broken"] += 1
                return
            except ValueError:
                # psycopg expects one result at the end of a COPY, and gets two where a FATAL error ends it.
                if not connection.broken:
                    raise
                self.done["broken"] += 1
                return
            self.done[name] += 1
            await asyncio.sleep(source.random() * 0.05)
            if self.stop.is_set():
                return

    def _expect(self, got: object, wanted: object) -> None:
        if got != wanted:
            self._say("wrong", f"{got!r} for {wanted!r}")

    async def _read(self, connection: Connection) -> None:
        nonce = self.nonce()
        cursor = await connection.execute(
            f"SELECT '{nonce}', n FROM generate_series(1, 3) AS n", prepare=False
        )
        self._expect(await cursor.fetchall(), [(nonce, n) for n in (1, 2, 3)])

    async def _write(self, connection: Connection) -> None:
        nonce = self.nonce()
        cursor = await connection.execute(f"INSERT INTO written VALUES ('{nonce}') RETURNING nonce")
        self._expect(await cursor.fetchall(), [(nonce,)])

    async def _prepared(self, connection: Connection) -> None:
        nonce = self.nonce()
        cursor = await connection.execute("SELECT %s::text", (nonce,), prepare=True)
        self._expect(await cursor.fetchall(), [(nonce,)])

    async def _refused(self, connection: Connection) -> None:
        try:
            await connection.execute(f"INSERT INTO forbidden VALUES ('{self.nonce()}')")
        except psycopg.errors.InsufficientPrivilege:
            return
        self._say("wrong", "a forbidden statement was not refused")

    async def _transaction(self, connection: Connection) -> None:
        nonce = self.nonce()
        async with connection.transaction():
            await connection.execute(f"INSERT INTO written VALUES ('{nonce}')")
            cursor = await connection.execute("SELECT nonce FROM written WHERE nonce = %s", (nonce,))
            self._expect(await cursor.fetchall(), [(nonce,)])

    async def _pipeline(self, connection: Connection) -> None:
        nonces = [self.nonce() for _ in range(5)]
        async with connection.pipeline():
            cursors = [await connection.execute(f"SELECT '{nonce}'") for nonce in nonces]
            for cursor, nonce in zip(cursors, nonces, strict=True):
                self._expect(await cursor.fetchall(), [(nonce,)])

    async def _copy(self, connection: Connection) -> None:
        nonce = self.nonce()
        async with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY written (nonce) FROM STDIN /* {nonce} */") as copy,
        ):
            for _ in range(3):
                await copy.write_row((nonce,))
