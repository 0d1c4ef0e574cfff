"""A TLS server in front of a PostgreSQL that has none: it ends TLS and relays the bytes.

It speaks as PostgreSQL 17 does: SSLRequest, or direct TLS with ALPN. What it can't lend is channel binding: behind
it the server sees no TLS, and offers SCRAM-SHA-256 without PLUS.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.raw import SSL_REQUEST

SECONDS = 30.0


class TlsRelay:
    """Listens on a free port for the length of a `with` block. `handshakes`: how the connections came, in order."""

    def __init__(self, host: str, port: int, cert: Path, key: Path, *, address: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._context.set_alpn_protocols(["postgresql"])
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self.handshakes: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection; whoever hangs up ends it for both."""
        client.settimeout(SECONDS)
        with client, suppress(OSError):
            direct = client.recv(1, socket.MSG_PEEK) == b"\x16"
            if not direct:
                if client.recv(len(SSL_REQUEST)) != SSL_REQUEST:
                    self.handshakes.append("plain")
                    return
                client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as tls:
                if direct and tls.selected_alpn_protocol() != "postgresql":
                    return
                self.handshakes.append("direct" if direct else "negotiated")
                self._relay(tls)

    def _relay(self, tls: ssl.SSLSocket) -> None:
        """Two threads would need one TLS object at once, so one waits a moment on each side in turn."""
        with socket.create_connection(self._server) as server:
            tls.settimeout(0.002)
            server.settimeout(0.002)
            while True:
                for source, sink in ((tls, server), (server, tls)):
                    try:
                        data = source.recv(65536)
                    except TimeoutError:
                        continue
                    if not data:
                        return
                    sink.settimeout(SECONDS)
                    sink.sendall(data)
                    sink.settimeout(0.002)
