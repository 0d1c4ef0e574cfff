"""One end of a session: a transport, TLS over it where asked for, and the flow control between two of them.

Rules:
- Cold (startup, authentication): bytes wait in a bounded buffer and a coroutine reads messages from it.
- Hot (`go_hot`): every chunk goes straight to a receiver function; nothing is buffered here.
- When our write buffer is full, the *other* end stops reading (`pair`), so neither side can fill our memory.
- A lost peer is reported once, through `on_lost`. One that does not take our last words is dropped after a while.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from dbfirewall.errors import ProtocolError
from dbfirewall.proxy.tls import TlsPump, tls_refusal

COLD_BUFFER_LIMIT = 128 * 1024
"""Security limit: bytes held for a peer that is not authenticated yet."""

WRITE_HIGH_WATER = 512 * 1024
"""Bytes queued towards one peer before the other one is paused."""

LINGER_SECONDS = 5.0
"""Security limit: how long a closed peer may take to read what is still queued for it."""

KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A machine that vanished without a word is noticed after two minutes of silence."""


class Peer(asyncio.Protocol):
    """See the module's rules. `on_lost` gets the exception, or None for an orderly end."""

    def __init__(self, on_connected: Callable[[Peer], None] | None = None) -> None:
        self._on_connected = on_connected
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.tls: TlsPump | None = None
        self.lost = False
        self.on_lost: Callable[[Exception | None], None] | None = None
        self._receiver: Callable[[bytes], None] | None = None
        self._cold = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._pair: Peer | None = None
        self._paused_by_pair = False
        self._paused_by_us = False
        self._linger: asyncio.TimerHandle | None = None
        self.closing = False
        self._failure: Exception | None = None

    # -- asyncio callbacks ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; start whoever waits for it."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        _keep_alive(self.transport.get_extra_info("socket"))
        if self._on_connected is not None:
            self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Decrypt if needed, then hand over (hot) or keep (cold)."""
        tls = self.tls
        if tls is not None:
            try:
                data, reply = tls.receive(data)
            except ssl.SSLError as error:
                self.abort(tls_refusal(error))
                return
            if reply and not self.closing:
                self.transport.write(reply)
        if self._receiver is None:
            self._cold += data
            if len(self._cold) > COLD_BUFFER_LIMIT:
                self.pause()
            self._wake()
        elif data:
            self._receiver(data)
        if tls is not None and tls.ended:
            self.close()

    def eof_received(self) -> bool:
        """Half-closed peers are closed: the protocol has no use for them."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the session, once."""
        self.lost = True
        if self._linger is not None:
            self._linger.cancel()
        self._wake()
        if self._pair is not None:
            self._pair.resume_from_pair()
        if self.on_lost is not None:
            self.on_lost(exc)

    def pause_writing(self) -> None:
        """Our buffer is full: the other end must not read more."""
        if self._pair is not None:
            self._pair.pause_from_pair()

    def resume_writing(self) -> None:
        """Our buffer has drained."""
        if self._pair is not None:
            self._pair.resume_from_pair()

    # -- flow control -----------------------------------------------------------------------------------------

    def pair(self, other: Peer) -> None:
        """From now on this end's full buffer pauses `other`."""
        self._pair = other

    def pause_from_pair(self) -> None:
        """Stop reading because the other end's buffer is full."""
        self._paused_by_pair = True
        self._apply()

    def resume_from_pair(self) -> None:
        """The other end drained."""
        self._paused_by_pair = False
        self._apply()

    def pause(self) -> None:
        """Stop reading for a reason of this end (a statement is being judged, a buffer is full)."""
        self._paused_by_us = True
        self._apply()

    def resume(self) -> None:
        """That reason is gone."""
        self._paused_by_us = False
        self._apply()

    def _apply(self) -> None:
        if self.lost or self.transport.is_closing():
            return
        if self._paused_by_pair or self._paused_by_us:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # -- sending ----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Queue `data` for this peer; nothing happens once it is lost. Where TLS fails, the peer is dropped."""
        if self.lost or self.closing:
            return
        if self.tls is not None:
            try:
                data = self.tls.send(data)
            except ssl.SSLError as error:
                self.abort(error)
                return
        self.transport.write(data)

    def queued(self) -> int:
        """Bytes still waiting to be sent."""
        return 0 if self.lost else self.transport.get_write_buffer_size()

    def close(self, last: bytes = b"") -> None:
        """Send `last`, flush and close; the peer's further bytes are ignored."""
        if last:
            self.send(last)
        if self.lost or self.closing:
            return
        if self.tls is not None:
            self.transport.write(self.tls.close_notify())
        self.closing = True
        self._receiver = _ignore
        if self.transport.get_write_buffer_size():
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)
        self.transport.close()

    def abort(self, why: Exception | None = None) -> None:
        """Drop the connection and whatever is queued. `why`: told to whoever waits for more."""
        if not self.lost:
            self.closing, self._failure = True, why
            self._receiver = _ignore
            self.transport.abort()

    # -- cold reading -----------------------------------------------------------------------------------------

    async def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises ConnectionResetError when the peer leaves first."""
        while len(self._cold) < count:
            await self._more()
        data = bytes(self._cold[:count])
        del self._cold[:count]
        return data

    async def read_some(self) -> bytes:
        """Whatever has arrived, at least one byte. Raises ConnectionResetError when the peer leaves first."""
        while not self._cold:
            await self._more()
        data = bytes(self._cold)
        self._cold.clear()
        return data

    async def _more(self) -> None:
        if self.lost or self.closing:
            raise ConnectionResetError(str(self._failure or "peer closed the connection"))
        if self._paused_by_us:
            self.resume()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def first_byte(self) -> int:
        """Look at the next byte without taking it."""
        while not self._cold:
            await self._more()
        return self._cold[0]

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        hostname: str | None = None,
        take_buffered: bool = False,
    ) -> None:
        """Switch to TLS. `take_buffered`: what was read already is the handshake (direct TLS); else it must be
        nothing: plaintext glued to the request is an attack (CVE-2021-23214), refused as ProtocolError.
        """
        early = bytes(self._cold)
        if early and not take_buffered:
            raise ProtocolError("received unencrypted data after SSL request")
        self._cold.clear()
        self.tls = TlsPump(context, server_side=server_side, server_hostname=hostname)
        try:
            self.transport.write(self.tls.handshake())
            if early:
                plain, reply = self.tls.receive(early)
                self.transport.write(reply)
                self._cold += plain
        except ssl.SSLError as error:
            raise tls_refusal(error) from None
        while not self.tls.established:
            await self._more()

    def go_hot(self, receiver: Callable[[bytes], None], first: bytes = b"") -> None:
        """End of the cold phase: chunks go to `receiver`; before them `first`, and what has arrived already."""
        self._receiver = receiver
        early = first + bytes(self._cold)
        self._cold.clear()
        if self._paused_by_us:
            self.resume()
        if early:
            receiver(early)


def _keep_alive(sock: socket.socket | None) -> None:
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _ignore(_data: bytes) -> None:
    """What arrives after we closed is nobody's business."""
