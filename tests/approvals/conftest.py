"""Stores of both kinds: what holds for one holds for the other."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from tests.approvals.places import Place, PostgresPlace, SqlitePlace
from tests.support.postgres import Postgres

_numbers = count()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a store is; `place.store()` is a new connection to it."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path / "approvals.sqlite3")
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"store_{next(_numbers)}"
    postgres.create_database(name)
    return PostgresPlace(postgres.dsn(name))
