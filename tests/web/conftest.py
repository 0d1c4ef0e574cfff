"""Stages for the tests of the admin listener."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A listener of this test's own."""
    stage = Stage(tmp_path)
    yield stage
    stage.stop()
