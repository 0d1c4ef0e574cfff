"""A real Chromium for tests and screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def program() -> str:
    """Where Chromium is; RuntimeError where it is not."""
    found = os.environ.get("DBFIREWALL_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise RuntimeError("there is no Chromium: apt-get install chromium, or set DBFIREWALL_TEST_CHROMIUM")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """One running Chromium."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        yield running
        running.close()
