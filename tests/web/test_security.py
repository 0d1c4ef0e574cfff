"""Who is let in, and what a browser can be made to do: the attacks on console and API, over real HTTP."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dbfirewall.approvals.model import State, Table
from dbfirewall.limits import FREE_ATTEMPTS
from dbfirewall.web.api import ENDPOINTS
from dbfirewall.web.options import WebOptions
from dbfirewall.web.sessions import Sessions, WebSession
from dbfirewall.web.shield import MAX_BODY
from tests.web.stage import ALICE, BOB, MALLORY, ROBOT, RULES, Person, Stage, preview, snapshot

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
    stage.write_rules(RULES.replace("  mallory:", "  robot:"))
    assert stage.api("/me", token=MALLORY).status == 401


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
    stage.write_rules(
        RULES.replace('alice: {groups: [dba], token: "sha256:', 'alice: {groups: [dba], token: "sha256:0')
    )
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


# -- other sites ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "http://[::1"},
        {},
    ],
)
def test_forms_of_other_sites(stage: Stage, headers: dict[str, str]) -> None:
    """A form that does not come from our own page, as the browser says, does nothing, though all else is right."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    fields = {"csrf": person.csrf(), "decision": "approve"}
    cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    given = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, **headers}
    for path in (f"/approvals/{request.id}/decide", "/logout"):
        assert stage.ask(path, "POST", urlencode(fields).encode(), given).status == 403
    token = urlencode({"token": ALICE}).encode()
    assert stage.ask("/login", "POST", token, given).status == 403
    assert stage.get(request.id).state is State.PENDING
    assert person.get("/approvals").status == 200


@pytest.mark.parametrize("token", ["", "wrong", "other session's"])
def test_form_tokens(stage: Stage, token: str) -> None:
    """A form without this session's token does nothing."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    if token == "other session's":
        token = stage.browser().csrf()
    for form in FORMS:
        fields = {"csrf": token, "decision": "approve", "ran": "yes"}
        assert person.post(f"/approvals/{request.id}/{form}", **fields).status == 403
    assert person.post("/logout", csrf=token).status == 403
    assert stage.get(request.id).state is State.PENDING


def test_a_session_is_no_token(stage: Stage) -> None:
    """The API may be read with a session, for the console's own scripts; deciding needs a token."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    assert person.get("/api/v1/approvals").status == 200
    answer = person.post_raw(
        f"/api/v1/approvals/{request.id}/approve", b"{}", **{"Content-Type": "application/json"}
    )
    assert answer.status == 401
    assert stage.get(request.id).state is State.PENDING


def test_another_site_with_a_token(stage: Stage) -> None:
    """Not even a right token helps a page of another site."""
    request = stage.submit(seen=preview())
    answer = stage.api(f"/approvals/{request.id}/approve", {}, Origin="https://evil.example")
    assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8432", "127.0.0.1.evil.example", "a@127.0.0.1", "", "x/y"]
)
def test_dns_rebinding(stage: Stage, host: str) -> None:
    """A name that is not ours is refused, for pages, forms and the API with a session."""
    person = stage.browser()
    for path in ("/approvals", "/login", "/api/v1/approvals", "/static/console.js"):
        assert person.get(path, Host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8432", "127.0.0.1:9", "[::1]:8432", "10.1.2.3"])
def test_our_own_names(stage: Stage, host: str) -> None:
    """Addresses and localhost are names that no attacker can point elsewhere."""
    assert stage.ask("/login", headers={"Host": host}).status == 200


def test_a_cookie_of_links_from_elsewhere(stage: Stage) -> None:
    """Who follows a link from a chat comes without a strict cookie: they are sent once more from here."""
    request = stage.submit()
    answer = stage.ask(
        f"/approvals/{request.id}", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    )
    assert answer.status == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert "DELETE" not in answer.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/approvals\\..\\x", "javascript:alert(1)",
     "/approvalsx", "/approvals/\r\nSet-Cookie: a=b", "/login", "\u2028/approvals"],
)  # fmt: skip
def test_open_redirects(stage: Stage, target: str) -> None:
    """After signing in, one is led to our own pages only."""
    answer = Person(stage, {}).post("/login", token=ALICE, next=target)
    assert (answer.status, answer.headers["location"]) == (303, "/approvals")


# -- what is sent ---------------------------------------------------------------------------------------------


def test_oversized_bodies(stage: Stage) -> None:
    """A body over the limit is a 413 wherever it is sent, declared or not."""
    person = stage.browser()
    big = b"x" * (MAX_BODY + 1)
    for path in ("/login", "/logout", "/api/v1/approvals/x/approve", "/slack/interactive", "/nothing"):
        assert person.post_raw(path, big).status == 413
        with socket.create_connection(("127.0.0.1", stage.port), timeout=10) as raw:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            raw.sendall(head.encode())
            for _ in range(MAX_BODY // 1024 + 1):
                raw.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
            assert b" 413 " in raw.recv(200).split(b"\r\n")[0]


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "x"])
def test_lengths_that_are_none(stage: Stage, length: str) -> None:
    """A length that is none, or endless, is refused."""
    with socket.create_connection(("127.0.0.1", stage.port), timeout=10) as raw:
        raw.sendall(f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode())
        assert raw.recv(200).split(b" ")[1] in (b"400", b"413")


def test_a_body_that_never_comes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is not waited for without an end."""
    monkeypatch.setattr("dbfirewall.web.shield.BODY_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", stage.port), timeout=10) as raw:
        raw.sendall(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n")
        assert raw.recv(200).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "body",
    [b"a=1&a=2", b"&".join(b"%d=1" % number for number in range(50)), b"token=%ff", b"\xff\xfe", b"a"],
)
def test_forms_that_are_none(stage: Stage, body: bytes) -> None:
    """Fields twice, too many of them, and what is no UTF-8: a 400."""
    assert stage.browser(None).post_raw("/login", body).status == 400


def test_a_form_of_another_kind(stage: Stage) -> None:
    """Multipart forms and texts are a 415."""
    person = stage.browser(None)
    assert person.post_raw("/login", b"token=x", **{"Content-Type": "text/plain"}).status == 415


# -- what is shown --------------------------------------------------------------------------------------------

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'</pre></textarea>{{7*7}}\x1b[31m\u202e\u200b"


def test_nothing_that_is_shown_is_html(stage: Stage) -> None:
    """Statements, reasons, names, values and notes are text on every page, and hidden characters visible."""
    evil = snapshot(
        f"SELECT '{EVIL.replace(chr(39), chr(39) * 2)}' -- {EVIL}",
        application=EVIL, session=EVIL, peer=EVIL, rule=EVIL, reason=EVIL, settings={"search_path": EVIL},
        effects=(("delete", EVIL),),
    )  # fmt: skip
    shown = preview(
        plan=EVIL, notes=(EVIL,), undo_problem=EVIL, objects=({"name": EVIL},),
        tables=(Table(EVIL, (EVIL,), ((EVIL,),), ((EVIL + "x",),)),),
    )  # fmt: skip
    request = stage.submit(evil, seen=shown)
    stage.run(stage.approvals.withdraw(stage.submit(snapshot("DELETE FROM t", rule=EVIL)).id, EVIL))
    person = stage.browser()
    pages = [person.get(path) for path in (*PAGES, f"/approvals/{request.id}", f"/history?agent={EVIL[:20]}")]
    pages.append(person.decide(request, "deny", reason=EVIL.replace("\x1b", "")))
    pages.append(person.get(f"/approvals/{request.id}"))
    pages.append(person.get("/history"))
    pages.append(person.decide(request, "deny", reason=EVIL.replace("\x1b", "")))
    for page in pages:
        text = page.text
        for bad in ("<script>alert", "<img src=x", "</textarea>{{", "\x1b", "\u202e", "\u200b", ">49<"):
            assert bad not in text, (page.status, text[max(text.find(bad) - 200, 0) : text.find(bad) + 50])
    assert "&lt;script&gt;alert(1)" in pages[5].text
    assert "U+202E" in pages[5].text
    assert "Look closely" in pages[5].text
    assert stage.get(request.id).state is State.DENIED


def test_names_of_approvers_are_text(stage: Stage) -> None:
    """An approver's name is whatever the rules say, and never HTML."""
    stage.write_rules(RULES.replace("  alice:", '  "<b>alice</b>":'))
    text = stage.browser().get("/rules").text
    assert "<b>alice</b>" not in text
    assert "&lt;b&gt;alice&lt;/b&gt;" in text


def test_no_page_has_inline_code(stage: Stage) -> None:
    """No page holds a script, a style or a handler of its own: the policy forbids them, and none is needed."""
    request = stage.submit(seen=preview())
    person = stage.browser()
    for path in (*PAGES, f"/approvals/{request.id}", "/login"):
        answer = person.get(path)
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        for bad in (
            "<style",
            " style=",
            " onclick",
            " onload",
            "javascript:",
            "<script>",
            "http://",
            "https://",
        ):
            assert bad not in answer.text.replace(stage.url, ""), (path, bad)


# -- the authenticating proxy ---------------------------------------------------------------------------------

LOCAL = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Stage]:
    """A listener that believes a proxy at a loopback address."""
    stage = Stage(tmp_path, WebOptions(auth_header="x-user", trusted_proxies=LOCAL))
    yield stage
    stage.stop()


def test_the_proxys_word(proxied: Stage) -> None:
    """Whom the proxy names is signed in, with the groups of the rules, and decides by forms with a token in them."""
    request = proxied.submit(seen=preview())
    person = proxied.browser(None, **{"X-User": "alice"})
    assert person.decide(request, "approve", csrf="wrong").status == 403
    assert person.decide(request, "approve").status == 303
    assert proxied.get(request.id).votes[0].approver == "alice"
    assert person.cookies == {}


def test_the_proxy_names_nobody_we_know(proxied: Stage) -> None:
    """A name that the rules do not have, an agent's, or two at once: refused."""
    for name in ("carol", "robot", "alice, bob", "ALICE"):
        assert proxied.ask("/approvals", headers={"X-User": name}).status == 403
    connection = socket.create_connection(("127.0.0.1", proxied.port), timeout=10)
    connection.sendall(b"GET /approvals HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: alice\r\nX-User: bob\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 403 ")
    connection.close()


def test_the_proxys_word_does_not_decide_by_api(proxied: Stage) -> None:
    """The API's decisions need a bearer token."""
    request = proxied.submit(seen=preview())
    answer = proxied.api(f"/approvals/{request.id}/approve", {}, token=None, **{"X-User": "alice"})
    assert answer.status == 401


def test_somebody_else_who_says_so(tmp_path: Path) -> None:
    """From elsewhere than the trusted proxies the header is refused, also with a token or a session."""
    options = WebOptions(auth_header="x-user", trusted_proxies=(ip_network("192.0.2.0/24"),))
    stage = Stage(tmp_path, options)
    try:
        person = stage.browser()
        assert person.get("/approvals", **{"X-User": "alice"}).status == 403
        assert stage.api("/me", **{"X-User": "alice"}).status == 403
        assert person.get("/approvals").status == 200
        assert "from elsewhere" in stage.refusals[0][1]
    finally:
        stage.stop()


def test_a_header_that_nobody_set_up(stage: Stage) -> None:
    """Without the setting no header names anybody."""
    for name in ("X-User", "X-Forwarded-User", "X-Auth-Request-Email", "Remote-User", "X-Remote-User"):
        assert stage.ask("/approvals", headers={name: "alice"}).status == 303


def test_addresses_behind_a_proxy(proxied: Stage) -> None:
    """From a trusted proxy the client's address is taken: the last that is not itself a proxy's."""
    proxied.api("/me", token="guess", **{"X-Forwarded-For": "198.51.100.7, 203.0.113.9, 127.0.0.2"})
    proxied.api("/me", token="guess", **{"X-Forwarded-For": "<script>"})
    assert [address for address, _ in proxied.refusals] == ["203.0.113.9", "127.0.0.1"]


def test_addresses_that_strangers_claim(stage: Stage) -> None:
    """Without trusted proxies X-Forwarded-For says nothing: guessing can't be spread over made-up addresses."""
    answers = [
        stage.api("/me", token="guess", **{"X-Forwarded-For": f"198.51.100.{number}"}).status
        for number in range(FREE_ATTEMPTS + 1)
    ]
    assert answers[-1] == 429


# -- Slack ----------------------------------------------------------------------------------------------------


def test_slack_is_not_there_unless_set_up(stage: Stage) -> None:
    """Without Slack its endpoint is a 404."""
    assert stage.ask("/slack/interactive", "POST", b"payload={}").status == 404


def test_slack_gets_the_raw_body(stage: Stage) -> None:
    """The handler gets the exact bytes, whose signature it checks, and headers in lower case."""
    heard: list[tuple[bytes, str]] = []

    async def handler(body: bytes, headers: Any) -> tuple[int, dict[str, Any]]:
        heard.append((body, headers["x-slack-signature"]))
        return 401, {"error": "signature"}

    stage.slack = handler
    body = b"payload=%7B%22a%22%3A+1%7D&x=%20"
    headers = {
        "X-Slack-Signature": "v0=00",
        "Host": "fw.example",
        "X-Slack-Request-Timestamp": str(int(time.time())),
    }
    answer = stage.ask("/slack/interactive", "POST", body, headers)
    assert (answer.status, heard) == (401, [(body, "v0=00")])
