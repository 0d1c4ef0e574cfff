"""How approvals fare with many pending requests: `python -m bench.approvals`.

For each store: fill it, let a session wait for each of some requests, then list, read, decide, redeem and finish.
Times are of one call after the other, from outside of the service, while the waiters wait.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

from dbfirewall.approvals.model import Options, Parameter, Preview, Request, Snapshot, State, Table, Terms
from dbfirewall.approvals.postgres import PostgresStore
from dbfirewall.approvals.service import Approvals
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.approvals.store import Query
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.metrics import Metrics
from dbfirewall.proxy.tasks import TaskOwner
from tests.support.embedded import EmbeddedPostgres

TERMS = (Terms("gate delete on public.*", ("dba",)),)
OPTIONS = Options(expires=3600.0)
AGENTS = 10
_T = TypeVar("_T")
_numbers = count()


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m bench.approvals", description=__doc__)
    options.add_argument("--pending", type=int, default=1000, help="requests that wait (default: 1000)")
    options.add_argument("--calls", type=int, default=200, help="calls of each kind (default: 200)")
    chosen = options.parse_args()
    print(f"{chosen.pending} pending requests, {chosen.calls} calls of each kind; milliseconds")
    print(f"{'store':9} {'what':34} {'median':>8} {'p99':>8}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "approvals.sqlite3"
        asyncio.run(measure("sqlite", SqliteStore(file), chosen.pending, chosen.calls))
        print(f"sqlite    {sum(part.stat().st_size for part in Path(folder).iterdir()) / 1e6:.1f} MB on disk")
    with durable_postgres() as dsn:
        asyncio.run(measure("postgres", PostgresStore(dsn), chosen.pending, chosen.calls))


@contextmanager
def durable_postgres() -> Iterator[str]:
    """A server of our own that syncs at every commit, as the store asks for."""
    with EmbeddedPostgres(settings={"fsync": "on"}) as server:
        yield f"postgresql://{server.superuser}:{server.password}@{server.host}:{server.port}/postgres"


async def measure(name: str, store: SqliteStore | PostgresStore, pending: int, calls: int) -> None:
    """Fill a store, and time what people and sessions do with it."""
    tasks = TaskOwner()
    approvals = Approvals(store, Metrics(), unrecorded)
    await approvals.start(tasks.spawn)
    filling: list[float] = []
    requests = [await _timed(filling, ask(approvals)) for _ in range(pending)]
    report(name, "ask, and attach a preview", filling)

    async def timed(what: str, call: Callable[[Request], Awaitable[object]]) -> None:
        times: list[float] = []
        for request in requests[:calls]:
            await _timed(times, call(request))
        report(name, what, times)

    decided: list[float] = []

    async def hold(request: Request) -> None:
        await approvals.wait(request.id, 600.0)
        decided.append(time.perf_counter())

    waits = [tasks.spawn("hold", hold(request)) for request in requests]
    await asyncio.sleep(1.0)
    await timed("list the newest 100 pending", lambda _: approvals.list(Query((State.PENDING,), limit=100)))
    await timed("read one", lambda request: approvals.get(request.id))
    woken: list[float] = []
    votes: list[float] = []
    for request, wait in zip(requests[:calls], waits, strict=False):
        vote = approvals.vote(request.id, approver="alice", groups=("dba",), approve=True)
        await _timed(votes, vote)
        done = time.perf_counter()
        await wait
        woken.append(decided[-1] - done)
    report(name, "approve", votes)
    report(name, "wake the held session after that", woken)
    await timed("begin a release", lambda request: approvals.begin_release(request.id, "7"))
    await timed("finish it", lambda request: approvals.finish(request.id, State.DONE, affected=(3,)))
    await timed("look for what expires", lambda _: store.expire(time.time()))
    await tasks.close()
    await approvals.close()


def unrecorded(event: Event, **members: Scalar) -> None:
    """In the place of the audit record, which has a benchmark of its own."""


async def ask(approvals: Approvals) -> Request:
    """A new request with a preview of ten rows."""
    number = next(_numbers)
    snapshot = Snapshot(
        agent=f"agent{number % AGENTS}",
        role="maintainer",
        database="shop",
        sql=b"DELETE FROM orders WHERE customer = $1 AND placed < now() - interval '1 year' -- %d" % number,
        parameters=(Parameter(23, 0, b"%d" % number, str(number)),),
        settings={"search_path": "public", "timezone": "UTC"},
    )
    request, _ = await approvals.submit(snapshot, TERMS, OPTIONS)
    rows = tuple((str(row), "somebody", "2024-01-01", None) for row in range(10))
    table = Table("public.orders", ("id", "customer", "placed", "note"), rows)
    await approvals.attach_preview(
        request.id, Preview(time.time(), "Delete on orders", 10.0, (10,), (table,), enveloped=True)
    )
    return request


async def _timed(times: list[float], answer: Awaitable[_T]) -> _T:
    began = time.perf_counter()
    result = await answer
    times.append(time.perf_counter() - began)
    return result


def report(name: str, what: str, times: list[float]) -> None:
    """One line: median and 99th percentile."""
    milliseconds = [1000 * one for one in times]
    p99 = statistics.quantiles(milliseconds, n=100)[98]
    print(f"{name:9} {what:34} {statistics.median(milliseconds):8.2f} {p99:8.2f}", flush=True)


if __name__ == "__main__":
    main()
