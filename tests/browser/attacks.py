"""Attacks on the console in a real Chromium. See journeys.py."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from playwright.sync_api import BrowserContext, expect

from dbfirewall.approvals.model import State, Table
from tests.browser.people import PATHS, live, sign_in
from tests.web.stage import ALICE, BOB, Stage, preview, snapshot

EVIL = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'</pre></textarea>\x1b[31m\u202e"


def test_nothing_that_is_shown_runs(stage: Stage, context: BrowserContext) -> None:
    """HTML in statements, names, values and reasons is text, on pages as they are sent and as they update."""
    page = sign_in(context, stage.url)
    live(page)
    table = Table(EVIL, (EVIL,), ((EVIL,),), ((EVIL + "x",),))
    shown = preview(plan=EVIL, notes=(EVIL,), objects=({EVIL: EVIL},), tables=(table,))
    evil = snapshot(
        f"SELECT $${EVIL}$$", application=EVIL, rule=EVIL, reason=EVIL, effects=(("delete", EVIL),)
    )
    request = stage.submit(evil, seen=shown)
    expect(page.locator(f"#{request.id}")).to_be_visible()
    page.goto(f"{stage.url}/approvals/{request.id}")
    expect(page.get_by_text("Look closely")).to_be_visible()
    live(page)
    stage.api(f"/approvals/{request.id}/deny", {"reason": EVIL.replace("\x1b", "")}, token=BOB)
    expect(page.locator(".title .badge")).to_have_text("Denied")
    for path in PATHS:
        page.goto(stage.url + path)
        assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, object, embed").count() == 0


def test_the_policy_holds(stage: Stage, context: BrowserContext, complaints: list[str]) -> None:
    """Should HTML get into a page all the same, its scripts do not run, and it loads nothing from elsewhere."""
    page = sign_in(context, stage.url)
    for attack in ("document.body.innerHTML = '<b>'", SCRIPT):
        tried = f"() => {{ try {{ {attack}; return 'done'; }} catch {{ return 'refused'; }} }}"
        assert page.evaluate(tried) == "refused"
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'yes', () => 'no')") == "no"
    assert page.evaluate("window.hacked") is None
    assert complaints
    complaints.clear()


SCRIPT = "const one = document.createElement('script'); one.textContent = 'window.hacked = 1'"


@contextmanager
def elsewhere(html: str) -> Iterator[str]:
    """Another site, whose every page is `html`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_form_of_another_site(stage: Stage, context: BrowserContext, complaints: list[str]) -> None:
    """Another site makes the browser send a form, with the right token even: nothing is decided."""
    request = stage.submit(seen=preview())
    page = sign_in(context, stage.url)
    page.goto(f"{stage.url}/approvals/{request.id}")
    fields = {name: page.locator(f"input[name={name}]").first.input_value() for name in ("csrf", "seen")}
    inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
    form = f'<form method="post" action="{stage.url}/approvals/{request.id}/decide">{inputs}'
    with elsewhere(f'{form}<button name="decision" value="approve">x</button></form>') as site:
        page.goto(site)
        page.get_by_role("button").click()
        page.wait_for_url(f"{stage.url}/**")
        assert "comes from another site" in page.content()
    assert stage.get(request.id).state is State.PENDING
    assert all("403" in text or "favicon" in text or "404" in text for text in complaints), complaints
    complaints.clear()


def test_a_link_from_elsewhere(stage: Stage, context: BrowserContext, complaints: list[str]) -> None:
    """A link in a chat leads to the request itself for who is signed in, though the cookie is a strict one."""
    request = stage.submit(seen=preview())
    page = sign_in(context, stage.url)
    with elsewhere(f'<a href="{stage.url}/approvals/{request.id}">look</a>') as site:
        page.goto(site)
        page.get_by_role("link").click()
        expect(page.get_by_role("heading", name="delete public.orders")).to_be_visible()
    complaints.clear()  # the other site's missing icon


def test_a_frame_of_another_site(stage: Stage, context: BrowserContext, complaints: list[str]) -> None:
    """No other site can show the console in a frame."""
    sign_in(context, stage.url)
    with elsewhere(f'<iframe src="{stage.url}/approvals"></iframe>') as site:
        page = context.new_page()
        page.goto(site)
        page.wait_for_timeout(500)
        assert "Waiting" not in "".join(frame.content() for frame in page.frames)
    assert any("frame-ancestors" in text or "X-Frame-Options" in text for text in complaints)
    complaints.clear()


def test_the_cookie_is_out_of_reach(stage: Stage, context: BrowserContext) -> None:
    """No script can read the session's cookie."""
    page = sign_in(context, stage.url)
    assert page.evaluate("document.cookie") == ""
    assert [(one["httpOnly"], one["sameSite"]) for one in context.cookies()] == [(True, "Strict")]


def test_the_files_that_pages_need(stage: Stage, context: BrowserContext) -> None:
    """A page asks for nothing but itself, the style, the script, the icon and its events, all from here."""
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(stage.url)))
    page.goto(stage.url + "/login")
    page.get_by_label("approver").fill(ALICE)
    page.get_by_role("button", name="Sign in").click()
    live(page)
    known = ("/login", "/approvals", "/static/console.css", "/static/console.js", "/static/icon.svg",
             "/api/v1/events?only=approval")  # fmt: skip
    assert set(asked) <= set(known)
