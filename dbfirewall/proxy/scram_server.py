"""Letting agents in: the server's side of SCRAM-SHA-256, from the verifiers of the rules file. No IO.

The rules:
1. An unknown agent goes through the very same steps, with a salt that is its own every time, and fails at the end
   with the very same words: nothing says which names exist.
2. Every failure is an AuthenticationError, and the agent reads only that the password was wrong.
3. Channel binding is offered where the connection has TLS; an agent that claims that it was not is refused.
Sources: RFC 5802, 7677; https://www.postgresql.org/docs/18/sasl-authentication.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from scramp import ScramException, ScramMechanism

from dbfirewall.errors import ProtocolError, SqlState
from dbfirewall.policy.verifier import MIN_ITERATIONS, SALT_SIZE, Verifier
from dbfirewall.proxy.channel_binding import end_point_hash
from dbfirewall.wire import authentication as a

_SCRAM: Final = "SCRAM-SHA-256"
_SCRAM_PLUS: Final = "SCRAM-SHA-256-PLUS"
_BINDING: Final = "tls-server-end-point"


class AuthenticationError(ProtocolError):
    """The agent is not let in (28P01). `str()` is what it may read; `cause` says why, for the log only."""

    def __init__(self, agent: str, cause: str) -> None:
        self.cause = cause
        super().__init__(f'password authentication failed for user "{agent}"', SqlState.BAD_PASSWORD)


class _State(Enum):
    START = "nothing has been sent"
    REQUESTED = "the mechanisms have been offered"
    CHALLENGED = "the challenge has been sent"
    DONE = "the agent has proved itself"
    FAILED = "the agent has been refused"


class ScramServer:
    """One agent's login: send `begin()`, feed each `p` message to `receive` and send what it gives, until `done`.

    After that AuthenticationOk is the caller's to send.
    """

    def __init__(
        self, agent: str, verifier: Verifier | None, mock: Verifier, *, certificate: bytes | None = None
    ) -> None:
        """`verifier`: the agent's, None where there is no such agent; then `mock` (see `mock_verifier`) is used.

        `certificate`: ours (DER) where the connection has TLS, so that channel binding is offered.
        """
        self._agent = agent
        self._known = verifier is not None
        self._verifier = verifier or mock
        self._binding = end_point_hash(certificate) if certificate is not None else None
        self._scram: Any = None  # scramp has no types
        self._state = _State.START

    @property
    def done(self) -> bool:
        """Whether the agent has proved that it knows its password."""
        return self._state is _State.DONE

    def begin(self) -> bytes:
        """The request for authentication."""
        self._state = _State.REQUESTED
        return a.encode_authentication(a.AuthenticationSASL(self._mechanisms()))

    def receive(self, body: bytes) -> bytes:
        """Take a `p` message's body; the message to send. AuthenticationError where the exchange ends here."""
        state, self._state = self._state, _State.FAILED
        try:
            if state is _State.REQUESTED:
                return self._challenge(a.decode_sasl_initial_response(body, 0, len(body)))
            if state is _State.CHALLENGED:
                return self._check(a.decode_sasl_response(body, 0, len(body)))
        except (ScramException, ProtocolError, UnicodeDecodeError) as error:
            raise AuthenticationError(self._agent, str(error)) from None
        raise AuthenticationError(self._agent, "a message out of turn")

    def _mechanisms(self) -> tuple[str, ...]:
        return (_SCRAM,) if self._binding is None else (_SCRAM_PLUS, _SCRAM)

    def _challenge(self, response: a.SASLInitialResponse) -> bytes:
        if response.mechanism not in self._mechanisms():
            raise ProtocolError("the agent chose a SASL mechanism that was not offered")
        if response.data is None:
            raise ProtocolError("the agent's first SCRAM message is missing")
        first = response.data.decode("utf-8")
        binding = None if self._binding is None else (_BINDING, self._binding)
        self._scram = ScramMechanism(response.mechanism).make_server(self._lookup, channel_binding=binding)
        header, bare = _split(first, response.mechanism)
        self._scram.set_client_first(f"{header}n=*,{bare.partition(',')[2]}")
        # What is signed is what was sent, not what scramp was given to read.
        self._scram.client_first_bare = bare
        challenge: str = self._scram.get_server_first()
        self._state = _State.CHALLENGED
        return a.encode_authentication(a.AuthenticationSASLContinue(challenge.encode()))

    def _check(self, proof: bytes) -> bytes:
        self._scram.set_client_final(proof.decode("utf-8"))
        signature: str = self._scram.get_server_final()
        if not self._known:
            raise ProtocolError("there is no such agent")
        self._state = _State.DONE
        return a.encode_authentication(a.AuthenticationSASLFinal(signature.encode()))

    def _lookup(self, _name: str) -> tuple[bytes, bytes, bytes, int]:
        """The startup message says who it is, as in Postgres: the name in the SCRAM message means nothing."""
        verifier = self._verifier
        return verifier.salt, verifier.stored_key, verifier.server_key, verifier.iterations


def mock_verifier(secret: bytes, agent: str, real: Sequence[Verifier] = ()) -> Verifier:
    """What an unknown agent is challenged with: always the same for one name, and nobody's password fits it.

    `secret`: at least 32 random bytes, the same in every process that agents may reach. `real`: the verifiers in
    use; the mock has the iterations and the salt's length of one of them, so that these do not tell it apart.
    """
    seed = hmac.digest(secret, agent.encode("utf-8", "surrogatepass"), "sha512")
    like = real[int.from_bytes(seed[:8], "big") % len(real)] if real else None
    iterations, size = (like.iterations, len(like.salt)) if like else (MIN_ITERATIONS, SALT_SIZE)
    salt = hashlib.shake_256(b"salt" + seed).digest(size)
    stored_key, server_key = (hashlib.sha256(part + seed).digest() for part in (b"stored", b"server"))
    return Verifier(iterations, salt, stored_key, server_key)


def _split(first: str, mechanism: str) -> tuple[str, str]:
    """The GS2 header with its last comma, and the rest, of a client's first message.

    The rest begins with the user name, which libpq leaves empty and scramp does not take so.
    """
    parts = first.split(",", 2)
    if len(parts) < 3 or not parts[2].startswith("n="):
        raise ProtocolError("the agent's first SCRAM message is malformed")
    if parts[0].startswith("p=") != (mechanism == _SCRAM_PLUS):
        raise ProtocolError("the agent's channel binding does not fit its SASL mechanism")
    return f"{parts[0]},{parts[1]},", parts[2]
