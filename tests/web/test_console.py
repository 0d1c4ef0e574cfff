"""The console without JavaScript: everything can be read and decided by pages and forms alone."""

from __future__ import annotations

import pytest

from dbfirewall.approvals.model import Envelope, Options, State, Terms
from dbfirewall.audit.record import decision_members, sql_member
from dbfirewall.web.state import SessionView
from tests.web.stage import ALICE, BOB, MALLORY, SQL, Person, Stage, preview, snapshot


def test_signing_in(stage: Stage) -> None:
    """A wrong token shows the form again; the right one leads to where one was going."""
    person = stage.browser(None)
    answer = person.get("/rules?a=b")
    assert answer.headers["location"] == "/login?next=%2Frules%3Fa%3Db"
    form = person.get(answer.headers["location"])
    assert 'name="next" value="/rules?a=b"' in form.text
    wrong = person.post("/login", token="no", next="/rules?a=b")
    assert (wrong.status, "This token is no approver" in wrong.text) == (401, True)
    right = person.post("/login", token=f" {ALICE}\n", next="/rules?a=b")
    assert (right.status, right.headers["location"]) == (303, "/rules?a=b")
    assert person.get("/login").headers["location"] == "/approvals"
    assert person.get("/").headers["location"] == "/approvals"


def test_waiting(stage: Stage) -> None:
    """The first page has what is to be decided, to be settled, and what is approved; and nothing else."""
    person = stage.browser()
    assert "Nothing waits" in person.get("/approvals").text
    pending = stage.submit(seen=preview())
    approved, unknown, denied = (
        stage.submit(snapshot(f"DELETE FROM t{n}"), seen=preview()) for n in range(3)
    )
    for one in (approved, unknown):
        person.decide(one, "approve")
    stage.release(unknown, State.UNKNOWN)
    person.decide(denied, "deny", reason="no")
    text = person.get("/approvals").text
    assert [one.id in text for one in (pending, approved, unknown, denied)] == [True, True, True, False]
    assert "<title>(1) Waiting" in text
    assert "2 rows" in text


def test_a_request(stage: Stage) -> None:
    """Its page has the whole statement, effects, rows, sample, plan, notes, and where it comes from."""
    request = stage.submit(seen=preview())
    text = stage.browser().get(f"/approvals/{request.id}").text
    for shown in (
        '<span class="t-k">DELETE</span>', "&#39;2020-01-01&#39;", "-- old ones", "<b>delete</b> public.orders",
        "2 rows", "shipped", '<span class="null">NULL</span>', "Delete on orders", "It locks 2 rows",
        "nightly clean-up", "127.0.0.1:50312", "1 approval of dba", request.id, "exactly 2 rows",
    ):  # fmt: skip
        assert shown in text, shown
    assert "Look closely" not in text


def test_objects(stage: Stage) -> None:
    """For DDL the objects are said in words, and that no rows are counted."""
    one = {"object": "public.orders", "kind": "table", "rows": 20, "exact": True, "lock": "ACCESS EXCLUSIVE"}
    shown = preview(rows=(), tables=(), estimate=None, objects=(one,), enveloped=False)
    request = stage.submit(snapshot("DROP TABLE orders", effects=(("drop", "public.orders"),)), seen=shown)
    text = stage.browser().get(f"/approvals/{request.id}").text
    assert "table public.orders, 20 rows, under ACCESS EXCLUSIVE" in text
    assert "will not be checked" in text
    assert "rolled back" not in text


def test_before_and_after(stage: Stage) -> None:
    """For an UPDATE each changed value is shown as it is and as it would be; the others once."""
    table = preview().tables[0]
    after = (("1", "cancelled", None), ("7", "cancelled", "late"))
    shown = preview(tables=(type(table)(table.name, table.columns, table.rows, after),))
    request = stage.submit(snapshot(effects=(("update", "public.orders"),)), seen=shown)
    text = stage.browser().get(f"/approvals/{request.id}").text
    assert text.count("<del>") == text.count("<ins>") == 2
    assert "in status" in text
    assert text.count(">late<") == 1


def test_approving(stage: Stage) -> None:
    """Approve leads back to the request, which says so; the audit has who, and from where."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    answer = person.decide(request, "approve", reason="agreed")
    assert (answer.status, answer.headers["location"]) == (303, f"/approvals/{request.id}?done=approved")
    text = person.get(answer.headers["location"]).text
    assert "Approved." in text
    assert "agreed" in text
    assert 'name="decision"' not in text
    assert stage.get(request.id).envelope == Envelope((2,), 0.0)
    record = stage.events("approval_granted")[0]
    assert (record["approver"], record["peer"], record["reason"]) == ("alice", "127.0.0.1 console", "agreed")


@pytest.mark.parametrize(
    ("fields", "envelope"),
    [
        ({"envelope": "default", "percent": "50"}, Envelope((2,), 0.0)),
        ({"envelope": "within", "percent": "50"}, Envelope((2,), 0.5)),
        ({"envelope": "within", "percent": "12,5"}, Envelope((2,), 0.125)),
        ({"envelope": "lifted"}, None),
    ],
)
def test_choosing_the_envelope(stage: Stage, fields: dict[str, str], envelope: Envelope | None) -> None:
    """Exactly, within so many per cent, or any number."""
    request = stage.submit(seen=preview())
    assert stage.browser().decide(request, "approve", **fields).status == 303
    assert stage.get(request.id).envelope == envelope


@pytest.mark.parametrize("percent", ["", "x", "-1", "nan", "inf", "1e300"])
def test_tolerances_that_are_none(stage: Stage, percent: str) -> None:
    """A percentage that is none decides nothing."""
    request = stage.submit(seen=preview())
    assert stage.browser().decide(request, "approve", envelope="within", percent=percent).status == 400
    assert stage.get(request.id).state is State.PENDING


def test_nothing_typed_is_lost(stage: Stage) -> None:
    """What did not work shows why, and what was typed and chosen."""
    request = stage.submit(seen=preview())
    answer = stage.browser().decide(
        request, "approve", seen="0" * 16, envelope="within", percent="33", reason="a long thought"
    )
    assert answer.status == 409
    assert "look again" in answer.text
    assert ">a long thought</textarea>" in answer.text
    assert 'value="33"' in answer.text
    assert 'value="within" checked' in answer.text


def test_denying_needs_a_reason(stage: Stage) -> None:
    """Deny without one says so; with one it reaches the agent."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    answer = person.decide(request, "deny", reason=" ")
    assert (answer.status, "Reason must be given" in answer.text) == (400, True)
    assert person.decide(request, "deny", reason="Not today.\r\nAsk on Monday.").status == 303
    assert stage.get(request.id).reason == "Not today.\nAsk on Monday."


def test_no_button_decides_nothing(stage: Stage) -> None:
    """A form without a decision in it (Enter in a field) decides nothing."""
    request = stage.submit(seen=preview())
    assert stage.browser().decide(request, "").status == 400
    assert stage.get(request.id).state is State.PENDING


def test_before_the_preview(stage: Stage) -> None:
    """Without a preview one has to tick that any number of rows will do."""
    request = stage.submit()
    person = stage.browser()
    text = person.get(f"/approvals/{request.id}").text
    assert "still being made" in text
    assert person.decide(request, "approve").status == 409
    assert person.decide(request, "approve", envelope="lifted").status == 303


def test_the_preview_changed_meanwhile(stage: Stage) -> None:
    """A page that is older than the preview decides nothing."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    old = person.get(f"/approvals/{request.id}").text.split('name="seen" value="')[1].split('"')[0]
    assert person.post(f"/approvals/{request.id}/preview", csrf=person.csrf()).status == 303
    assert person.decide(request, "approve", seen=old).status == 409
    assert person.decide(request, "approve").status == 303
    assert stage.get(request.id).envelope == Envelope((5,), 0.0)


def test_four_eyes(stage: Stage) -> None:
    """The first approval says that it needs another; the same person's second one does not help."""
    request = stage.submit(terms=(Terms("gate", ("dba",), 2),), seen=preview())
    alice, bob = stage.browser(), stage.browser(BOB)
    assert "done=vote" in alice.decide(request, "approve").headers["location"]
    assert "1 more approval needed" in bob.get(f"/approvals/{request.id}").text
    text = alice.get(f"/approvals/{request.id}").text
    assert "You have approved it" in text
    assert 'value="approve"' not in text
    assert "done=approved" in bob.decide(request, "approve").headers["location"]


def test_settling(stage: Stage) -> None:
    """An unknown outcome is settled on its page, with how one knows."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    person.decide(request, "approve")
    stage.release(request, State.UNKNOWN)
    assert "It did not run" in person.get(f"/approvals/{request.id}").text
    csrf, path = person.csrf(), f"/approvals/{request.id}/settle"
    assert person.post(path, csrf=csrf, ran="perhaps", reason="x").status == 400
    assert person.post(path, csrf=csrf, ran="no", reason="").status == 400
    assert stage.browser(MALLORY).get(f"/approvals/{request.id}").text.count('name="ran"') == 0
    assert person.post(path, csrf=csrf, ran="no", reason="looked").status == 303
    assert stage.get(request.id).state is State.APPROVED


def test_undoing(stage: Stage) -> None:
    """What was kept is shown as SQL, and restored by a form of its own."""
    request = stage.submit(options=Options(undo=True), seen=preview(undo=True))
    person = stage.browser()
    assert person.get(f"/approvals/{request.id}/undo").status == 404
    person.decide(request, "approve")
    stage.release(request, undo_rows=2)
    assert "Undo: 2 rows kept" in person.get(f"/approvals/{request.id}").text
    page = person.get(f"/approvals/{request.id}/undo").text
    assert '<span class="t-k">INSERT</span>' in page
    assert stage.undone == []
    answer = person.post(f"/approvals/{request.id}/undo", csrf=person.csrf())
    assert "were restored" in person.get(answer.headers["location"]).text
    assert stage.undone == [f"{request.id} by alice"]


def test_no_undo_needs_a_tick(stage: Stage) -> None:
    """Where undo was wanted and can't be had, one has to say that it may run all the same."""
    request = stage.submit(options=Options(undo=True), seen=preview(undo_problem="too many rows"))
    person = stage.browser()
    assert "too many rows" in person.get(f"/approvals/{request.id}").text
    assert person.decide(request, "approve").status == 409
    assert person.decide(request, "approve", accept_undo="yes").status == 303


def test_history(stage: Stage) -> None:
    """All requests, by filters, page by page, each once."""
    made = [stage.submit(snapshot(f"DELETE FROM t{number}")) for number in range(60)]
    stage.submit(snapshot(database="other"))
    person = stage.browser()
    person.decide(made[0], "deny", reason="no")
    found: list[str] = []
    path = "/history?database=shop"
    while path:
        text = person.get(path).text
        found += [
            part.split('"')[0]
            for part in text.split('class="request ')[1:]
            for part in [part.split('id="')[1]]
        ]
        path = (
            text.split('rel="next" class="button" href="')[1].split('"')[0].replace("&amp;", "&")
            if "Older" in text
            else ""
        )
    assert found == [one.id for one in reversed(made)]
    assert made[0].id in person.get("/history?state=denied").text
    assert "fits these filters" in person.get("/history?agent=nobody").text
    for wrong in ("state=x", "before=x"):
        assert person.get(f"/history?{wrong}").status == 400


def test_decisions(stage: Stage) -> None:
    """The newest decisions of the audit record, with outcomes, statements highlighted."""
    session = stage.audit.session(session_id="5e55", agent="robot", role="maintainer", database="shop")
    allowed = decision_members((), "allow", "allow select", None)
    one = session.statement(sql_member(b"SELECT 1"), allowed)
    session.outcome(one, 1, 10, 0.5)
    session.statement(sql_member(b"DROP TABLE t"), decision_members((), "deny", "no rule", "42501"))
    session.statement(sql_member(b"SELECT 2", "fingerprint"), allowed)
    stage.audit.flush()
    text = stage.browser().get("/decisions").text
    for shown in ("1 row", "42501", '<span class="t-k">DROP</span>', "text not recorded"):
        assert shown in text
    assert text.index("text not recorded") < text.index("DROP") < text.index("1 row")


def test_sessions(stage: Stage) -> None:
    """Who is connected, and what they do."""
    person = stage.browser()
    assert "Nobody is connected" in person.get("/sessions").text
    stage.agents = [
        SessionView("5e55", "robot", "maintainer", "shop", "psql", "10.0.0.1:5", "waiting for approval")
    ] * 501
    text = person.get("/sessions").text
    assert "501 sessions, of which 500 are shown" in text
    assert "waiting for approval" in text


def test_rules(stage: Stage) -> None:
    """The rules in force, and nothing to log in with."""
    text = stage.browser().get("/rules").text
    for shown in (
        "public.customers",
        "columns card_number",
        "hold: 45s",
        "alice",
        "db.internal:5432/shop",
        "maintainer_rw",
    ):
        assert shown in text
    for secret in ("sha256", "SCRAM", "VERY_SECRET_VARIABLE", "secret-place"):
        assert secret not in text


def test_what_is_not_there(stage: Stage) -> None:
    """Unknown requests and pages are pages, too."""
    person = stage.browser()
    for path in ("/approvals/apr_00", "/approvals/%3Cb%3E", "/nothing"):
        answer = person.get(path)
        assert answer.status == 404
        assert "<h1>Not Found</h1>" in answer.text
    assert person.post("/approvals/apr_00/decide", csrf=person.csrf(), decision="approve").status == 404


def test_a_store_that_fails(stage: Stage) -> None:
    """A store that does not answer is said on the page; a decision in that moment is not taken."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    page = person.get(f"/approvals/{request.id}").text
    fields = {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in ("csrf", "seen")}
    stage.run(stage.approvals.store.close())
    answer = person.post(f"/approvals/{request.id}/decide", decision="approve", **fields)
    assert (answer.status, "does not answer" in answer.text) == (503, True)
    stage.run(stage.approvals.store.open())
    assert stage.get(request.id).state is State.PENDING


def test_an_unsettled_store_at_the_start(stage: Stage) -> None:
    """Before the store gives its secret nobody can sign in, and is told so; then everything works."""
    stage.run(stage.approvals.store.close())
    person = Person(stage, {})
    assert person.get("/login").status == 503
    stage.run(stage.approvals.store.open())
    assert person.sign_in(ALICE).status == 303


def test_a_cookie_is_renewed_by_people_only(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that a person opens keeps the session alive; one that a script looks at again does not."""
    monkeypatch.setattr("dbfirewall.web.sessions.RENEW_AFTER", -1.0)
    person = stage.browser()
    assert person.get("/approvals", **{"X-Live": "1"}).cookies == []
    assert len(person.get("/approvals").cookies) == 1


def test_long_statements_are_shown_whole(stage: Stage) -> None:
    """However long a statement is, nothing of it is left out on its page; lists say how much they leave out."""
    sql = SQL + " /* " + "x" * 150_000 + " */ OR secret_end"
    request = stage.submit(snapshot(sql))
    person = stage.browser()
    assert "secret_end" in person.get(f"/approvals/{request.id}").text
    text = person.get("/approvals").text
    assert "secret_end" not in text
    assert "more characters" in text
