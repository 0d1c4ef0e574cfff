"""Everything dies, stalls and comes back during a mixed load; then all books must balance.

`DBFIREWALL_CHAOS_SECONDS`, `DBFIREWALL_CHAOS_SESSIONS`, `DBFIREWALL_CHAOS_ROUNDS`: how long each round is, how big
the load, how many rounds of each kind; short ones unless set. `DBFIREWALL_CHAOS_SEED`: the first round's course.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

import psycopg
import pytest

from tests.chaos.client import Clients
from tests.chaos.faults import READ_ONLY, WRITABLE, Chaos
from tests.chaos.relay import Relay
from tests.chaos.world import assert_on_record, build, firewall_before, wait_for_no_backends
from tests.support.embedded import EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

SECONDS = float(os.environ.get("DBFIREWALL_CHAOS_SECONDS", "8"))
SESSIONS = int(os.environ.get("DBFIREWALL_CHAOS_SESSIONS", "12"))
ROUNDS = int(os.environ.get("DBFIREWALL_CHAOS_ROUNDS", "1"))
SEED = int(os.environ.get("DBFIREWALL_CHAOS_SEED", "1"))
PROCESSES = 4
SPARE_DESCRIPTORS = 20
MEMORY_BOUND = 400 * 2**20

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(SECONDS * 2 + 180)]


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server that may be hurt."""
    with EmbeddedPostgres() as server:
        yield server


async def play(
    postgres: Postgres, folder: Path, seed: int, *, firewall_dies: bool
) -> tuple[Clients, Chaos, Firewall]:
    """The load, and the faults while it lasts. Whoever is still there in the end has gone, too."""
    async with Relay(postgres.host, postgres.port) as far:
        firewall = firewall_before(far.port, folder, DBFIREWALL_AUDIT_MAX_BYTES="1MiB")
        await asyncio.to_thread(firewall.start)
        async with Relay(firewall.host, firewall.port) as near:
            clients = Clients(
                _dsns(near.port, firewall.port), SESSIONS // PROCESSES, seed, folder / "clients"
            )
            chaos = Chaos(postgres, firewall, near, far, clients, seed, firewall_dies=firewall_dies)
            try:
                clients.start()
                try:
                    await chaos.run(SECONDS)
                finally:
                    await asyncio.to_thread(clients.stop)
                await asyncio.to_thread(wait_for_no_backends, postgres)
                chaos.measure()
            finally:
                firewall.stop()
    return clients, chaos, firewall


def _dsns(*ports: int) -> list[str]:
    """Half of the processes through the bad network, half directly."""
    return [
        f"postgresql://one:chaos-agent@127.0.0.1:{ports[number % len(ports)]}/chaos?sslmode=disable"
        for number in range(PROCESSES)
    ]


@pytest.mark.parametrize("firewall_dies", [True, False], ids=["all die", "the firewall survives"])
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_the_books_balance_after_any_failure(
    server: EmbeddedPostgres, tmp_path: Path, seed: int, *, firewall_dies: bool
) -> None:
    """Clients, backends and the firewall killed, paused, cut off and slowed, the disk full or read-only: no hang, no
    backend left, no answer to the wrong session, each write after its record, and a chain that verifies.
    """
    postgres = build(server)
    clients, chaos, firewall = asyncio.run(play(postgres, tmp_path, seed, firewall_dies=firewall_dies))
    written = assert_on_record(postgres, firewall)
    most = max(fds for fds, _ in chaos.sizes), max(memory for _, memory in chaos.sizes) >> 20
    (_, early), (fds, late) = chaos.sizes[0], chaos.sizes[-1]
    print(
        f"\nseed {seed}: {sum(chaos.done.values())} faults: {dict(chaos.done)}\n{dict(clients.done)}\n"
        f"{written} writes on record; descriptors: {fds} in the end, {most[0]} at most; "
        f"memory: {early >> 20} MiB, {late >> 20} in the end, {most[1]} at most"
    )
    assert not clients.wrong
    assert not clients.hung
    assert written > SESSIONS
    assert late < MEMORY_BOUND
    assert fds < 30 + SPARE_DESCRIPTORS
    assert "Traceback" not in firewall.log.read_text()
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


def test_a_state_folder_that_becomes_read_only_stops_everything_and_heals(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Where the record has to be rotated and can't be, nothing runs; it goes on when it can, the chain whole."""
    postgres = build(server)
    with firewall_before(server.port, tmp_path, DBFIREWALL_AUDIT_MAX_BYTES="64KiB") as firewall:
        dsn = firewall.dsn("one", "chaos-agent", "chaos")
        firewall.state.chmod(READ_ONLY)
        try:
            with pytest.raises(psycopg.OperationalError, match="audit record cannot be written"):  # noqa: SIM117
                with psycopg.connect(dsn, autocommit=True) as connection:
                    for number in range(1000):
                        connection.execute(f"INSERT INTO written VALUES ('before {number}')")
            [(before,)] = postgres.sql("SELECT count(*) FROM written", "chaos")
            with pytest.raises(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as other:
                other.execute("INSERT INTO written VALUES ('meanwhile')")
            assert firewall.get("/healthz")[0] == 503
            assert "cannot rotate" in firewall.errors()
        finally:
            firewall.state.chmod(WRITABLE)
        assert firewall.get("/healthz")[0] == 200
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO written VALUES ('after')")
    assert 0 < before < 1000
    assert assert_on_record(postgres, firewall) == before + 1
    assert len(list(firewall.state.glob("audit*.jsonl"))) > 1
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
