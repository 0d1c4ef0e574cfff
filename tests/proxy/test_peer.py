"""One end of a session: cold reading, TLS, flow control and closing, on real sockets where those matter."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import pytest
import uvloop

from dbfirewall.errors import ProtocolError
from dbfirewall.proxy import peer as peer_module
from dbfirewall.proxy.peer import COLD_BUFFER_LIMIT, WRITE_HIGH_WATER, Peer
from dbfirewall.proxy.tls import agent_context, upstream_context
from tests.proxy.certificates import Certificate, make_certificate
from tests.proxy.stage import FakeTransport

Run = Callable[[Coroutine[Any, Any, None]], None]
TIMEOUT = 20.0


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on each of the two loops, with a time limit."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(work, TIMEOUT))

    return run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


class Listener:
    """A server on a free port (or at a path) whose connections are peers. None of them outlives it."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._peers: list[Peer] = []
        self.accepted: asyncio.Queue[Peer] = asyncio.Queue()

    def _peer(self) -> Peer:
        self._peers.append(Peer(self.accepted.put_nowait))
        return self._peers[-1]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            self._server = await loop.create_unix_server(self._peer, self._path)
        else:
            self._server = await loop.create_server(self._peer, "127.0.0.1", 0)
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self._server.close()
        for peer in self._peers:
            peer.abort()
        await until(lambda: all(peer.lost for peer in self._peers))

    async def plain(self) -> tuple[socket.socket, Peer]:
        """A connected socket that nobody reads, and its peer."""
        client = socket.create_connection(self.address)
        client.setblocking(False)
        return client, await self.accepted.get()

    async def connect(self) -> tuple[Peer, Peer]:
        """Two connected peers, the client's and the server's."""
        loop = asyncio.get_running_loop()
        if self._path is not None:
            _, client = await loop.create_unix_connection(Peer, str(self._path))
        else:
            _, client = await loop.create_connection(Peer, *self.address)
        self._peers.append(client)
        return client, await self.accepted.get()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it does."""
    while not holds():  # noqa: ASYNC110  what is waited for are plain attributes of others
        await asyncio.sleep(0.001)


async def leaves(client: socket.socket) -> bytes:
    """All that still arrives, up to the end of the connection."""
    loop = asyncio.get_running_loop()
    found = b""
    while True:
        try:
            data = await loop.sock_recv(client, 65536)
        except ConnectionResetError:
            return found
        if not data:
            return found
        found += data


def cold(transport: FakeTransport | None = None) -> tuple[Peer, FakeTransport]:
    """A peer on a transport that only records."""
    transport = transport or FakeTransport("peer")
    peer = Peer()
    peer.connection_made(transport)
    return peer, transport


# -- cold -----------------------------------------------------------------------------------------------------


def test_a_cold_peer_keeps_what_arrives_until_it_is_read() -> None:
    """`first_byte` looks, `read_exactly` takes so many, `read_some` takes the rest."""

    async def work() -> None:
        peer, _ = cold()
        asyncio.get_running_loop().call_soon(peer.data_received, b"abc")
        assert await peer.first_byte() == ord("a")
        assert await peer.read_exactly(2) == b"ab"
        assert await peer.read_some() == b"c"
        asyncio.get_running_loop().call_soon(peer.data_received, b"d")
        asyncio.get_running_loop().call_soon(peer.data_received, b"e")
        assert await peer.read_exactly(2) == b"de"

    asyncio.run(work())


@pytest.mark.parametrize("end", ["lost", "closed", "aborted"])
def test_reading_from_a_peer_that_is_gone_is_a_lost_connection(end: str) -> None:
    """Whoever waits for more is woken with ConnectionResetError."""

    async def work() -> None:
        peer, _ = cold()
        if end == "closed":
            peer.close()
        elif end == "aborted":
            peer.abort()
        else:
            asyncio.get_running_loop().call_soon(peer.connection_lost, None)
        with pytest.raises(ConnectionResetError):
            await peer.read_some()

    asyncio.run(work())


def test_a_cold_peer_that_sends_too_much_is_paused_until_it_is_read() -> None:
    """Not more than the limit (and one chunk) waits in memory before a login is complete."""

    async def work() -> None:
        peer, transport = cold()
        peer.data_received(b"x" * COLD_BUFFER_LIMIT)
        assert transport.is_reading()
        peer.data_received(b"x")
        assert not transport.is_reading()
        await peer.read_some()
        reader = asyncio.ensure_future(peer.read_some())  # noqa: TID251  only here, and awaited
        await asyncio.sleep(0)
        assert transport.is_reading()
        peer.data_received(b"y")
        assert await reader == b"y"

    asyncio.run(work())


def test_going_hot_hands_over_what_had_arrived() -> None:
    """First what was read and not used, then what was not read; reading goes on."""
    peer, transport = cold()
    peer.data_received(b"b" * (COLD_BUFFER_LIMIT + 1))
    got: list[bytes] = []
    peer.go_hot(got.append, b"a")
    assert transport.is_reading()
    peer.data_received(b"c")
    assert got == [b"a" + b"b" * (COLD_BUFFER_LIMIT + 1), b"c"]


def test_a_receiver_that_pauses_at_once_stays_paused() -> None:
    """Going hot does not undo a pause that the first bytes caused: what follows would pile up unread."""
    peer, transport = cold()
    peer.data_received(b"x" * (COLD_BUFFER_LIMIT + 1))
    peer.go_hot(lambda _data: peer.pause())
    assert not transport.is_reading()


def test_going_hot_with_nothing_calls_nobody() -> None:
    """An empty chunk is no chunk."""
    peer, _ = cold()
    got: list[bytes] = []
    peer.go_hot(got.append)
    assert got == []


# -- closing --------------------------------------------------------------------------------------------------


def test_a_closed_peer_is_deaf_and_mute() -> None:
    """After the last words nothing is sent, and what arrives reaches nobody."""
    peer, transport = cold()
    got: list[bytes] = []
    peer.go_hot(got.append)
    peer.close(b"bye")
    peer.send(b"more")
    peer.close(b"again")
    peer.data_received(b"late")
    assert (bytes(transport.sent), transport.closed, transport.aborted, got) == (b"bye", True, False, [])


def test_a_lost_peer_is_reported_once_and_takes_no_more() -> None:
    """`on_lost` gets the reason; sending, closing and aborting are safe afterwards."""
    peer, transport = cold()
    reasons: list[Exception | None] = []
    peer.on_lost = reasons.append
    error = ConnectionResetError()
    peer.connection_lost(error)
    peer.send(b"x")
    peer.close(b"x")
    peer.abort()
    peer.pause()
    assert (reasons, peer.queued(), bytes(transport.sent), transport.closed) == ([error], 0, b"", False)
    assert transport.is_reading()


def test_a_half_closed_peer_is_closed() -> None:
    """`eof_received` lets the transport close itself."""
    assert Peer().eof_received() is False


def test_a_peer_that_does_not_read_is_dropped_after_its_last_words(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits for what is queued, but not for ever: else such peers would pile up."""
    monkeypatch.setattr(peer_module, "LINGER_SECONDS", 0.05)

    async def work() -> None:
        async with Listener() as listener:
            client, peer = await listener.plain()
            lost = asyncio.Event()
            peer.on_lost = lambda _error: lost.set()
            peer.send(b"x" * 50_000_000)
            assert peer.queued() > 0
            peer.close(b"last")
            assert not peer.lost
            await lost.wait()
            client.close()

    run(work())


def test_a_peer_that_reads_gets_its_last_words(run: Run) -> None:
    """All that was queued arrives before the end of the connection, and no timer stays behind."""

    async def work() -> None:
        async with Listener() as listener:
            client, peer = await listener.plain()
            peer.send(b"x" * 10_000_000)
            peer.close(b"last")
            found = await leaves(client)
            assert (len(found), found[-4:]) == (10_000_004, b"last")
            await until(lambda: peer.lost)
            assert peer._linger is None or peer._linger.cancelled()
            client.close()

    run(work())


def test_vanished_machines_are_noticed(run: Run) -> None:
    """TCP keepalive is on at both ends."""

    async def work() -> None:
        async with Listener() as listener:
            for peer in await listener.connect():
                sock = peer.transport.get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60

    run(work())


def test_a_unix_socket_needs_no_keepalive(run: Run, tmp_path: Path) -> None:
    """Its two ends are on one machine; the options would be refused."""

    async def work() -> None:
        async with Listener(tmp_path / "s") as listener:
            client, server = await listener.connect()
            client.send(b"x")
            assert await server.read_exactly(1) == b"x"

    run(work())


# -- flow control ---------------------------------------------------------------------------------------------


def test_a_slow_reader_pauses_the_other_side(run: Run) -> None:
    """Nothing is read from one end while the other does not take it; memory stays within the high water mark."""

    async def work() -> None:
        async with Listener() as listener:
            slow, towards_slow = await listener.plain()
            fast, from_fast = await listener.plain()
            from_fast.pair(towards_slow)
            towards_slow.pair(from_fast)
            towards_slow.go_hot(from_fast.send)
            from_fast.go_hot(towards_slow.send)
            block, sent, most = bytes(65536), 0, 0
            while True:
                try:
                    sent += fast.send(block)
                except BlockingIOError:
                    break
                most = max(most, towards_slow.queued())
                await asyncio.sleep(0)
            # What the kernel holds on both ways, and not a byte more: the sender was blocked.
            for _ in range(50):
                await asyncio.sleep(0.001)
                most = max(most, towards_slow.queued())
            assert WRITE_HIGH_WATER < most < WRITE_HIGH_WATER + 1_000_000
            fast.close()
            loop, got = asyncio.get_running_loop(), 0
            while got < sent:
                got += len(await loop.sock_recv(slow, 1_000_000))
            assert got == sent
            slow.close()

    run(work())


def test_a_pause_lasts_until_every_reason_is_gone() -> None:
    """The other end's full buffer and a held statement are two reasons; reading waits for both."""
    peer, transport = cold()
    other, _ = cold()
    other.pair(peer)
    other.pause_writing()
    peer.pause()
    other.resume_writing()
    assert not transport.is_reading()
    other.pause_writing()
    peer.resume()
    assert not transport.is_reading()
    other.resume_writing()
    assert transport.is_reading()


def test_a_lost_peer_lets_the_other_one_read_again() -> None:
    """Its full buffer is gone with it."""
    peer, transport = cold()
    other, _ = cold()
    other.pair(peer)
    other.pause_writing()
    other.connection_lost(None)
    assert transport.is_reading()


def test_a_peer_without_a_pair_may_fill_and_drain() -> None:
    """During the login there is nobody to be paused."""
    peer, transport = cold()
    peer.pause_writing()
    peer.resume_writing()
    assert transport.is_reading()


# -- TLS ------------------------------------------------------------------------------------------------------


async def encrypted(listener: Listener, certificate: Certificate) -> tuple[Peer, Peer]:
    """A client and a server peer that have shaken hands."""
    client, server = await listener.connect()
    server_context = agent_context(certificate.cert, certificate.key)
    await asyncio.gather(
        server.start_tls(server_context, server_side=True),
        client.start_tls(upstream_context("require", None), server_side=False, hostname="localhost"),
    )
    return client, server


def echo(peer: Peer) -> None:
    peer.go_hot(peer.send)


def test_tls_carries_bytes_both_ways(run: Run, certificate: Certificate) -> None:
    """Large and small, cut wherever the network likes; the client sees the server's certificate."""

    async def work() -> None:
        async with Listener() as listener:
            client, server = await encrypted(listener, certificate)
            assert client.tls is not None
            assert client.tls.object.getpeercert(binary_form=True) == certificate.der
            assert client.tls.object.selected_alpn_protocol() == "postgresql"
            echo(server)
            data = bytes(range(256)) * 4000
            client.send(data)
            assert await client.read_exactly(len(data)) == data
            client.send(b"x")
            assert await client.read_exactly(1) == b"x"

    run(work())


def test_an_end_of_tls_is_an_end_of_the_connection(run: Run, certificate: Certificate) -> None:
    """close_notify without a FIN does not leave a connection behind that can never send again."""

    async def work() -> None:
        async with Listener() as listener:
            client, server = await encrypted(listener, certificate)
            got: list[bytes] = []
            server.go_hot(got.append)
            assert client.tls is not None
            client.transport.write(client.tls.send(b"bye") + client.tls.close_notify())
            await until(lambda: server.lost)
            assert got == [b"bye"]

    run(work())


def test_garbage_in_a_handshake_ends_the_connection(run: Run, certificate: Certificate) -> None:
    """Whoever waits for the handshake is told, and the socket is closed."""

    async def work() -> None:
        async with Listener() as listener:
            client, server = await listener.plain()
            asyncio.get_running_loop().call_soon(client.send, b"\x16nonsense" * 10)
            with pytest.raises(ConnectionResetError):
                await server.start_tls(agent_context(certificate.cert, certificate.key), server_side=True)
            await leaves(client)
            client.close()

    run(work())


def test_garbage_instead_of_a_handshake_is_refused(certificate: Certificate) -> None:
    """Where it is there already (direct TLS), as a ProtocolError without details."""

    async def work() -> None:
        peer, _ = cold()
        peer.data_received(b"\x16nonsense" * 10)
        context = agent_context(certificate.cert, certificate.key)
        with pytest.raises(ProtocolError, match="TLS handshake failed"):
            await peer.start_tls(context, server_side=True, take_buffered=True)

    asyncio.run(work())


def test_plaintext_glued_to_a_tls_request_is_refused(certificate: Certificate) -> None:
    """What came before TLS must not be read as if it had come through it (CVE-2021-23214)."""

    async def work() -> None:
        peer, _ = cold()
        peer.data_received(b"SELECT 1")
        with pytest.raises(ProtocolError, match="unencrypted"):
            await peer.start_tls(agent_context(certificate.cert, certificate.key), server_side=True)

    asyncio.run(work())


def test_closing_in_the_middle_of_a_handshake_closes(run: Run, certificate: Certificate) -> None:
    """Last words have no way to be said then, and must neither leak as plaintext nor keep the socket open."""

    async def work() -> None:
        async with Listener() as listener:
            client, server = await listener.plain()
            context = agent_context(certificate.cert, certificate.key)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.start_tls(context, server_side=True), 0.01)
            server.close(b"too late")
            assert await leaves(client) == b""
            await until(lambda: server.lost)
            client.close()

    run(work())


def test_a_record_that_was_tampered_with_ends_the_connection(run: Run, certificate: Certificate) -> None:
    """Nothing of it reaches the receiver."""

    async def work() -> None:
        async with Listener() as listener:
            client, server = await encrypted(listener, certificate)
            got: list[bytes] = []
            server.go_hot(got.append)
            assert client.tls is not None
            record = bytearray(client.tls.send(b"hello"))
            record[-1] ^= 1
            client.transport.write(bytes(record))
            await until(lambda: server.lost)
            assert got == []

    run(work())


def test_what_tls_says_after_the_end_is_not_sent(run: Run, certificate: Certificate) -> None:
    """A peer that we have closed may still send: TLS's own answers are dropped with everything else."""

    async def work() -> None:
        async with Listener() as listener:
            client, server = await encrypted(listener, certificate)
            server.close()
            client.send(b"late")
            await until(lambda: server.lost and client.lost)

    run(work())


def test_a_broken_tls_state_drops_the_peer() -> None:
    """Where OpenSSL cannot encrypt any more, the peer is dropped: no plaintext, no exception in a callback."""
    peer, transport = cold()

    class Broken:
        established = True
        ended = False

        def send(self, _data: bytes) -> bytes:
            raise ssl.SSLError("broken")

    peer.tls = Broken()  # type: ignore[assignment]
    peer.send(b"secret")
    assert (transport.aborted, bytes(transport.sent)) == (True, b"")


def test_a_server_that_proves_another_name_is_refused(run: Run, certificate: Certificate) -> None:
    """verify-full: the certificate must be signed by the root and be for that host."""

    async def work() -> None:
        async with Listener() as listener:
            for hostname, fits in (("127.0.0.1", True), ("localhost.invalid", False)):
                client, server = await listener.connect()
                context = upstream_context("verify-full", str(certificate.cert))
                shake: Awaitable[Any] = asyncio.gather(
                    server.start_tls(agent_context(certificate.cert, certificate.key), server_side=True),
                    client.start_tls(context, server_side=False, hostname=hostname),
                )
                if fits:
                    await shake
                else:
                    with pytest.raises(ConnectionResetError):
                        await shake
                    server.abort()

    run(work())
