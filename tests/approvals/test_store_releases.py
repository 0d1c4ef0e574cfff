"""What every store promises (dbfirewall.approvals.store), SQLite's and Postgres' alike: releases."""

from __future__ import annotations

import asyncio

import pytest

from dbfirewall.approvals.model import (
    State,
)
from dbfirewall.errors import StoreError
from tests.approvals.places import (
    ASKED,
    NOW,
    OPTIONS,
    TERMS,
    AnyStore,
    Place,
    all_of,
    approved,
    opened,
    releasing,
    using,
)


@pytest.mark.parametrize("state", [State.DONE, State.OUTSIDE, State.FAILED, State.UNKNOWN, State.APPROVED])
def test_what_a_release_ended_as_decides_what_sending_again_means(place: Place, state: State) -> None:
    """Done, outside and failed are spent; rolled back is approved still; an unknown outcome blocks a new request."""

    async def work(store: AnyStore) -> None:
        first = await releasing(store)
        assert (await store.submit(ASKED, TERMS, OPTIONS, NOW))[0].id == first
        await store.finish(first, state, NOW + 1)
        again, new = await store.submit(ASKED, TERMS, OPTIONS, NOW + 2)
        assert new == (state not in (State.UNKNOWN, State.APPROVED))
        if not new:
            assert (again.id, again.state) == (first, state)

    using(place, work)


def test_one_of_twenty_redeems(place: Place) -> None:
    """Twenty sessions on two connections to the store begin the release of one approval: exactly one wins."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        async with opened(place) as other:
            won = await all_of(
                [(store, other)[n % 2].begin_release(request_id, f"{n}/1", str(n), NOW) for n in range(20)]
            )
        (winner,) = [request for request in won if request is not None]
        assert await store.get(request_id) == winner
        assert (winner.state, winner.owner) == (State.RELEASING, f"{winner.xid}/1")

    using(place, work)


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (NOW + 3600.0, "it has expired"),
        (NOW - 301.0, "it is from the future: the clock was set back, and its expiry means nothing"),
    ],
    ids=["expired", "clock set back"],
)
def test_an_approval_is_not_redeemed_out_of_its_time(place: Place, at: float, why: str) -> None:
    """Also where nothing has made it `expired` yet; then it is."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        assert await store.begin_release(request_id, "here/1", "7", at) is None, why
        (expired,) = await store.expire(at)
        assert (expired.id, expired.state) == (request_id, State.EXPIRED)
        assert await store.expire(at) == ()

    using(place, work)


def test_only_what_is_approved_is_redeemed(place: Place) -> None:
    """Not pending, denied, withdrawn or spent."""

    async def work(store: AnyStore) -> None:
        pending, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        assert await store.begin_release(pending.id, "a/1", "", NOW) is None
        await store.withdraw(pending.id, "", NOW)
        assert await store.begin_release(pending.id, "a/1", "", NOW) is None
        spent = await releasing(store)
        await store.finish(spent, State.DONE, NOW)
        assert await store.begin_release(spent, "a/1", "", NOW) is None
        assert await store.begin_release("apr_none", "a/1", "", NOW) is None

    using(place, work)


def test_a_release_ends_once(place: Place) -> None:
    """Who ends it names the transaction or the attempt: an end that is meant for an earlier one changes nothing."""

    async def work(store: AnyStore) -> None:
        request_id = await releasing(store, xid="7")
        assert await store.finish(request_id, State.DONE, NOW, xid="8") is None
        assert await store.finish(request_id, State.DONE, NOW, attempt=2) is None
        assert await store.finish(request_id, State.APPROVED, NOW, xid="7", attempt=1) is not None
        assert await store.finish(request_id, State.DONE, NOW, xid="7") is None
        again = await store.begin_release(request_id, "here/1", "9", NOW)
        assert again is not None
        assert again.attempts == 2
        assert await store.finish(request_id, State.DONE, NOW, attempt=1) is None
        assert await store.finish(request_id, State.DONE, NOW, attempt=2, affected=(1,)) is not None
        assert await store.finish(request_id, State.UNKNOWN, NOW) is None

    using(place, work)


def test_unknown_is_settled_once(place: Place) -> None:
    """What nobody knows can become done or approved, by one of two who say so at the same moment."""

    async def work(store: AnyStore) -> None:
        request_id = await releasing(store)
        await store.finish(request_id, State.UNKNOWN, NOW, note="nobody knows")
        ends = await all_of([store.finish(request_id, state, NOW) for state in (State.DONE, State.DONE)])
        assert ends.count(None) == 1

    using(place, work)


def test_undo_is_of_the_attempt_that_is_under_way(place: Place) -> None:
    """In order; kept after it is done; gone with a rollback and with the next attempt; refused at any other time."""

    async def work(store: AnyStore) -> None:
        request_id = await releasing(store)
        await store.keep_undo(request_id, 1, "second", 2)
        await store.keep_undo(request_id, 0, "first \N{SNOWMAN}", 40)
        assert await store.undo(request_id) == ("first \N{SNOWMAN}", "second")
        back = await store.finish(request_id, State.APPROVED, NOW)
        assert back is not None
        assert (back.undo_rows, await store.undo(request_id)) == (0, ())
        with pytest.raises(StoreError, match="not being released"):
            await store.keep_undo(request_id, 0, "late", 1)
        await store.begin_release(request_id, "here/1", "8", NOW)
        await store.keep_undo(request_id, 0, "third", 3)
        done = await store.finish(request_id, State.DONE, NOW)
        assert done is not None
        assert (done.undo_rows, await store.undo(request_id)) == (3, ("third",))

    using(place, work)


def test_undo_of_a_lost_attempt_is_gone(place: Place) -> None:
    """A second begin starts from nothing, even where nobody ended the first in order."""

    async def work(store: AnyStore) -> None:
        request_id = await releasing(store)
        await store.keep_undo(request_id, 0, "x", 1)
        await store.finish(request_id, State.UNKNOWN, NOW)
        assert await store.undo(request_id) == ("x",)
        await store.finish(request_id, State.APPROVED, NOW)
        assert await store.begin_release(request_id, "a/1", "", NOW) is not None
        assert await store.undo(request_id) == ()

    using(place, work)


def test_rows_are_restored_once(place: Place) -> None:
    """Of many that would restore them one wins; who could not do it gives way; it outlasts a restart."""

    async def work(store: AnyStore) -> None:
        request_id = await releasing(store)
        await store.keep_undo(request_id, 0, "x", 1)
        assert not await store.mark_undone(request_id, undone=True)
        await store.finish(request_id, State.DONE, NOW)
        won = await all_of([store.mark_undone(request_id, undone=True) for _ in range(10)])
        assert won.count(True) == 1
        assert await store.mark_undone(request_id, undone=False)
        assert await store.mark_undone(request_id, undone=True)
        other = place.store()
        await other.open()
        try:
            found = await other.get(request_id)
            assert found is not None
            assert found.undone
            assert not await other.mark_undone(request_id, undone=True)
        finally:
            await other.close()
        nothing = await releasing(store, sql=b"DELETE FROM nothing")
        await store.finish(nothing, State.DONE, NOW)
        assert not await store.mark_undone(nothing, undone=True)

    using(place, work)


def test_an_earlier_run_s_releases_are_taken_over_at_once(place: Place) -> None:
    """By exactly one; what this run itself releases, and what others do who are alive, is not."""

    async def work(store: AnyStore) -> None:
        orphan = await releasing(store, owner="here/1")
        await releasing(store, owner="here/2", agent="b")
        await store.beat("there/1", NOW)
        await releasing(store, owner="there/1", agent="c")
        (taken,) = await store.orphans("here/2", 30.0)
        assert (taken.id, taken.owner, taken.state) == (orphan, "here/2*", State.RELEASING)
        assert await store.orphans("here/2", 30.0) == ()

    using(place, work)


def test_a_silent_process_s_releases_are_taken_over_by_one(place: Place) -> None:
    """Once its beats stay away as this process counts time; whatever any clock says, beats are a sign of life."""

    async def work(store: AnyStore) -> None:
        async with opened(place) as other:
            orphan = await releasing(store, owner="there/1")
            for at in (NOW, NOW - 1e6, NOW + 1e6):  # clocks that step
                await store.beat("there/1", at)
                assert await store.orphans("here/1", 0.05) == ()
                assert await other.orphans("elsewhere/1", 0.05) == ()
            await asyncio.sleep(0.1)
            taken = await all_of([store.orphans("here/1", 0.05), other.orphans("elsewhere/1", 0.05)])
            assert [request.id for requests in taken for request in requests] == [orphan]

    using(place, work)
