"""Asking, waiting and hearing of changes, as the proxy and the admin listener do it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dbfirewall.approvals.model import Preview, State
from dbfirewall.approvals.service import NotFound
from dbfirewall.errors import StoreError
from tests.approvals.office import Office, eventually, running, working
from tests.approvals.places import ASKED, NOW, OPTIONS, TERMS, Place, asked


def test_waiting_ends_with_the_decision(place: Place) -> None:
    """Whoever waits gets the request as it was decided, on this firewall or on another one with the same store."""

    async def work(office: Office) -> None:
        async with running(place, instance="there") as other:
            requests = [await office.ready(asked(sql=b"%d" % n)) for n in range(4)]
            waits = [office.tasks.spawn("wait", office.approvals.wait(r.id, 60)) for r in requests]
            await asyncio.sleep(0.05)
            await other.approve(requests[0])
            await office.approve(requests[1], approve=False, reason="no")
            await other.approvals.withdraw(requests[2].id, "gone")
            await office.approve(requests[3])
            ended = await asyncio.gather(*waits)
        assert [r.state for r in ended] == [State.APPROVED, State.DENIED, State.WITHDRAWN, State.APPROVED]

    working(place, work)


def test_waiting_ends_with_its_time(place: Place) -> None:
    """Then the request is returned as it is. What is decided already is not waited for; nobody is left waiting."""

    async def work(office: Office) -> None:
        request = await office.ready()
        assert (await office.approvals.wait(request.id, 0.05)).state is State.PENDING
        assert (await office.approvals.wait(request.id, 0.0)).state is State.PENDING
        await office.approve(request)
        assert (await office.approvals.wait(request.id, 1e6)).state is State.APPROVED
        with pytest.raises(NotFound):
            await office.approvals.wait("apr_none", 1e6)
        assert office.approvals._listeners._waiters == {}

    working(place, work)


def test_a_step_of_the_clock_does_not_change_how_long_anybody_waits(place: Place) -> None:
    """It is the loop's clock that counts; set far ahead, the wall clock expires the request, and that ends it."""

    async def work(office: Office) -> None:
        request = await office.ready(expires=3600.0)
        wait = office.tasks.spawn("wait", office.approvals.wait(request.id, 60))
        office.time = NOW - 200.0
        await asyncio.sleep(0.1)
        assert not wait.done()
        office.time = NOW + 1e7
        assert (await wait).state is State.EXPIRED
        assert [record["approval"] for record in office.recorded("approval_expired")] == [request.id]

    working(place, work)


def test_a_clock_that_was_set_back_prolongs_no_approval(place: Place) -> None:
    """By more than five minutes: what was approved in what is now the future has expired, and says why."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        office.time = NOW - 301.0
        assert await office.approvals.begin_release(request_id, "7") is None
        assert "the clock was set back" in (await office.until(request_id, State.EXPIRED)).note

    working(place, work)


def test_a_clock_that_leaps_ahead_does_not_empty_the_store(place: Place) -> None:
    """What is forgotten goes by the time that has passed since the start."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        await office.approvals.withdraw(request_id, "")
        office.time = NOW + 1e9
        await office.store.prune(office.approvals._tending._oldest())
        assert await office.state(request_id) is State.WITHDRAWN

    working(place, work, retention=3600.0)


def test_subscribers_see_every_change(place: Place) -> None:
    """Of this firewall and of others; until they leave, or the service closes."""

    async def work(office: Office) -> None:
        async with running(place, instance="there") as other, office.approvals.subscribe() as changes:
            request = await other.ready()
            await office.approve(request)
            async for change in changes:
                if change is not None and change.state is State.APPROVED:
                    break
            office.approvals._listeners.close()
            assert [
                change async for change in changes if change is not None and change.id != request.id
            ] == []

    working(place, work)


def test_a_preview_that_is_too_large_loses_its_rows(place: Place) -> None:
    """The counts, and so the envelope, stay."""

    async def work(office: Office) -> None:
        request = await office.submit()
        huge = Preview(NOW, plan="x" * (2 << 20), rows=(3,), enveloped=True, notes=("locks the table",))
        done = await office.approvals.attach_preview(request.id, huge)
        assert done is not None
        assert done.preview == replace(
            huge, plan="", notes=("locks the table", "What there was to show is too large to be kept.")
        )

    working(place, work)


def test_metrics(place: Place) -> None:
    """Requests by state, how long people took, and failures of the store."""

    async def work(office: Office) -> None:
        request = await office.ready()
        office.time = NOW + 20.0
        await office.approve(request)
        await eventually(lambda: office.metrics.approvals.cell("approved").value == 1)
        assert office.metrics.approval_wait.sum == 20.0
        await office.store.close()
        with pytest.raises(StoreError):
            await office.approvals.get(request.id)
        assert office.metrics.approval_store_errors.cell("get").value == 1
        assert "closed" in office.approvals.available

    working(place, work)


def test_submitting_counts_what_expired(place: Place) -> None:
    """An expiry that sending the statement again brings to light is on record, too."""

    async def work(office: Office) -> None:
        request = await office.submit(options=OPTIONS)
        office.time = NOW + 3600.0
        again, new = await office.approvals.submit(ASKED, TERMS, OPTIONS)
        assert (again.id, again.state, new) == (request.id, State.EXPIRED, False)
        assert [record["approval"] for record in office.recorded("approval_expired")] == [request.id]

    working(place, work)
