"""`python -m tests.suites NAME…`: run suites directly and through the firewall, and compare."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from tests.suites.ground import Target, as_postgres, firewall, server
from tests.suites.outcomes import Outcomes, compare, known
from tests.suites.programs import LibPq, NodePostgres, Pgbench, PostgresJs, Sqlsmith
from tests.suites.pytest_suites import Asyncpg, Pg8000, SqlalchemyAsyncpg, SqlalchemyPsycopg
from tests.suites.sources import CACHE
from tests.suites.suite import Suite

SUITES: tuple[type[Suite], ...] = (
    *(Asyncpg, SqlalchemyPsycopg, SqlalchemyAsyncpg, Pg8000),
    *(Pgbench, NodePostgres, PostgresJs, LibPq, Sqlsmith),
)
RESULTS = CACHE / "results"


def main() -> int:
    """Exit status 0: all that passes directly passes through the firewall, but for what is known."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("suite", nargs="+", choices=[*names, "all"], metavar="NAME", help=", ".join(names))
    wanted = parser.parse_args().suite
    chosen = [suite for suite in SUITES if "all" in wanted or suite.name in wanted]
    results = [_compared(suite()) for suite in chosen]
    return 0 if all(results) else 1


def _compared(suite: Suite) -> bool:
    suite.fetch()
    direct, through = (_outcomes(suite, way) for way in ("direct", "firewall"))
    result = compare(suite.name, direct, through)
    print(f"  passed: {result.direct} directly, {result.through} through the firewall")
    reasons = known(suite.name)
    if result.known:
        print(f"  known differences: {len(result.known)} tests, {len(reasons)} patterns (differences.yaml)")
    for name in result.lost:
        print(f"  LOST {name}")
    # A suite of which nothing passes was not run at all.
    return bool(result.direct) and not result.lost


def _outcomes(suite: Suite, way: str) -> Outcomes:
    """On a new server each, so that no run meets what another left."""
    folder = RESULTS / suite.name / way
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "run").mkdir(parents=True)
    started = time.monotonic()
    with server() as postgres:
        suite.prepare(as_postgres(postgres))
        if way == "direct":
            outcomes = suite.run(Target(way, postgres.host, postgres.port), folder / "run")
        else:
            with firewall(postgres, suite.databases, folder / "firewall") as before:
                outcomes = suite.run(Target(way, before.host, before.port), folder / "run")
    print(f"{suite.name} ({way}): {len(outcomes)} tests in {time.monotonic() - started:.0f} s", flush=True)
    return outcomes


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main())
