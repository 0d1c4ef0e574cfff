"""Releases that are cut short, portals that are left half-way, stores that do not answer."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbfirewall.approvals.model import State
from tests.gates.test_held import wait_until
from tests.gates.test_tickets import refused, ticket
from tests.gates.world import DATABASE, PATIENCE, World, rules, start
from tests.support.postgres import Postgres
from tests.support.raw import SYNC, Message, RawClient, bind, message, parse, query

SLOW = "DELETE FROM orders WHERE id = {} AND pg_sleep(60) IS NOT NULL"
RUNNING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DELETE%pg_sleep%' AND state = 'active'"
FLUSH = message(b"H")


def some(count: int, portal: bytes = b"") -> bytes:
    """Execute, so many rows."""
    return message(b"E", portal + b"\0" + struct.pack("!i", count))


def close_portal(portal: bytes) -> bytes:
    """Close."""
    return message(b"C", b"P" + portal + b"\0")


def raw(world: World, **parameters: str) -> RawClient:
    """A session of bot's."""
    client = RawClient(world.firewall.host, world.firewall.port)
    assert client.log_in("bot", "bot-agent", database=DATABASE, **parameters)[-1].type == b"Z"
    return client


def kinds(messages: list[Message]) -> str:
    """Their types, errors with their SQLSTATE, tags with their text."""
    words = []
    for one in messages:
        word = one.type.decode()
        if one.type == b"E":
            word += ":" + one.fields["C"]
        elif one.type in (b"C", b"Z"):
            word += ":" + one.body.rstrip(b"\0").decode()
        words.append(word)
    return " ".join(words)


def approved(world: World, statement: str, **options: Any) -> str:
    """A request for `statement`, asked for and approved."""
    with world.connect() as agent:
        request = refused(agent, lambda one: one.execute(statement))
    world.vote(request, **options)
    return request


def test_cancelled_while_it_runs(tickets: World) -> None:
    """The server's own cancellation: rolled back, and the approval is there again."""
    request = approved(tickets, SLOW.format(1), envelope=None)
    with tickets.connect() as agent, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: agent.execute(SLOW.format(1)))
        wait_until(lambda: bool(tickets.sql(RUNNING)))
        agent.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            answer.result(PATIENCE)
        assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert tickets.request(request).state is State.APPROVED
    assert tickets.count() == 20


@pytest.mark.parametrize("by", ["agent", "server"])
def test_connection_lost_while_it_runs(tickets: World, by: str) -> None:
    """The agent leaves, or its backend is ended: the server is asked what became of it, and the approval is there."""
    number = 2 if by == "agent" else 3
    request = approved(tickets, SLOW.format(number), envelope=None)
    agent = tickets.connect()
    agent.pgconn.send_query(SLOW.format(number).encode())
    agent.pgconn.flush()
    wait_until(lambda: bool(tickets.sql(RUNNING)))
    if by == "agent":
        agent.close()
    else:
        tickets.sql(f"SELECT pg_terminate_backend(({RUNNING}))")
    kept = tickets.until(request, State.APPROVED)
    assert "rolled back" in kept.note
    wait_until(lambda: not tickets.sql(RUNNING))
    assert tickets.count() == 20
    agent.close()


def test_portal_in_pieces(tickets: World) -> None:
    """A portal fetched in several Executes of one pipeline: every row arrives, all of them count."""
    statement = "DELETE FROM orders WHERE id <= 5 RETURNING id"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(parse(statement) + bind() + some(2) + some(2) + some(2) + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 D D s D D s D C:DELETE 1 Z:I"
    assert tickets.request(request).affected == (5,)


@pytest.mark.parametrize("way", ["sync", "close", "bind again"])
def test_portal_left_half_way(tickets: World, way: str) -> None:
    """What the agent does not fetch is counted all the same, before its portal is gone."""
    statement = f"DELETE FROM orders WHERE id <= 5 AND '{way}' <> '' RETURNING id"
    request = approved(tickets, statement)
    rest = {"sync": b"", "close": close_portal(b""), "bind again": parse("SELECT 1", b"s") + bind(b"", b"s")}[
        way
    ]
    with raw(tickets) as client:
        client.send(parse(statement) + bind() + some(1) + rest + SYNC)
        answer = {"sync": "", "close": "3 ", "bind again": "1 2 "}[way]
        assert kinds(client.until(b"Z")) == f"1 2 D s {answer}Z:I"
    assert (tickets.request(request).state, tickets.request(request).affected) == (State.DONE, (5,))
    assert tickets.count() == 15


def test_left_half_way_and_outside(tickets: World) -> None:
    """So is what pushes it out of its envelope: the agent has its first row, then an error; nothing is changed."""
    statement = "DELETE FROM log RETURNING id"
    tickets.sql("INSERT INTO log (word) VALUES ('a'), ('b')")
    request = approved(tickets, statement)
    tickets.sql("INSERT INTO log (word) VALUES ('c')")
    with raw(tickets) as client:
        client.send(parse(statement) + bind() + some(1) + SYNC + query("SELECT 1"))
        assert kinds(client.until(b"Z")) == "1 2 D s E:ZG003 Z:I"
        assert kinds(client.until(b"Z")) == "T D C:SELECT 1 Z:I"
    assert tickets.request(request).affected == (3,)
    assert tickets.count("log") == 3


def test_bound_and_not_executed(tickets: World) -> None:
    """Bound alone it does nothing: the approval stays, and so does what else was done in the pipeline."""
    statement = "DELETE FROM orders WHERE id = 6"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        insert = parse("INSERT INTO log (word) VALUES ('kept')", b"i") + bind(b"", b"i") + some(0)
        client.send(parse(statement, b"d") + bind(b"p", b"d") + insert + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 1 2 C:INSERT 0 1 Z:I"
    assert tickets.request(request).state is State.APPROVED
    assert (tickets.count(), tickets.count("log")) == (20, 1)


def test_bound_in_one_pipeline_and_executed_in_the_next(tickets: World) -> None:
    """In a transaction a portal outlives its pipeline, but not one whose rows nobody would count."""
    statement = "DELETE FROM orders WHERE id = 7"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(query("BEGIN"))
        client.until(b"Z")
        client.send(parse(statement, b"d") + bind(b"p", b"d") + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 Z:T"
        client.send(some(0, b"p") + SYNC)
        assert kinds(client.until(b"Z")) == "E:34000 Z:E"
        client.send(query("ROLLBACK"))
        client.until(b"Z")
    assert tickets.request(request).state is State.APPROVED


def test_error_after_it_in_a_pipeline(tickets: World) -> None:
    """An error later in the pipeline undoes it, as it would any statement before: the approval is there again."""
    statement = "DELETE FROM orders WHERE id = 8"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        failing = parse("SELECT 1/0", b"f") + bind(b"", b"f") + some(0)
        client.send(parse(statement, b"d") + bind(b"", b"d") + some(0) + failing + SYNC)
        assert kinds(client.until(b"Z")).endswith("C:DELETE 1 1 E:22012 Z:I")
        client.send(parse(statement) + bind() + some(0) + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 C:DELETE 1 Z:I"
    assert tickets.request(request).state is State.DONE


def test_query_behind_an_open_pipeline(tickets: World) -> None:
    """A simple Query without a Sync before it: what was released is final first."""
    statement = "DELETE FROM orders WHERE id = 9"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(parse(statement) + bind() + some(0) + query("SELECT count(*) FROM orders"))
        assert kinds(client.until(b"Z")) == "1 2 C:DELETE 1 T D C:SELECT 1 Z:I"
    assert tickets.request(request).state is State.DONE


def test_flush_without_a_sync(tickets: World) -> None:
    """An agent that flushes after each message gets each answer, and commits with its Sync."""
    statement = "DELETE FROM orders WHERE id = 10"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(parse(statement) + FLUSH)
        assert kinds(client.until(b"1")) == "1"
        client.send(bind() + FLUSH)
        assert kinds(client.until(b"2", b"E")) == "2"
        client.send(some(0) + FLUSH)
        assert kinds(client.until(b"C", b"E")) == "C:DELETE 1"
        assert tickets.request(request).state is State.RELEASING
        assert tickets.count() == 20
        client.send(SYNC)
        assert kinds(client.until(b"Z")) == "Z:I"
    assert tickets.request(request).state is State.DONE
    assert tickets.count() == 19


def test_agent_leaves_before_its_sync(tickets: World) -> None:
    """Without a Sync nothing was final: the server rolled it back, and the approval is there again."""
    statement = "DELETE FROM orders WHERE id = 11"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(parse(statement) + bind() + some(0) + FLUSH)
        assert kinds(client.until(b"C", b"E")) == "1 2 C:DELETE 1"
    tickets.until(request, State.APPROVED)
    assert tickets.count() == 20


def test_store_that_cannot_be_opened(shop: Postgres, tmp_path: Path) -> None:
    """What is gated is refused without a request; everything else works, and the firewall is ready."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "approvals.sqlite3").mkdir()
    with start(shop, tmp_path, rules(shop)) as firewall:
        world = World(shop, firewall)
        with world.connect() as agent:
            for values in (None, [12]):
                with pytest.raises(psycopg.Error) as caught:
                    agent.execute(f"DELETE FROM orders WHERE id = {'%s' if values else 12}", values)
                assert caught.value.sqlstate == "ZG001"
                assert "approval" not in json.loads(caught.value.diag.message_detail or "{}")
            assert agent.execute("UPDATE orders SET price = 2 WHERE id = 12").rowcount == 1
        assert firewall.get("/readyz")[0] == 200
        assert "dbfirewall_approval_store_errors_total" in firewall.get("/metrics")[1]
        assert "store of approvals" in firewall.errors()


def test_audit(tickets: World) -> None:
    """The record tells the whole story of an approval by its id."""
    statement = "DELETE FROM orders WHERE id = 13"
    request = approved(tickets, statement)
    with tickets.connect() as agent:
        agent.execute(statement)
    records = tickets.firewall.audit_until(
        lambda all_of_them: any(one["event"] == "outcome" and one["rows"] == 1 for one in all_of_them)
    )
    story = [(one["event"], one.get("decision")) for one in records if one.get("approval") == request]
    assert story == [
        ("approval_requested", None), ("statement", "gate"), ("approval_redeemed", None), ("statement", "gate"),
    ]  # fmt: skip


def test_rows_beyond_the_limit(shop: Postgres, tmp_path: Path) -> None:
    """A released statement whose rows are cut at `max_rows` is undone with 53400."""
    text = rules(shop).replace(
        "      statement_timeout: 20s", "      statement_timeout: 20s\n      max_rows: 3"
    )
    with start(shop, tmp_path, text) as firewall:
        world = World(shop, firewall)
        for values in (None, [10]):
            statement = f"DELETE FROM orders WHERE id <= {'%s' if values else 10} RETURNING id"
            with world.connect() as agent:
                with pytest.raises(psycopg.Error) as caught:
                    agent.execute(statement, values)
                request = ticket(caught.value)
                world.vote(request)
                with pytest.raises(psycopg.Error) as caught:
                    agent.execute(statement, values)
                assert caught.value.sqlstate == "53400"
                assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            assert world.request(request).state is State.APPROVED
        assert world.count() == 20


def test_strict_pin(shop: Postgres, tmp_path: Path) -> None:
    """Under `pin: strict` a gated read is asked for, and runs once, by either protocol."""
    text = rules(shop).replace("access: read-write", "access: read-only\n    pin: strict")
    head, tail = text.split("    rules:\n", 1)
    text = f"{head}    rules:\n      - gate: select\n        on: public.orders\n{tail[tail.index('    limits:') :]}"
    with start(shop, tmp_path, text) as firewall:
        world = World(shop, firewall)
        for values in (None, [3]):
            statement = f"SELECT item FROM orders WHERE id = {'%s' if values else 3}"
            with world.connect() as agent:
                request = refused(agent, lambda one, text=statement, row=values: one.execute(text, row))
                world.vote(request)
                assert agent.execute(statement, values).fetchall() == [("item 3",)]
                world.until(request, State.DONE)
                assert (
                    refused(agent, lambda one, text=statement, row=values: one.execute(text, row)) != request
                )


def test_transaction_begun_in_the_same_pipeline(tickets: World) -> None:
    """BEGIN and what is gated in one pipeline, which only the server knows of: it is the agent's to commit."""
    statement = "INSERT INTO once VALUES (41)"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        begin = parse("BEGIN", b"b") + bind(b"", b"b") + some(0)
        client.send(begin + parse(statement, b"i") + bind(b"", b"i") + some(0) + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 C:BEGIN 1 2 C:INSERT 0 1 Z:T"
        assert tickets.count("once") == 0
        assert tickets.request(request).state is State.RELEASING
        client.send(query("ROLLBACK"))
        client.until(b"Z")
        tickets.until(request, State.APPROVED)
        client.send(query("BEGIN"))
        client.until(b"Z")
        client.send(parse(statement) + bind() + some(0) + SYNC + query("COMMIT"))
        client.until(b"Z")
        client.until(b"Z")
        tickets.until(request, State.DONE)
    assert tickets.count("once") == 1


def test_transaction_ended_in_the_same_pipeline(tickets: World) -> None:
    """COMMIT and then what is gated in one pipeline: it runs in a transaction of ours, not in the one that ended."""
    statement = "INSERT INTO once VALUES (42)"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(query("BEGIN"))
        client.until(b"Z")
        commit = parse("COMMIT", b"c") + bind(b"", b"c") + some(0)
        client.send(commit + parse(statement, b"i") + bind(b"", b"i") + some(0) + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 C:COMMIT 1 2 C:INSERT 0 1 Z:I"
    assert tickets.request(request).state is State.DONE
    assert tickets.count("once") == 1


def test_left_half_way_and_committed_in_the_same_pipeline(tickets: World) -> None:
    """A COMMIT of the agent's takes its portals with it: what they did is counted before."""
    statement = "DELETE FROM orders WHERE id <= 4 RETURNING id"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(query("BEGIN"))
        client.until(b"Z")
        commit = parse("COMMIT", b"c") + bind(b"c", b"c") + some(0, b"c")
        client.send(parse(statement, b"d") + bind(b"", b"d") + some(1) + commit + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 D s 1 2 C:COMMIT Z:I"
    tickets.until(request, State.DONE)
    assert tickets.count() == 16


def test_query_in_an_unsynced_transaction(tickets: World) -> None:
    """A simple Query behind a BEGIN that was not synced: the agent's transaction is not ended for it."""
    statement = "INSERT INTO once VALUES (43)"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        client.send(parse("BEGIN", b"b") + bind(b"", b"b") + some(0) + query(statement))
        assert kinds(client.until(b"Z")) == "1 2 C:BEGIN C:INSERT 0 1 Z:T"
        assert tickets.count("once") == 0
        client.send(query("ROLLBACK"))
        client.until(b"Z")
    tickets.until(request, State.APPROVED)
    assert tickets.count("once") == 0


def test_cap_in_an_unsynced_transaction(tickets: World) -> None:
    """Beyond its cap an UPDATE undoes all of what came before it in the same pipeline, and nothing stays open."""
    with raw(tickets) as client:
        insert = parse("INSERT INTO log (word) VALUES ('lost')", b"i") + bind(b"", b"i") + some(0)
        client.send(insert + query("UPDATE orders SET price = 5"))
        assert kinds(client.until(b"Z")) == "1 2 C:INSERT 0 1 E:53400 Z:I"
        client.send(query("UPDATE orders SET price = 5 WHERE id = 1"))
        assert kinds(client.until(b"Z")) == "C:UPDATE 1 Z:I"
    assert tickets.count("log") == 0


def test_query_between_binds(tickets: World) -> None:
    """A Query behind a pipeline without a Sync says that a transaction is open, which yet is an implicit one."""
    statement = "INSERT INTO once VALUES (44)"
    request = approved(tickets, statement)
    with raw(tickets) as client:
        insert = parse("INSERT INTO log (word) VALUES ('x')", b"i") + bind(b"", b"i") + some(0)
        client.send(insert + insert.replace(b"i\0INSERT", b"j\0INSERT").replace(b"\0i\0", b"\0j\0"))
        client.send(query("SELECT 1"))
        assert kinds(client.until(b"Z")).endswith("T D C:SELECT 1 Z:T")
        rollback = parse("ROLLBACK", b"r") + bind(b"", b"r") + some(0)
        client.send(parse(statement, b"o") + bind(b"", b"o") + some(0) + rollback + SYNC)
        assert kinds(client.until(b"Z")) == "1 2 C:INSERT 0 1 1 2 E:0A000 Z:I"
    tickets.until(request, State.APPROVED)
    assert (tickets.count("once"), tickets.count("log")) == (0, 0)
