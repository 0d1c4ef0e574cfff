"""An agent proves who it is: SCRAM-SHA-256 against the verifier in the rules, slowed down after failures."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from dbfirewall.errors import ConfigError
from dbfirewall.policy.models import Agent, Rules
from dbfirewall.policy.verifier import Verifier, parse_verifier
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


class Doorkeeper:
    """What logins need: the mock secret of the state folder, and our own certificate."""

    def __init__(self, state: Path, certificate: Path | None) -> None:
        self._secret = _mock_secret(state / MOCK_SECRET_FILE)
        self._certificate = _der(certificate) if certificate is not None else None
        self._verifiers: dict[str, Verifier] = {}

    def load(self, rules: Rules) -> None:
        """Take the agents of new rules."""
        self._verifiers = {name: parse_verifier(agent.password) for name, agent in rules.agents.items()}

    def exchange(self, agent: str, *, encrypted: bool) -> ScramServer:
        """The exchange for one login; for unknown agents one that looks the same and fails."""
        mock = mock_verifier(self._secret, agent, list(self._verifiers.values()))
        certificate = self._certificate if encrypted else None
        return ScramServer(agent, self._verifiers.get(agent), mock, certificate=certificate)


async def authenticate(firewall: Firewall, peer: Peer, framer: Framer, user: str, host: str) -> Agent:
    """The agent that `user` has proved to be. Raises ProtocolError (28P01) for every failure alike."""
    # By the name as given, known or not: a shared count for unknown names would tell which ones are known.
    counted = user[:MAX_NAME]
    await asyncio.sleep(firewall.backoff.wait(counted, host))
    exchange = firewall.doorkeeper.exchange(user, encrypted=peer.tls is not None)
    framer.enter(Phase.CLIENT_AUTH)
    peer.send(exchange.begin())
    try:
        while not exchange.done:
            peer.send(exchange.receive(await _password_message(peer, framer)))
    except AuthenticationError as error:
        firewall.backoff.failed(counted, host)
        firewall.audit.event("auth_failure", agent=user, peer=host, sqlstate=error.sqlstate)
        log.info("login of %r from %s failed: %s", user, host, error.cause)
        raise
    firewall.backoff.succeeded(counted, host)
    agent = firewall.rules.agents.get(user)
    if agent is None:  # the rules were reloaded in between
        raise AuthenticationError(user, "the agent was removed")
    return agent


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
