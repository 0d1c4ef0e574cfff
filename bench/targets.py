"""What is measured: a server, reached directly, through pgbouncer, or through dbfirewall."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.cpu import seconds_of_tree
from tests.support.embedded import EmbeddedPostgres, binaries
from tests.support.firewall import Firewall
from tests.support.ports import free_port
from tests.support.scram import verifier

DATABASE = "bench"
USER = "bench_reader"
PASSWORD = "bench"  # noqa: S105  a throw-away server's
SCALE = 5
PARSER_WARM_UP_SECONDS = 1.0

RULES = """
version: 1
roles:
  reader:
    access: read-only
    search_path: [public]
    rules:
      - allow: select
        on: [public.pgbench_accounts, public.pgbench_branches, public.pgbench_tellers]
      - allow: select
        on: reporting.*
      - deny: select
        on: public.pgbench_history
        reason: History is out of scope.
      - deny: select
        on: public.pgbench_accounts
        columns: [filler]
        reason: The filler is private.
      - deny: [ddl, dcl]
    limits:
      statement_timeout: 30s
agents:
  %(user)s: {role: reader, database: bench, password: "%(verifier)s"}
databases:
  bench:
    dsn: postgresql://127.0.0.1:%(port)d/bench?sslmode=disable
    logins:
      reader: {user: %(user)s, password: {env: BENCH_PASSWORD}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """One way to the server. `pid`: the process in between (and its children); None for the direct way."""

    name: str
    port: int
    pid: int | None = None

    def cpu_seconds(self) -> float:
        """CPU that the process in between has used so far."""
        return seconds_of_tree(self.pid) if self.pid is not None else 0.0


@contextmanager
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL with pgbench's tables in `bench`, and a login that may read them."""
    with EmbeddedPostgres() as postgres:
        admin = f"postgresql://postgres:{postgres.password}@{postgres.host}:{postgres.port}"
        with psycopg.connect(f"{admin}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
            connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'".encode())
        fill = [str(binaries() / "pgbench"), "-i", "-q", "-s", str(SCALE), f"{admin}/{DATABASE}"]
        subprocess.run(fill, check=True, capture_output=True)
        with psycopg.connect(f"{admin}/{DATABASE}", autocommit=True) as connection:
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER}".encode())
        yield postgres


@contextmanager
def pgbouncer(upstream: int) -> Iterator[Target | None]:
    """pgbouncer with session pooling and SCRAM on both sides; None where it is not to be had."""
    program = _find_pgbouncer()
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-pgbouncer-") as name:
        folder, port = Path(name), free_port()
        (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        (folder / "ini").write_text(
            f"[databases]\n{DATABASE} = host=127.0.0.1 port={upstream}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder}/users\npool_mode = session\n"
            "max_client_conn = 200\ndefault_pool_size = 100\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        who = _nobody_may_read(folder) if os.geteuid() == 0 else None
        process = subprocess.Popen(
            [program, "-q", str(folder / "ini")], user=who, cwd="/", stdout=subprocess.DEVNULL, stderr=None
        )
        try:
            _wait_for(port)
            yield Target("pgbouncer", port, process.pid)
        finally:
            process.terminate()
            process.wait()


@contextmanager
def dbfirewall(upstream: int) -> Iterator[Target]:
    """`dbfirewall serve` as a user would run it: rules, audit and metrics on."""
    rules = RULES % {"user": USER, "verifier": verifier(PASSWORD), "port": upstream}
    with tempfile.TemporaryDirectory(prefix="bench-dbfirewall-") as folder:
        firewall = Firewall(rules, Path(folder), environment={"BENCH_PASSWORD": PASSWORD})
        with firewall:
            if firewall.process is None:
                raise RuntimeError("the firewall is not running")
            time.sleep(PARSER_WARM_UP_SECONDS)
            yield Target("dbfirewall", firewall.port, firewall.process.pid)


def _find_pgbouncer() -> str | None:
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "pgbouncer"]
        subprocess.run(install, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    return program


def _nobody_may_read(folder: Path) -> int:
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_uid


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("pgbouncer does not listen")
