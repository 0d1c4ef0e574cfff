"""Asked, told to come back, approved, sent again: run once. By every way in which drivers send a statement."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest

from dbfirewall.approvals.model import State
from tests.gates.world import World, run

Send = Callable[[psycopg.Connection[Any]], int]


def ticket(error: psycopg.Error | asyncpg.PostgresError, state: str = "ZG001") -> str:
    """The approval that an error of ours names."""
    detail = error.diag.message_detail if isinstance(error, psycopg.Error) else error.detail
    assert error.sqlstate == state, error
    approval: str = json.loads(detail or "{}")["approval"]
    return approval


def refused(agent: psycopg.Connection[Any], send: Callable[..., Any], state: str = "ZG001") -> str:
    """The approval that `send` is refused for."""
    with pytest.raises(psycopg.Error) as caught:
        send(agent)
    return ticket(caught.value, state)


def simple(agent: psycopg.Connection[Any]) -> int:
    """No parameters: one Query."""
    return agent.execute("DELETE FROM orders WHERE id <= 3").rowcount


def extended(agent: psycopg.Connection[Any]) -> int:
    """With parameters: Parse, Bind, Describe, Execute, Sync."""
    return agent.execute("DELETE FROM orders WHERE id <= %s", [3]).rowcount


def binary(agent: psycopg.Connection[Any]) -> int:
    """Parameters in binary form."""
    return agent.execute("DELETE FROM orders WHERE id <= %b", [3]).rowcount


def prepared(agent: psycopg.Connection[Any]) -> int:
    """A named statement."""
    return agent.execute("DELETE FROM orders WHERE id <= %s", [3], prepare=True).rowcount


def returning(agent: psycopg.Connection[Any]) -> int:
    """With rows."""
    rows = agent.execute("DELETE FROM orders WHERE id <= 3 RETURNING id").fetchall()
    assert sorted(rows) == [(1,), (2,), (3,)]
    return len(rows)


def several(agent: psycopg.Connection[Any]) -> int:
    """Two statements in one Query."""
    cursor = agent.execute("INSERT INTO log (word) VALUES ('before'); DELETE FROM orders WHERE id <= 3")
    assert cursor.rowcount == 1
    assert cursor.nextset()
    return cursor.rowcount


WAYS = [simple, extended, binary, prepared, returning, several]


@pytest.mark.parametrize("send", WAYS)
def test_redeemed_once(tickets: World, send: Send) -> None:
    """ZG001; approved and sent again, in another session, it runs once; sent once more, it asks anew."""
    with tickets.connect() as agent:
        first = refused(agent, send)
        assert refused(agent, send) == first
    assert tickets.count() == 20
    tickets.vote(first)
    with tickets.connect() as agent:
        assert send(agent) == 3
        assert tickets.count() == 17
        assert tickets.request(first).state is State.DONE
        assert tickets.request(first).affected[-1] == 3
        assert refused(agent, send) != first
        assert agent.execute("SELECT count(*) FROM orders").fetchall() == [(17,)]
    assert tickets.count() == 17


def test_asyncpg(tickets: World) -> None:
    """asyncpg's ways: Execute, fetch, fetchrow (which stops at one row), a prepared statement."""

    async def work() -> None:
        agent = await asyncpg.connect(tickets.dsn())
        try:
            ways: list[tuple[Callable[..., Any], str, list[int], int]] = [
                (agent.execute, "DELETE FROM orders WHERE id = 5", [], 1),
                (agent.execute, "DELETE FROM orders WHERE id = $1", [6], 1),
                (agent.fetch, "DELETE FROM orders WHERE id = $1 RETURNING id", [7], 1),
                (agent.fetchrow, "DELETE FROM orders WHERE id > $1 RETURNING id", [12], 8),
                (agent.fetchval, "DELETE FROM orders WHERE id = $1 RETURNING item", [8], 1),
            ]
            for send, statement, values, rows in ways:
                with pytest.raises(asyncpg.PostgresError) as caught:
                    await send(statement, *values)
                request = ticket(caught.value)
                tickets.vote(request)
                await send(statement, *values)
                done = tickets.request(request)
                assert (done.state, done.affected) == (State.DONE, (rows,))
        finally:
            await agent.close()

    run(work)
    assert tickets.count() == 20 - 4 - 8


def test_asyncpg_in_a_transaction(tickets: World) -> None:
    """In a transaction of asyncpg's: a ticket at once; redeemed in one, it is done when that has committed."""

    async def work() -> None:
        agent = await asyncpg.connect(tickets.dsn())
        try:
            with pytest.raises(asyncpg.PostgresError) as caught:
                async with agent.transaction():
                    await agent.fetchrow("DELETE FROM orders WHERE id <= $1 RETURNING id", 2)
            request = ticket(caught.value)
            tickets.vote(request)
            async with agent.transaction():
                row = await agent.fetchrow("DELETE FROM orders WHERE id <= $1 RETURNING id", 2)
                assert row["id"] in (1, 2)
                assert tickets.request(request).state is State.RELEASING
            assert tickets.until(request, State.DONE).affected == ()
        finally:
            await agent.close()

    run(work)
    assert tickets.count() == 18


@pytest.mark.parametrize("send", [simple, extended, prepared])
def test_in_the_agents_transaction(tickets: World, send: Send) -> None:
    """Rolled back by the agent, the approval is there again; committed, it is spent."""
    with tickets.connect(autocommit=False) as agent:
        request = refused(agent, send)
        agent.rollback()
        tickets.vote(request)
        assert send(agent) == 3
        agent.rollback()
        assert tickets.until(request, State.APPROVED).note
        assert tickets.count() == 20
        agent.execute("INSERT INTO log (word) VALUES ('with it')")
        assert send(agent) == 3
        assert tickets.request(request).state is State.RELEASING
        assert refused(agent, send) == request
        agent.rollback()
        tickets.until(request, State.APPROVED)
        assert send(agent) == 3
        agent.commit()
        tickets.until(request, State.DONE)
    assert (tickets.count(), tickets.count("log")) == (17, 0)


def test_transaction_lost_with_its_session(tickets: World) -> None:
    """An agent that goes away before it commits: the server rolled back, and the approval is there again."""
    agent = tickets.connect(autocommit=False)
    request = refused(agent, simple)
    agent.rollback()
    tickets.vote(request)
    assert simple(agent) == 3
    agent.close()
    tickets.until(request, State.APPROVED)
    assert tickets.count() == 20


def test_failed_transaction(tickets: World) -> None:
    """Where the transaction has failed nobody is asked: it could not run."""
    with tickets.connect(autocommit=False) as agent:
        with pytest.raises(psycopg.errors.DivisionByZero):
            agent.execute("SELECT 1/0")
        with pytest.raises(psycopg.Error) as caught:
            agent.execute("DELETE FROM orders WHERE id = 19")
        assert caught.value.sqlstate == "ZG001"
        assert "approval" not in json.loads(caught.value.diag.message_detail or "{}")
        agent.rollback()
    assert not [one for one in tickets.requests() if b"id = 19" in one.snapshot.sql]


def test_pipeline(tickets: World) -> None:
    """In a pipeline: what came before in the same transaction is rolled back with ZG001, or committed with it."""
    for approved in (False, True):
        with tickets.connect() as agent:
            try:
                with agent.pipeline():
                    agent.execute("INSERT INTO log (word) VALUES ('one')")
                    agent.execute("DELETE FROM orders WHERE id = %s", [11])
                    agent.execute("INSERT INTO log (word) VALUES ('two')")
            except psycopg.Error as error:
                assert not approved
                tickets.vote(ticket(error))
        assert (tickets.count("log"), tickets.count()) == ((2, 19) if approved else (0, 20))


def test_several_in_one_pipeline(tickets: World) -> None:
    """Several gated statements of one pipeline are each asked for, and run together."""
    asked = []
    for _ in range(3):
        with tickets.connect() as agent:
            try:
                with agent.pipeline(), agent.cursor() as cursor:
                    for number in (12, 13):
                        cursor.execute("DELETE FROM orders WHERE id = %s", [number])
                break
            except psycopg.Error as error:
                asked.append(ticket(error))
                tickets.vote(asked[-1])
    assert len(set(asked)) == 2
    assert [tickets.request(one).state for one in asked] == [State.DONE, State.DONE]
    assert tickets.count() == 18


def test_transaction_control_in_its_pipeline(tickets: World) -> None:
    """While a transaction of ours is open in a pipeline, the agent's COMMIT in it is refused, and all is undone."""
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute("DELETE FROM orders WHERE id = %s", [14]))
        tickets.vote(request)
        with pytest.raises(psycopg.Error) as caught, agent.pipeline():
            agent.execute("DELETE FROM orders WHERE id = %s", [14])
            agent.execute("COMMIT")
        assert caught.value.sqlstate == "0A000"
        assert tickets.request(request).state is State.APPROVED
        assert tickets.count() == 20
        assert agent.execute("DELETE FROM orders WHERE id = %s", [14]).rowcount == 1
    assert tickets.count() == 19


def test_copy_from_stdin(tickets: World) -> None:
    """COPY FROM STDIN is approved before a byte of data is sent, and runs as it is."""

    def load(agent: psycopg.Connection[Any]) -> None:
        with agent.cursor() as cursor, cursor.copy("COPY log (word) FROM STDIN") as copy:
            copy.write_row(["copied"])

    with tickets.connect() as agent:
        request = refused(agent, load)
        tickets.vote(request)
        load(agent)
        tickets.until(request, State.DONE)
        assert refused(agent, load) != request
    assert tickets.sql("SELECT word FROM log") == [("copied",)]


def test_outside_of_transactions(tickets: World) -> None:
    """What can't run in a transaction is released as it is, and once."""
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute("VACUUM orders"))
        tickets.vote(request)
        agent.execute("VACUUM orders")
        tickets.until(request, State.DONE)
        assert refused(agent, lambda one: one.execute("VACUUM orders")) != request


def test_ddl(tickets: World) -> None:
    """DDL runs in a transaction of ours, and the firewall knows the new names after it."""
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute("CREATE TABLE made (a int)"))
        tickets.vote(request)
        agent.execute("CREATE TABLE made (a int)")
        assert tickets.request(request).state is State.DONE
        drop = refused(agent, lambda one: one.execute("DROP TABLE made"))
        tickets.vote(drop)
        agent.execute("DROP TABLE made")
    assert tickets.sql("SELECT to_regclass('made')") == [(None,)]


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("DELETE FROM orders WHERE item = 1/0 || ''", "22012"),
        (
            "INSERT INTO late SELECT 1, 1; DELETE FROM orders WHERE id = 1; INSERT INTO late SELECT 2, 1",
            "23505",
        ),
    ],
)
def test_server_error(tickets: World, statement: str, state: str) -> None:
    """An error of the server's, or of COMMIT itself, reaches the agent; nothing stays, the approval does."""
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute(statement))
        tickets.previewed(request)
        tickets.vote(request, envelope=None)
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(statement)
        assert caught.value.sqlstate == state
        assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert agent.execute("SELECT 1").fetchall() == [(1,)]
    kept = tickets.request(request)
    assert (kept.state, bool(kept.error)) == (State.APPROVED, True)
    assert (tickets.count(), tickets.count("late")) == (20, 0)


def test_unnamed_statement_survives(tickets: World) -> None:
    """What the firewall says in between leaves the agent's unnamed statement alone."""
    with tickets.connect() as agent:
        agent.pgconn.send_prepare(b"", b"DELETE FROM orders WHERE id = 15")
        while (result := agent.pgconn.get_result()) is not None:
            assert result.status == psycopg.pq.ExecStatus.COMMAND_OK
        first = agent.pgconn.exec_prepared(b"", [])
        assert first.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"ZG001"
        request = json.loads(first.error_field(psycopg.pq.DiagnosticField.MESSAGE_DETAIL) or b"")["approval"]
        tickets.vote(request)
        assert agent.pgconn.exec_prepared(b"", []).command_status == b"DELETE 1"
        assert tickets.request(request).state is State.DONE


@pytest.mark.parametrize("simple", [True, False])
def test_nobody_is_asked_about_what_can_not_run(tickets: World, simple: bool) -> None:
    """A gated statement over a table or a column that is not there gets the server's own error, and no request."""
    before = len(tickets.requests())
    with tickets.connect() as agent:
        for statement, sqlstate in (
            ("DELETE FROM nowhere", "42P01"),
            ("DELETE FROM orders WHERE colour = 1", "42703"),
            ("DELETE FROM orders WHERE id = 'x'", "22P02"),
        ):
            cursor = agent.cursor()
            with pytest.raises(psycopg.Error) as caught:
                cursor.execute(statement.encode(), prepare=not simple)
            assert caught.value.sqlstate == sqlstate
        assert agent.execute("SELECT count(*) FROM orders").fetchone() == (20,)
    assert len(tickets.requests()) == before
