"""A server of its own and a firewall in front of it, both to be killed; and what must hold in the end."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

from tests.support.embedded import EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

SCHEMA = """
CREATE TABLE written (nonce text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE forbidden (nonce text);
GRANT SELECT, INSERT ON written, forbidden TO chaos_agent;
"""

RULES = """
version: 1
roles:
  agent:
    access: read-write
    search_path: [public]
    rules:
      - allow: [select, insert, copy_from]
        on: public.written
agents:
  one: {role: agent, database: chaos, password: "%(verifier)s"}
  two: {role: agent, database: chaos, password: "%(verifier)s"}
databases:
  chaos:
    dsn: postgresql://127.0.0.1:%(port)d/chaos?sslmode=disable
    logins:
      agent: {user: chaos_agent, password: {env: CHAOS_PASSWORD}}
"""


def build(server: EmbeddedPostgres) -> Postgres:
    """The database and its login."""
    postgres = Postgres(server.host, server.port, server.superuser, server.password, "embedded")
    postgres.sql("CREATE ROLE chaos_agent LOGIN PASSWORD 'chaos'")
    postgres.create_database("chaos")
    postgres.sql(SCHEMA, "chaos")
    return postgres


def firewall_before(port: int, folder: Path, **environment: str) -> Firewall:
    """A firewall in front of the server on `port`."""
    rules = RULES % {"port": port, "verifier": verifier("chaos-agent")}
    environment = {"CHAOS_PASSWORD": "chaos", **environment}
    return Firewall(rules, folder, environment=environment, program=("-m", "tests.chaos.obedient"))


def backends(postgres: Postgres) -> int:
    """How many agents' backends the server has; the firewall's own catalog reader is none of them."""
    [(count,)] = postgres.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'chaos_agent' "
        "AND application_name NOT LIKE 'dbfirewall%'"
    )
    return int(count)


def wait_for_no_backends(postgres: Postgres, seconds: float = 20.0) -> None:
    """AssertionError where backends stay though all agents are gone."""
    deadline = time.monotonic() + seconds
    while backends(postgres):
        if time.monotonic() > deadline:
            left = postgres.sql("SELECT pid, state, wait_event, query FROM pg_stat_activity")
            raise AssertionError(f"backends stay: {left}")
        time.sleep(0.1)


def assert_on_record(postgres: Postgres, firewall: Firewall) -> int:
    """Each row that was written has an allow record from before; nothing forbidden was. How many rows there are."""
    allowed: dict[str, datetime] = {}
    for file in sorted(firewall.state.glob("audit*.jsonl")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if record["event"] == "statement" and record["decision"] == "allow":
                allowed[record["sql"]] = datetime.fromisoformat(record["ts"])
    by_nonce = {sql.split("'")[1]: at for sql, at in allowed.items() if sql.startswith("INSERT")}
    by_nonce |= {sql.split()[-2]: at for sql, at in allowed.items() if sql.startswith("COPY")}
    rows = postgres.sql("SELECT nonce, min(at) FROM written GROUP BY nonce", "chaos")
    for nonce, at in rows:
        assert nonce in by_nonce, f"{nonce} was written without a record"
        assert by_nonce[nonce] <= at, f"{nonce} was written before its record"
    assert postgres.sql("SELECT count(*) FROM forbidden", "chaos") == [(0,)]
    return len(rows)


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no memory figure for process {pid}")


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
