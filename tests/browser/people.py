"""What people do with the console in a browser."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

from tests.web.stage import ALICE

PATHS = ("/approvals", "/history", "/decisions", "/sessions", "/rules")


def listen(page: Page, complaints: list[str]) -> None:
    """Keep what goes wrong on `page`."""
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))


def sign_in(context: BrowserContext, url: str, token: str = ALICE, path: str = "/approvals") -> Page:
    """A page of somebody who has signed in."""
    page = context.new_page()
    page.goto(url + path)
    page.get_by_label("approver").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(url + path)
    return page


def live(page: Page) -> None:
    """Until the page hears of events."""
    expect(page.locator("#link-state")).to_have_text("Live")
