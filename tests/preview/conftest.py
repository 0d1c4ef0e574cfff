"""Fixtures of the preview's tests."""

from __future__ import annotations

import pytest

from tests.preview.helpers import Place
from tests.support.postgres import Postgres


@pytest.fixture
def place(postgres: Postgres) -> Place:
    """A new, empty database; always of the same name, so that not hundreds of them have to be removed in the end."""
    return Place(postgres, "preview")
