"""Delivering notifications: at least once, with backoff, and never in the way of the request itself.

What is owed stands in the store (`Outbox`), so it survives restarts, and of several processes one delivers. Each
channel has its own queue: one that hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

import httpx

from dbfirewall.approvals.message import (
    Channel,
    Delivery,
    Event,
    event_of,
    payload,
    slack_message,
    webhook_headers,
)
from dbfirewall.approvals.model import Request, State
from dbfirewall.approvals.store import Query
from dbfirewall.errors import DbfirewallError

log = logging.getLogger(__name__)

ATTEMPT_SECONDS: Final = 10.0
"""How long one attempt may take."""

FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 300.0
GIVE_UP_SECONDS: Final = 86_400.0
"""How long a notification is tried for."""

LOOK_SECONDS: Final = 5.0
"""How often the store is asked for what is owed, where nothing woke the notifier."""

RECENT_SECONDS: Final = 3_600.0
"""What ended or was decided longer ago than this, and was never announced, is no news any more."""

PREVIEW_SECONDS: Final = 10.0
"""How long the first notification waits for the preview, so that it can say how many rows."""

LEASE_SECONDS: Final = 60.0
"""For how long a delivery is one process's own; then another one tries."""

AT_ONCE: Final = 100


class Outbox(Protocol):
    """What is owed, in the store; each method is atomic and durable, and raises StoreError."""

    async def owe(self, deliveries: Sequence[tuple[str, Event, str]], now: float) -> None:
        """Note (request, event, channel) as owed, where that was never noted before."""

    async def claim(
        self, now: float, lease: float, limit: int, but_for: Collection[str] = ()
    ) -> Sequence[Delivery]:
        """Due deliveries that nobody is at, but for those of some channels; ours until `now + lease`."""

    async def settle(self, delivery: Delivery, problem: str, again_at: float | None) -> None:
        """Done with one attempt: to be tried again at `again_at`, or never (None)."""


class Requests(Protocol):
    """What the notifier reads of the store."""

    async def get(self, request_id: str) -> Request | None:
        """The request, or None."""

    async def list(self, query: Query) -> Sequence[Request]:
        """Requests, newest first."""


class Notifier:
    """`run` forever; `wake` when a request changed. `channels`: those of the rules in force."""

    def __init__(
        self,
        requests: Requests,
        outbox: Outbox,
        channels: Callable[[], Sequence[Channel]],
        link: Callable[[str], str],
        count: Callable[[str, str], None],
        now: Callable[[], float],
    ) -> None:
        self._requests = requests
        self._outbox = outbox
        self._channels = channels
        self._link = link
        self._count = count
        self._now = now
        self._woken = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}

    def wake(self, _request_id: str = "") -> None:
        """Something changed: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. A store that can't be reached is tried again later."""
        async with httpx.AsyncClient(timeout=ATTEMPT_SECONDS, follow_redirects=False) as client:
            try:
                while True:
                    self._woken.clear()
                    try:
                        if self._channels():
                            await self._announce()
                            await self._start_due(client)
                    except DbfirewallError as error:
                        log.warning("notifications wait for the store: %s", error)
                    try:
                        async with asyncio.timeout(LOOK_SECONDS):
                            await self._woken.wait()
                    except TimeoutError:
                        pass
            finally:
                tasks = list(self._busy.values())
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _announce(self) -> None:
        """Note what is owed to whom: of all that is pending, and of what changed a short while ago."""
        now = self._now()
        pending = await self._requests.list(Query(states=(State.PENDING,), limit=1000))
        recent = await self._requests.list(Query(limit=200))
        fresh = [one for one in recent if now - one.updated_at < RECENT_SECONDS]
        ready = [one for one in pending if one.preview is not None or now - one.created_at > PREVIEW_SECONDS]
        over = [one for one in fresh if one.state is not State.PENDING]
        owed = list(_owed([*ready, *over], self._channels()))
        if owed:
            await self._outbox.owe(owed, now)

    async def _start_due(self, client: httpx.AsyncClient) -> None:
        """Give each channel that is not at work what is due for it."""
        by_channel: dict[str, list[Delivery]] = {}
        self._busy = {name: task for name, task in self._busy.items() if not task.done()}
        for delivery in await self._outbox.claim(self._now(), LEASE_SECONDS, AT_ONCE, self._busy):
            by_channel.setdefault(delivery.channel, []).append(delivery)
        channels = {channel.name: channel for channel in self._channels()}
        for name, due in by_channel.items():
            self._busy[name] = asyncio.get_running_loop().create_task(
                self._deliver_all(client, channels.get(name), due), name=f"notify {name}"
            )

    async def _deliver_all(
        self, client: httpx.AsyncClient, channel: Channel | None, due: Iterable[Delivery]
    ) -> None:
        for delivery in due:
            try:
                await self._deliver(client, channel, delivery)
            except DbfirewallError as error:
                log.warning("notification %s: %s", delivery.key, error)
                return
        self.wake()

    async def _deliver(self, client: httpx.AsyncClient, channel: Channel | None, delivery: Delivery) -> None:
        request = await self._requests.get(delivery.request_id)
        if channel is None or request is None or _stale(delivery, request):
            await self._outbox.settle(delivery, "no longer wanted", None)
            return
        problem = await self._post(client, channel, delivery, request)
        if not problem:
            self._count(channel.name, "delivered")
            await self._outbox.settle(delivery, "", None)
            return
        now = self._now()
        pause = min(FIRST_PAUSE * 2.0**delivery.attempts, LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311
        again = now + pause if now - delivery.since < GIVE_UP_SECONDS else None
        self._count(channel.name, "failed" if again is None else "retried")
        log.warning("notification %s: %s", delivery.key, problem)
        await self._outbox.settle(delivery, problem, again)

    async def _post(
        self, client: httpx.AsyncClient, channel: Channel, delivery: Delivery, request: Request
    ) -> str:
        """Empty where the channel took it, else what went wrong, without the address (it may be a secret)."""
        link = self._link(request.id)
        if channel.kind == "slack":
            message = slack_message(
                delivery.event, request, link, redact=channel.redact, buttons=channel.secret is not None
            )
            body, headers = json.dumps(message).encode(), {"content-type": "application/json"}
        else:
            body = json.dumps(payload(delivery.event, request, link, redact=channel.redact)).encode()
            headers = webhook_headers(delivery.key, channel.secret, body, self._now())
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                answer = await client.post(channel.url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            return type(error).__name__
        return "" if answer.is_success else f"answered {answer.status_code}"


def _owed(requests: Iterable[Request], channels: Sequence[Channel]) -> Iterable[tuple[str, Event, str]]:
    for request in requests:
        for channel in channels:
            if channel.wants(request):
                yield request.id, event_of(request), channel.name


def _stale(delivery: Delivery, request: Request) -> bool:
    """Whether a request to decide has been decided meanwhile: nobody should be asked any more."""
    return delivery.event == "requested" and request.state is not State.PENDING
