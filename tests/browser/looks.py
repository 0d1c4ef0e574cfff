"""Every page in a real Chromium: by keyboard alone, on a phone, in light and dark. See journeys.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dbfirewall.approvals.model import Envelope, Options, State, Table, Terms
from dbfirewall.audit.record import decision_members, sql_member
from dbfirewall.web.state import SessionView
from tests.browser.people import PATHS, sign_in
from tests.web.stage import ALICE, Stage, preview, snapshot

FAULTS = (Path(__file__).parent / "faults.js").read_text()
"""A function that lists what is wrong with the looks of a page."""


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there; on its way it is always to be seen."""
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_SHOWS), page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never came to {selector}")


FOCUS_SHOWS = """() => {
  const element = document.activeElement;
  if (element === document.body) return true;
  const shows = one => one && parseFloat(getComputedStyle(one).outlineWidth) > 0
    && getComputedStyle(one).outlineStyle !== 'none';
  return shows(element) || shows(element.closest('.request'));
}"""


def test_keyboard_alone(stage: Stage, context: BrowserContext) -> None:
    """From signing in to a decision without a mouse, the focus always visible."""
    request = stage.submit(seen=preview())
    page = context.new_page()
    page.goto(stage.url)
    page.keyboard.type(ALICE)
    page.keyboard.press("Enter")
    page.wait_for_url("**/approvals")
    tab_to(page, f"a[href='/approvals/{request.id}']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/approvals/{request.id}")
    tab_to(page, "a[href='#decision']")
    page.keyboard.press("Enter")
    expect(page.locator("#decision")).to_be_focused()
    tab_to(page, "input[value=default]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "textarea")
    page.keyboard.type("by keyboard")
    tab_to(page, "button[value=approve]")
    page.keyboard.press("Enter")
    expect(page.locator(".title .badge")).to_have_text("Approved")
    assert stage.get(request.id).envelope == Envelope((2,), 0.1)
    assert stage.get(request.id).votes[0].reason == "by keyboard"


def test_enter_in_a_field_decides_nothing(stage: Stage, context: BrowserContext) -> None:
    """Whoever presses Enter while typing a percentage has not approved; and the typing chose it."""
    request = stage.submit(seen=preview())
    page = sign_in(context, stage.url, path=f"/approvals/{request.id}")
    page.get_by_label("per cent").fill("25")
    page.get_by_label("per cent").press("Enter")
    page.wait_for_timeout(300)
    assert stage.get(request.id).state is State.PENDING
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".title .badge")).to_have_text("Approved")
    assert stage.get(request.id).envelope == Envelope((2,), 0.25)


def test_the_skip_link(stage: Stage, context: BrowserContext) -> None:
    """The first Tab offers to skip what is on every page."""
    page = sign_in(context, stage.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def furnish(stage: Stage) -> list[str]:
    """Something on every page; the paths of all of them."""
    long = "x" * 300
    update = snapshot(
        f"UPDATE public.orders SET note = '{long}' WHERE id IN (SELECT id FROM {long})",
        effects=(("update", "public.orders"), ("select", f"public.{long}")), application=long,
    )  # fmt: skip
    table = Table(
        "public.orders", ("id", "note", "status"), (("1", None, long),) * 3, (("1", long, long),) * 3
    )
    shown = preview(
        rows=(3,), tables=(table,), plan=long * 3, notes=(long,), objects=({"name": long, "size": "1 GB"},)
    )
    one = stage.submit(update, seen=shown)
    undone = stage.submit(options=Options(undo=True), seen=preview(undo=True))
    stage.api(f"/approvals/{undone.id}/approve", {"reason": long})
    stage.release(undone, undo_rows=2)
    unknown = stage.submit(snapshot("DELETE FROM t"), seen=preview())
    stage.api(f"/approvals/{unknown.id}/approve", {})
    stage.release(unknown, State.UNKNOWN)
    denied = stage.submit(snapshot("DELETE FROM u"), terms=(Terms("x", ("dba",), 2),), seen=preview())
    stage.api(f"/approvals/{denied.id}/deny", {"reason": long})
    session = stage.audit.session(session_id="5e55", agent="robot", role="maintainer", database="shop")
    session.statement(sql_member(f"SELECT {long}".encode()), decision_members((), "deny", "no rule", "42501"))
    stage.audit.flush()
    stage.agents = [
        SessionView("5e55", "robot", "maintainer", "shop", long, "127.0.0.1:5", "waiting for approval")
    ]
    requests = [f"/approvals/{request.id}" for request in (one, undone, unknown, denied)]
    return [*PATHS, *requests, f"/approvals/{undone.id}/undo", "/nothing"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_every_page_fits_and_can_be_read(stage: Stage, browser: Browser, scheme: Any, width: int) -> None:
    """No page is wider than its window, no text has less contrast than 4.5, no button is too small for a thumb."""
    paths = furnish(stage)
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 844})
    page = sign_in(context, stage.url)
    for path in paths:
        page.goto(stage.url + path)
        assert page.evaluate(FAULTS) == [], path
    context.close()
