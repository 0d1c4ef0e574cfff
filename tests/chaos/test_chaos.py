"""Everything dies, stalls and comes back during a mixed load; then all books must balance.

`DBFIREWALL_CHAOS_SECONDS` and `DBFIREWALL_CHAOS_SESSIONS`: how long, and how many; a short round unless set.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

import psycopg
import pytest

from tests.chaos.load import Load
from tests.chaos.relay import Relay
from tests.chaos.world import (
    assert_on_record,
    build,
    descriptors,
    firewall_before,
    resident,
    wait_for_no_backends,
)
from tests.support.embedded import EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

SECONDS = float(os.environ.get("DBFIREWALL_CHAOS_SECONDS", "15"))
SESSIONS = int(os.environ.get("DBFIREWALL_CHAOS_SESSIONS", "12"))
SEED = int(os.environ.get("DBFIREWALL_CHAOS_SEED", "1"))
SPARE_DESCRIPTORS = 20
MEMORY_BOUND = 400 * 2**20

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(SECONDS * 2 + 180)]


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server that may be hurt."""
    with EmbeddedPostgres() as server:
        yield server


class Chaos:
    """Faults at random, each over within about two seconds. `done`: how often which."""

    def __init__(self, postgres: Postgres, firewall: Firewall, near: Relay, far: Relay) -> None:
        self._postgres = postgres
        self._firewall = firewall
        self._near = near
        self._far = far
        self._source = random.Random(SEED)
        self.done: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Go on for so long."""
        faults = [
            *[self._drop_agent, self._drop_server] * 4, self._stall_agent, self._stall_server, self._slow,
            self._pause_firewall, self._kill_firewall, self._end_backend, self._pause_backend, self._kill_backend,
        ]  # fmt: skip
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            fault = self._source.choice(faults)
            self.done[fault.__name__.strip("_")] += 1
            await fault()
            await asyncio.sleep(self._source.random())

    async def _drop_agent(self) -> None:
        self._near.drop(self._source)

    async def _drop_server(self) -> None:
        self._far.drop(self._source)

    async def _stall_agent(self) -> None:
        await self._near.stall(1)

    async def _stall_server(self) -> None:
        await self._far.stall(1)

    async def _slow(self) -> None:
        await self._far.slow(1)

    async def _pause_firewall(self) -> None:
        assert self._firewall.process is not None
        await self._pause(self._firewall.process.pid)

    async def _kill_firewall(self) -> None:
        self._firewall.kill()
        await asyncio.to_thread(self._firewall.start)

    async def _end_backend(self) -> None:
        if (pid := await self._backend()) is not None:
            os.kill(pid, signal.SIGTERM)

    async def _pause_backend(self) -> None:
        if (pid := await self._backend()) is not None:
            await self._pause(pid)

    async def _kill_backend(self) -> None:
        """SIGKILL: the server then ends all its backends and recovers."""
        if (pid := await self._backend()) is not None:
            os.kill(pid, signal.SIGKILL)

    async def _pause(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(self._source.random())
            os.kill(pid, signal.SIGCONT)

    async def _backend(self) -> int | None:
        """The process id of an agent's backend, if there is one and the server can be asked."""
        query = "SELECT pid FROM pg_stat_activity WHERE usename = 'chaos_agent' ORDER BY random() LIMIT 1"
        try:
            rows = await asyncio.to_thread(self._postgres.sql, query)
        except psycopg.Error:
            return None
        return int(rows[0][0]) if rows else None


async def play(postgres: Postgres, folder: Path) -> tuple[Load, Chaos, Firewall]:
    """The load, and the faults while it lasts. The firewall goes on running."""
    async with Relay(postgres.host, postgres.port) as far:
        firewall = firewall_before(far.port, folder)
        await asyncio.to_thread(firewall.start)
        async with Relay(firewall.host, firewall.port) as near:
            load = Load(f"postgresql://one:chaos-agent@127.0.0.1:{near.port}/chaos?sslmode=disable", SEED)
            chaos = Chaos(postgres, firewall, near, far)
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(SESSIONS):
                        group.create_task(load.session(number))
                    await chaos.run(SECONDS)
                    load.stop.set()
                await asyncio.to_thread(wait_for_no_backends, postgres)
                assert firewall.process is not None
                fds, memory = descriptors(firewall.process.pid), resident(firewall.process.pid)
                print(
                    f"\n{dict(chaos.done)}\n{dict(load.done)}\n{fds} descriptors, {memory >> 20} MiB resident"
                )
                assert memory < MEMORY_BOUND
                assert fds < 30 + SPARE_DESCRIPTORS
            finally:
                firewall.stop()
    return load, chaos, firewall


def test_the_books_balance_after_any_failure(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Agents, backends and the firewall killed, paused, cut off and slowed: no hang, no backend left, no answer to
    the wrong session, each write after its record, and a chain that verifies.
    """
    postgres = build(server)
    load, _chaos, firewall = asyncio.run(play(postgres, tmp_path))
    assert not load.wrong
    assert not load.hung
    written = assert_on_record(postgres, firewall)
    print(f"{written} writes on record")
    assert written > SESSIONS
    verified = firewall.command("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_full_disk_stops_everything_and_heals(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """While the kernel refuses the record's growth nothing runs; with room again it goes on, the chain whole."""
    postgres = build(server)
    with firewall_before(server.port, tmp_path) as firewall:
        assert firewall.process is not None
        dsn = firewall.dsn("one", "chaos-agent", "chaos")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO written VALUES ('before')")
            full = sum(file.stat().st_size for file in firewall.state.glob("audit.jsonl"))
            prlimit(firewall.process.pid, RLIMIT_FSIZE, (full, RLIM_INFINITY))
            with pytest.raises(psycopg.OperationalError):
                connection.execute("INSERT INTO written VALUES ('full')")
        for _ in range(3):
            with pytest.raises(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as other:
                other.execute("INSERT INTO written VALUES ('full')")
        wait_for_no_backends(postgres)
        assert firewall.get("/healthz")[0] == 503
        prlimit(firewall.process.pid, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
        assert firewall.get("/healthz")[0] == 200
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO written VALUES ('after')")
    assert postgres.sql("SELECT nonce FROM written ORDER BY at", "chaos") == [("before",), ("after",)]
    assert assert_on_record(postgres, firewall) == 2
    assert firewall.command("audit", "verify").returncode == 0


def test_a_state_folder_that_cannot_be_written_refuses_the_start(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Without a record there is no firewall: it exits with an error and listens on nothing."""
    firewall = firewall_before(server.port, tmp_path / "w")
    firewall.state.parent.mkdir(exist_ok=True)
    firewall.environment["DBFIREWALL_STATE"] = "/proc/self/nothing-can-be-written-here"
    process = firewall.launch()
    assert process.wait(30) != 0
    assert "nothing-can-be-written-here" in firewall.errors()
    assert "Traceback" not in firewall.errors()
