"""The regression scripts, from Debian's source package of PostgreSQL 15 (`apt-get source`, needs no root)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(sys.prefix) / "postgresql-source"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHIVE = "http://deb.debian.org/debian"
SUITE = "bookworm"


def regress_folder() -> Path:
    """The folder with `sql/` and `data/`; fetched when it is not there. RuntimeError where that fails."""
    found = sorted(FOLDER.glob("postgresql-15*/src/test/regress"))
    if not found:
        _fetch()
        found = sorted(FOLDER.glob("postgresql-15*/src/test/regress"))
    if not found:
        raise RuntimeError(f"the source package has no src/test/regress: {FOLDER}")
    return found[0]


def _fetch() -> None:
    """With a deb-src list and apt folders of our own, so the machine's are left alone."""
    (FOLDER / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (FOLDER / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    sources = FOLDER / "sources.list"
    sources.write_text(f"deb-src [signed-by={KEYRING}] {ARCHIVE} {SUITE} main\n")
    options = [
        *("-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=/dev/null"),
        *("-o", f"Dir::State::lists={FOLDER / 'lists'}", "-o", f"Dir::Cache={FOLDER / 'cache'}"),
    ]
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "source", "--download-only", "postgresql-15")
    tarball = next(FOLDER.glob("postgresql-15_*.orig.tar.*"))
    _run("tar", "-xf", str(tarball), "--wildcards", "*/src/test/regress/sql/*", "*/src/test/regress/data/*")


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
