"""A running service of approvals with a clock, an audit record and a resolver that tests can look at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from dbfirewall.approvals.model import Options, Preview, Request, Snapshot, State, Terms
from dbfirewall.approvals.service import Approvals
from dbfirewall.approvals.store import Store
from dbfirewall.audit.record import MEMBERS, Event, Scalar
from dbfirewall.metrics import Metrics
from dbfirewall.proxy.tasks import TaskOwner
from tests.approvals.places import ASKED, NOW, OPTIONS, TERMS, Place

T = TypeVar("T")


class Office:
    """`time`: what its wall clock says. `records`: the audit. `asked`: what the resolver was asked about."""

    def __init__(self, store: Store, *, instance: str = "here", retention: float = 1e6) -> None:
        self.time = NOW
        self.records: list[tuple[Event, dict[str, Scalar]]] = []
        self.asked: asyncio.Queue[Request] = asyncio.Queue()
        self.tasks = TaskOwner()
        self.metrics = Metrics()
        self.store = store
        self.approvals = Approvals(
            store, self.metrics, self.record, lambda: self.time, instance=instance, retention=retention
        )

    def record(self, event: Event, **members: Scalar) -> None:
        """What AuditLog.event does, kept here."""
        assert members.keys() <= set(MEMBERS)
        self.records.append((event, members))

    def recorded(self, event: Event) -> list[dict[str, Scalar]]:
        """The members of the records of one event."""
        return [members for name, members in self.records if name == event]

    async def resolve(self, request: Request) -> None:
        """What the proxy's resolver does: here it only notes what it was asked."""
        self.asked.put_nowait(request)

    async def submit(
        self, snapshot: Snapshot = ASKED, terms: tuple[Terms, ...] = TERMS, options: Options = OPTIONS
    ) -> Request:
        """A request, new or found again."""
        return (await self.approvals.submit(snapshot, terms, options))[0]

    async def ready(
        self, snapshot: Snapshot = ASKED, terms: tuple[Terms, ...] = TERMS, *,
        rows: tuple[int | None, ...] = (3,), **options: Any,
    ) -> Request:  # fmt: skip
        """A new request with its preview."""
        request = await self.submit(snapshot, terms, Options(**options))
        done = await self.approvals.attach_preview(
            request.id, Preview(self.time, rows=rows, enveloped=True, undo=True)
        )
        assert done is not None
        return done

    async def approve(self, request: Request, approver: str = "alice", **vote: Any) -> Request:
        """A vote of somebody who may."""
        vote = {"groups": ("dba",), "approve": True, "origin": "127.0.0.1 api", **vote}
        return await self.approvals.vote(request.id, approver=approver, **vote)

    async def approved(self, **changes: Any) -> str:
        """The id of a request that was approved."""
        return (await self.approve(await self.ready(**changes))).id

    async def state(self, request_id: str) -> State:
        """Where a request is."""
        return (await self.approvals.get(request_id)).state

    async def until(self, request_id: str, state: State) -> Request:
        """The request, once it is there; what the tending does takes a moment."""
        while True:
            request = await self.approvals.get(request_id)
            if request.state is state:
                return request
            await asyncio.sleep(0.02)


async def eventually(check: Callable[[], object]) -> None:
    """Until `check` says so; the test's own timeout is the limit."""
    while True:
        if check():
            return
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    place: Place, *, resolver: bool = True, wrap: Callable[[Any], Store] = lambda store: store, **how: Any
) -> AsyncIterator[Office]:
    """An office that is open for the length of the block. `wrap`: puts something around its store."""
    office = Office(wrap(place.store()), **how)
    try:
        await office.approvals.start(office.tasks.spawn, office.resolve if resolver else None)
        yield office
    finally:
        await office.tasks.close()
        await office.approvals.close()


def working(place: Place, work: Callable[[Office], Coroutine[Any, Any, T]], **how: Any) -> T:
    """What `work` returns, given a running office."""

    async def main() -> T:
        async with running(place, **how) as office:
            return await work(office)

    return asyncio.run(main())
