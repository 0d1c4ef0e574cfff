"""Where stores are, and what tests put into them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from dbfirewall.approvals.model import Options, Preview, Snapshot, State, Table, Terms, Vote
from dbfirewall.approvals.postgres import PostgresStore
from dbfirewall.approvals.sqlite import SqliteStore

T = TypeVar("T")
AnyStore = SqliteStore | PostgresStore

NOW = 1_800_000_000.0
TERMS = (Terms("gate delete", ("dba",)),)
OPTIONS = Options(expires=3600.0)
ASKED = Snapshot(
    agent="cleaner",
    role="maintainer",
    database="shop",
    sql=b"DELETE FROM orders WHERE id = 1",
    settings={"search_path": "public"},
    rule="gate delete",
)

PREVIEW = Preview(
    NOW + 1, "Seq Scan", 12.5, (3, None),
    (Table("t", ("id", "x"), (("1", None), ("2", "\0")), (("1", "y"), ("2", "z"))),),
    ({"name": "t", "size": 8192, "dependants": ["v"]},), ("a note",), True, True, "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """A file."""

    path: Path

    def store(self) -> SqliteStore:
        """A new connection to it."""
        return SqliteStore(self.path)

    def clear(self) -> None:
        """Forget everything; nobody is connected."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A database."""

    dsn: str

    def store(self) -> PostgresStore:
        """A new connection to it."""
        return PostgresStore(self.dsn)

    def clear(self) -> None:
        """Forget everything; nobody is connected."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA dbfirewall CASCADE")


Place = SqlitePlace | PostgresPlace


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[AnyStore]:
    """A store that is open for the length of the block."""
    store = place.store()
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def using(place: Place, work: Callable[[AnyStore], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns, given the open store."""

    async def main() -> T:
        async with opened(place) as store:
            return await work(store)

    return asyncio.run(main())


def asked(**changes: Any) -> Snapshot:
    """ASKED with other values."""
    return replace(ASKED, **changes)


def granted(approver: str = "alice", at: float = NOW) -> Vote:
    """An approval."""
    return Vote(approver, True, at, groups=("dba",))


async def approved(store: AnyStore, at: float = NOW, **changes: Any) -> str:
    """The id of a new request that was approved."""
    request, _ = await store.submit(asked(**changes), TERMS, OPTIONS, at)
    done = await store.vote(request.id, granted(at=at), State.APPROVED, None, undo_accepted=False, expected=0)
    assert done is not None
    return request.id


async def releasing(
    store: AnyStore, owner: str = "here/1", xid: str = "7", at: float = NOW, **changes: Any
) -> str:
    """The id of a new request that is being released."""
    request_id = await approved(store, at, **changes)
    assert await store.begin_release(request_id, owner, xid, at) is not None
    return request_id


async def state_of(store: AnyStore, request_id: str) -> State:
    """Where a request is."""
    request = await store.get(request_id)
    assert request is not None
    return request.state


async def all_of(work: list[Awaitable[T]]) -> list[T]:
    """All results, side by side."""
    return list(await asyncio.gather(*work))
