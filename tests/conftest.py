"""Fixtures for every test: a real Postgres, once a session, and firewalls in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test session; see tests/support/postgres.py for which one."""
    with running_postgres() as server:
        yield server
