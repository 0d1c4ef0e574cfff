"""Notifications on a real store and a real web server: they arrive, at least once, and hold up nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dbfirewall.approvals.message import Channel, webhook_headers
from dbfirewall.approvals.model import Options, Request, Vote
from dbfirewall.approvals.model import State as St
from dbfirewall.approvals.notify import Notifier
from dbfirewall.approvals.outbox import StoreOutbox
from dbfirewall.approvals.sqlite import SqliteStore
from tests.approvals.example import PREVIEW, SNAPSHOT, request
from tests.approvals.receiver import Receiver, receiver

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
TERMS = request().terms


@dataclass
class World:
    """A store with its notifier. `ahead`: how far its clock is ahead of ours, in seconds."""

    store: SqliteStore
    channels: list[Channel]
    ahead: float = 0.0
    counted: list[tuple[str, str]] = field(default_factory=list)
    notifier: Notifier = field(init=False)

    def __post_init__(self) -> None:
        self.notifier = Notifier(
            self.store,
            StoreOutbox(self.store),
            lambda: self.channels,
            lambda request_id: f"https://firewall.internal/approvals/{request_id}",
            lambda channel, outcome: self.counted.append((channel, outcome)),
            self.now,
        )

    def now(self) -> float:
        """The world's clock."""
        return time.time() + self.ahead

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.ahead += seconds
        self.notifier.wake()

    async def ask(self, sql: bytes = SNAPSHOT.sql) -> Request:
        """An agent's statement is gated, and its preview made."""
        made, _ = await self.store.submit(replace(SNAPSHOT, sql=sql), TERMS, Options(), self.now())
        await self.store.attach_preview(made.id, PREVIEW, self.now())
        self.notifier.wake()
        return made

    async def deny(self, one: Request) -> None:
        """A person denies it."""
        vote = Vote("alice", approve=False, at=self.now(), reason="no")
        await self.store.vote(one.id, vote, St.DENIED, None, undo_accepted=False, expected=0)
        self.notifier.wake()


@asynccontextmanager
async def world(folder: Path, *channels: Channel) -> AsyncIterator[World]:
    """A world whose notifier runs."""
    store = SqliteStore(folder / "approvals.sqlite3")
    await store.open()
    one = World(store, list(channels))
    running = asyncio.get_running_loop().create_task(one.notifier.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def posts(at: Receiver, count: int) -> list[Any]:
    """The bodies of the first posts, off the loop."""
    return await asyncio.to_thread(at.wait, count)


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  what it waits for tells nobody
            await asyncio.sleep(0.02)


def webhook(at: Receiver, **changes: Any) -> Channel:
    """A signed channel to `at`."""
    return replace(Channel("oncall", "webhook", at.url, SECRET), **changes)


def run(work: Any) -> None:
    """Run one test's coroutine."""
    asyncio.run(work)


def test_a_request_and_its_decision_are_announced(tmp_path: Path) -> None:
    """A webhook hears of the request with its row count and a link, and then of the decision, both signed."""

    async def scenario(hook: Receiver) -> None:
        async with world(tmp_path, webhook(hook)) as here:
            asked = await here.ask()
            (first,) = await posts(hook, 1)
            assert (first["type"], first["approval"]["id"]) == ("approval.requested", asked.id)
            assert first["link"] == f"https://firewall.internal/approvals/{asked.id}"
            assert first["approval"]["preview"]["rows"] == [2]
            await here.deny(asked)
            second = (await posts(hook, 2))[1]
            assert (second["type"], second["approval"]["state"]) == ("approval.decided", "denied")
        for headers, body in hook.posts:
            stamp = float(headers["webhook-timestamp"])
            assert (
                webhook_headers(headers["webhook-id"], SECRET, body, stamp)["webhook-signature"]
                == (headers["webhook-signature"])
            )

    with receiver() as hook:
        run(scenario(hook))


def test_a_failing_endpoint_is_tried_again_with_the_same_id(tmp_path: Path) -> None:
    """After 500 and 503 the third attempt arrives; all three carry one idempotency key."""

    async def scenario(hook: Receiver) -> None:
        hook.answers = [500, 503]
        async with world(tmp_path, webhook(hook)) as here:
            await here.ask()
            for count in (1, 2):
                await posts(hook, count)
                await until(lambda count=count: here.counted.count(("oncall", "retried")) == count)  # type: ignore[misc]
                here.later(30)
            await posts(hook, 3)
            await until(lambda: ("oncall", "delivered") in here.counted)
        assert len({headers["webhook-id"] for headers, _ in hook.posts}) == 1

    with receiver() as hook:
        run(scenario(hook))


def test_what_is_owed_survives_a_restart(tmp_path: Path) -> None:
    """What could not be delivered before the process ended is delivered by the next one."""

    async def scenario(hook: Receiver) -> None:
        async with world(tmp_path, replace(webhook(hook), url="http://127.0.0.1:9/")) as before:
            asked = await before.ask()
            await until(lambda: ("oncall", "retried") in before.counted)
        async with world(tmp_path, webhook(hook)) as after:
            after.later(30)
            (body,) = await posts(hook, 1)
            assert body["approval"]["id"] == asked.id

    with receiver() as hook:
        run(scenario(hook))


def test_of_two_processes_one_delivers(tmp_path: Path) -> None:
    """Two notifiers on one store, woken together, post each notification once."""

    async def scenario(hook: Receiver) -> None:
        async with world(tmp_path, webhook(hook)) as one, world(tmp_path, webhook(hook)) as other:
            for number in range(5):
                await one.ask(b"DELETE FROM t WHERE id = %d" % number)
                other.notifier.wake()
            await posts(hook, 5)
            await until(lambda: len(one.counted) + len(other.counted) == 5)
            other.notifier.wake()
            await one.ask(b"DELETE FROM last")
            await posts(hook, 6)
        assert len({headers["webhook-id"] for headers, _ in hook.posts}) == len(hook.posts) == 6

    with receiver() as hook:
        run(scenario(hook))


def test_a_hanging_endpoint_holds_up_nobody(tmp_path: Path) -> None:
    """While one channel hangs, another is served, also with what came later, and the store answers."""

    async def scenario(stuck: Receiver, hook: Receiver) -> None:
        stuck.hang = True
        channels: Sequence[Channel] = (webhook(stuck, name="stuck"), webhook(hook))
        async with world(tmp_path, *channels) as here:
            await here.ask(b"DELETE FROM a")
            await posts(stuck, 1)
            await posts(hook, 1)
            later = await here.ask(b"DELETE FROM b")
            assert {one["approval"]["id"] for one in await posts(hook, 2)} >= {later.id}
            assert len(stuck.posts) == 1
            stuck.release.set()

    with receiver() as stuck, receiver() as hook:
        run(scenario(stuck, hook))


def test_nobody_is_asked_about_what_is_decided(tmp_path: Path) -> None:
    """A request that was decided before its notification could be delivered is announced as decided alone."""

    async def scenario(hook: Receiver) -> None:
        hook.answers = [500]
        async with world(tmp_path, webhook(hook)) as here:
            asked = await here.ask()
            await until(lambda: ("oncall", "retried") in here.counted)
            await here.deny(asked)
            await posts(hook, 2)
            here.later(30)
            await until(lambda: here.counted.count(("oncall", "delivered")) == 1)
        assert [body["type"] for body in hook.wait(2)] == ["approval.requested", "approval.decided"]

    with receiver() as hook:
        run(scenario(hook))


def test_after_a_day_it_is_given_up(tmp_path: Path) -> None:
    """An endpoint that fails for more than a day is not tried any more."""

    async def scenario(hook: Receiver) -> None:
        hook.answers = [500, 500]
        async with world(tmp_path, webhook(hook)) as here:
            made, _ = await here.store.submit(
                SNAPSHOT, TERMS, replace(Options(), expires=200_000.0), here.now()
            )
            await here.store.attach_preview(made.id, PREVIEW, here.now())
            here.notifier.wake()
            await until(lambda: ("oncall", "retried") in here.counted)
            here.later(90_000)
            await until(lambda: ("oncall", "failed") in here.counted)
            here.later(90_000)
        assert len(hook.posts) == 2

    with receiver() as hook:
        run(scenario(hook))
