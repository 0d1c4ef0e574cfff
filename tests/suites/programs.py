"""Suites that are programs: pgbench's modes, lib/pq's own tests, sqlsmith, and smoke tests of npm's drivers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.suites import sources
from tests.suites.ground import Target
from tests.suites.outcomes import Outcomes
from tests.suites.suite import Suite
from tests.support.embedded import binaries
from tests.support.postgres import Postgres

SECONDS = 600

PIPELINE = r"""
\startpipeline
\set aid random(1, 100000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, 1, CURRENT_TIMESTAMP);
END;
\endpipeline
"""


def run(
    command: Sequence[str | Path],
    target: Target,
    output: Path,
    *,
    cwd: Path,
    more: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program with libpq's variables set; its exit code, and all that it said."""
    environment = {**os.environ, **target.environment, **(more or {})}
    with output.open("wb") as said:
        done = subprocess.run(
            [*map(str, command)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            timeout=SECONDS,
            check=False,
        )
    return done.returncode, output.read_text(errors="replace")


class Pgbench(Suite):
    """pgbench: each protocol mode, with pipelines, and with a new connection for every transaction."""

    name = "pgbench"
    databases = ("bench",)

    def fetch(self) -> None:
        """It comes with the embedded server."""

    def prepare(self, server: Postgres) -> None:
        server.create_database("bench")

    def run(self, target: Target, folder: Path) -> Outcomes:
        script = folder / "pipeline.sql"
        script.write_text(PIPELINE)
        cases: dict[str, tuple[str, ...]] = {"init": ("-i", "-q", "-s", "1")}
        for mode in ("simple", "extended", "prepared"):
            many = ("-M", mode, "-c", "8", "-t", "50")
            cases |= {
                f"tpcb {mode}": many,
                f"select {mode}": ("-S", *many),
                f"reconnect {mode}": ("-S", "-C", "-M", mode, "-c", "4", "-t", "10"),
            }
            if mode != "simple":
                cases[f"pipeline {mode}"] = ("-f", str(script), *many)
        return {name: self._case(name, case, target, folder) for name, case in cases.items()}

    def _case(self, name: str, arguments: Sequence[str], target: Target, folder: Path) -> bool:
        plain = () if name == "init" else ("-n",)
        command = [binaries() / "pgbench", *plain, *arguments, "bench"]
        code, said = run(command, target, folder / f"{name}.txt", cwd=folder)
        complete = name == "init" or re.search(r"actually processed: (\d+)/\1\b", said) is not None
        return code == 0 and complete


class LibPq(Suite):
    """lib/pq's own tests, from Debian's package of its sources."""

    name = "libpq-go"
    databases = ("pqgotest",)
    folder: ClassVar[Path] = Path("/usr/share/gocode/src/github.com/lib/pq")

    def fetch(self) -> None:
        sources.need("go", "golang-go", "golang-github-lib-pq-dev")
        if not self.folder.exists():
            sources.run(
                "apt-get", "install", "-y", "-qq", "--no-install-recommends", "golang-github-lib-pq-dev"
            )

    def prepare(self, server: Postgres) -> None:
        server.create_database("pqgotest")

    def run(self, target: Target, folder: Path) -> Outcomes:
        cache = str(sources.CACHE / "go")
        more = {
            "PGDATABASE": "pqgotest",
            "GOPATH": "/usr/share/gocode",
            "GO111MODULE": "off",
            "GOCACHE": cache,
        }
        command = ["go", "test", "-v", "-timeout", "300s", "."]
        _, said = run(command, target, folder / "output.txt", cwd=self.folder, more=more)
        found = re.findall(r"^ *--- (PASS|FAIL): (\S+)", said, re.MULTILINE)
        return {name: result == "PASS" for result, name in found}


class Sqlsmith(Suite):
    """sqlsmith: a thousand random statements; none may cost the connection."""

    name = "sqlsmith"
    databases = ("smith",)

    def fetch(self) -> None:
        self._program = sources.need("sqlsmith", "sqlsmith")

    def prepare(self, server: Postgres) -> None:
        server.create_database("smith")
        server.sql(
            "CREATE TABLE t (a int, b text, c timestamptz, d numeric[]);"
            "INSERT INTO t SELECT g, 'x' || g, now(), ARRAY[g, g + 1] FROM generate_series(1, 50) g",
            "smith",
        )

    def run(self, target: Target, folder: Path) -> Outcomes:
        where = " ".join(
            f"{key}={value}"
            for key, value in {
                "host": target.host,
                "port": target.port,
                "user": target.environment["PGUSER"],
                "password": target.environment["PGPASSWORD"],
                "dbname": "smith",
                "options": "'-c statement_timeout=2000'",
            }.items()
        )
        outcomes = {}
        for seed in ("1", "2"):
            command = [self._program, f"--target={where}", "--max-queries=500", f"--seed={seed}", "--verbose"]
            code, said = run(command, target, folder / f"seed-{seed}.txt", cwd=folder)
            outcomes[f"seed {seed}"] = code == 0 and "lost connection" not in said.lower()
        return outcomes


class _Npm(Suite):
    packages: ClassVar[tuple[str, ...]]
    script: ClassVar[str]

    def fetch(self) -> None:
        self._folder = sources.npm(
            ("pg@8.16.3", "pg-cursor@2.15.3", "pg-copy-streams@7.0.0", "postgres@3.4.7")
        )

    def run(self, target: Target, folder: Path) -> Outcomes:
        script = Path(__file__).parent / "npm" / self.script
        (self._folder / self.script).write_text(script.read_text())
        _, said = run(["node", self.script], target, folder / "output.txt", cwd=self._folder)
        found = re.findall(r"^(ok|not ok) (.*?)(?: # .*)?$", said, re.MULTILINE)
        return {name: result == "ok" for result, name in found}


class NodePostgres(_Npm):
    """Smoke tests of npm's `pg`."""

    name = "npm-pg"
    script = "pg.mjs"


class PostgresJs(_Npm):
    """Smoke tests of npm's `postgres`."""

    name = "npm-postgres"
    script = "postgres.mjs"
