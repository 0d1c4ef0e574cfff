"""SIGKILL at every statement of every method of a store: what it had reported is there, and nothing is half there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbfirewall.approvals.model import Request, State
from dbfirewall.approvals.store import Query
from tests.approvals import doomed
from tests.approvals.doomed import Method, perform, race
from tests.approvals.places import NOW, OPTIONS, TERMS, AnyStore, Place, approved, asked, releasing, using

Everything = tuple[tuple[Request, ...], dict[str, tuple[str, ...]], int]


async def nothing(_store: AnyStore) -> str:
    """No request."""
    return ""


async def pending(store: AnyStore) -> str:
    """A pending request."""
    return (await store.submit(asked(), TERMS, OPTIONS, NOW))[0].id


async def with_undo(store: AnyStore) -> str:
    """A release with a captured table."""
    request_id = await releasing(store)
    await store.keep_undo(request_id, 1, "earlier", 1)
    return request_id


async def done(store: AnyStore) -> str:
    """An ended request with its undo."""
    request_id = await releasing(store)
    await doomed.ended(store, request_id)
    return request_id


METHODS: list[tuple[Any, Method]] = [
    (nothing, doomed.submit),
    (pending, doomed.preview),
    (pending, doomed.approve),
    (approved, doomed.begin),
    (releasing, doomed.keep_undo),
    (with_undo, doomed.finish),
    (with_undo, doomed.roll_back),
    (approved, doomed.withdraw),
    (pending, doomed.mark),
    (approved, doomed.expire),
    (releasing, doomed.take_over),
    (done, doomed.forget),
    (nothing, doomed.secret),
]


async def everything(store: AnyStore) -> Everything:
    """All that a store holds (ids of new requests and secrets are random: left out), and how many secrets."""

    def secrets() -> Any:
        rows = yield "SELECT count(*) AS n FROM secrets", ()
        return rows[0]["n"]

    requests = tuple(await store.list(Query()))
    return requests, {r.id: tuple(await store.undo(r.id)) for r in requests}, await store.run(secrets)


def shape(state: Everything) -> Any:
    """What can be compared between two stores: without random ids."""
    requests, undo, secrets = state
    nameless = [replace(request, id="") for request in requests]
    return nameless, sorted(undo.values()), secrets


@pytest.mark.parametrize(("before", "method"), METHODS, ids=[method.__name__ for _, method in METHODS])
def test_killed_in_the_middle(place: Place, before: Any, method: Method) -> None:
    """Before each statement, and after the last: the store holds all of the method, or nothing of it."""
    request_id = using(place, before)
    statements = perform(place, method, request_id, 0)
    assert statements >= 3  # BEGIN, something, COMMIT
    after = shape(using(place, everything))
    seen = []
    for moment in range(1, statements + 2):
        place.clear()
        request_id = using(place, before)
        unchanged = shape(using(place, everything))
        assert perform(place, method, request_id, moment) == 0
        seen.append(shape(using(place, everything)))
    assert unchanged != after
    assert seen[0] == unchanged
    assert seen[-1] == after
    assert all(one in (unchanged, after) for one in seen)


@pytest.mark.parametrize("number", range(3))
def test_many_processes_redeem_one_approval(place: Place, number: int) -> None:
    """Four processes with five sessions each: exactly one of the twenty gets it."""
    request_id = using(place, lambda store: approved(store, sql=b"%d" % number))
    assert sum(race(place, doomed.begin, request_id, 4, 5)) == 1


def test_many_processes_ask_for_one_statement(place: Place) -> None:
    """Twenty sessions of four processes: one request."""
    race(place, doomed.submit, "", 4, 5)

    async def count(store: AnyStore) -> dict[State, int]:
        return await store.count()

    assert using(place, count) == {State.PENDING: 1}
