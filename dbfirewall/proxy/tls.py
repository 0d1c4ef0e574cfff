"""TLS over a byte stream that we already read: contexts for both sides, and the pump between them.

`asyncio` can start TLS only before the first byte is read; PostgreSQL's direct TLS must be recognised by its
first byte, and bytes that arrive glued to an SSLRequest must be refused (CVE-2021-23214). So the pump runs an
`ssl.SSLObject` over memory buffers, driven by the peer's own callbacks.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from dbfirewall.errors import ConfigError, ProtocolError

ALPN = ["postgresql"]
_READ_SIZE = 256 * 1024


class TlsPump:
    """One side of one TLS connection: ciphertext in, plaintext out, and back. Raises ssl.SSLError on failure.

    `ended`: the other side has said that it will send nothing more.
    """

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self.established = False
        self.ended = False

    def handshake(self) -> bytes:
        """Go on with the handshake as far as possible; the bytes to send."""
        if not self.established:
            try:
                self.object.do_handshake()
                self.established = True
            except ssl.SSLWantReadError:
                pass
        return self._outgoing.read()

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take ciphertext; returns (plaintext, bytes to send)."""
        self._incoming.write(data)
        out = self.handshake()
        if not self.established:
            return b"", out
        parts: list[bytes] = []
        while True:
            try:
                part = self.object.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                break
            if not part:
                self.ended = True
                break
            parts.append(part)
        return b"".join(parts), out + self._outgoing.read()

    def send(self, data: bytes) -> bytes:
        """Encrypt `data`; the bytes to send."""
        view = memoryview(data)
        while view:
            view = view[self.object.write(view) :]
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The closing alert, as far as it can be made now."""
        with contextlib.suppress(ssl.SSLError):
            self.object.unwrap()
        return self._outgoing.read()


def agent_context(cert: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """The context for agents' connections. Raises ConfigError where the files can't be used.

    `client_ca`: agents may show a certificate; one that these authorities do not vouch for ends the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Postgres has it: no renegotiation, which would cost us more than them, and no session that is resumed.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(ALPN)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"tls: cannot use client_ca {client_ca}: {error}") from None
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls: cannot use certificate {cert} with key {key}: {error}") from None
    return context


def upstream_context(sslmode: str, root_cert: str | None) -> ssl.SSLContext:
    """The context towards Postgres for libpq's `sslmode` (require, verify-ca, verify-full; prefer as require).

    Raises ConfigError where the root certificates can't be read.
    https://www.postgresql.org/docs/current/libpq-ssl.html
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    context.check_hostname = sslmode == "verify-full"
    if sslmode in ("verify-ca", "verify-full") or root_cert:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            if root_cert and root_cert != "system":
                context.load_verify_locations(root_cert)
            else:
                context.load_default_certs()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"sslrootcert: cannot read {root_cert}: {error}") from None
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def tls_refusal(error: ssl.SSLError) -> ProtocolError:
    """What a failed handshake becomes; the peer gets no details."""
    return ProtocolError(f"TLS handshake failed: {error.reason or 'unknown reason'}")
