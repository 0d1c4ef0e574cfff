"""A Chromium, contexts that must not complain, and the stage of tests/web.

Playwright is imported where it is used: `make test` reads this file too, and does not install it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.web.stage import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

PATIENCE = 30_000
"""Milliseconds: a page may be slow on a busy machine; what comes is waited for, no longer."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    from playwright.sync_api import expect

    from tests.browser import chromium

    expect.set_options(timeout=PATIENCE)
    with chromium.browser() as running:
        yield running


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said."""
    return []


@pytest.fixture
def context(browser: Browser, complaints: list[str]) -> Iterator[BrowserContext]:
    """A browser that nobody has used; in the end it must not have complained of anything."""
    from tests.browser.people import listen

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    context.on("page", lambda page: listen(page, complaints))
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A listener of this test's own."""
    stage = Stage(tmp_path)
    yield stage
    stage.stop()
