"""A network that can fail: a TCP relay on loopback that stalls, slows and drops what goes through it."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Self


class Relay:
    """From a port of its own to `host:port`. `delay`: seconds before each piece goes on."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self.delay = 0.0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        self._flowing.set()
        for writer in self._open:
            writer.transport.abort()

    async def stall(self, seconds: float) -> None:
        """Nothing goes through for a while; connections stay."""
        self._flowing.clear()
        await asyncio.sleep(seconds)
        self._flowing.set()

    async def slow(self, seconds: float) -> None:
        """Each piece is late for a while."""
        self.delay = 0.02
        await asyncio.sleep(seconds)
        self.delay = 0.0

    def drop(self, source: random.Random) -> None:
        """Reset one connection, in one direction first."""
        if self._open:
            source.choice(sorted(self._open, key=id)).transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back_reader, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(back_reader, writer))
        self._open -= {writer, back}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        writer.close()
