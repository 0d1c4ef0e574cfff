"""Who waits for a request, or for any change of any of them.

Rules:

- The store tells which request was changed, by any process; it is read once, for all who want it.
- Where "anything" may have changed, and every LOOK_SECONDS in case a notification was lost, the store is asked once
  which requests are pending; the others that are waited for are read. Subscribers are told to look anew.
- A subscriber that does not keep up loses what is in its queue and is told to look anew: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from types import TracebackType
from typing import Final, Self

from dbfirewall.approvals.model import Request
from dbfirewall.errors import DbfirewallError, StoreError

LOOK_SECONDS: Final = 5.0
"""How often to look at what is waited for without having been told to."""

MAX_QUEUED: Final = 1000
"""Security limit: changes that wait for one subscriber."""


class Subscription:
    """Changes of requests, as an asynchronous iterator and context manager. None: changes were missed, look anew."""

    def __init__(self, leave: Callable[[Subscription], None]) -> None:
        self._leave = leave
        self._queue: deque[Request | None] = deque()
        self._some = asyncio.Event()
        self._closed = False

    def put(self, request: Request | None) -> None:
        """Queue one change; never waits."""
        if request is None or len(self._queue) >= MAX_QUEUED:
            self._queue.clear()
            request = None
        self._queue.append(request)
        self._some.set()

    def close(self) -> None:
        """No more changes: the iteration ends."""
        self._closed = True
        self._leave(self)
        self._some.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Request | None:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._some.clear()
            await self._some.wait()
        return self._queue.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Listeners:
    """`get`: reads one request. `pending`: the ids of all that are pending."""

    def __init__(
        self, get: Callable[[str], Awaitable[Request]], pending: Callable[[], Awaitable[Collection[str]]]
    ) -> None:
        self._get = get
        self._pending = pending
        self._waiters: dict[str, set[asyncio.Future[Request]]] = {}
        self._subscriptions: set[Subscription] = set()
        self._changed: dict[str, None] = {}
        self._some = asyncio.Event()
        self._closed = False

    def changed(self, request_id: str) -> None:
        """The store says that this request, or (empty) any request, was changed."""
        if self._subscriptions or not request_id or request_id in self._waiters:
            self._changed[request_id] = None
            self._some.set()

    def subscribe(self) -> Subscription:
        """A new subscriber."""
        subscription = Subscription(self._subscriptions.discard)
        self._subscriptions.add(subscription)
        if self._closed:
            subscription.close()
        return subscription

    @contextlib.contextmanager
    def waiting(self, request_id: str) -> Iterator[Callable[[], Awaitable[Request]]]:
        """Changes of one request, from here on: each call of what is yielded waits for the next one."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Request] = loop.create_future()
        self._waiters.setdefault(request_id, set()).add(mine)

        async def changed() -> Request:
            nonlocal mine
            if self._closed:
                raise StoreError("the firewall is shutting down")
            request = await mine
            self._leave(request_id, mine)
            mine = loop.create_future()
            self._waiters.setdefault(request_id, set()).add(mine)
            return request

        try:
            yield changed
        finally:
            self._leave(request_id, mine)

    def close(self) -> None:
        """End every subscription; whoever waits gets StoreError."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(StoreError("the firewall is shutting down"))

    async def run(self) -> None:
        """Read what was changed and hand it on, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._some.wait()
            self._some.clear()
            changed, self._changed = self._changed, {}
            if "" in changed:
                for subscription in list(self._subscriptions):
                    subscription.put(None)
            if "" in changed or not changed:
                changed = await self._no_longer_pending()
            for request_id in changed:
                await self._hand_on(request_id)

    async def _no_longer_pending(self) -> dict[str, None]:
        """Of what is waited for."""
        if not self._waiters:
            return {}
        try:
            pending = await self._pending()
        except StoreError:  # it is asked again soon
            return {}
        return {request_id: None for request_id in self._waiters if request_id not in pending}

    async def _hand_on(self, request_id: str) -> None:
        try:
            request = await self._get(request_id)
        except DbfirewallError:  # it was forgotten, or the store fails; who waits looks again in the end
            return
        for waiter in self._waiters.get(request_id, ()):
            if not waiter.done():
                waiter.set_result(request)
        for subscription in list(self._subscriptions):
            subscription.put(request)

    def _leave(self, request_id: str, waiter: asyncio.Future[Request]) -> None:
        waiters = self._waiters.get(request_id, set())
        waiters.discard(waiter)
        waiter.cancel()
        if not waiters:
            self._waiters.pop(request_id, None)
