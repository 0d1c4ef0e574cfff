"""Who waits for changes: nobody is waited for, nobody is forgotten, and nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from dbfirewall.approvals import listening
from dbfirewall.approvals.listening import Listeners, Subscription
from dbfirewall.approvals.model import Options, Request, State
from dbfirewall.errors import StoreError
from tests.approvals.office import eventually
from tests.approvals.places import ASKED, NOW, TERMS

PENDING = Request("apr_1", State.PENDING, ASKED, TERMS, Options(), NOW, NOW + 60.0, NOW)


class Store:
    """What listeners ask of a store. `fails`: whether it does."""

    def __init__(self) -> None:
        self.requests = {name: replace(PENDING, id=name) for name in ("a", "b")}
        self.read: list[str] = []
        self.fails = False

    async def get(self, request_id: str) -> Request:
        """One request."""
        self._say()
        self.read.append(request_id)
        return self.requests[request_id]

    async def pending(self) -> frozenset[str]:
        """The ids of those that are pending."""
        self._say()
        return frozenset(name for name, one in self.requests.items() if one.state is State.PENDING)

    def decide(self, request_id: str) -> None:
        """Without telling anybody."""
        self.requests[request_id] = replace(self.requests[request_id], state=State.APPROVED)

    def _say(self) -> None:
        if self.fails:
            raise StoreError("away")


def listen(work: Callable[[Listeners, Store], Coroutine[Any, Any, None]]) -> None:
    """With running listeners."""

    async def main() -> None:
        store = Store()
        listeners = Listeners(store.get, store.pending)
        running = asyncio.get_running_loop().create_task(listeners.run())
        try:
            await work(listeners, store)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_a_change_that_nobody_told_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """From time to time the store is asked which requests are pending; only the others are read."""
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.02)

    async def work(listeners: Listeners, store: Store) -> None:
        with listeners.waiting("a") as a, listeners.waiting("b"):
            store.decide("a")
            assert (await a()).state is State.APPROVED
            assert set(store.read) == {"a"}

    listen(work)


def test_a_store_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification that could not be followed up is made up for."""
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.02)

    async def work(listeners: Listeners, store: Store) -> None:
        with listeners.waiting("a") as a:
            store.fails = True
            store.decide("a")
            listeners.changed("a")
            await asyncio.sleep(0.1)
            store.fails = False
            assert (await a()).state is State.APPROVED

    listen(work)


def test_many_who_wait_for_one_cost_one_reading() -> None:
    """And changes that nobody waits for cost none."""

    async def work(listeners: Listeners, store: Store) -> None:
        with contextlib.ExitStack() as stack:
            waits = [stack.enter_context(listeners.waiting("a"))() for _ in range(50)]
            answers = asyncio.gather(*waits)
            await asyncio.sleep(0)
            listeners.changed("b")
            listeners.changed("a")
            listeners.changed("a")
            assert {request.id for request in await answers} == {"a"}
            assert store.read == ["a"]

    listen(work)


def test_a_slow_subscriber_loses_its_queue_and_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets None, and then what came after that."""
    monkeypatch.setattr(listening, "MAX_QUEUED", 3)

    async def work(listeners: Listeners, _store: Store) -> None:
        async with listeners.subscribe() as slow:
            for number in range(6):
                slow.put(replace(PENDING, id=str(number)))
            queued = [await anext(slow) for _ in range(len(slow._queue))]
            assert queued[0] is None
            assert [one.id for one in queued[1:] if one is not None] == ["4", "5"]

    listen(work)


def test_subscribers_are_told_to_look_anew() -> None:
    """Where anything may have changed; what they had queued is of no use then."""

    async def work(listeners: Listeners, _store: Store) -> None:
        async with listeners.subscribe() as one:
            one.put(PENDING)
            listeners.changed("")
            await eventually(lambda: list(one._queue) == [None])

    listen(work)


def test_closing_ends_everybody() -> None:
    """Who waits gets StoreError; subscriptions end after what they had; later ones at once."""

    async def work(listeners: Listeners, _store: Store) -> None:
        with listeners.waiting("a") as a:
            waiting = asyncio.get_running_loop().create_task(_wait(a))
            subscription = listeners.subscribe()
            subscription.put(PENDING)
            await asyncio.sleep(0)
            listeners.close()
            with pytest.raises(StoreError, match="shutting down"):
                await waiting
            with pytest.raises(StoreError, match="shutting down"):
                await a()
            assert [one async for one in subscription] == [PENDING]
            assert [one async for one in listeners.subscribe()] == []
            assert listeners._subscriptions == set()

    listen(work)


async def _wait(changed: Callable[[], Any]) -> Request:
    request: Request = await changed()
    return request


def test_a_subscription_that_is_left_gets_nothing_more() -> None:
    """It is forgotten."""
    left: list[Subscription] = []

    async def work(listeners: Listeners, _store: Store) -> None:
        async with listeners.subscribe() as one:
            left.append(one)
        assert listeners._subscriptions == set()
        listeners.changed("a")
        await asyncio.sleep(0.02)
        assert not left[0]._queue

    listen(work)
