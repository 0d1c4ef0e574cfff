"""What an agent may ask the firewall itself, in SQL, by either protocol: for itself alone."""

from __future__ import annotations

from typing import Any

import asyncpg
import psycopg
import pytest

from tests.gates.test_tickets import refused
from tests.gates.world import World, run

STATE = "SELECT state, rows FROM dbfirewall.approvals WHERE id = {}"


def gated(agent: psycopg.Connection[Any]) -> int:
    """Something to ask for."""
    return agent.execute("DELETE FROM orders WHERE id <= 2").rowcount


@pytest.mark.parametrize("prepare", [None, True], ids=["as it comes", "prepared"])
def test_polling(tickets: World, prepare: bool | None) -> None:
    """An agent can look how its request stands until it is approved, then send it again, and see what came of it."""
    with tickets.connect() as agent:
        request = refused(agent, gated)

        def states() -> set[Any]:
            simple = agent.execute(STATE.format(f"'{request}'")).fetchall()
            extended = agent.execute(STATE.format("%s"), [request], prepare=prepare).fetchall()
            assert simple == extended
            return {state for state, _rows in simple}

        assert states() == {"pending"}
        tickets.vote(request)
        assert states() == {"approved"}
        assert gated(agent) == 2
        assert agent.execute(STATE.format("%s"), [request]).fetchall() == [("done", 2)]
        assert agent.execute("SELECT count(*) FROM orders").fetchall() == [(18,)]


def test_only_its_own(tickets: World) -> None:
    """Another agent sees nothing of it, and no agent sees who may decide."""
    with tickets.connect() as agent, tickets.connect("twin") as twin:
        request = refused(agent, lambda one: one.execute("DELETE FROM orders WHERE id = 3"))
        assert twin.execute(STATE.format("%s"), [request]).fetchall() == []
        rules = str(agent.execute("SELECT * FROM dbfirewall.my_rules").fetchall())
        assert "delete" in rules
        assert "dba" not in rules
        limits = dict(agent.execute("SELECT name, value FROM dbfirewall.my_limits").fetchall())
        assert limits["statement_timeout"] == "20s"


def test_inside_a_transaction_and_a_pipeline(tickets: World) -> None:
    """There as well, with what was done before and after."""
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute("DELETE FROM orders WHERE id = 4"))
        with agent.transaction():
            agent.execute("INSERT INTO log (word) VALUES ('kept')")
            assert agent.execute(STATE.format("%s"), [request]).fetchall() == [("pending", None)]
        with agent.pipeline():
            agent.execute("INSERT INTO log (word) VALUES ('too')")
            found = agent.execute(STATE.format("%s"), [request])
            agent.execute("INSERT INTO log (word) VALUES ('and this')")
            assert found.fetchall() == [("pending", None)]
    assert tickets.count("log") == 3


def test_asyncpg(tickets: World) -> None:
    """By asyncpg, which describes what it prepared before it binds."""
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute("DELETE FROM orders WHERE id = 5"))

    async def work() -> None:
        agent = await asyncpg.connect(tickets.dsn())
        try:
            for _ in range(3):
                assert await agent.fetchval(STATE.format("$1"), request) == "pending"
                assert await agent.fetchrow("SELECT * FROM dbfirewall.my_rules") is not None
        finally:
            await agent.close()

    run(work)


def test_in_a_failed_transaction(tickets: World) -> None:
    """There the server says what it says of every statement."""
    with tickets.connect(autocommit=False) as agent:
        with pytest.raises(psycopg.errors.DivisionByZero):
            agent.execute("SELECT 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            agent.execute("SELECT * FROM dbfirewall.approvals")
