"""What one agent that may log in can do to the firewall and to others, and where that ends.

`DBFIREWALL_DOS_SCALE` multiplies the amounts; times are printed, never asserted.
"""

from __future__ import annotations

import os
import random
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest

from tests.chaos.world import build, firewall_before, resident, wait_for_no_backends
from tests.support.embedded import EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.raw import RawClient, bind, execute, message, parse, query

SCALE = int(os.environ.get("DBFIREWALL_DOS_SCALE", "1"))
MIB = 2**20

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120 * SCALE)]

BOMBS: dict[str, str] = {
    "parentheses": "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "arrays": "SELECT " + "ARRAY[" * 24 + "1" + "]" * 24,
    "constructors": "SELECT " + "date(" * 24 + "1" + ")" * 24,
    "subscripts": "SELECT a" + "[1]" * 3000,
    "subqueries": "SELECT * FROM " + "(SELECT * FROM " * 2000 + "written" + ") AS s" * 2000,
    "sums": "SELECT " + "1+" * 30000 + "1",
    "comments": "/*" * 10000,
    "statements": "SELECT 1;" * 10000,
    "in-list": "SELECT 1 WHERE 1 IN (" + "1," * 30000 + "1)",
    "operators": "SELECT 1 " + "@-" * 3000 + " 1",
    "joins": "SELECT 1 FROM written" + " CROSS JOIN written" * 2000,
    "unions": "SELECT 1" + " UNION SELECT 1" * 3000,
    "ands": "SELECT 1 WHERE " + "1=1 AND " * 10000 + "true",
    "nots": "SELECT " + "NOT " * 5000 + "true",
    "cases": "SELECT " + "CASE WHEN true THEN " * 500 + "1" + " END" * 500,
    "with": "WITH " + ", ".join(f"c{n} AS (SELECT 1)" for n in range(3000)) + " SELECT 1",
    "nested-with": "".join(f"WITH c{n} AS (" for n in range(200)) + "SELECT 1" + ") SELECT 1" * 200,
    "casts": "SELECT 1" + "::int" * 10000,
    "stars": "SELECT " + ", ".join(["w.*"] * 5000) + " FROM written AS w",
    "aliases": "SELECT " + ", ".join(f"nonce AS a{n}" for n in range(5000)) + " FROM written",
    "dollars": "SELECT " + "$a$" * 9999,
    "long-name": 'SELECT 1 AS "' + "x" * 200_000 + '"',
    "explain": "EXPLAIN " * 2000 + "SELECT 1",
    "windows": "SELECT " + ", ".join(["sum(1) OVER (PARTITION BY nonce ORDER BY nonce)"] * 1500) + " FROM written",
    "functions": "SELECT " + "abs(" * 2000 + "1" + ")" * 2000,
    "intervals": "SELECT " + "interval " * 3000 + "'1'",
    "between": "SELECT 1 WHERE 1 BETWEEN " + "1 AND 1 AND 1 BETWEEN " * 2000 + "1 AND 1",
}  # fmt: skip


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of this module's own."""
    with EmbeddedPostgres() as server:
        yield build(server)


@pytest.fixture
def firewall(postgres: Postgres, tmp_path: Path) -> Iterator[Firewall]:
    """A fresh firewall, so that its memory is that of one test."""
    with firewall_before(postgres.port, tmp_path) as firewall:
        yield firewall


@pytest.fixture
def memory(firewall: Firewall) -> Callable[[], int]:
    """How many bytes the firewall has grown by since the test began."""
    assert firewall.process is not None
    pid, start = firewall.process.pid, resident(firewall.process.pid)
    return lambda: resident(pid) - start


class Bystander:
    """Another agent that asks a simple question over and over. `times`: milliseconds of each answer."""

    def __init__(self, firewall: Firewall) -> None:
        self._dsn = firewall.dsn("two", "chaos-agent", "chaos")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.times: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            number = 0
            while not self._stop.is_set():
                number += 1
                started = time.perf_counter()
                assert connection.execute(f"SELECT {number}").fetchone() == (number,)
                self.times.append((time.perf_counter() - started) * 1000)
                time.sleep(0.005)

    def report(self, what: str) -> None:
        """p50 and p99 on standard output."""
        quantiles = statistics.quantiles(self.times, n=100)
        print(f"\n{what}: {len(self.times)} answers, p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms, "
              f"worst {max(self.times):.0f} ms")  # fmt: skip


def logged_in(firewall: Firewall) -> RawClient:
    client = RawClient(firewall.host, firewall.port, seconds=60)
    assert client.log_in("one", "chaos-agent", database="chaos")[-1].type == b"Z"
    return client


def test_parser_bombs_do_not_stop_others(firewall: Firewall, memory: Callable[[], int]) -> None:
    """Texts made to be slow to read are answered or refused one by one, and another agent is served all the while."""
    slowest = ("", 0.0)
    with Bystander(firewall) as other, logged_in(firewall) as client:
        for _ in range(SCALE):
            for name, bomb in BOMBS.items():
                before, started = len(other.times), time.perf_counter()
                client.send(query(bomb))
                assert client.until(b"Z")[-1].type == b"Z", name
                slowest = max(slowest, (name, time.perf_counter() - started), key=lambda item: item[1])
                while len(other.times) == before:
                    time.sleep(0.001)
    other.report(f"{len(BOMBS)} bombs, slowest: {slowest[0]} with {slowest[1]:.2f} s")
    print(f"grown by {memory() >> 20} MiB")
    assert memory() < 300 * MIB


def test_a_flood_of_small_statements_leaves_others_their_turn(
    firewall: Firewall, memory: Callable[[], int]
) -> None:
    """Thousands of statements that arrive at once are worked through a few at a time."""
    count = 8000
    with Bystander(firewall) as other, logged_in(firewall) as client:
        for _ in range(5 * SCALE):
            client.send(query("SELECT 1") * count)
            for _ in range(count):
                assert client.until(b"Z")[-1].type == b"Z"
    other.report(f"beside {5 * SCALE} times {count} statements at once")
    print(f"grown by {memory() >> 20} MiB")
    assert memory() < 100 * MIB


def test_ever_new_statements_fill_no_memory(firewall: Firewall, memory: Callable[[], int]) -> None:
    """A stream of statements that no cache has seen ends at the caches' bounds."""
    source = random.Random(1)
    sizes = []
    with Bystander(firewall) as other, logged_in(firewall) as client:
        for batch in range(6):
            for _ in range(100 * SCALE):
                names = [f"c{source.randrange(10**9)}" for _ in range(60)]
                client.send(
                    query("SELECT " + ", ".join(f"nonce AS {name}" for name in names) + " FROM written")
                )
                assert client.until(b"Z")[-1].type == b"Z", batch
            sizes.append(memory() >> 20)
    other.report(f"{600 * SCALE} distinct statements; grown by {sizes} MiB")
    assert memory() < 200 * MIB


def test_a_slow_reader_of_a_giant_result_fills_no_memory(
    firewall: Firewall, memory: Callable[[], int], postgres: Postgres
) -> None:
    """Hundreds of MiB that nobody reads stay with the server, and their backend goes when the reader does."""
    rows = 200_000 * SCALE
    for text in (
        f"SELECT repeat('x', 1000) FROM generate_series(1, {rows})",
        f"COPY (SELECT repeat('x', 1000) FROM generate_series(1, {rows})) TO STDOUT",
    ):
        with logged_in(firewall) as client, Bystander(firewall) as other:
            client.send(query(text))
            time.sleep(1)
            assert len(client.exactly(4 * MIB)) == 4 * MIB
            while len(other.times) < 50:
                time.sleep(0.01)
        other.report("beside a slow reader")
        assert memory() < 100 * MIB
    wait_for_no_backends(postgres)


def test_a_giant_copy_in_fills_no_memory(firewall: Firewall, memory: Callable[[], int]) -> None:
    """COPY data goes through as it comes, as one message or as many."""
    with logged_in(firewall) as client:
        for size in (1000, 8 * MIB):
            client.send(query("BEGIN"))
            client.until(b"Z")
            client.send(query("COPY written (nonce) FROM STDIN"))
            assert client.until(b"G", b"E")[-1].type == b"G"
            line = b"y" * 499 + b"\n"
            for _ in range(64 * MIB * SCALE // size):
                client.send(message(b"d", line * (size // 500)))
            client.send(message(b"f", b"enough\0"))
            assert client.until(b"Z")[-1].type == b"Z"
            client.send(query("ROLLBACK"))
            client.until(b"Z")
    print(f"\ngrown by {memory() >> 20} MiB")
    assert memory() < 100 * MIB


def test_endless_prepared_statements_and_portals_end_at_a_limit(
    firewall: Firewall, memory: Callable[[], int]
) -> None:
    """Names are refused with 53400 once they weigh too much; the session and others go on."""
    text = "SELECT nonce FROM written WHERE nonce = '" + "z" * 2000 + "%d'"
    refused = set()
    with Bystander(firewall) as other, logged_in(firewall) as client:
        for number in range(10_000):
            client.send(parse(text % number, b"s%d" % number) + message(b"S"))
            answer = client.until(b"Z")
            assert answer[-1].type == b"Z"
            refused |= {one.fields["C"] for one in answer if one.type == b"E"}
            if refused:
                break
        client.send(query("BEGIN") + parse("SELECT 1", b"one"))
        client.send(b"".join(bind(b"p%d" % number, b"s0") for number in range(10_100)) + message(b"S"))
        refused |= {one.fields["C"] for one in client.until(b"Z") + client.until(b"Z") if one.type == b"E"}
        client.send(query("ROLLBACK"))
        client.until(b"Z")
        client.send(parse("SELECT 7") + bind() + execute() + message(b"S"))
        assert struct.pack("!hi", 1, 1) + b"7" in [one.body for one in client.until(b"Z")]
    other.report("beside endless names")
    print(f"grown by {memory() >> 20} MiB")
    assert refused == {"53400"}
    assert memory() < 300 * MIB
