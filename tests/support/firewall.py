"""A firewall as a subprocess: `dbfirewall serve` on free ports, with its state in one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 15.0
LOG_TAIL = 8000


class Firewall:
    """One `dbfirewall serve`, from `start()` to `stop()` or `kill()`."""

    def __init__(
        self,
        rules: str | Path,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        program: Sequence[str] = ("-m", "dbfirewall"),
        port: int | None = None,
        admin_port: int | None = None,
    ) -> None:
        """`rules`: a rules file's text, or its path. `folder`: empty; rules, state and log go there.

        `program`: what Python runs.
        """
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.admin_port = admin_port or free_port()
        self.admin_url = f"http://{self.host}:{self.admin_port}"
        self.folder = folder
        self.state = folder / "state"
        self.log = folder / "stderr.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = arguments
        self._program = program
        self.environment = {
            **os.environ,
            "DBFIREWALL_LISTEN": f"{self.host}:{self.port}",
            "DBFIREWALL_ADMIN": f"{self.host}:{self.admin_port}",
            "DBFIREWALL_STATE": str(self.state),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self.rules = rules if isinstance(rules, Path) else self._write(rules)

    def _write(self, text: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "rules.yaml"
        path.write_text(text)
        return path

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for it (for rules that it must refuse)."""
        self.state.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *self._program, "serve", "--rules", str(self.rules), *self._arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self.process

    def start(self) -> Self:
        """Start, and wait until /readyz answers 200; RuntimeError with the log if that never happens."""
        process = self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"not ready (exit code {process.returncode}):\n{self.errors()}")
            time.sleep(0.05)
        return self

    def stop(self) -> int:
        """End it by SIGTERM, as a service manager does; its exit code. Lingering is an error."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"dbfirewall did not stop on SIGTERM:\n{self.errors()}") from None

    def kill(self) -> None:
        """SIGKILL, as a crash would end it."""
        process = self._running()
        process.kill()
        process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running().poll() is None:
            self.stop()

    def dsn(self, agent: str, password: str, database: str, **options: str) -> str:
        """The URL that an agent gets; `options` become query parameters."""
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        secret = f"{quote(agent, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{secret}@{self.host}:{self.port}/{database}" + (f"?{query}" if query else "")

    def audit(self) -> list[dict[str, Any]]:
        """Every audit record so far, oldest first."""
        files = sorted(self.state.rglob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def audit_until(self, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The audit records, once `holds` is true of them: outcomes come after the client's answer."""
        deadline = time.monotonic() + STOP_SECONDS
        while not holds(records := self.audit()):
            if time.monotonic() > deadline:
                raise AssertionError(f"the audit never got there: {records}")
            time.sleep(0.02)
        return records

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET on the admin listener."""
        try:
            with urllib.request.urlopen(self.admin_url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `dbfirewall …` command in this firewall's environment; nothing is checked."""
        command = [sys.executable, "-m", "dbfirewall", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, check=False, capture_output=True, text=True, timeout=60
        )

    def errors(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else ""

    def _ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError("the firewall was never started")
        return self.process
