"""What goes wrong, at random: each fault is over within about a second."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

import psycopg

from tests.chaos.client import Clients
from tests.chaos.relay import Relay
from tests.chaos.world import descriptors, resident
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

Fault = Callable[[], Awaitable[None]]

READ_ONLY, WRITABLE = 0o500, 0o700


class Chaos:
    """`done`: how often which fault. `sizes`: (descriptors, resident bytes) of the firewall now and then.

    `firewall_dies`: whether the firewall itself is among what is killed; where not, its growth can be told.
    """

    def __init__(
        self,
        postgres: Postgres,
        firewall: Firewall,
        near: Relay,
        far: Relay,
        clients: Clients,
        seed: int,
        *,
        firewall_dies: bool,
    ) -> None:
        self._postgres = postgres
        self._firewall = firewall
        self._near = near
        self._far = far
        self._clients = clients
        self._source = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.sizes: list[tuple[int, int]] = []
        self._faults: list[Fault] = [
            *[self._drop_agent, self._drop_server] * 6, *[self._kill_client, self._end_backend] * 3,
            self._pause_client, self._stall_agent, self._stall_server, self._slow, self._pause_firewall,
            self._pause_backend, self._fill_disk, self._forbid_writing,
        ]  # fmt: skip
        self._rare: list[Fault] = [self._kill_backend]
        if firewall_dies:
            self._rare += [self._kill_firewall, self._restart_firewall]

    async def run(self, seconds: float) -> None:
        """Go on for so long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            fault = self._source.choice(self._rare if self._source.random() < 0.03 else self._faults)
            self.done[fault.__name__.strip("_")] += 1
            await fault()
            await asyncio.sleep(self._source.random() * 0.1)
            if sum(self.done.values()) % 20 == 0:
                self.measure()

    def measure(self) -> tuple[int, int]:
        """The firewall's open descriptors and resident bytes, as of now."""
        self.sizes.append((descriptors(self._pid), resident(self._pid)))
        return self.sizes[-1]

    @property
    def _pid(self) -> int:
        assert self._firewall.process is not None
        return self._firewall.process.pid

    async def _moment(self) -> None:
        await asyncio.sleep(self._source.random() * 0.4)

    # -- the network --------------------------------------------------------------------------------------------

    async def _drop_agent(self) -> None:
        self._near.drop(self._source)

    async def _drop_server(self) -> None:
        self._far.drop(self._source)

    async def _stall_agent(self) -> None:
        await self._near.stall(self._source.random() * 0.4)

    async def _stall_server(self) -> None:
        await self._far.stall(self._source.random() * 0.4)

    async def _slow(self) -> None:
        await self._far.slow(self._source.random() * 0.4)

    # -- processes ----------------------------------------------------------------------------------------------

    async def _kill_client(self) -> None:
        """SIGKILL, with all of its sessions."""
        await asyncio.to_thread(self._clients.kill, self._source)

    async def _pause_client(self) -> None:
        pid = self._clients.pause(self._source)
        await self._moment()
        self._clients.pause(self._source, go_on=pid)

    async def _pause_firewall(self) -> None:
        await self._pause(self._pid)

    async def _kill_firewall(self) -> None:
        """SIGKILL, and a new one on the same state."""
        self._firewall.kill()
        await asyncio.to_thread(self._firewall.start)

    async def _restart_firewall(self) -> None:
        """SIGTERM, and a new one when it has drained."""
        assert await asyncio.to_thread(self._firewall.stop) == 0
        await asyncio.to_thread(self._firewall.start)

    async def _end_backend(self) -> None:
        if (pid := await self._backend()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    async def _pause_backend(self) -> None:
        if (pid := await self._backend()) is not None:
            await self._pause(pid)

    async def _kill_backend(self) -> None:
        """SIGKILL: the server then ends all its backends and recovers."""
        if (pid := await self._backend()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _pause(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            await self._moment()
            os.kill(pid, signal.SIGCONT)

    async def _backend(self) -> int | None:
        """The process id of an agent's backend, if there is one and the server can be asked."""
        query = "SELECT pid FROM pg_stat_activity WHERE usename = 'chaos_agent' ORDER BY random() LIMIT 1"
        try:
            rows = await asyncio.to_thread(self._postgres.sql, query)
        except psycopg.Error:
            return None
        return int(rows[0][0]) if rows else None

    # -- the disk -----------------------------------------------------------------------------------------------

    async def _fill_disk(self) -> None:
        """The kernel takes no more bytes of the record than it has."""
        full = (self._firewall.state / "audit.jsonl").stat().st_size
        prlimit(self._pid, RLIMIT_FSIZE, (full, RLIM_INFINITY))
        await self._moment()
        prlimit(self._pid, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))

    async def _forbid_writing(self) -> None:
        """No file can be made in the state folder or renamed: the record can't be rotated."""
        self._firewall.state.chmod(READ_ONLY)
        await self._moment()
        self._firewall.state.chmod(WRITABLE)
