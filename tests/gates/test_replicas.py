"""Several firewalls on one Postgres store: an approval given at one is redeemed at the other, once in all."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.gates.test_people import Agent, command
from tests.gates.world import LOGIN_PASSWORD, PATIENCE, World, rules
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

STORE = "gates_store"
DOWN = """
ALTER DATABASE gates_brittle ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gates_brittle';
"""


@dataclass(frozen=True, slots=True)
class Trio:
    """Firewalls that know nothing of each other but the store: two that give tickets, and one that holds."""

    one: World
    twin: World
    holding: World


def on_store(shop: Postgres, folder: Any, store: str, hold: str) -> Firewall:
    """A firewall that keeps its requests in the database `store`."""
    environment = {"GATES_PASSWORD": LOGIN_PASSWORD, "DBFIREWALL_APPROVALS_STORE": shop.dsn(store)}
    return Firewall(rules(shop, hold=hold), folder, environment=environment)


@pytest.fixture(scope="module")
def trio(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """All on one store."""
    shop.create_database(STORE)
    first = on_store(shop, tmp_path_factory.mktemp("first"), STORE, "hold: 0s")
    second = on_store(shop, tmp_path_factory.mktemp("second"), STORE, "hold: 0s")
    third = on_store(shop, tmp_path_factory.mktemp("third"), STORE, "hold: 60s")
    with first as one, second as twin, third as holding:
        yield Trio(World(shop, one), World(shop, twin), World(shop, holding))


def refused(result: int | psycopg.Error, sqlstate: str) -> psycopg.Error:
    """The error, which must be that one."""
    assert isinstance(result, psycopg.Error), result
    assert result.sqlstate == sqlstate, result
    return result


def only_pending(world: World) -> str:
    """The id of the only request that waits."""
    lines = command(world, "list", "--state", "pending").splitlines()
    assert len(lines) == 2, lines
    return lines[1].split()[0]


def test_approved_at_one_redeemed_at_the_other(trio: Trio) -> None:
    """Asked at the first, approved there, sent to the second: it runs; sent to the first again: a new request."""
    statement = "DELETE FROM orders WHERE id <= 6"
    refused(Agent(trio.one, statement).result(), "ZG001")
    first = only_pending(trio.one)
    command(trio.one, "approve", first, "--yes")
    assert Agent(trio.twin, statement).result() == 6
    again = refused(Agent(trio.one, statement).result(), "ZG001")
    assert first not in str(again.diag.message_detail)
    command(trio.one, "deny", only_pending(trio.one), "--reason", "done already")


def test_a_decision_at_one_wakes_who_waits_at_the_other(trio: Trio) -> None:
    """The statement is held by the second firewall; the first one's approval lets it run."""
    waiting = Agent(trio.holding, "DELETE FROM orders WHERE id = 11")
    while "pending" not in command(trio.one, "list"):
        pass
    command(trio.one, "approve", only_pending(trio.one), "--yes")
    assert waiting.result() == 1


def test_of_twenty_sessions_one_redeems(trio: Trio) -> None:
    """Twenty sessions, at two firewalls, send an approved statement at once: it runs once, nineteen ask anew."""
    statement = "DELETE FROM orders WHERE id BETWEEN 12 AND 14"
    refused(Agent(trio.one, statement).result(), "ZG001")
    command(trio.one, "approve", only_pending(trio.one), "--yes")
    start = threading.Barrier(20)
    results: list[str] = []

    def race(world: World) -> None:
        with world.connect() as connection:
            start.wait()
            try:
                results.append(f"DELETE {connection.execute(statement.encode()).rowcount}")
            except psycopg.Error as error:
                results.append(str(error.sqlstate))

    places = (trio.one, trio.twin) * 10
    threads = [threading.Thread(target=race, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(results) == {"DELETE 3": 1, "ZG001": 19}
    assert trio.one.count() == 17


def test_a_store_that_is_down_refuses_only_what_is_gated(
    shop: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """While nobody can connect to it, gated statements are refused and others run; once it is back, all is well."""
    shop.create_database("gates_brittle")
    with on_store(shop, tmp_path_factory.mktemp("brittle"), "gates_brittle", "hold: 0s") as firewall:
        world = World(shop, firewall)
        with world.connect() as agent:

            def told() -> dict[str, str]:
                with pytest.raises(psycopg.Error) as caught:
                    agent.execute("DELETE FROM orders WHERE id = 1")
                assert caught.value.sqlstate == "ZG001"
                detail: dict[str, str] = json.loads(caught.value.diag.message_detail or "{}")
                return detail

            approval = told()["approval"]
            shop.sql(DOWN)
            assert told()["retry"] == "later"
            assert agent.execute("SELECT count(*) FROM orders").fetchone() == (20,)
            assert firewall.get("/readyz")[0] == 200
            shop.sql("ALTER DATABASE gates_brittle ALLOW_CONNECTIONS true")
            deadline = time.monotonic() + PATIENCE
            while (back := told())["retry"] == "later":
                assert time.monotonic() < deadline, firewall.errors()
                time.sleep(0.1)
            assert back["approval"] == approval
    assert world.count() == 20
