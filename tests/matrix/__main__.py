"""`make matrix`: the end-to-end tests on each major version, then what needs TLS servers, then pgbouncer."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.support import npm

HERE = Path(__file__).parent


def main() -> int:
    """Run everything, also after a failure; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__)
    parser.add_argument("--majors", nargs="*", type=int, default=sorted(npm.VERSIONS))
    options = parser.parse_args()
    runs: list[tuple[str, list[str]]] = [
        (f"npm:{major}", ["tests/e2e", "tests/integration"]) for major in options.majors
    ]
    runs.append(("embedded", [str(HERE / "tls.py"), str(HERE / "pgbouncer.py")]))
    results = {}
    for server, tests in runs:
        print(f"--- {server}: {' '.join(tests)}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", *tests]
        environment = {**os.environ, "DBFIREWALL_TEST_PG": server}
        results[server, tuple(tests)] = subprocess.run(command, env=environment, check=False).returncode
    for (server, what), code in results.items():
        print(f"{'ok' if code == 0 else 'FAILED':8}{server:12}{' '.join(what)}")
    return int(any(results.values()))


if __name__ == "__main__":
    sys.exit(main())
