"""An agent proves who it is: by SCRAM-SHA-256 against the verifier in the rules, by its certificate, or by both.

The rules:
1. Who does not show the certificate that an agent needs meets what a made-up name meets: SCRAM, and 28P01 at its end.
   So nobody learns which names exist, nor which of them need a certificate.
2. After failures the next try waits; tries that run side by side wait for each other's failures too.
3. A wait that the handshake's deadline would cut is told at once, and takes no place of a connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbfirewall.errors import ConfigError, SqlState
from dbfirewall.policy.certificate import CertificateName, parse_certificate
from dbfirewall.policy.models import Agent, Rules
from dbfirewall.policy.verifier import Verifier, parse_verifier
from dbfirewall.proxy.admission import Turned
from dbfirewall.proxy.client_certificate import ClientCertificate, client_certificate
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.scram_server import AuthenticationError, ScramServer, mock_verifier
from dbfirewall.wire.framing import Framer, Phase
from dbfirewall.wire.messages import PASSWORD

if TYPE_CHECKING:
    from dbfirewall.proxy.firewall import Firewall

log = logging.getLogger(__name__)

MOCK_SECRET_FILE = "scram-mock.key"  # noqa: S105  a file's name
MOCK_SECRET_BYTES = 32
MAX_NAME = 64
"""Characters of a name that failures are counted by."""
LOGIN_SECONDS = 1.0
"""What must be left of the handshake's time after a wait, so that it is worth it."""


class Doorkeeper:
    """What logins need: the mock secret of the state folder, and our own certificate."""

    def __init__(self, state: Path, certificate: Path | None) -> None:
        self._secret = _mock_secret(state / MOCK_SECRET_FILE)
        self._certificate = _der(certificate) if certificate is not None else None
        self._verifiers: dict[str, Verifier] = {}
        self._in_use: tuple[Verifier, ...] = ()
        self._certificates: dict[str, CertificateName] = {}

    def load(self, rules: Rules) -> None:
        """Take the agents of new rules."""
        self._verifiers = {
            name: parse_verifier(agent.password)
            for name, agent in rules.agents.items()
            if agent.password is not None
        }
        self._in_use = tuple(self._verifiers.values())
        self._certificates = {
            name: parse_certificate(agent.certificate)
            for name, agent in rules.agents.items()
            if agent.certificate is not None
        }

    def needs_no_password(self, agent: str, shown: ClientCertificate | None) -> bool:
        """Whether the certificate that was shown is all that `agent` needs."""
        return agent in self._certificates and agent not in self._verifiers and self._fits(agent, shown)

    def exchange(self, agent: str, shown: ClientCertificate | None, *, encrypted: bool) -> ScramServer:
        """The exchange for one login. Where `agent` is unknown, or needs a certificate that was not `shown`: one
        that looks the same and fails."""
        real = self._verifiers.get(agent)
        mock = mock_verifier(self._secret, agent, self._in_use)
        if real is not None and not self._fits(agent, shown):
            mock = replace(mock, salt=real.salt, iterations=real.iterations)
            real = None
        certificate = self._certificate if encrypted else None
        return ScramServer(agent, real, mock, certificate=certificate)

    def _fits(self, agent: str, shown: ClientCertificate | None) -> bool:
        wanted = self._certificates.get(agent)
        return wanted is None or (shown is not None and shown.fits(wanted))


async def authenticate(
    firewall: Firewall, peer: Peer, framer: Framer, user: str, host: str, deadline: float
) -> Agent:
    """The agent that `user` has proved to be. Raises ProtocolError or Turned (28P01) for every failure alike.

    `deadline`: when the handshake has to be over, on the loop's clock.
    """
    # By the name as given, known or not: a shared count for unknown names would tell which ones are known.
    counted = user[:MAX_NAME]
    await _wait(firewall, user, host, deadline)
    shown = client_certificate(peer)
    if not firewall.doorkeeper.needs_no_password(user, shown):
        exchange = firewall.doorkeeper.exchange(user, shown, encrypted=peer.tls is not None)
        framer.enter(Phase.CLIENT_AUTH)
        peer.send(exchange.begin())
        try:
            while not exchange.done:
                answer = await _password_message(peer, framer)
                await _wait(firewall, user, host, deadline)
                peer.send(exchange.receive(answer))
        except AuthenticationError as error:
            firewall.backoff.failed(counted, host)
            firewall.record_stranger("auth_failure", agent=user, peer=host, sqlstate=error.sqlstate)
            log.info("login of %r from %s failed: %s", user, host, error.cause)
            raise
    firewall.backoff.succeeded(counted, host)
    agent = firewall.rules.agents.get(user)
    if agent is None:  # the rules were reloaded in between
        raise AuthenticationError(user, "the agent was removed")
    return agent


async def _wait(firewall: Firewall, user: str, host: str, deadline: float) -> None:
    """Wait as long as earlier failures say, those of logins meanwhile included."""
    while wait := firewall.backoff.wait(user[:MAX_NAME], host):
        if asyncio.get_running_loop().time() + wait + LOGIN_SECONDS >= deadline:
            raise Turned(
                SqlState.BAD_PASSWORD,
                f'password authentication failed for user "{user}"',
                hint=f"Too many logins have failed from this address: retry in {math.ceil(wait)} seconds.",
                reason="backoff",
            )
        await asyncio.sleep(wait)


async def _password_message(peer: Peer, framer: Framer) -> bytes:
    while (frame := framer.next()) is None:
        framer.feed(await peer.read_some())
    if frame.type != PASSWORD:
        raise ConnectionResetError("the agent left during authentication")
    return frame.body


def _mock_secret(path: Path) -> bytes:
    """Kept over restarts: a challenge that changes with them would tell which agents do not exist."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "r+b") as file:
            secret = file.read(MOCK_SECRET_BYTES)
            if len(secret) < MOCK_SECRET_BYTES:
                secret = secrets.token_bytes(MOCK_SECRET_BYTES)
                file.seek(0)
                file.write(secret)
    except OSError as error:
        raise ConfigError(f"cannot use {path}: {error.strerror}") from None
    return secret


def _der(certificate: Path) -> bytes:
    """The first certificate of a PEM file: the one that agents are shown."""
    text = certificate.read_text(encoding="ascii", errors="replace")
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN") : text.index(end) + len(end)])
