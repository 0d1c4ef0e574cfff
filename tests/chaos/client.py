"""A process of sessions that can be killed: `python -m tests.chaos.client DSN SEED SESSIONS`, until SIGTERM.

It writes JSON lines to standard output: every mistake at once, and in the end what was done how often.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.chaos.load import HANG_SECONDS, Load

ROOT = Path(__file__).parents[2]


def say(kind: str, what: object) -> None:
    """One line to whoever started us, whole even if we are killed next."""
    os.write(1, json.dumps([kind, what]).encode() + b"\n")


async def work(dsn: str, seed: int, sessions: int) -> None:
    """The load, until SIGTERM."""
    load = Load(dsn, seed, say)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop.set)
    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(load.session(number))
    say("done", load.done)


class Clients:
    """Client processes, each with a number of its own; `done`, `wrong`, `hung`: as their loads say."""

    def __init__(self, dsns: list[str], sessions: int, seed: int, folder: Path) -> None:
        self._dsns = dsns
        self._sessions = sessions
        self._number = seed * 1_000_000
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.hung: list[str] = []

    def start(self) -> None:
        """One process for each DSN."""
        self._folder.mkdir()
        self._running = [self._launch(dsn) for dsn in self._dsns]

    def _launch(self, dsn: str) -> subprocess.Popen[bytes]:
        self._number += 1
        command = [sys.executable, "-m", "tests.chaos.client", dsn, str(self._number), str(self._sessions)]
        with (self._folder / f"{self._number}.jsonl").open("wb") as output:
            return subprocess.Popen(command, cwd=ROOT, stdout=output, stdin=subprocess.DEVNULL)

    def kill(self, source: random.Random) -> None:
        """SIGKILL one of them, and start another in its place."""
        slot = source.randrange(len(self._running))
        self._expect_alive(self._running[slot])
        self._running[slot].kill()
        self._running[slot].wait()
        self._running[slot] = self._launch(self._dsns[slot])

    def _expect_alive(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            self.wrong.append(f"a process ended by itself with {process.returncode}")

    def pause(self, source: random.Random, *, go_on: int | None = None) -> int:
        """SIGSTOP one of them, or let the one that is paused (its process id) go on; the process id."""
        pid = source.choice(self._running).pid if go_on is None else go_on
        os.kill(pid, signal.SIGSTOP if go_on is None else signal.SIGCONT)
        return pid

    def stop(self) -> None:
        """End all of them in an orderly way, and collect what they and those before them have said."""
        for process in self._running:
            self._expect_alive(process)
            process.terminate()
        for process in self._running:
            try:
                process.wait(3 * HANG_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.hung.append("a whole process")
        for file in self._folder.glob("*.jsonl"):
            for line in file.read_text().splitlines():
                kind, what = json.loads(line)
                if kind == "done":
                    self.done.update(what)
                else:
                    (self.wrong if kind == "wrong" else self.hung).append(what)


if __name__ == "__main__":
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of what is broken here on purpose
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
