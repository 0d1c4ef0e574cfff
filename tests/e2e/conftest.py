"""One firewall and one database for the tests with real clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.world import LOGIN_PASSWORD, World, build, rules
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def world(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The database of tests/e2e/world.py behind a firewall, for the whole session."""
    build(postgres)
    folder = tmp_path_factory.mktemp("world")
    with Firewall(rules(postgres), folder, environment={"E2E_PASSWORD": LOGIN_PASSWORD}) as firewall:
        yield World(postgres, firewall)
