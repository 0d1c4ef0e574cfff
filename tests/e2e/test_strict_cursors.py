"""Cursors of a session under `pin: strict`."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, rules

pytestmark = pytest.mark.postgres


def test_fetch_of_a_cursor_that_is_not_there_is_the_servers_error(
    world: World, firewall: StartFirewall
) -> None:
    """34000 as directly, and the session goes on; a cursor that is there gives its rows."""
    strict = rules(world.postgres).replace("access: read-only", "access: read-only\n    pin: strict")
    running = firewall(strict, environment={"E2E_PASSWORD": LOGIN_PASSWORD})
    with psycopg.connect(running.dsn("reader", "reader-agent", DATABASE), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InvalidCursorName):
            connection.execute("FETCH ALL FROM nowhere")
        with connection.transaction():
            connection.execute("DECLARE few CURSOR FOR SELECT id FROM people ORDER BY id")
            assert connection.execute("FETCH 2 FROM few").fetchall() == [(1,), (2,)]
