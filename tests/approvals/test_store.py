"""What every store promises (dbfirewall.approvals.store), SQLite's and Postgres' alike: asking and deciding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbfirewall.approvals.model import (
    Envelope,
    Options,
    Parameter,
    Request,
    Snapshot,
    State,
    Terms,
    Vote,
)
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
    state_of,
    using,
)

FULL = Snapshot(
    agent="räuber",
    role="r",
    database="d",
    sql=b"UPDATE t SET x = '\xff\xfe\\' -- \xe2\x80\xa8",
    parameters=(
        Parameter(25, 0, b"a\0b", "a\\0b"),
        Parameter(0, 1, b"\xff" * 9),
        Parameter(16, 0, None, None),
    ),
    settings={"search_path": '"$user", public', "datestyle": "ISO, MDY", "odd": "\0\u2028"},
    definitions="d" * 64,
    session="s1",
    peer="127.0.0.1:5",
    application="psql \N{SNOWMAN}",
    in_transaction=True,
    extended=True,
    rules_revision="rev",
    catalog_version=7,
    effects=(("update", "public.t"), ("select", "public.t")),
    rule="gate update",
    reason="why",
)


def test_what_is_stored_comes_back(place: Place) -> None:
    """Every field of a request, in its exact bytes, also to another process."""
    terms = (Terms("one", ("a", "b"), 2), Terms("two"))
    options = Options(0.5, True, True, 60.0, "plan", True)

    async def put(store: AnyStore) -> Request:
        request, new = await store.submit(FULL, terms, options, NOW)
        assert new
        await store.attach_preview(request.id, PREVIEW, NOW + 1)
        vote = Vote("alice", True, NOW + 2, "because \0 \N{SNOWMAN}", "127.0.0.1 web", "seen", ("a",))
        await store.vote(
            request.id, vote, State.APPROVED, Envelope((3, None), 0.1), undo_accepted=True, expected=0
        )
        await store.begin_release(request.id, "here/1", "4711", NOW + 3)
        done = await store.finish(
            request.id, State.DONE, NOW + 4, affected=(3, None), note="it ran", error="\0"
        )
        assert done is not None
        return done

    request = using(place, put)
    assert using(place, lambda store: store.get(request.id)) == request
    assert (request.snapshot, request.terms, request.options) == (FULL, terms, options)
    assert (request.preview, request.envelope) == (PREVIEW, Envelope((3, None), 0.1))
    assert request.snapshot.key == FULL.key
    assert (request.created_at, request.expires_at, request.updated_at) == (NOW, NOW + 60.0, NOW + 4)
    assert (request.owner, request.xid, request.attempts, request.affected) == (
        "here/1",
        "4711",
        1,
        (3, None),
    )
    assert (request.state, request.undo_accepted, request.error) == (State.DONE, True, "\ufffd")
    assert request.votes[0].reason == "because \0 \N{SNOWMAN}"


def test_the_same_statement_finds_the_same_request(place: Place) -> None:
    """While it is pending, in any session; and the agent is back."""

    async def work(store: AnyStore) -> None:
        first, new = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        await store.mark(first.id, agent_gone=True)
        again, new_again = await store.submit(
            asked(session="another", extended=True), TERMS, OPTIONS, NOW + 1
        )
        assert (new, new_again, again.id) == (True, False, first.id)
        assert not again.agent_gone
        found = await store.get(first.id)
        assert found is not None
        assert not found.agent_gone

    using(place, work)


@pytest.mark.parametrize(
    "changes",
    [
        {"sql": b"DELETE FROM orders WHERE id = 2"},
        {"parameters": (Parameter(23, 0, b"1"),)},
        {"agent": "other"},
        {"role": "other"},
        {"database": "other"},
        {"settings": {"search_path": "other"}},
    ],
    ids=str,
)
def test_another_statement_is_another_request(place: Place, changes: dict[str, Any]) -> None:
    """Other text, parameter, agent, role, database or settings."""

    async def work(store: AnyStore) -> None:
        first, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        second, new = await store.submit(asked(**changes), TERMS, OPTIONS, NOW)
        assert new
        assert second.id != first.id

    using(place, work)


def test_sessions_that_ask_at_the_same_moment_ask_once(place: Place) -> None:
    """Twenty submissions of one statement, over two connections to the store: one request."""

    async def work(store: AnyStore) -> None:
        async with opened(place) as other:
            answers = await all_of(
                [(store, other)[n % 2].submit(ASKED, TERMS, OPTIONS, NOW) for n in range(20)]
            )
        assert len({request.id for request, _ in answers}) == 1
        assert [new for _, new in answers].count(True) == 1

    using(place, work)


def test_an_expired_request_is_told_once(place: Place) -> None:
    """Sending the statement again finds it expired until the agent has been told; then it is a new request."""

    async def work(store: AnyStore) -> None:
        first, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        late = NOW + 3600.0
        for _ in range(2):
            again, new = await store.submit(ASKED, TERMS, OPTIONS, late)
            assert (again.id, again.state, new) == (first.id, State.EXPIRED, False)
        await store.mark(first.id, told=True)
        again, new = await store.submit(ASKED, TERMS, OPTIONS, late)
        assert new
        assert again.id != first.id

    using(place, work)


def test_a_denial_stands_until_it_expires(place: Place) -> None:
    """The same statement is denied without asking again; after `expires_at` it may be asked for anew."""

    async def work(store: AnyStore) -> None:
        first, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        no = Vote("alice", False, NOW, "not today", groups=("dba",))
        await store.vote(first.id, no, State.DENIED, None, undo_accepted=False, expected=0)
        again, new = await store.submit(ASKED, TERMS, OPTIONS, NOW + 3599.0)
        assert (again.id, again.state, again.reason, new) == (first.id, State.DENIED, "not today", False)
        _, new = await store.submit(ASKED, TERMS, OPTIONS, NOW + 3600.0)
        assert new
        assert await state_of(store, first.id) is State.DENIED

    using(place, work)


def test_withdrawn_is_over(place: Place) -> None:
    """From pending and from approved; sending it again is a new request. What is releasing can't be withdrawn."""

    async def work(store: AnyStore) -> None:
        pending, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        gone = await store.withdraw(pending.id, "the agent left", NOW + 1)
        assert gone is not None
        assert (gone.state, gone.note) == (State.WITHDRAWN, "the agent left")
        second = await approved(store)
        assert second != pending.id
        assert await store.withdraw(second, "other definitions", NOW + 1) is not None
        assert await store.withdraw(second, "again", NOW + 1) is None
        assert await store.withdraw(await releasing(store), "", NOW) is None

    using(place, work)


def test_votes_are_counted_by_who_saw_them(place: Place) -> None:
    """A vote that expects another number of votes is refused; so is one after the decision, or too late."""

    async def work(store: AnyStore) -> None:
        request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)

        async def vote(given: Vote, state: State, expected: int) -> Request | None:
            return await store.vote(request.id, given, state, None, undo_accepted=False, expected=expected)

        votes = await all_of([vote(granted(name), State.PENDING, 0) for name in ("alice", "bob")])
        assert votes.count(None) == 1
        assert await vote(granted("carol"), State.APPROVED, 0) is None
        assert await vote(granted("carol", NOW + 3600.0), State.APPROVED, 1) is None
        done = await vote(granted("carol"), State.APPROVED, 1)
        assert done is not None
        assert len(done.votes) == 2
        assert await vote(granted("dave"), State.DENIED, 2) is None

    using(place, work)


def test_a_new_preview_takes_back_votes_for_the_old_one(place: Place) -> None:
    """Who approved saw something else. The first preview takes back nothing; after a decision there is none."""

    async def work(store: AnyStore) -> None:
        request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        vote = store.vote(
            request.id, granted(), State.PENDING, Envelope((1,)), undo_accepted=False, expected=0
        )
        assert await vote is not None
        first = await store.attach_preview(request.id, PREVIEW, NOW)
        assert first is not None
        assert (len(first.votes), first.envelope) == (1, Envelope((1,)))
        second = await store.attach_preview(request.id, replace(PREVIEW, rows=(5000,)), NOW)
        assert second is not None
        assert (second.votes, second.envelope) == ((), None)
        assert await store.attach_preview(await approved(store, agent="b"), PREVIEW, NOW) is None

    using(place, work)
