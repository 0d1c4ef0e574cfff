"""Crowds that never log in: who is somebody still comes in, and what they cost is bounded.

`make crowd` runs the same with 10,000 of them.
"""

from __future__ import annotations

import os
import random
import re
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from dbfirewall.proxy.firewall import STRANGERS_AT_ONCE, STRANGERS_PER_SECOND
from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, rules
from tests.support.firewall import Firewall
from tests.support.raw import SSL_REQUEST, RawClient, query, startup

pytestmark = pytest.mark.postgres

CROWD = int(os.environ.get("DBFIREWALL_TEST_CROWD", "300"))
PLACES = 20
OWN_PLACES = 5
GROWTH = 64 << 20
"""Bytes that the process may have grown by after a crowd: far less than what 10,000 of them sent."""


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    """The crowd is ours, and each of them a file descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, CROWD + 1000)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def door(world: World, firewall: StartFirewall) -> Firewall:
    """A firewall with few places for strangers."""
    environment = {
        "E2E_PASSWORD": LOGIN_PASSWORD,
        "DBFIREWALL_LIMITS_UNAUTHENTICATED": str(PLACES),
        "DBFIREWALL_LIMITS_HANDSHAKE_TIMEOUT": "3s",
        "DBFIREWALL_LIMITS_CONNECTIONS_PER_AGENT": str(OWN_PLACES),
    }
    return firewall(rules(world.postgres), environment=environment)


def assert_served(door: Firewall, source: str) -> None:
    """An agent from `source` logs in and gets its own answer."""
    with RawClient(door.host, door.port, source=source) as client:
        assert client.log_in("reader", "reader-agent", database=DATABASE)[-1].type == b"Z"
        client.send(query("SELECT 'served'"))
        assert b"served" in client.until(b"Z")[1].body


def connections(door: Firewall, state: str) -> int:
    """How many connections the firewall counts in that state."""
    found = re.search(
        rf'^dbfirewall_connections{{state="{state}"}} (\d+)', door.get("/metrics")[1], re.MULTILINE
    )
    assert found
    return int(found[1])


def assert_empty(door: Firewall) -> None:
    """All places are free again, sooner or later."""
    deadline = time.monotonic() + 15
    while connections(door, "startup") or connections(door, "session"):
        assert time.monotonic() < deadline, "places are lost"
        time.sleep(0.05)


def resident(door: Firewall) -> int:
    """Bytes of memory that the process holds."""
    assert door.process is not None
    pages = Path(f"/proc/{door.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


HALF_OPEN = {
    "silent": b"",
    "half a length": b"\0\0",
    "half a startup packet": startup({"user": "reader", "database": DATABASE})[:-3],
    "a whole one, no password": startup({"user": "reader", "database": DATABASE}),
    "encryption, and nothing": SSL_REQUEST,
    "a packet of 10,000 bytes, less one": (10_000).to_bytes(4) + b"x" * 9_990,
}


@pytest.mark.parametrize("said", HALF_OPEN.values(), ids=HALF_OPEN)
def test_a_crowd_of_half_open_connections_keeps_nobody_out(door: Firewall, said: bytes) -> None:
    """They push out each other; agents come in from other addresses, and from the crowd's own too."""
    before = resident(door)
    with ExitStack() as open_ones:
        for number in range(CROWD):
            open_ones.enter_context(RawClient(door.host, door.port)).send(said)
            if number % (CROWD // 3) == CROWD // 6:
                assert_served(door, "127.0.0.2")
                assert_served(door, "127.0.0.1")
        assert connections(door, "startup") <= PLACES
    assert_empty(door)
    assert resident(door) - before < GROWTH


def test_an_agent_that_is_logging_in_elsewhere_is_not_pushed_out(door: Firewall) -> None:
    """Half-way through its login when a crowd arrives from one address, it goes on after."""
    with RawClient(door.host, door.port, source="127.0.0.3") as slow, ExitStack() as open_ones:
        slow.send(startup({"user": "reader", "database": DATABASE}))
        for _ in range(10 * PLACES):  # few enough for the handshake's deadline
            open_ones.enter_context(RawClient(door.host, door.port))
        assert slow.authenticate("reader", "reader-agent")[-1].type == b"Z"


def test_whoever_dawdles_is_let_go(door: Firewall) -> None:
    """A startup packet, byte by byte, ends at the handshake's deadline with an error and the end."""
    packet = startup({"user": "reader", "database": DATABASE})
    with RawClient(door.host, door.port) as slow:
        for byte in packet[:-1]:
            slow.send(bytes([byte]))
            time.sleep(0.1)
        told = slow.error()
        assert told.get("C", "08P01") == "08P01"
        assert slow.read() is None
    assert_empty(door)


def test_a_flood_of_garbage_is_only_so_much_of_a_record(door: Firewall) -> None:
    """Each is turned away; beyond the budget they are counted, not recorded, so that nobody fills the disk."""
    chance = random.Random(7)
    started = time.monotonic()
    before = len(door.audit())
    memory = resident(door)
    for _ in range(CROWD):
        with RawClient(door.host, door.port) as client:
            client.send(chance.randbytes(chance.randrange(1, 2000)))
    assert_served(door, "127.0.0.1")
    assert_empty(door)
    seconds = time.monotonic() - started
    allowed = STRANGERS_AT_ONCE + STRANGERS_PER_SECOND * (seconds + 5) * 2 + 20
    assert len(door.audit()) - before <= allowed
    assert resident(door) - memory < GROWTH


def test_an_agent_that_storms_in_gets_its_own_places_and_no_more(world: World, door: Firewall) -> None:
    """The others are told so, Postgres has no more backends than that, and another agent is served all the while."""

    def log_in(_number: int) -> tuple[RawClient, dict[str, str]]:
        client = RawClient(door.host, door.port)
        return client, client.log_in("writer", "writer-agent", database=DATABASE)[-1].fields

    for _ in range(3):
        with ThreadPoolExecutor(15) as pool:
            entered = list(pool.map(log_in, range(15)))
        assert_served(door, "127.0.0.1")
        refused = [told for _, told in entered if told.get("C")]
        assert {told["C"] for told in refused} == {"53300"}
        assert len(refused) == 15 - OWN_PLACES
        backends = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'e2e_writer' AND datname = 'e2e'"
        held = world.sql(backends)[0][0]
        assert isinstance(held, int)
        assert held <= OWN_PLACES + 2, (
            "the catalog's reader may be among them, and one that is on its way out"
        )
        for client, _ in entered:
            client.socket.close()
        assert_empty(door)
