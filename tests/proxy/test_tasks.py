"""Tasks are owned: their failures are logged, and none outlives its owner."""

from __future__ import annotations

import asyncio

import pytest

from dbfirewall.proxy.tasks import TaskOwner


def test_a_task_that_fails_is_logged_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """One that works or is cancelled is not."""

    async def fail() -> None:
        raise ZeroDivisionError("why")

    async def work() -> None:
        return None

    async def main() -> None:
        owner = TaskOwner()
        tasks = [owner.spawn("failing", fail()), owner.spawn("working", work())]
        await asyncio.wait(tasks)
        await owner.close()

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["task failing failed"]
    assert "why" in caplog.text


def test_closing_cancels_what_runs_and_waits_for_it() -> None:
    """Also for what a task does when it is cancelled."""
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    async def main() -> None:
        owner = TaskOwner()
        owner.spawn("long", work())
        await asyncio.sleep(0)
        await owner.close()
        steps.append("closed")

    asyncio.run(main())
    assert steps == ["cleaned up", "closed"]
