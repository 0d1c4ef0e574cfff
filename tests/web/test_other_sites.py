"""What a browser can be made to do, what a stranger can send, and what is shown: over real HTTP."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

import pytest

from dbfirewall.approvals.model import State, Table
from dbfirewall.web.shield import MAX_BODY
from tests.web.stage import ALICE, RULES, Person, Stage, preview, snapshot

PAGES = ("/approvals", "/history", "/decisions", "/sessions", "/rules")
FORMS = ("decide", "settle", "preview", "undo")


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
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://HERE"},
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
    given = {name: value.replace("HERE", f"127.0.0.1:{stage.port}") for name, value in given.items()}
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
