"""`serve` on a real loop and real sockets, with a server behind it that a test plays."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import uvloop

from dbfirewall.catalog.types import Catalog
from dbfirewall.policy.verifier import make_verifier
from dbfirewall.proxy import catalogs
from dbfirewall.proxy.firewall import Firewall
from dbfirewall.proxy.server import serve
from dbfirewall.settings import LimitSettings, Settings, Tls
from dbfirewall.wire import authentication as a
from dbfirewall.wire import messages as m
from tests.proxy.certificates import Certificate
from tests.proxy.fake_server import FakeServer
from tests.proxy.notation import server_bytes
from tests.proxy.stage import RULES
from tests.support.raw import Message, RawClient

PASSWORD = "open sesame"
REPORTED = ("S server_encoding=UTF8", "S client_encoding=UTF8", "S standard_conforming_strings=on",
            "S default_transaction_read_only=on", "S search_path=public")  # fmt: skip
KEY = b"K\0\0\0\x0c\0\0\0\x2aKEY!"


@cache
def verifier() -> str:
    """Of PASSWORD; made once, it takes a while."""
    return make_verifier(PASSWORD)


class Backend:
    """A Postgres on a free port as far as its protocol goes. What it says at startup is up to the test.

    `hello`: sent after the startup packet, None: nothing. `encryption`: the answer to SSLRequest; with a
    `certificate` TLS follows an `S`.
    """

    def __init__(
        self,
        *,
        hello: bytes | None = None,
        encryption: bytes = b"N",
        certificate: Certificate | None = None,
        direct: bool = False,
    ) -> None:
        ok = a.encode_authentication(a.AuthenticationOk())
        self.hello = (
            ok + server_bytes(*REPORTED, "N welcome") + KEY + server_bytes("Z I") if hello is None else hello
        )
        self.encryption = encryption
        self.context = certificate.server_context() if certificate is not None else None
        self._direct = direct
        self.startups: list[dict[str, str]] = []
        self.cancels: list[bytes] = []
        self.ran: list[str] = []
        self.open = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        context = self.context if self._direct else None
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self._server.close()
        for writer in self.writers:
            writer.close()
        while self.open:  # noqa: ASYNC110  it is no event
            await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.writers.append(writer)
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # they may leave as they like
        finally:
            self.open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await self._packet(reader)
        if packet[:4] == m.SSL_REQUEST_MESSAGE[4:]:
            writer.write(self.encryption)
            if self.encryption[:1] == b"S" and self.context is not None:
                await writer.start_tls(self.context)
            packet = await self._packet(reader)
        if packet[:4] == m.CANCEL_REQUEST_CODE.to_bytes(4, "big"):
            self.cancels.append(packet[4:])
            return
        words = packet[4:].decode().split("\0")
        self.startups.append(dict(zip(words[::2], words[1::2], strict=False)))
        writer.write(self.hello)
        server = FakeServer(lambda message, _text: self.ran.append(message))
        while not server.closed:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            writer.write(server.take(head[0], body))

    async def _packet(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)


class Running:
    """`serve` on uvloop, as the command line runs it, with an admin listener that only waits."""

    def __init__(
        self, folder: Path, *, rules: str = RULES, role: str = "writer", tls: Tls | None = None, **limits: Any
    ) -> None:
        self.rules = folder / "rules.yaml"
        self._text = rules.replace("VERIFIER", verifier()).replace("ROLE", role)
        self.rules.write_text(self._text)
        self.settings = Settings(state=folder, limits=LimitSettings(**limits), tls=tls)
        self.firewall: Firewall | None = None
        self.address = ("", 0)

    def behind(self, port: int) -> None:
        """The database is at this port."""
        self.rules.write_text(self._text.replace("127.0.0.1:1/", f"127.0.0.1:{port}/"))

    def play(self, work: Callable[[Running], Awaitable[None]], backend: Backend | None = None) -> int:
        """Run `work` beside it, and end it by SIGTERM; the exit status."""

        async def main() -> int:
            ready = asyncio.Event()

            async def admin(firewall: Firewall, stop: asyncio.Event) -> None:
                self.firewall = firewall
                ready.set()
                await stop.wait()

            async def play() -> None:
                await ready.wait()
                try:
                    await work(self)
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)

            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                self.address = listener.getsockname()
                async with asyncio.timeout(30):
                    if backend is None:
                        status, _ = await asyncio.gather(
                            serve(self.settings, self.rules, listener, admin), play()
                        )
                        return status
                    async with backend:
                        self.behind(backend.port)
                        status, _ = await asyncio.gather(
                            serve(self.settings, self.rules, listener, admin), play()
                        )
            return status

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())

    async def talk(self, data: bytes = b"") -> bytes:
        """All that comes back to `data` on a connection of its own."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return answer

    def client(self) -> RawClient:
        """A connection of an agent's."""
        return RawClient(*self.address, seconds=5)

    async def log_in(self, client: RawClient, password: str = PASSWORD, **parameters: str) -> list[Message]:
        """The messages up to ReadyForQuery or an error."""
        return await asyncio.to_thread(client.log_in, "bot", password, **parameters)


def no_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every database has an empty catalog: the server behind is no real one."""

    class Nothing:
        async def close(self, timeout: float) -> None:  # noqa: ASYNC109  as asyncpg has it
            """There is nothing to close."""

    async def connect(*_arguments: object) -> Nothing:
        return Nothing()

    async def fingerprint(_connection: Nothing) -> str:
        return "one"

    async def load(_connection: Nothing, version: int) -> Catalog:
        return Catalog(version=version, server_version=180000, complete=True)

    monkeypatch.setattr(catalogs, "connect_asyncpg", connect)
    monkeypatch.setattr(catalogs, "demand_no_pooler", fingerprint)
    monkeypatch.setattr(catalogs, "catalog_fingerprint", fingerprint)
    monkeypatch.setattr(catalogs, "load_catalog", load)
