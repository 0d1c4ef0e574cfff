"""The console in a real Chromium: `make browser`. First with a real firewall, agent and PostgreSQL; then on a stage.

Not part of `make test`, since a browser is no Python package. Where there is no Chromium these tests fail; they are
never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from dbfirewall.approvals.model import Options
from tests.browser.people import PATHS, live, sign_in
from tests.gates.world import TOKEN, World, build, rules, start
from tests.support.postgres import Postgres
from tests.web.stage import BOB, RULES, Stage, preview


@pytest.fixture(scope="module")
def world(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A firewall whose gates hold for as long as any test takes."""
    build(postgres)
    with start(
        postgres, tmp_path_factory.mktemp("holding"), rules(postgres, hold="hold: 60s\nundo: rows")
    ) as firewall:
        yield World(postgres, firewall)


def test_approved_within_the_hold(world: World, context: BrowserContext) -> None:
    """An agent's gated DELETE shows up by itself, is approved by a person, and the agent sees only latency."""
    page = sign_in(context, world.firewall.admin_url, TOKEN)
    live(page)
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    with world.connect() as agent, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: agent.execute("DELETE FROM orders WHERE id <= 3").rowcount)
        page.get_by_role("link", name="delete public.orders").click()
        expect(page.get_by_text("is waiting on the line")).to_be_visible()
        expect(page.get_by_text("exactly 3 rows")).to_be_visible()
        expect(page.get_by_role("cell", name="item 2")).to_be_visible()
        page.get_by_label("Reason").fill("these three may go")
        page.get_by_role("button", name="Approve").click()
        assert waiting.result(30) == 3
    assert world.count() == 17
    expect(page.locator(".title .badge")).to_have_text("Ran")


def test_undone(world: World, context: BrowserContext) -> None:
    """What was deleted is put back from its page."""
    before = world.sql("SELECT * FROM orders ORDER BY id")
    page = sign_in(context, world.firewall.admin_url, TOKEN)
    with world.connect() as agent, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: agent.execute("DELETE FROM orders WHERE id BETWEEN 10 AND 12").rowcount)
        page.get_by_role("link", name="delete public.orders").click()
        expect(page.get_by_text("exactly 3 rows")).to_be_visible()
        page.get_by_role("button", name="Approve").click()
        assert waiting.result(30) == 3
    page.get_by_role("link", name="Undo: 3 rows kept").click()
    page.get_by_role("button", name="Restore 3 rows").click()
    expect(page.get_by_text("The rows were restored.")).to_be_visible()
    assert world.sql("SELECT * FROM orders ORDER BY id") == before


def test_denied_within_the_hold(world: World, context: BrowserContext) -> None:
    """The reason that is typed into the page is what the agent reads."""
    page = sign_in(context, world.firewall.admin_url, TOKEN)
    with world.connect() as agent, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: agent.execute("DELETE FROM orders"))
        page.get_by_role("link", name="delete public.orders").click()
        page.get_by_label("Reason").fill("Never all of them.")
        page.get_by_role("button", name="Deny").click()
        error = waiting.exception(30)
    assert error is not None
    assert "Never all of them." in str(error)
    expect(page.get_by_text("Denied. The agent is told why.")).to_be_visible()


def test_sessions_and_decisions_of_a_real_agent(world: World, context: BrowserContext) -> None:
    """Who is connected, and what they send, show by themselves."""
    page = sign_in(context, world.firewall.admin_url, TOKEN, "/decisions")
    live(page)
    with world.connect() as agent:
        agent.execute("SELECT item FROM orders WHERE id = 19")
        expect(page.get_by_text("SELECT item FROM orders WHERE id = 19")).to_be_visible()
        page.get_by_role("link", name="Sessions").click()
        expect(page.get_by_role("cell", name="bot")).to_be_visible()
    expect(page.get_by_text("Nobody is connected")).to_be_visible()


def test_the_list_is_live(stage: Stage, context: BrowserContext) -> None:
    """A request that comes, and one that is decided elsewhere, show without anybody doing anything; both are said."""
    page = sign_in(context, stage.url)
    live(page)
    request = stage.submit(seen=preview())
    expect(page.locator(f"#{request.id}")).to_be_visible()
    expect(page.locator("#announce")).to_have_text("New request: delete public.orders.")
    expect(page).to_have_title(re.compile(r"^\(1\) Waiting"))
    stage.api(f"/approvals/{request.id}/deny", {"reason": "no"}, token=BOB)
    expect(page.get_by_text("Nothing waits")).to_be_visible()


def test_a_request_is_live(stage: Stage, context: BrowserContext) -> None:
    """What changes while somebody types shows at once; what they typed stays, and they are told to look again."""
    request = stage.submit()
    page = sign_in(context, stage.url, path=f"/approvals/{request.id}")
    live(page)
    expect(page.get_by_text("still being made")).to_be_visible()
    page.get_by_label("Reason").fill("half a thou")
    stage.run(stage.approvals.attach_preview(request.id, preview()))
    expect(page.get_by_text("exactly 2 rows")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("half a thou")
    expect(page.get_by_label("Reason")).to_be_focused()
    expect(page.locator("#announce")).to_contain_text("Look again before you decide")
    stage.api(f"/approvals/{request.id}/deny", {"reason": "too late for you"}, token=BOB)
    expect(page.get_by_text("too late for you")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def test_the_countdown(stage: Stage, context: BrowserContext) -> None:
    """Time runs down on the page, and what has expired says so by itself."""
    request = stage.submit(options=Options(expires=4.0, hold=2.0), seen=preview())
    page = sign_in(context, stage.url, path=f"/approvals/{request.id}")
    timer = page.get_by_role("timer").first
    expect(timer).to_have_text(re.compile(r"^00:0[0-3]$"))
    expect(page.locator(".title .badge")).to_have_text("Expired")


def test_a_page_that_was_away(stage: Stage, context: BrowserContext) -> None:
    """A page that was offline catches up when it is back."""
    page = sign_in(context, stage.url)
    live(page)
    context.set_offline(True)
    request = stage.submit(seen=preview())
    context.set_offline(False)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f"#{request.id}")).to_be_visible()


def test_signed_out_elsewhere(stage: Stage, context: BrowserContext, complaints: list[str]) -> None:
    """A page whose approver has left the rules goes to the form to sign in, and shows nothing more."""
    page = sign_in(context, stage.url)
    live(page)
    stage.write_rules(RULES.replace("  alice:", "  alicia:"))
    page.wait_for_url(re.compile("/login"))
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert all("401" in text for text in complaints)
    complaints.clear()


def test_closed_in_mid_decision(stage: Stage, browser: Browser, context: BrowserContext) -> None:
    """A browser that is closed before the button was pressed decides nothing, and is in nobody's way."""
    request = stage.submit(seen=preview())
    other = browser.new_context()
    page = sign_in(other, stage.url, BOB, f"/approvals/{request.id}")
    page.get_by_label("Reason").fill("I wonder whether")
    other.close()
    assert stage.get(request.id).votes == ()
    mine = sign_in(context, stage.url, path=f"/approvals/{request.id}")
    mine.get_by_role("button", name="Approve").click()
    expect(mine.locator(".title .badge")).to_have_text("Approved")


def test_without_javascript(stage: Stage, browser: Browser) -> None:
    """Everything can be read and decided, and the list looks anew by itself."""
    request = stage.submit(seen=preview())
    context = browser.new_context(java_script_enabled=False)
    page = sign_in(context, stage.url)
    assert page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1
    for path in PATHS:
        page.goto(stage.url + path)
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto(f"{stage.url}/approvals/{request.id}")
    page.get_by_label("any number of rows").check()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved.", exact=True)).to_be_visible()
    assert stage.get(request.id).envelope is None
    context.close()
