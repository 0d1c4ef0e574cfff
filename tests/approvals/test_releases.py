"""Releases whose end nobody reports, and a store that does not answer in the middle of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbfirewall.approvals import releases
from dbfirewall.approvals.model import Request, State
from dbfirewall.errors import StoreError
from tests.approvals.office import Office, eventually, running, working
from tests.approvals.places import NOW, Place, all_of, asked


class Flaky:
    """A store that fails where tests say so: before a method does its work, or after it."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.before: set[str] = set()
        self.after: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)
        if name not in ("begin_release", "finish", "orphans", "get", "list"):
            return method

        async def flaky(*arguments: Any, **keywords: Any) -> Any:
            if name in self.before:
                raise StoreError(f"{name} was not asked")
            result = await method(*arguments, **keywords)
            if name in self.after:
                raise StoreError(f"the answer to {name} was lost")
            return result

        return flaky


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds come often."""
    monkeypatch.setattr("dbfirewall.approvals.tending.RELEASES_EVERY", 0.05)
    monkeypatch.setattr("dbfirewall.approvals.tending.BEAT_EVERY", 0.05)


def flaky(office: Office) -> Flaky:
    """The office's store."""
    assert isinstance(office.store, Flaky)
    return office.store


def test_one_of_twenty_sessions_redeems(place: Place) -> None:
    """On two firewalls: exactly one gets the request, all others None."""

    async def work(office: Office) -> None:
        async with running(place, instance="there") as other:
            request_id = await office.approved()
            got = await all_of(
                [(office, other)[n % 2].approvals.begin_release(request_id, str(n)) for n in range(20)]
            )
        assert sum(request is not None for request in got) == 1

    working(place, work)


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("xid", ["", "7"], ids=["plain", "in a transaction"])
def test_a_release_whose_begin_failed_is_not_lost(place: Place, lost: str, xid: str) -> None:
    """What raised StoreError did not run: whether the store had begun it or not, it is approved again, for one."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        getattr(flaky(office), lost).add("begin_release")
        with pytest.raises(StoreError):
            await office.approvals.begin_release(request_id, xid)
        getattr(flaky(office), lost).clear()
        await office.until(request_id, State.APPROVED)
        assert await office.approvals.begin_release(request_id, xid) is not None
        assert await office.approvals.begin_release(request_id, xid) is None
        assert office.asked.empty()

    working(place, work, wrap=Flaky)


def test_a_release_that_is_under_way_is_left_alone(place: Place) -> None:
    """However many rounds go by, neither made approved again nor asked about."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        await office.approvals.begin_release(request_id, "")
        await asyncio.sleep(0.5)
        assert await office.state(request_id) is State.RELEASING
        assert office.asked.empty()
        done = await office.approvals.finish(request_id, State.DONE, affected=(3,))
        assert done is not None
        assert (done.state, done.affected) == (State.DONE, (3,))

    working(place, work)


@pytest.mark.parametrize("lost", ["before", "after"])
def test_an_end_that_the_store_did_not_hear_is_said_again(place: Place, lost: str) -> None:
    """`finish` does not raise; what it said is in the store as soon as that answers."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        begun = await office.approvals.begin_release(request_id, "")
        assert begun is not None
        getattr(flaky(office), lost).add("finish")
        assert (
            await office.approvals.finish(request_id, State.DONE, affected=(3,), attempt=begun.attempts)
            is None
        )
        await asyncio.sleep(0.2)
        getattr(flaky(office), lost).clear()
        assert (await office.until(request_id, State.DONE)).affected == (3,)
        assert office.asked.empty()
        await eventually(lambda: not office.approvals._releases._unsaid)

    working(place, work, wrap=Flaky)


def test_a_doubtful_outcome_is_asked_about_until_it_is_known(place: Place) -> None:
    """Whoever releases and can't see what became of it says so; the resolver is asked again and again."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        begun = await office.approvals.begin_release(request_id, "4711")
        office.approvals.doubt(request_id)
        for _ in range(3):
            assert await office.asked.get() == begun
        await office.approvals.finish(request_id, State.DONE, xid="4711", note="the server says so")
        while not office.asked.empty():
            office.asked.get_nowait()
        await asyncio.sleep(0.2)
        assert office.asked.empty()

    working(place, work)


def test_a_resolver_that_fails_is_asked_again(place: Place) -> None:
    """It can't reach the server, or even has a bug; one that takes long is asked once at a time."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        await office.approvals.begin_release(request_id, "7")
        calls: list[str] = []
        slow = asyncio.Event()

        async def resolve(_request: Request) -> None:
            calls.append("call")
            if len(calls) == 1:
                raise ConnectionError("no route")
            await slow.wait()

        office.approvals._releases.resolve = resolve
        office.approvals.doubt(request_id)
        await eventually(lambda: len(calls) == 2)
        await asyncio.sleep(0.3)
        assert len(calls) == 2
        slow.set()
        await eventually(lambda: len(calls) > 2)

    working(place, work, resolver=False)


def test_after_a_restart_the_resolver_is_asked(place: Place) -> None:
    """A release that was under way when the process ended is asked about at once, not made approved again."""

    async def main() -> None:
        async with running(place) as office:
            request_id = await office.approved()
            await office.approvals.begin_release(request_id, "4711")
        async with running(place) as office:
            request = await office.asked.get()
            assert (request.id, request.xid, request.state) == (request_id, "4711", State.RELEASING)
            await asyncio.sleep(0.3)
            assert await office.state(request_id) is State.RELEASING
        async with running(place) as office:  # it was taken over, and that process ended, too
            assert (await office.asked.get()).id == request_id
            await office.approvals.finish(request_id, State.APPROVED, xid="4711")
            assert await office.state(request_id) is State.APPROVED

    asyncio.run(main())


def test_a_take_over_whose_answer_was_lost_is_still_asked_about(place: Place) -> None:
    """It is never taken for a release of this process that did not begin."""

    async def main() -> None:
        async with running(place) as office:
            request_id = await office.approved()
            await office.approvals.begin_release(request_id, "4711")
        wrapped: list[Flaky] = []

        def wrap(store: Any) -> Any:
            wrapped.append(Flaky(store))
            wrapped[0].after.add("orphans")
            return wrapped[0]

        async with running(place, wrap=wrap) as office:
            while True:
                if (await office.approvals.get(request_id)).owner.endswith("*"):
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            assert await office.state(request_id) is State.RELEASING
            wrapped[0].after.clear()
            assert (await office.asked.get()).id == request_id

    asyncio.run(main())


def test_another_firewall_s_release_is_taken_over_when_it_falls_silent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By exactly one of those that are left; while it is alive nobody asks, whatever the clocks say."""
    monkeypatch.setattr(releases, "SILENT_SECONDS", 1.0)

    async def main() -> None:
        async with running(place, instance="b") as b, running(place, instance="c") as c:
            async with running(place, instance="a") as a:
                request_id = await a.approved()
                await a.approvals.begin_release(request_id, "7")
                b.time, c.time = NOW + 1e6, NOW - 100.0
                await asyncio.sleep(2.0)
                assert b.asked.empty()
                assert c.asked.empty()
            await eventually(lambda: not (b.asked.empty() and c.asked.empty()))
            await asyncio.sleep(0.5)
            assert b.asked.empty() or c.asked.empty()

    asyncio.run(main())


def test_a_late_end_of_a_release_that_was_taken_over(place: Place) -> None:
    """The process was only slow: what it says counts unless something else was found out, never for a later one."""

    async def work(office: Office) -> None:
        async with running(place, instance="there") as other:
            for number, (found, counts) in enumerate(
                [(None, True), (State.UNKNOWN, True), (State.APPROVED, False)]
            ):
                request_id = await office.approved(snapshot=asked(sql=b"%d" % number))
                begun = await office.approvals.begin_release(request_id, "")
                assert begun is not None
                if found is not None:
                    await other.store.finish(request_id, found, NOW)
                if found is State.APPROVED:
                    assert await other.approvals.begin_release(request_id, "") is not None
                said = await office.approvals.finish(request_id, State.DONE, attempt=begun.attempts)
                assert (said is not None) is counts
                if not counts:
                    assert await office.state(request_id) is State.RELEASING

    working(place, work)


def test_a_release_that_is_rolled_back_too_often_has_failed(place: Place) -> None:
    """After five attempts; the note says what the last error was."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        for number in range(1, 6):
            begun = await office.approvals.begin_release(request_id, str(number))
            assert begun is not None
            ended = await office.approvals.finish(
                request_id, State.APPROVED, xid=str(number), error="40001", note="could not serialize"
            )
            assert ended is not None
            assert ended.state is (State.APPROVED if number < 5 else State.FAILED)
        assert ended is not None
        assert ended.note == "given up after 5 attempts. could not serialize"
        assert (await office.submit()).id != request_id

    working(place, work)


def test_a_caller_that_is_cancelled_in_the_middle(place: Place) -> None:
    """Its statement does not run; whatever the store did, the request is approved again."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        for _ in range(20):
            begin = office.tasks.spawn("begin", office.approvals.begin_release(request_id, "7"))
            await asyncio.sleep(0)
            begin.cancel()
            await asyncio.gather(begin, return_exceptions=True)
            await office.until(request_id, State.APPROVED)
        begun = await office.approvals.begin_release(request_id, "7")
        assert begun is not None

    working(place, work)


@pytest.mark.parametrize("attempt", [1, None], ids=["named", "not named"])
def test_a_stale_end_does_not_free_the_release_that_is_under_way(place: Place, attempt: int | None) -> None:
    """What is said of an earlier attempt, twice or late, leaves the next one of the same process alone."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        for xid in ("7", "8"):
            assert await office.approvals.begin_release(request_id, xid) is not None
            if xid == "7":
                office.approvals.doubt(request_id)
                await office.approvals.finish(request_id, State.APPROVED, xid="7", attempt=attempt)
        assert await office.approvals.finish(request_id, State.APPROVED, xid="7", attempt=attempt) is None
        while not office.asked.empty():
            office.asked.get_nowait()
        await asyncio.sleep(0.5)
        assert office.asked.empty()
        assert await office.state(request_id) is State.RELEASING
        assert await office.approvals.begin_release(request_id, "9") is None
        done = await office.approvals.finish(request_id, State.DONE, xid="8", attempt=2)
        assert done is not None

    working(place, work)


def test_a_stale_end_that_the_store_did_not_hear_takes_nothing_from_a_later_one(place: Place) -> None:
    """Both are said again, each of its own attempt."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        await office.approvals.begin_release(request_id, "7")
        flaky(office).after.add("finish")
        assert await office.approvals.finish(request_id, State.APPROVED, attempt=1) is None
        flaky(office).after.clear()
        assert await office.approvals.begin_release(request_id, "8") is not None
        flaky(office).before.add("finish")
        assert await office.approvals.finish(request_id, State.DONE, attempt=2) is None
        assert await office.approvals.finish(request_id, State.APPROVED, attempt=1) is None
        flaky(office).before.clear()
        await office.until(request_id, State.DONE)

    working(place, work, wrap=Flaky)
