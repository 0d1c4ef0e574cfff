"""Fixtures of the preview's tests."""

from __future__ import annotations

import itertools

import pytest

from tests.preview.helpers import Place
from tests.support.postgres import Postgres

_numbers = itertools.count(1)


@pytest.fixture
def place(postgres: Postgres) -> Place:
    """A new, empty database."""
    return Place(postgres, f"preview_{next(_numbers)}")
