"""What every store promises, SQLite's and Postgres' alike: what is kept, for whom, and who hears of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbfirewall.approvals import store_sql
from dbfirewall.approvals.model import (
    Options,
    Parameter,
    Preview,
    State,
    Vote,
)
from dbfirewall.approvals.store import Query
from dbfirewall.errors import NotKept, StoreError
from tests.approvals.places import (
    ASKED,
    NOW,
    OPTIONS,
    PREVIEW,
    TERMS,
    AnyStore,
    Place,
    all_of,
    approved,
    asked,
    granted,
    opened,
    releasing,
    using,
)


def test_forgetting(place: Place) -> None:
    """What ended and expired before, with its undo; never what is open, unknown, or denied for some time yet."""

    async def work(store: AnyStore) -> None:
        old = await releasing(store, at=NOW - 10_000.0, agent="old")
        await store.keep_undo(old, 0, "x", 1)
        await store.finish(old, State.DONE, NOW - 9_000.0)
        unknown = await releasing(store, at=NOW - 10_000.0, agent="unknown")
        await store.finish(unknown, State.UNKNOWN, NOW - 9_000.0)
        under_way = await releasing(store, at=NOW - 10_000.0, agent="under way")
        denied, _ = await store.submit(
            asked(agent="denied"), TERMS, Options(expires=20_000.0), NOW - 10_000.0
        )
        no = Vote("alice", False, NOW - 9_000.0)
        await store.vote(denied.id, no, State.DENIED, None, undo_accepted=False, expected=0)
        young = await releasing(store, at=NOW, agent="young")
        await store.finish(young, State.DONE, NOW)
        assert await store.prune(NOW - 5_000.0) == 1
        left = await store.list(Query())
        assert {request.id for request in left} == {unknown, under_way, denied.id, young}
        assert await store.undo(old) == ()

    using(place, work)


def test_history_is_bounded_for_each_agent(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ended requests of an agent that has too many go; nobody else's do."""
    monkeypatch.setattr(store_sql, "MAX_ENDED", 3)
    monkeypatch.setattr(store_sql, "MAX_LISTED", 2)

    async def work(store: AnyStore) -> None:
        for agent, number in (("busy", 8), ("quiet", 2)):
            for n in range(number):
                request, _ = await store.submit(asked(agent=agent), TERMS, OPTIONS, NOW + n)
                await store.withdraw(request.id, str(n), NOW + n)
        assert await store.prune(NOW - 1.0) == 5
        monkeypatch.setattr(store_sql, "MAX_LISTED", 100)
        left = await store.list(Query())
        assert sorted((r.snapshot.agent, r.note) for r in left) == [
            ("busy", "5"), ("busy", "6"), ("busy", "7"), ("quiet", "0"), ("quiet", "1"),
        ]  # fmt: skip

    using(place, work)


def test_listing(place: Place) -> None:
    """Newest first, by any of the filters, in pages."""

    async def work(store: AnyStore) -> None:
        ids = []
        for n in range(6):
            changes = {"agent": f"a{n % 2}", "database": f"d{n % 3}", "role": f"r{n}", "rule": f"rule {n}"}
            request, _ = await store.submit(asked(**changes), TERMS, OPTIONS, NOW + n)
            ids.append(request.id)
        await store.withdraw(ids[0], "", NOW)

        async def listed(**wanted: Any) -> list[int]:
            return [ids.index(request.id) for request in await store.list(Query(**wanted))]

        assert await listed() == [5, 4, 3, 2, 1, 0]
        assert await listed(limit=2) == [5, 4]
        assert await listed(limit=2, before=NOW + 4) == [3, 2]
        assert await listed(agent="a1", database="d2") == [5]
        assert await listed(role="r3") == await listed(rule="rule 3") == [3]
        assert await listed(states=(State.WITHDRAWN, State.DONE)) == [0]
        assert await listed(agent="a' OR '1'='1") == []
        assert await store.count() == {State.PENDING: 5, State.WITHDRAWN: 1}

    using(place, work)


def test_a_secret_is_the_same_for_all(place: Place) -> None:
    """32 bytes for each name, the same at the same moment from everywhere, and ever after."""

    async def work(store: AnyStore) -> bytes:
        async with opened(place) as other:
            first, second = await all_of([store.secret("cookies"), other.secret("cookies")])
        assert first == second
        assert first != await store.secret("webhooks")
        return first

    first = using(place, work)
    assert len(first) == 32
    assert using(place, lambda store: store.secret("cookies")) == first


def test_other_processes_hear_of_changes(place: Place) -> None:
    """A change through one connection reaches the listeners of another one, by its id or as `anything`."""

    async def work(store: AnyStore) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with opened(place) as other:
            request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
            other.on_change(heard.put_nowait)
            await asyncio.sleep(1.0)  # whatever came before: polls, the first LISTEN
            while not heard.empty():
                heard.get_nowait()
            await store.withdraw(request.id, "", NOW)
            assert await asyncio.wait_for(heard.get(), 30) in (request.id, "")

    using(place, work)


def test_listeners_hear_of_their_own_process_s_changes(place: Place) -> None:
    """Each method that changes a request tells which."""

    async def work(store: AnyStore) -> None:
        heard: list[str] = []
        store.on_change(heard.append)

        async def told(request_id: str) -> bool:
            await asyncio.sleep(0)
            known = request_id in heard
            heard.clear()
            return known

        request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        assert await told(request.id)
        await store.attach_preview(request.id, PREVIEW, NOW)
        assert await told(request.id)
        await store.mark(request.id, agent_gone=True)
        assert await told(request.id)
        await store.vote(request.id, granted(), State.APPROVED, None, undo_accepted=False, expected=0)
        assert await told(request.id)
        await store.begin_release(request.id, "a/1", "", NOW)
        assert await told(request.id)
        await store.finish(request.id, State.APPROVED, NOW)
        assert await told(request.id)
        await store.expire(NOW + 3600.0)
        assert await told(request.id)

    using(place, work)


def test_an_agent_s_pending_requests_are_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused; another agent's is not; a decided one makes room."""
    monkeypatch.setattr(store_sql, "MAX_PENDING", 3)

    async def work(store: AnyStore) -> None:
        requests = [(await store.submit(asked(sql=b"%d" % n), TERMS, OPTIONS, NOW))[0].id for n in range(3)]
        with pytest.raises(NotKept, match="3 requests of agent cleaner wait"):
            await store.submit(asked(sql=b"4"), TERMS, OPTIONS, NOW)
        assert not (await store.submit(asked(sql=b"0"), TERMS, OPTIONS, NOW))[1]
        await store.submit(asked(agent="other"), TERMS, OPTIONS, NOW)
        await store.withdraw(requests[0], "", NOW)
        assert (await store.submit(asked(sql=b"4"), TERMS, OPTIONS, NOW))[1]

    using(place, work)


def test_what_is_too_large_is_refused(place: Place) -> None:
    """A statement, a preview, a captured table; nothing of it is kept, and the store goes on."""

    async def work(store: AnyStore) -> None:
        with pytest.raises(NotKept, match="a gated statement of more than"):
            await store.submit(asked(parameters=(Parameter(25, 0, b"x" * (1 << 20)),)), TERMS, OPTIONS, NOW)
        request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        with pytest.raises(NotKept, match="a preview of more than"):
            await store.attach_preview(request.id, Preview(NOW, plan="x" * (1 << 20)), NOW)
        found = await store.get(request.id)
        assert found is not None
        assert found.preview is None
        with pytest.raises(NotKept, match="lone surrogates"):
            await store.submit(asked(sql=b"2", reason="\udcff"), TERMS, OPTIONS, NOW)
        assert await store.count() == {State.PENDING: 1}

    using(place, work)


def test_another_version_s_store_is_not_touched(place: Place) -> None:
    """A store with a schema that this version does not know is refused at opening."""

    async def write(store: AnyStore) -> None:
        def steps() -> store_sql.Steps[None]:
            yield "UPDATE meta SET value = '99' WHERE name = 'version'", ()

        await store.run(steps)

    async def read(_store: AnyStore) -> None:
        raise AssertionError("it was opened")

    using(place, write)
    with pytest.raises(StoreError, match="schema version 99"):
        using(place, read)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('options = \'[{"hold": 1, "new_key": 2}]\'', "new_key"),
        ("state = 'lost'", "does not know: 'lost'"),
        ("snapshot = 'nonsense'", "can't read"),
        ('votes = \'[{"approver": "a", "approve": "yes", "at": 1}]\'', "can't read"),
    ],
)
def test_a_request_that_is_not_understood_is_not_used(place: Place, change: str, said: str) -> None:
    """Whatever this version could not have written raises StoreError; the release is rolled back."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)

        def steps() -> store_sql.Steps[None]:
            yield f"UPDATE requests SET {change}", ()

        await store.run(steps)
        with pytest.raises(StoreError, match=said):
            await store.get(request_id)
        if "state" not in change:
            with pytest.raises(StoreError, match=said):
                await store.begin_release(request_id, "a/1", "", NOW)

        def state() -> store_sql.Steps[str]:
            rows = yield "SELECT state FROM requests", ()
            return str(rows[0]["state"])

        assert await store.run(state, write=False) in ("approved", "lost")

    using(place, work)


def test_closing(place: Place) -> None:
    """Twice is fine; what is asked of a closed store raises StoreError; it can be opened again."""

    async def main() -> None:
        store = place.store()
        with pytest.raises(StoreError, match="closed"):
            await store.count()
        for _ in range(2):
            await store.open()
            await store.open()
            assert await store.check() == ""
            await store.close()
            await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.count()
        assert "closed" in await store.check()

    asyncio.run(main())
