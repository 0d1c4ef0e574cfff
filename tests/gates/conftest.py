"""A database and a firewall with tickets only, for all tests of a module; each test finds the tables as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gates.world import DATABASE, World, build, rules, start
from tests.support.postgres import Postgres

RESET = """
TRUNCATE orders, elsewhere.orders, log, once, late RESTART IDENTITY;
INSERT INTO orders SELECT n, 'item ' || n FROM generate_series(1, 20) AS n;
INSERT INTO elsewhere.orders SELECT * FROM orders;
"""


@pytest.fixture(scope="session")
def shop(postgres: Postgres) -> Postgres:
    """The server with the databases of tests/gates/world.py."""
    build(postgres)
    return postgres


@pytest.fixture(scope="module")
def _tickets(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with start(shop, tmp_path_factory.mktemp("tickets"), rules(shop)) as firewall:
        yield World(shop, firewall)


@pytest.fixture
def tickets(_tickets: World) -> Iterator[World]:
    """A firewall whose gates never hold: ZG001 at once. No request of one test is there in the next."""
    yield _tickets
    _tickets.forget()


@pytest.fixture(scope="module")
def _holding(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with start(shop, tmp_path_factory.mktemp("holding"), rules(shop, hold="hold: 60s")) as firewall:
        yield World(shop, firewall)


@pytest.fixture
def holding(_holding: World) -> Iterator[World]:
    """A firewall whose gates hold for as long as any test takes."""
    yield _holding
    _holding.forget()


@pytest.fixture(autouse=True)
def _fresh(shop: Postgres) -> None:
    shop.sql(RESET, DATABASE)
