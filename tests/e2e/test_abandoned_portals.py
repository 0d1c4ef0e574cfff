"""What a failed Query leaves under the empty portal name is never executed: it can crash PostgreSQL.

The server keeps that portal until the transaction block ends, with pointers into memory that it has freed; a long
message overwrites it. Without the firewall, both sessions below end the server with signal 11, and everybody's
session with it (PostgreSQL 14 to 18).
"""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, rules
from tests.support.raw import SYNC, RawClient, bind, execute, message, parse, query

pytestmark = pytest.mark.postgres

FAILS = query("SHOW nothing.of_that_name")
OVERWRITES = message(b"C", b"S" + b"x" * 2000 + b"\0")


@pytest.mark.parametrize("in_step", [True, False], ids=["one by one", "in one go"])
@pytest.mark.parametrize(
    ("before", "after"),
    [(parse("SELECT 1") + bind() + SYNC, b""), (parse("SELECT 1", b"s") + SYNC, bind(name=b"s") + SYNC)],
    ids=["bound before it", "bound in vain after it"],
)
def test_the_server_survives(world: World, before: bytes, after: bytes, *, in_step: bool) -> None:
    """The agent is told that there is no such portal, and nobody else's session ends."""
    steps = [query("BEGIN"), before, FAILS, *([after] if after else []), OVERWRITES + execute() + SYNC]
    with (
        psycopg.connect(world.direct("reader")) as bystander,
        RawClient(world.firewall.host, world.firewall.port) as agent,
    ):
        assert agent.log_in("reader", "reader-agent", database=DATABASE)[-1].type == b"Z"
        if not in_step:
            agent.send(b"".join(steps))
        for step in steps:
            if in_step:
                agent.send(step)
            answer = agent.until(b"Z")
        assert [one.fields["C"] for one in answer if one.type == b"E"] == ["34000"]
        assert answer[-1].body == b"E"
        assert bystander.execute("SELECT count(*) FROM people").fetchone() == (50,)


def test_nor_what_a_query_left_that_was_counted(world: World, firewall: StartFirewall) -> None:
    """A statement with a limit on its rows goes another way, and takes the unnamed portal with it all the same."""
    limited = rules(world.postgres).replace(
        "      - allow: [select, insert, update,",
        "      - allow: update\n        on: public.scratch\n        max_rows_affected: 5\n"
        "      - allow: [select, insert,",
    )
    running = firewall(limited, environment={"E2E_PASSWORD": LOGIN_PASSWORD})
    with (
        psycopg.connect(world.direct("reader")) as bystander,
        RawClient(running.host, running.port) as agent,
    ):
        assert agent.log_in("writer", "writer-agent", database=DATABASE)[-1].type == b"Z"
        steps = [query("INSERT INTO scratch VALUES (1)"), query("BEGIN"), parse("SELECT 1") + bind() + SYNC]
        steps += [query("UPDATE scratch SET a = 1 / (a - 1)"), OVERWRITES + execute() + SYNC]
        for step in steps:
            agent.send(step)
            answer = agent.until(b"Z")
        assert [one.fields["C"] for one in answer if one.type == b"E"] == ["34000"]
        assert bystander.execute("SELECT count(*) FROM people").fetchone() == (50,)
