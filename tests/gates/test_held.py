"""A statement that waits on the wire: approved in time the agent notices nothing but latency."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import asyncpg
import psycopg
import pytest

from dbfirewall.approvals.model import State
from tests.gates.test_tickets import ticket
from tests.gates.world import PATIENCE, World, rules, run, start
from tests.support.postgres import Postgres

LOCKS = """
SELECT l.relation::regclass::text, l.mode FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE a.usename = 'gates_login' AND a.application_name <> 'dbfirewall' AND l.locktype = 'relation'
  AND l.relation >= 16384
"""
OPEN = """
SELECT state FROM pg_stat_activity
WHERE usename = 'gates_login' AND application_name <> 'dbfirewall' AND state LIKE '%transaction%'
"""


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """Where an agent waits while the test goes on."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def wait_until(holds: Callable[[], bool]) -> None:
    """Until it does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


@pytest.mark.parametrize("values", [None, [3]], ids=["simple", "extended"])
def test_approved_while_held(holding: World, beside: ThreadPoolExecutor, values: list[int] | None) -> None:
    """The agent hears of the request at once, by a notice, and gets its rows when somebody has approved."""
    notices: list[str] = []
    with holding.connect() as agent:
        agent.add_notice_handler(lambda one: notices.append(f"{one.message_primary} {one.message_detail}"))
        text = f"DELETE FROM orders WHERE id <= {'%s' if values else 3} RETURNING id"
        answer: Future[Any] = beside.submit(lambda: agent.execute(text, values).fetchall())
        request = holding.pending()
        assert holding.sql(LOCKS) == []
        assert holding.sql(OPEN) == []
        assert not answer.done()
        holding.vote(request.id)
        assert sorted(answer.result(PATIENCE)) == [(1,), (2,), (3,)]
        assert len(notices) == 1
        assert request.id in notices[0]
        assert holding.firewall.admin_url in notices[0]
        assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert holding.request(request.id).state is State.DONE
    assert holding.count() == 17


def test_asyncpg_while_held(holding: World) -> None:
    """The same for asyncpg, whose statement is prepared, described and flushed before it is bound."""

    async def work() -> None:
        agent = await asyncpg.connect(holding.dsn())
        approver = threading.Thread(target=lambda: holding.vote(holding.pending().id))
        try:
            approver.start()
            row = await agent.fetchrow("DELETE FROM orders WHERE id = $1 RETURNING item", 4)
            assert row["item"] == "item 4"
        finally:
            approver.join()
            await agent.close()

    run(work)
    assert holding.count() == 19


def test_denied_while_held(holding: World, beside: ThreadPoolExecutor) -> None:
    """A denial reaches the agent with its reason, and stays one."""
    statement = "DELETE FROM orders WHERE id = 1"
    with holding.connect() as agent:
        answer = beside.submit(lambda: agent.execute(statement))
        request = holding.pending()
        holding.vote(request.id, approve=False, reason="Not on a Monday.")
        with pytest.raises(psycopg.Error) as caught:
            answer.result(PATIENCE)
        assert ticket(caught.value, "ZG002") == request.id
        assert "Not on a Monday." in str(caught.value)
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(statement)
        assert ticket(caught.value, "ZG002") == request.id
        assert agent.execute("SELECT 1").fetchall() == [(1,)]
    assert holding.count() == 20


@pytest.mark.parametrize("values", [None, [2]], ids=["simple", "extended"])
def test_cancelled_while_held(holding: World, beside: ThreadPoolExecutor, values: list[int] | None) -> None:
    """A cancel request ends the wait as PostgreSQL would; the request stays, marked, and is found again."""
    text = f"DELETE FROM orders WHERE id = {'%s' if values else 2}"
    with holding.connect() as agent:
        answer = beside.submit(lambda: agent.execute(text, values))
        request = holding.pending()
        agent.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            answer.result(PATIENCE)
        assert holding.request(request.id).agent_gone
        again = beside.submit(lambda: agent.execute(text, values))
        wait_until(lambda: not holding.request(request.id).agent_gone)
        holding.vote(request.id)
        assert again.result(PATIENCE).rowcount == 1
    assert holding.request(request.id).state is State.DONE


def test_agent_leaves_while_held(holding: World) -> None:
    """An agent whose connection breaks leaves its request behind, marked; in a new session it is redeemed."""
    agent = holding.connect()
    agent.pgconn.send_query(b"DELETE FROM orders WHERE id = 3")
    agent.pgconn.flush()
    request = holding.pending()
    agent.close()
    wait_until(lambda: holding.request(request.id).agent_gone)
    holding.vote(request.id)
    with holding.connect() as again:
        assert again.execute("DELETE FROM orders WHERE id = 3").rowcount == 1
    assert not holding.request(request.id).agent_gone
    assert holding.count() == 19


def test_withdrawn_with_its_agent(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With `cancel_on_disconnect` the request goes when its agent leaves, or cancels."""
    text = rules(shop, hold="hold: 60s\ncancel_on_disconnect: true")
    with start(shop, tmp_path_factory.mktemp("leaves"), text) as firewall:
        world = World(shop, firewall)
        agent = world.connect()
        agent.pgconn.send_query(b"DELETE FROM orders WHERE id = 3")
        agent.pgconn.flush()
        request = world.pending()
        agent.close()
        world.until(request.id, State.WITHDRAWN)
        with world.connect() as other, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(lambda: other.execute("DELETE FROM orders WHERE id = %s", [4]))
            request = world.pending()
            other.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                answer.result(PATIENCE)
            assert world.request(request.id).state is State.WITHDRAWN


def test_not_in_time(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """When the hold is over the agent gets its ticket, and may go on with other things meanwhile."""
    with start(shop, tmp_path_factory.mktemp("short"), rules(shop, hold="hold: 300ms")) as firewall:
        world = World(shop, firewall)
        with world.connect() as agent:
            with pytest.raises(psycopg.Error) as caught:
                agent.execute("DELETE FROM orders WHERE id = 5")
            request = ticket(caught.value)
            assert agent.execute("SELECT count(*) FROM orders").fetchall() == [(20,)]
            world.vote(request)
            assert agent.execute("DELETE FROM orders WHERE id = 5").rowcount == 1


def test_ticket_inside_a_transaction(holding: World) -> None:
    """Inside a transaction nothing is held: it would keep locks."""
    with holding.connect(autocommit=False) as agent:
        agent.execute("SELECT 1 FROM orders LIMIT 1")
        with pytest.raises(psycopg.Error) as caught:
            agent.execute("DELETE FROM orders WHERE id = 6")
        request = ticket(caught.value)
        agent.rollback()
    holding.vote(request, approve=False)


def test_held_in_a_transaction_by_its_rule(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With `hold_in_transaction` it is held there as well, and the transaction goes on after it."""
    text = rules(shop, hold="hold: 60s\nhold_in_transaction: true")
    with start(shop, tmp_path_factory.mktemp("inside"), text) as firewall, ThreadPoolExecutor(1) as pool:
        world = World(shop, firewall)
        with world.connect(autocommit=False) as agent:
            agent.execute("INSERT INTO log (word) VALUES ('kept')")
            answer = pool.submit(lambda: agent.execute("DELETE FROM orders WHERE id <= %s", [2]))
            request = world.pending()
            assert request.snapshot.in_transaction
            world.vote(request.id)
            assert answer.result(PATIENCE).rowcount == 2
            agent.commit()
        world.until(request.id, State.DONE)
        assert (world.count(), world.count("log")) == (18, 1)


def test_others_do_not_wait(holding: World, beside: ThreadPoolExecutor) -> None:
    """While one session waits, another of the same agent works, and what the first sent meanwhile comes in order."""
    with holding.connect() as first, holding.connect() as second:
        first.pgconn.enter_pipeline_mode()
        first.pgconn.send_query_params(b"DELETE FROM orders WHERE id = 7", [])
        first.pgconn.pipeline_sync()
        first.pgconn.send_query_params(b"SELECT count(*) FROM orders", [])
        first.pgconn.pipeline_sync()
        first.pgconn.flush()
        request = holding.pending()
        assert second.execute("SELECT count(*) FROM orders").fetchall() == [(20,)]
        holding.vote(request.id)

        def results() -> list[tuple[int, bytes | None]]:
            found: list[tuple[int, bytes | None]] = []
            while len(found) < 6:
                result = first.pgconn.get_result()
                value = result.get_value(0, 0) if result is not None and result.ntuples else None
                found.append((-1 if result is None else result.status, value))
            return found

        tuples, command = psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK
        sync = psycopg.pq.ExecStatus.PIPELINE_SYNC
        assert beside.submit(results).result(PATIENCE) == [
            (command, None), (-1, None), (sync, None), (tuples, b"19"), (-1, None), (sync, None),
        ]  # fmt: skip


def test_shutdown_while_held(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGTERM ends a session whose statement is held; the request is there after the next start."""
    folder = tmp_path_factory.mktemp("drain")
    with start(shop, folder, rules(shop, hold="hold: 60s")) as firewall, ThreadPoolExecutor(1) as pool:
        world = World(shop, firewall)
        agent = world.connect()
        answer = pool.submit(lambda: agent.execute("DELETE FROM orders WHERE id = 8"))
        request = world.pending()
        assert firewall.stop() == 0
        with pytest.raises(psycopg.OperationalError):
            answer.result(PATIENCE)
        firewall.start()
        world.vote(request.id)
        with world.connect() as again:
            assert again.execute("DELETE FROM orders WHERE id = 8").rowcount == 1
