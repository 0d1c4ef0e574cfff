"""The JSON API, over real HTTP, on a real store."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from openapi_spec_validator import validate

from dbfirewall.approvals.model import Envelope, Options, State, Terms
from dbfirewall.errors import StoreError
from dbfirewall.preview.talk import ServerError
from dbfirewall.web.api import ENDPOINTS
from dbfirewall.web.state import SessionView
from tests.web.stage import BOB, MALLORY, Stage, preview, snapshot


def check(stage: Stage, name: str, value: Any) -> None:
    """`value` is what the OpenAPI document says of the answer of the operation `name`."""
    document = stage.ask("/api/openapi.json").json
    operations = [one for path in document["paths"].values() for one in path.values()]
    found = next(one for one in operations if one["operationId"] == name)
    schema = found["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(value, schema | {"components": document["components"]})


def test_the_openapi_document_is_one(stage: Stage) -> None:
    """It is valid, and has every endpoint that is served."""
    document = stage.ask("/api/openapi.json").json
    validate(document)
    served = {(one.path, one.method.lower()) for one in ENDPOINTS}
    assert {(path, method) for path, one in document["paths"].items() for method in one} == served


def test_listing(stage: Stage) -> None:
    """Requests come newest first, as documented, and say whether the asker may decide them."""
    first, second = stage.submit(), stage.submit(snapshot("DELETE FROM public.items"), seen=preview())
    answer = stage.api("/approvals").json
    check(stage, "list_approvals", answer)
    assert [one["id"] for one in answer["approvals"]] == [second.id, first.id]
    assert [one["may_decide"] for one in answer["approvals"]] == [True, True]
    assert [one["may_decide"] for one in stage.api("/approvals", token=MALLORY).json["approvals"]] == [
        False,
        False,
    ]


def test_filters(stage: Stage) -> None:
    """By state (several), agent, database, role, rule and time; a limit holds."""
    first = stage.submit()
    second = stage.submit(snapshot(database="other"))
    stage.api(f"/approvals/{first.id}/deny", {"reason": "no"})

    def ids(query: str) -> list[str]:
        return [one["id"] for one in stage.api(f"/approvals?{query}").json["approvals"]]

    assert ids("state=pending") == [second.id]
    assert ids("state=pending,denied") == [second.id, first.id]
    assert ids("database=other") == [second.id]
    assert ids("agent=nobody") == ids("role=x") == ids("rule=x") == []
    assert ids("limit=1") == [second.id]
    created = stage.api(f"/approvals/{second.id}").json["created_at"]
    assert first.id in ids(f"before={created}")


@pytest.mark.parametrize(
    "query",
    ["state=wating", "limit=0", "limit=501", "limit=x", "before=yesterday", "colour=red", "agent=a&agent=b"],
)
def test_filters_that_are_none(stage: Stage, query: str) -> None:
    """A mistake in a filter is a 400, never a list of everything."""
    answer = stage.api(f"/approvals?{query}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_request")


def test_approve(stage: Stage) -> None:
    """Approving makes it approved within the envelope of the preview, and is on record with what was seen."""
    request = stage.submit(seen=preview())
    seen = stage.api(f"/approvals/{request.id}").json["seen"]
    answer = stage.api(f"/approvals/{request.id}/approve", {"reason": "fine", "seen": seen})
    assert answer.status == 200
    check(stage, "approve", answer.json)
    assert answer.json["state"] == "approved"
    assert answer.json["may_decide"] is False
    stored = stage.get(request.id)
    assert stored.envelope == Envelope((2,), 0.0)
    assert (stored.votes[0].approver, stored.votes[0].reason) == ("alice", "fine")
    record = stage.events("approval_granted")[0]
    assert (record["approver"], record["approval"], record["seen"]) == ("alice", request.id, seen)
    assert record["peer"] == "127.0.0.1 api"


@pytest.mark.parametrize(
    ("body", "envelope"),
    [
        ({"tolerance": 0.5}, Envelope((2,), 0.5)),
        ({"rows": [7]}, Envelope((7,), 0.0)),
        ({"rows": [1000], "tolerance": 0}, Envelope((1000,), 0.0)),
        ({"rows": [1000]}, Envelope((1000,), 0.1)),
        ({"envelope": "lifted"}, None),
        ({"envelope": "default", "tolerance": None}, Envelope((2,), 0.0)),
    ],
)
def test_envelopes(stage: Stage, body: dict[str, Any], envelope: Envelope | None) -> None:
    """The approver may change the counts, the tolerance, or lift it."""
    request = stage.submit(seen=preview())
    assert stage.api(f"/approvals/{request.id}/approve", body).status == 200
    assert stage.get(request.id).envelope == envelope


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"envelope": "lifted", "tolerance": 1}, "lifted"),
        ({"rows": [1, 2]}, "one count for each"),
        ({"rows": [-1]}, "rows.0"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": 1e309}, "tolerance"),
        ({"tolerence": 1}, "tolerence"),
        ({"reason": "a\0b"}, "control characters"),
        ({"reason": "\x1b[2J"}, "control characters"),
        ({"reason": "\ud800"}, "unicode"),
        ({"reason": "x" * 1001}, "reason"),
        ([], "valid"),
    ],
)
def test_bodies_that_are_none(stage: Stage, body: Any, why: str) -> None:
    """What is not understood decides nothing."""
    request = stage.submit(seen=preview())
    answer = stage.api(f"/approvals/{request.id}/approve", body)
    assert (answer.status, why in answer.json["error"]["message"]) == (400, True), answer.text
    assert stage.get(request.id).state is State.PENDING


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 60_000, b'"x"', b"null"])
def test_no_json(stage: Stage, body: bytes) -> None:
    """Bodies that are no JSON objects are a 400."""
    request = stage.submit(seen=preview())
    headers = {"Authorization": f"Bearer {BOB}", "Content-Type": "application/json"}
    assert stage.ask(f"/api/v1/approvals/{request.id}/approve", "POST", body, headers).status == 400


def test_a_form_is_no_json(stage: Stage) -> None:
    """A content type that a form of another site could have is a 415."""
    request = stage.submit(seen=preview())
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = stage.api(f"/approvals/{request.id}/approve", {}, **{"Content-Type": kind})
        assert answer.status == 415
    assert stage.get(request.id).state is State.PENDING


def test_before_the_preview(stage: Stage) -> None:
    """While the preview is being made, only an approval that lifts the envelope counts."""
    request = stage.submit()
    assert stage.api(f"/approvals/{request.id}/approve", {}).status == 409
    assert stage.api(f"/approvals/{request.id}/approve", {"envelope": "lifted"}).json["state"] == "approved"


def test_a_decision_is_about_what_was_seen(stage: Stage) -> None:
    """Where the preview is another one by then, approving is a 409 and nothing is decided."""
    request = stage.submit(seen=preview())
    seen = stage.api(f"/approvals/{request.id}").json["seen"]
    stage.run(stage.approvals.attach_preview(request.id, preview(rows=(90_000,))))
    for verb in ("approve", "deny"):
        assert stage.api(f"/approvals/{request.id}/{verb}", {"reason": "as seen", "seen": seen}).status == 409
    assert stage.get(request.id).state is State.PENDING


def test_deny(stage: Stage) -> None:
    """Denying needs a reason, which is kept for the agent."""
    request = stage.submit()
    for body in ({}, {"reason": ""}, {"reason": "  \n "}):
        assert stage.api(f"/approvals/{request.id}/deny", body).status == 400
    answer = stage.api(f"/approvals/{request.id}/deny", {"reason": " Archive them first. "})
    check(stage, "deny", answer.json)
    assert answer.json["state"] == "denied"
    assert stage.get(request.id).reason == "Archive them first."


def test_what_is_decided_is_decided(stage: Stage) -> None:
    """A second decision is a 409 that says what it is."""
    request = stage.submit(seen=preview())
    stage.api(f"/approvals/{request.id}/deny", {"reason": "no"})
    answer = stage.api(f"/approvals/{request.id}/approve", {}, token=BOB)
    assert (answer.status, answer.json["error"]) == (
        409,
        {"code": "conflict", "message": "it is denied already"},
    )


def test_four_eyes(stage: Stage) -> None:
    """Two approvals are two people's; one person's second one does not count."""
    request = stage.submit(terms=(Terms("gate", ("dba",), 2),), seen=preview())
    assert stage.api(f"/approvals/{request.id}/approve", {}).json["state"] == "pending"
    stage.api(f"/approvals/{request.id}/approve", {})
    assert stage.get(request.id).state is State.PENDING
    assert stage.api(f"/approvals/{request.id}/approve", {}, token=BOB).json["state"] == "approved"


def test_settle(stage: Stage) -> None:
    """What nobody knows is settled by a person, with how they know; nothing else can be."""
    request = stage.submit(seen=preview())
    assert stage.api(f"/approvals/{request.id}/settle", {"ran": True, "reason": "x"}).status == 409
    stage.api(f"/approvals/{request.id}/approve", {})
    stage.release(request, State.UNKNOWN)
    assert stage.api(f"/approvals/{request.id}/settle", {"ran": True, "reason": ""}).status == 400
    assert (
        stage.api(f"/approvals/{request.id}/settle", {"ran": True, "reason": "x"}, token=MALLORY).status
        == 403
    )
    answer = stage.api(f"/approvals/{request.id}/settle", {"ran": True, "reason": "the rows are gone"})
    check(stage, "settle", answer.json)
    assert answer.json["state"] == "done"
    assert "the rows are gone" in answer.json["note"]


def test_a_new_preview(stage: Stage) -> None:
    """It can be made anew while the request is pending, by those who have a say."""
    request = stage.submit(seen=preview())
    assert stage.api(f"/approvals/{request.id}/preview", {}, token=MALLORY).status == 403
    answer = stage.api(f"/approvals/{request.id}/preview", {})
    check(stage, "renew_preview", answer.json)
    assert answer.json["preview"]["rows"] == [5]
    stage.api(f"/approvals/{request.id}/deny", {"reason": "no"})
    assert stage.api(f"/approvals/{request.id}/preview", {}).status == 409


def test_undo(stage: Stage) -> None:
    """What was kept is shown as SQL, and restored by those who have a say."""
    request = stage.submit(options=Options(undo=True), seen=preview(undo=True))
    assert stage.api(f"/approvals/{request.id}/undo").status == 404
    stage.api(f"/approvals/{request.id}/approve", {})
    stage.release(request, undo_rows=2)
    plan = stage.api(f"/approvals/{request.id}/undo").json
    check(stage, "get_undo", plan)
    assert plan["sql"].startswith("INSERT INTO public.orders")
    for body in ({}, {"apply": False}):
        assert stage.api(f"/approvals/{request.id}/undo", body).status == 400
    assert stage.api(f"/approvals/{request.id}/undo", {"apply": True}, token=MALLORY).status == 403
    assert stage.undone == []
    done = stage.api(f"/approvals/{request.id}/undo", {"apply": True}).json
    check(stage, "apply_undo", done)
    assert (done, stage.undone) == ({"applied": 2}, [f"{request.id} by alice"])
    assert stage.api(f"/approvals/{request.id}/undo", {"apply": True}).status == 409
    assert len(stage.undone) == 1


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [(ServerError({"C": "23505", "M": "duplicate key"}), 409, 200), (StoreError("gone"), 503, 200),
     (ConnectionError("cut"), 503, 409)],
)  # fmt: skip
def test_an_undo_that_fails(stage: Stage, error: Exception, status: int, again: int) -> None:
    """It can be tried again where nothing has changed; where nobody knows, a person has to look first."""
    request = stage.submit(options=Options(undo=True), seen=preview(undo=True))
    stage.api(f"/approvals/{request.id}/approve", {})
    stage.release(request, undo_rows=2)
    stage.undo_error = error
    answer = stage.api(f"/approvals/{request.id}/undo", {"apply": True})
    assert (answer.status, str(error) in answer.text) == (status, True)
    stage.undo_error = None
    assert stage.api(f"/approvals/{request.id}/undo", {"apply": True}).status == again


def test_no_undo_needs_a_yes(stage: Stage) -> None:
    """Where undo was wanted and can't be had, approving without saying so is a 409."""
    request = stage.submit(options=Options(undo=True), seen=preview(undo=False, undo_problem="too many rows"))
    answer = stage.api(f"/approvals/{request.id}/approve", {})
    assert (answer.status, "too many rows" in answer.json["error"]["message"]) == (409, True)
    assert stage.api(f"/approvals/{request.id}/approve", {"accept_undo": True}).json["state"] == "approved"


@pytest.mark.parametrize(
    "name", ["apr_0123", "..", "%2e%2e%2fetc", "x" * 5000, "'; DROP TABLE requests", "\u2603"]
)
def test_no_such_request(stage: Stage, name: str) -> None:
    """Unknown and impossible names are a 404."""
    assert stage.api(f"/approvals/{quote(name)}").status == 404


def test_who_asks(stage: Stage) -> None:
    """/me says the approver's name and groups."""
    answer = stage.api("/me").json
    check(stage, "me", answer)
    assert answer == {"approver": "alice", "groups": ["dba"]}


def test_sessions(stage: Stage) -> None:
    """/sessions lists the agents that are connected."""
    stage.agents = [SessionView("5e55", "robot", "maintainer", "shop", "psql", "127.0.0.1:1", "idle")]
    answer = stage.api("/sessions").json
    check(stage, "list_sessions", answer)
    assert [one["agent"] for one in answer["sessions"]] == ["robot"]


def test_rules_without_secrets(stage: Stage) -> None:
    """/rules says what the rules say, and nothing to log in with."""
    answer = stage.api("/rules").json
    check(stage, "get_rules", answer)
    rule = answer["roles"][0]["rules"][1]
    assert (rule["effect"], rule["on"], rule["conditions"]) == (
        "gate", ["public.*"], {"approvers": ["dba"], "hold": "45s"},
    )  # fmt: skip
    text = json.dumps(answer)
    for secret in ("sha256:", "SCRAM", "VERY_SECRET_VARIABLE", "secret-place"):
        assert secret not in text


def test_a_store_that_fails(stage: Stage) -> None:
    """Where the store does not answer, reading and deciding are a 503 that says so, and health goes on."""
    request = stage.submit(seen=preview())
    assert stage.api("/me").status == 200
    stage.run(stage.approvals.store.close())
    for answer in (stage.api("/approvals"), stage.api(f"/approvals/{request.id}/approve", {})):
        assert (answer.status, answer.json["error"]["code"]) == (503, "unavailable")
    assert stage.ask("/healthz").status == 200
