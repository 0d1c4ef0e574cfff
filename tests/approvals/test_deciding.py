"""Who decides what, for what they saw, and how that is put on record."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from dbfirewall.approvals.document import document
from dbfirewall.approvals.model import Envelope, Options, Preview, Request, State, Terms
from dbfirewall.approvals.service import Conflict, NotAllowed, NotFound
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.errors import AuditError
from tests.approvals.office import Office, eventually, running, working
from tests.approvals.places import ASKED, NOW, Place, all_of, asked

TWO = (Terms("gate", ("dba",), 2),)


def test_who_may_decide(place: Place) -> None:
    """People of the groups that the terms name; never the agent that asks, whatever its groups."""

    async def work(office: Office) -> None:
        request = await office.ready()
        for approver, groups, why in (
            ("bob", ("dev",), "only dba may decide this"),
            ("bob", (), "only dba may decide this"),
            (ASKED.agent, ("dba",), "who asks does not decide"),
        ):
            for approve in (True, False):
                with pytest.raises(NotAllowed, match=why):
                    await office.approve(request, approver, groups=groups, approve=approve)
        assert await office.state(request.id) is State.PENDING
        assert office.recorded("approval_granted") == office.recorded("approval_denied") == []
        anybody = await office.ready(asked(sql=b"2"), (Terms("gate"),))
        assert (await office.approve(anybody, "bob", groups=())).state is State.APPROVED

    working(place, work)


def test_two_people_at_the_same_moment_are_two(place: Place) -> None:
    """Where two are wanted, votes of two approvers on two firewalls both count, whichever comes first."""

    async def work(office: Office) -> None:
        async with running(place, instance="there") as other:
            for n in range(8):
                request = await office.ready(asked(sql=b"%d" % n), TWO)
                await all_of([office.approve(request, "alice"), other.approve(request, "bob")])
                done = await office.approvals.get(request.id)
                assert done.state is State.APPROVED
                assert {vote.approver for vote in done.votes} == {"alice", "bob"}

    working(place, work)


def test_one_person_twice_is_one(place: Place) -> None:
    """Also at the same moment, on two firewalls; and a denial by one of them ends it."""

    async def work(office: Office) -> None:
        async with running(place, instance="there") as other:
            request = await office.ready(terms=TWO)
            votes = await asyncio.gather(
                office.approve(request), other.approve(request), return_exceptions=True
            )
            assert sorted(type(vote).__name__ for vote in votes) == ["Conflict", "Request"]
            with pytest.raises(Conflict, match="you have approved it already"):
                await office.approve(request)
            assert len((await office.approvals.get(request.id)).votes) == 1
            denied = await other.approve(request, "bob", approve=False, reason="no")
            assert (denied.state, denied.reason) == (State.DENIED, "no")

    working(place, work)


def test_each_gate_s_terms_have_to_be_met(place: Place) -> None:
    """A statement that two gates hold needs the people of both; one person may be of both groups."""

    async def work(office: Office) -> None:
        terms = (Terms("one", ("dba",), 2), Terms("other", ("security",)))
        request = await office.ready(terms=terms)
        assert (await office.approve(request, "alice")).state is State.PENDING
        assert (await office.approve(request, "bob")).state is State.PENDING
        assert (await office.approve(request, "carol", groups=("security",))).state is State.APPROVED
        request = await office.ready(asked(sql=b"2"), terms)
        await office.approve(request, "alice", groups=("dba", "security"))
        assert (await office.approve(request, "bob")).state is State.APPROVED

    working(place, work)


def test_a_vote_is_for_what_was_seen(place: Place) -> None:
    """Where the digest of what was shown is given, it has to be of what there is; a new preview is something else."""

    async def work(office: Office) -> None:
        request = await office.ready()
        seen = str(document(request)["seen"])
        with pytest.raises(Conflict, match="look again"):
            await office.approve(request, seen="other")
        changed = await office.approvals.attach_preview(
            request.id, Preview(NOW, rows=(5000,), enveloped=True)
        )
        assert changed is not None
        with pytest.raises(Conflict, match="look again"):
            await office.approve(request, seen=seen)
        done = await office.approve(request, seen=str(document(changed)["seen"]))
        assert done.votes[0].seen == str(document(changed)["seen"])

    working(place, work)


def test_nobody_approves_what_has_no_preview_yet(place: Place) -> None:
    """Unless the envelope is given or lifted, or the rule wants no preview. A denial needs none."""

    async def work(office: Office) -> None:
        def request(number: int, **options: Any) -> Any:
            return office.submit(asked(sql=b"%d" % number), options=Options(**options))

        with pytest.raises(Conflict, match="still being made"):
            await office.approve(await request(1))
        assert (await office.approve(await request(1), envelope=None)).envelope is None
        given = Envelope((7,), 0.5)
        assert (await office.approve(await request(2), envelope=given)).envelope == given
        assert (await office.approve(await request(3, preview="none"))).state is State.APPROVED
        assert (await office.approve(await request(4), approve=False)).state is State.DENIED

    working(place, work)


@pytest.mark.parametrize(
    ("preview", "given", "kept"),
    [
        (Preview(NOW, rows=(3,), enveloped=True), {}, Envelope((3,), 0.0)),
        (Preview(NOW, rows=(1000,), enveloped=True), {}, Envelope((1000,), 0.1)),
        (Preview(NOW, rows=(3,), enveloped=False), {}, None),
        (Preview(NOW, rows=(3,), enveloped=True), {"envelope": None}, None),
        (Preview(NOW, rows=(3,), enveloped=True), {"envelope": Envelope((4,), 1.0)}, Envelope((4,), 1.0)),
    ],
)
def test_the_envelope(place: Place, preview: Preview, given: dict[str, Any], kept: Envelope | None) -> None:
    """Around the preview's counts, unless the approver gives another one, lifts it, or nothing can be counted."""

    async def work(office: Office) -> None:
        request = await office.submit()
        await office.approvals.attach_preview(request.id, preview)
        assert (await office.approve(request, **given)).envelope == kept

    working(place, work)


def test_the_narrower_of_two_envelopes_holds(place: Place) -> None:
    """Whoever comes second can't widen what the first one approved, and not approve another number of rows."""

    async def work(office: Office) -> None:
        def envelopes(number: int) -> Any:
            return office.ready(asked(sql=b"%d" % number), TWO)

        wide, narrow = Envelope((3,), 1.0), Envelope((3,), 0.0)
        orders: list[tuple[Envelope | None, ...]] = [
            (wide, narrow, narrow), (narrow, wide, narrow), (None, wide, wide), (narrow, None, narrow),
            (None, None, None),
        ]  # fmt: skip
        for number, (first, second, kept) in enumerate(orders):
            request = await envelopes(number)
            await office.approve(request, "alice", envelope=first)
            assert (await office.approve(request, "bob", envelope=second)).envelope == kept
        request = await envelopes(9)
        await office.approve(request, "alice")
        with pytest.raises(Conflict, match="approved for 3 rows before"):
            await office.approve(request, "bob", envelope=Envelope((4,), 1.0))

    working(place, work)


def test_undo_that_can_t_be_had_is_accepted_explicitly(place: Place) -> None:
    """Where the rule wants undo and the preview says that there will be none."""

    async def work(office: Office) -> None:
        request = await office.submit(options=Options(undo=True))
        preview = Preview(NOW, rows=(1,), enveloped=True, undo=False, undo_problem="the rows are too large")
        await office.approvals.attach_preview(request.id, preview)
        with pytest.raises(Conflict, match="there will be no undo: the rows are too large"):
            await office.approve(request)
        assert (await office.approve(request, accept_undo=True)).undo_accepted

    working(place, work)


def test_only_what_is_pending_can_be_decided(place: Place) -> None:
    """Decided, withdrawn, released or expired (also where nobody has noticed yet): a conflict that says so."""

    async def work(office: Office) -> None:
        requests = [await office.ready(asked(sql=b"%d" % n)) for n in range(3)]
        await office.approve(requests[0])
        await office.approve(requests[1], approve=False)
        await office.approvals.withdraw(requests[2].id, "")
        for request, state in zip(requests, ("approved", "denied", "withdrawn"), strict=True):
            with pytest.raises(Conflict, match=f"it is {state} already"):
                await office.approve(request, "bob")
        request = await office.ready(asked(sql=b"9"), expires=10.0)
        office.time = NOW + 10.0
        with pytest.raises(Conflict, match="it is expired already"):
            await office.approve(request)
        with pytest.raises(NotFound):
            await office.approvals.vote("apr_none", approver="alice", groups=("dba",), approve=True)

    working(place, work)


def test_every_decision_is_on_record(place: Place) -> None:
    """Who, from where, why, about what, and what they saw; asking, withdrawing and expiring too, each once."""

    async def work(office: Office) -> None:
        request = await office.ready(asked(session="s1", peer="127.0.0.1:9"))
        await office.submit()
        await office.approve(request, reason="fine \0", seen=str(document(request)["seen"]))
        denied = await office.ready(asked(sql=b"2"))
        await office.approve(denied, approve=False, reason="no")
        gone = await office.submit(asked(sql=b"3"))
        await office.approvals.withdraw(gone.id, "the agent left")
        short = await office.submit(asked(sql=b"4"), options=Options(expires=1.0))
        office.time = NOW + 1.0
        await office.until(short.id, State.EXPIRED)

        assert len(office.recorded("approval_requested")) == 4
        (granted,) = office.recorded("approval_granted")
        assert granted == {
            "approval": request.id, "agent": "cleaner", "role": "maintainer", "database": "shop",
            "session": "s1", "application": "", "rule": "gate delete", "approver": "alice",
            "peer": "127.0.0.1 api", "reason": "fine \ufffd", "seen": document(request)["seen"],
            "fingerprint": granted["fingerprint"], "error": None,
        }  # fmt: skip
        assert [r["reason"] for r in office.recorded("approval_denied")] == ["no"]
        assert [r["reason"] for r in office.recorded("approval_withdrawn")] == ["the agent left"]
        assert [r["approval"] for r in office.recorded("approval_expired")] == [short.id]

    working(place, work)


def test_what_can_t_be_recorded_is_not_decided(place: Place) -> None:
    """A vote, and a settlement, raise AuditError and change nothing while the audit record can't be written."""

    async def work(office: Office) -> None:
        request = await office.ready()
        unknown = await office.approved(snapshot=asked(sql=b"2"))
        await office.approvals.begin_release(unknown, "")
        await office.approvals.finish(unknown, State.UNKNOWN)

        def fail(event: Event, **members: Scalar) -> None:
            raise AuditError(f"disk full: {event} {members}")

        office.approvals._record = fail
        with pytest.raises(AuditError):
            await office.approve(request)
        with pytest.raises(AuditError):
            await office.approvals.settle(unknown, ran=True, approver="alice", groups=("dba",))
        assert await office.state(request.id) is State.PENDING
        assert await office.state(unknown) is State.UNKNOWN
        office.time = NOW + 1e5  # it expires, and that is on record as soon as that can be written
        await office.until(request.id, State.EXPIRED)
        office.approvals._record = office.record
        await eventually(lambda: office.recorded("approval_expired"))

    working(place, work)


def test_a_vote_that_did_not_count_is_on_record_as_such(place: Place) -> None:
    """Two deny at the same moment: one is told that it is too late, and both records say how it ended."""

    async def work(office: Office) -> None:
        for n in itertools.count():
            request = await office.ready(asked(sql=b"%d" % n))
            votes = [office.approve(request, name, approve=False) for name in ("alice", "bob", "carol")]
            ended = await asyncio.gather(*votes, return_exceptions=True)
            assert sum(isinstance(one, Request) for one in ended) == 1
            records = [r for r in office.recorded("approval_denied") if r["approval"] == request.id]
            in_force = {r["approver"] for r in records} - {r["approver"] for r in records if r["error"]}
            (vote,) = (await office.approvals.get(request.id)).votes
            assert in_force == {vote.approver}
            if len(records) > 1:
                return

    working(place, work)


def test_settling(place: Place) -> None:
    """A person who may decide says what became of an unknown outcome, once: it ran, or it may run again."""

    async def work(office: Office) -> None:
        who: dict[str, Any] = {"approver": "alice", "groups": ("dba",)}
        ids = []
        for n, (ran, state) in enumerate([(True, State.DONE), (False, State.APPROVED)]):
            request_id = await office.approved(snapshot=asked(sql=b"%d" % n))
            ids.append(request_id)
            with pytest.raises(Conflict, match="it is approved"):
                await office.approvals.settle(request_id, ran=ran, **who)
            await office.approvals.begin_release(request_id, "")
            await office.approvals.finish(request_id, State.UNKNOWN, note="the server is gone")
            with pytest.raises(NotAllowed):
                await office.approvals.settle(request_id, ran=ran, approver="bob", groups=("dev",))
            with pytest.raises(NotAllowed):
                await office.approvals.settle(request_id, ran=ran, approver=ASKED.agent, groups=("dba",))
            done = await office.approvals.settle(request_id, ran=ran, reason="I looked", origin="cli", **who)
            assert done.state is state
            assert done.note.endswith("run: I looked" if not ran else "ran: I looked")
            with pytest.raises(Conflict):
                await office.approvals.settle(request_id, ran=ran, **who)
        assert [r["approval"] for r in office.recorded("approval_settled")] == ids

    working(place, work)
