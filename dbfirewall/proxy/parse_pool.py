"""Worker processes for long parses, each with a deadline: too late, crashed or garbled means refused."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping

from dbfirewall.proxy.parse_worker import LENGTH, decode_reading
from dbfirewall.sql.facts import Refusal
from dbfirewall.sql.reading import Reading

log = logging.getLogger(__name__)

WORKERS = 2
MAX_ANSWER = 256 * 1024 * 1024
"""Security limit: bytes of one answer."""

START_SECONDS = 30.0
"""What a new worker may take to load the parsers, on top of its first deadline."""


_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "TZ", "HOME", "TMPDIR", "VIRTUAL_ENV")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker gets to know of ours: what Python needs, and none of the passwords that may stand there."""
    return {
        name: value
        for name, value in environment.items()
        if name in _INHERITED or name.startswith(("LC_", "PYTHON"))
    }


class ParsePool:
    """Up to WORKERS processes, started when first needed. `deadline`: seconds for one text."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        for _ in range(WORKERS):
            self._free.put_nowait(_Worker())

    async def read(self, sql: bytes) -> Reading:
        """The reading of `sql`; a refusal where no worker could give one in time. Never raises but on cancel."""
        worker = await self._free.get()
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker.ensure_running()
            async with asyncio.timeout(self._deadline):
                return await worker.read(sql)
        except TimeoutError:
            worker.kill()
            return _refused("timeout", "The statement takes too long to analyse; make it simpler or shorter.")
        except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError) as error:
            log.warning("parse worker failed: %s", type(error).__name__)
            worker.kill()
            return _refused(
                "parser-failure", "The statement could not be analysed; make it simpler or shorter."
            )
        except asyncio.CancelledError:
            worker.kill()
            raise
        finally:
            self._free.put_nowait(worker)

    def close(self) -> None:
        """End the workers."""
        while not self._free.empty():
            self._free.get_nowait().kill()


def _refused(code: str, reason: str) -> Reading:
    return Reading(refusal=Refusal(code, reason, allowable=True))


class _Worker:
    """One process, started again after each kill."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def ensure_running(self) -> None:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dbfirewall.proxy.parse_worker",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
                env=worker_environment(os.environ),
            )  # fmt: skip
            await self.read(b"SELECT 1")

    async def read(self, sql: bytes) -> Reading:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(LENGTH.pack(len(sql)) + sql)
        await process.stdin.drain()
        size = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
        if size > MAX_ANSWER:
            raise ValueError("answer too long")
        data = await process.stdout.readexactly(size)
        return await asyncio.to_thread(decode_reading, data)

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        self._process = None
