"""Where the suites come from: source distributions from PyPI, packages from npm and Debian. Kept in `.suites/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".suites"


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command; RuntimeError with its output if it fails."""
    done = subprocess.run([*map(str, command)], cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )


def sdist(name: str, version: str) -> Path:
    """The unpacked source distribution of a PyPI package."""
    folder = CACHE / f"{name}-{version}"
    if folder.exists():
        return folder
    downloads = CACHE / "downloads"
    run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "-d", downloads,
        f"{name}=={version}")  # fmt: skip
    with tarfile.open(next(downloads.glob(f"{name}-{version}.tar.gz"))) as archive:
        archive.extractall(CACHE / "new", filter="data")
    (CACHE / "new" / f"{name}-{version}").rename(folder)
    return folder


def python(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of a virtual environment of these packages, apart from ours."""
    folder = CACHE / f"venv-{name}"
    done = folder / ".packages"
    wanted = "\n".join(packages)
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages)
        done.write_text(wanted)
    return folder / "bin" / "python"


def npm(packages: Sequence[str]) -> Path:
    """A folder with `node_modules` that holds these packages."""
    need("npm", "npm", "nodejs")
    folder = CACHE / "npm"
    done = folder / ".packages"
    wanted = "\n".join(packages)
    if not done.exists() or done.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *packages)
        done.write_text(wanted)
    return folder


def need(program: str, *debian: str) -> str:
    """The path of a program; from these Debian packages where it is missing and we may install them."""
    found = shutil.which(program)
    if found is None:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *debian)
        found = shutil.which(program)
    if found is None:
        raise RuntimeError(f"{program} is missing: install {' '.join(debian)}")
    return found
