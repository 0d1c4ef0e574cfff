"""Who is let in: tokens, guesses at them, and sessions; over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.approvals.model import State
from dbfirewall.limits import FREE_ATTEMPTS
from dbfirewall.web.api import ENDPOINTS
from dbfirewall.web.options import WebOptions
from dbfirewall.web.sessions import Sessions, WebSession
from tests.web.stage import ALICE, BOB, MALLORY, ROBOT, RULES, Person, Stage, preview

PAGES = ("/approvals", "/history", "/decisions", "/sessions", "/rules")
FORMS = ("decide", "settle", "preview", "undo")


# -- tokens ---------------------------------------------------------------------------------------------------


def test_no_token(stage: Stage) -> None:
    """Every endpoint of the API, but for its own description, is a 401 without a token."""
    request = stage.submit(seen=preview())
    for one in ENDPOINTS:
        path = one.path.replace("{id}", request.id)
        answer = stage.ask(
            path, one.method, b"{}" if one.body else None, {"Content-Type": "application/json"}
        )
        assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert stage.get(request.id).state is State.PENDING


def test_no_session(stage: Stage) -> None:
    """Every page leads to the form to sign in, and back; no form does anything."""
    request = stage.submit(seen=preview())
    person = stage.browser(None)
    for path in (*PAGES, f"/approvals/{request.id}", f"/approvals/{request.id}/undo"):
        answer = person.get(path)
        assert (answer.status, answer.headers["location"]) == (303, f"/login?next={path.replace('/', '%2F')}")
    for form in FORMS:
        assert person.post(f"/approvals/{request.id}/{form}", decision="approve", ran="yes").status == 401
    assert stage.get(request.id).state is State.PENDING


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer wrong", f"Bearer {ALICE}x", f"Bearer {ALICE[:-1]}", f"Basic {ALICE}", ALICE,
     f"Bearer {ALICE} {BOB}", "Bearer " + "x" * 2000, "Bearer sha256:00", "Negotiate YII="],
)  # fmt: skip
def test_wrong_tokens(stage: Stage, authorization: str) -> None:
    """Nothing but an approver's token, exactly, is one."""
    assert stage.ask("/api/v1/me", headers={"Authorization": authorization}).status == 401


def test_a_digest_is_no_token(stage: Stage) -> None:
    """What stands in the rules does not let anybody in."""
    for approver in stage.rules.approvers.values():
        for text in (approver.token, approver.token.removeprefix("sha256:")):
            assert stage.api("/me", token=text).status in (401, 429)


def test_wrong_group(stage: Stage) -> None:
    """An approver of another group may look, and decides nothing, by API or console."""
    request = stage.submit(seen=preview())
    assert stage.api(f"/approvals/{request.id}", token=MALLORY).status == 200
    for verb in ("approve", "deny"):
        answer = stage.api(f"/approvals/{request.id}/{verb}", {"reason": "mine"}, token=MALLORY)
        assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")
    mallory = stage.browser(MALLORY)
    assert "only dba may decide this" in mallory.get(f"/approvals/{request.id}").text
    assert mallory.decide(request, "approve").status == 403
    assert mallory.decide(request, "deny", reason="mine").status == 403
    assert stage.get(request.id).votes == ()


def test_an_agents_credential(stage: Stage) -> None:
    """An agent's password lets nobody in, not even where the rules call it an approver's token."""
    assert stage.api("/me", token=ROBOT).status == 401
    assert stage.browser(None).sign_in(ROBOT).status == 401


def test_an_agents_name(stage: Stage) -> None:
    """An approver with an agent's name is not let in: who asks must never approve."""
    person = stage.browser(MALLORY)
    stage.write_rules(RULES.replace("  mallory:", "  robot:"))
    assert stage.api("/me", token=MALLORY).status == 401
    stage.write_rules(RULES.replace("  robot:", "  mallory:"))
    assert person.get("/approvals").status == 303


def test_passwords_of_the_server_are_no_tokens(stage: Stage) -> None:
    """Basic authentication, with whatever, is refused."""
    secret = base64.b64encode(f"alice:{ALICE}".encode()).decode()
    assert stage.ask("/api/v1/me", headers={"Authorization": f"Basic {secret}"}).status == 401


def test_refusals_are_recorded(stage: Stage) -> None:
    """Who was not let in is told to the record, without what they tried."""
    stage.api("/me", token="my-guess")
    assert stage.refusals == [("127.0.0.1", "a token that is no approver's")]


# -- brute force ----------------------------------------------------------------------------------------------


def test_guessing_slows_down(stage: Stage) -> None:
    """After some wrong tokens each further try waits, with the right token too, on the API and the form."""
    for _ in range(FREE_ATTEMPTS):
        assert stage.api("/me", token="guess").status == 401
    answer = stage.api("/me", token=ALICE)
    assert (answer.status, answer.json["error"]["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) >= 1
    form = stage.browser(None).sign_in(ALICE)
    assert (form.status, form.cookies) == (429, [])
    assert "Too many attempts" in form.text


def test_guessing_side_by_side(stage: Stage) -> None:
    """Guesses that are made at the same time wait for each other: most of them are not even looked at."""
    with ThreadPoolExecutor(40) as crowd:
        statuses = list(crowd.map(lambda number: stage.api("/me", token=f"guess {number}").status, range(40)))
    assert set(statuses) <= {401, 429}
    assert FREE_ATTEMPTS <= statuses.count(401) < 15


def test_guessing_at_the_form(stage: Stage) -> None:
    """The form counts as the API does."""
    person = stage.browser(None)
    statuses = [person.sign_in("guess").status for _ in range(FREE_ATTEMPTS + 1)]
    assert statuses == [401] * FREE_ATTEMPTS + [429]


def test_guessing_disturbs_nobody_who_is_signed_in(stage: Stage) -> None:
    """A session goes on while its address waits."""
    person = stage.browser()
    for _ in range(FREE_ATTEMPTS + 1):
        stage.api("/me", token="guess")
    assert person.get("/approvals").status == 200


# -- sessions -------------------------------------------------------------------------------------------------


def test_the_cookie(stage: Stage) -> None:
    """It is HttpOnly, SameSite=Strict and for the whole host; without https it can't be Secure."""
    answer = Person(stage, {}).sign_in(ALICE)
    cookie = answer.cookies[0].lower()
    assert cookie.startswith("dbfirewall_session=")
    for flag in ("httponly", "samesite=strict", "path=/"):
        assert flag in cookie
    assert "secure" not in cookie
    assert "domain" not in cookie


def test_the_cookie_with_https(tmp_path: Path) -> None:
    """Where people come by https, the cookie is Secure and bound to the host, and no other one counts."""
    stage = Stage(tmp_path, WebOptions(public_url="https://fw.example"))
    try:
        outside = {"Host": "fw.example", "Origin": "https://fw.example"}
        person = Person(stage, outside)
        answer = person.sign_in(ALICE)
        assert answer.cookies[0].startswith("__Host-dbfirewall_session=")
        assert "secure" in answer.cookies[0].lower()
        assert person.get("/approvals").status == 200
        person.cookies = {"dbfirewall_session": next(iter(person.cookies.values()))}
        assert person.get("/approvals").status == 303
        # On the machine itself the listener is still reached without https.
        assert stage.browser().cookies.keys() == {"dbfirewall_session"}
    finally:
        stage.stop()


def test_a_session_ends_with_its_approver(stage: Stage) -> None:
    """It is over when the approver, or the token, leaves the rules; groups count as they are now."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    stage.write_rules(RULES.replace("alice: {groups: [dba]", "alice: {groups: [marketing]"))
    assert person.decide(request, "approve").status == 403
    stage.write_rules(RULES.replace("  alice:", "  alicia:"))
    assert person.get("/approvals").status == 303
    stage.write_rules(RULES)
    assert person.get("/approvals").status == 200
    digest, other = (hashlib.sha256(token.encode()).hexdigest() for token in (ALICE, "a new one"))
    stage.write_rules(RULES.replace(digest, other))
    assert person.get("/approvals").status == 303


def test_signing_out(stage: Stage) -> None:
    """A session that was signed out of is over, also for who copied its cookie."""
    person = stage.browser()
    copied = dict(person.cookies)
    assert person.post("/logout", csrf=person.csrf()).status == 303
    assert person.cookies == {}
    person.cookies = copied
    assert person.get("/approvals").status == 303


def forged(cookie: str) -> Iterator[str]:
    """Cookies that somebody might make of a good one."""
    payload, _, signature = cookie.partition(".")
    approver, name, begun, seen = json.loads(base64.urlsafe_b64decode(payload))

    def sealed(*members: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()

    yield f"{sealed('bob', name, begun, seen)}.{signature}"
    yield f"{sealed(approver, name, begun + 9e9, seen + 9e9)}.{signature}"
    yield f"{payload}."
    yield f"{payload}.{signature[:-1]}"
    yield f"{payload}.{signature}x"
    yield f".{signature}"
    yield f"{sealed(approver)}.{signature}"
    yield f"{sealed([approver], {}, None, 'x')}.{signature}"
    yield "x" * 4000
    yield base64.urlsafe_b64encode(b"[" * 1000).decode() + f".{signature}"
    yield payload + "." + base64.urlsafe_b64encode(b"\0" * 32).decode().rstrip("=")


def test_forged_cookies(stage: Stage) -> None:
    """Whatever is changed in a cookie, it is nobody's."""
    person = stage.browser()
    name, cookie = next(iter(person.cookies.items()))
    for other in forged(cookie):
        person.cookies = {name: other}
        assert person.get("/approvals").status == 303, other


def test_sessions_expire() -> None:
    """By idleness, by age, and where they come from a future that no clock is so far in."""
    now = 1_000_000.0
    sessions = Sessions(b"s" * 32, idle=1800, lifetime=43_200, clock=lambda: now)

    def alive(begun: float, seen: float) -> bool:
        cookie = sessions.seal(WebSession("alice", "n", begun, seen), "sha256:00")
        return sessions.open(cookie, lambda _: "sha256:00") is not None

    assert alive(now - 43_000, now - 1000)
    assert not alive(now - 43_200, now - 10)
    assert not alive(now - 2000, now - 1800)
    assert alive(now + 200, now + 200)
    assert not alive(now + 400, now + 400)


def test_replicas_share_sessions(tmp_path: Path) -> None:
    """Two firewalls on one store know each other's sessions."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = Stage(tmp_path / "one", store_at=tmp_path / "shared.sqlite3")
    two = Stage(tmp_path / "two", store_at=tmp_path / "shared.sqlite3")
    try:
        person = one.browser()
        there = Person(two, {})
        there.cookies = person.cookies
        assert there.get("/approvals").status == 200
    finally:
        one.stop()
        two.stop()
