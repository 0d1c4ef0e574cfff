"""Logging in to Postgres: the client's side of the authentication exchange. No IO.

The rules, each a refusal where it is broken:
1. The server asks once. A second request, for whatever method, is somebody's attempt to get at the password.
2. A password in cleartext leaves only through TLS.
3. SCRAM is two-sided: AuthenticationOk counts only after the server has proved that it knows the password too.
4. Where the server offers channel binding and the certificate allows it, it is used.
Source: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP, sasl-authentication.html
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from enum import Enum
from typing import Final

from scramp import ScramClient, ScramException

from dbfirewall.errors import DbfirewallError
from dbfirewall.policy.verifier import prepare_password
from dbfirewall.proxy.channel_binding import end_point_hash
from dbfirewall.wire import authentication as a

_SCRAM: Final = "SCRAM-SHA-256"
_SCRAM_PLUS: Final = "SCRAM-SHA-256-PLUS"
# What stands in SCRAM's own user name field; Postgres takes the one of the startup message.
_SCRAM_USER: Final = "*"


class AuthError(DbfirewallError):
    """The login failed or was broken off. `str()` is for the operator: it never holds the password."""


class SaltedKeys:
    """One login's SCRAM keys, by the salt and iterations that its server last asked for.

    They take milliseconds to compute, on the event loop: once for each login, and not for each connection.
    """

    def __init__(self) -> None:
        self._made: tuple[bytes, bytes, int] | None = None
        self._keys = b"", b""

    def of(self, password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
        """The ClientKey and the ServerKey (RFC 5802, 3)."""
        if self._made != (password, salt, iterations):
            salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
            self._keys = (
                hmac.digest(salted, b"Client Key", "sha256"),
                hmac.digest(salted, b"Server Key", "sha256"),
            )
            self._made = password, salt, iterations
        return self._keys


class _State(Enum):
    START = "the server has not asked yet"
    ANSWERED = "the password has been sent"
    SASL_FIRST = "SCRAM: our first message has been sent"
    SASL_FINAL = "SCRAM: our proof has been sent"
    VERIFIED = "SCRAM: the server has proved itself"
    DONE = "AuthenticationOk has come"


class UpstreamAuth:
    """One login. Feed each Authentication… message to `receive` and send what it gives, until `done`."""

    def __init__(
        self,
        user: str,
        password: str | None,
        *,
        encrypted: bool,
        certificate: bytes | None = None,
        require_channel_binding: bool = False,
        keys: SaltedKeys | None = None,
    ) -> None:
        """`password` None: only a server that asks for none is logged in to. `encrypted`: whether TLS is on.

        `certificate`: the server's (DER), for channel binding; None for a login without. `keys`: this login's.
        """
        self._user = user
        self._password = password
        self._encrypted = encrypted
        self._binding = end_point_hash(certificate) if encrypted and certificate is not None else None
        self._require_binding = require_channel_binding
        self._bound = False
        self._keys = SaltedKeys() if keys is None else keys
        self._scram: ScramClient | None = None
        self._prepared = b""
        self._server_signature = b""
        self._state = _State.START

    @property
    def done(self) -> bool:
        """Whether the server has let us in."""
        return self._state is _State.DONE

    def receive(self, body: bytes) -> bytes:
        """Take an Authentication… message's body; the bytes to send, `b""` where it is the server's turn.

        AuthError where the login ends here; ProtocolError for a malformed message.
        """
        msg = a.decode_authentication(body, 0, len(body))
        if isinstance(msg, a.AuthenticationOk):
            return self._finish()
        if isinstance(msg, a.AuthenticationSASLContinue):
            return self._prove(msg.data)
        if isinstance(msg, a.AuthenticationSASLFinal):
            return self._verify(msg.data)
        if self._state is not _State.START:
            raise AuthError("the server asked for authentication a second time")
        if isinstance(msg, a.AuthenticationSASL):
            return self._begin_scram(msg.mechanisms)
        return self._answer(msg)

    def _finish(self) -> bytes:
        if self._state not in (_State.START, _State.ANSWERED, _State.VERIFIED):
            raise AuthError(
                "the server let us in without proving that it knows the password (SCRAM broken off)"
            )
        self._check_binding()
        self._state = _State.DONE
        return b""

    def _answer(
        self,
        msg: a.AuthenticationCleartextPassword | a.AuthenticationMD5Password | a.AuthenticationUnsupported,
    ) -> bytes:
        """A method without SASL: the answer is one message."""
        if isinstance(msg, a.AuthenticationUnsupported):
            raise AuthError(
                f"the server asks for {msg.name} authentication, which dbfirewall does not support"
            )
        self._check_binding()
        if isinstance(msg, a.AuthenticationMD5Password):
            answer = _md5_answer(self._user, self._secret("an md5"), msg.salt)
        elif self._encrypted:
            answer = _raw(self._secret("a cleartext"))
        else:
            raise AuthError("the server asks for the password in cleartext on a connection without TLS")
        self._state = _State.ANSWERED
        return a.encode_password(answer)

    def _begin_scram(self, offered: tuple[str, ...]) -> bytes:
        password = self._secret("a SCRAM")
        mechanisms = [name for name in (_SCRAM_PLUS, _SCRAM) if name in offered]
        if self._binding is None:
            mechanisms = [name for name in mechanisms if name == _SCRAM]
        if not mechanisms:
            raise AuthError(f"the server offers no SASL mechanism that fits: {', '.join(offered)}")
        binding = ("tls-server-end-point", self._binding) if self._binding is not None else None
        # Not with the password: scramp refuses some that Postgres takes unprepared, and forgets what it computed.
        self._scram = ScramClient(mechanisms, _SCRAM_USER, "-", channel_binding=binding)
        self._prepared = prepare_password(password)
        self._bound = self._scram.mechanism_name == _SCRAM_PLUS
        self._check_binding()
        self._state = _State.SASL_FIRST
        first = self._scram.get_client_first().encode()
        return a.encode_sasl_initial_response(a.SASLInitialResponse(self._scram.mechanism_name, first))

    def _prove(self, data: bytes) -> bytes:
        if self._scram is None or self._state is not _State.SASL_FIRST:
            raise AuthError("the server sent a SCRAM challenge out of turn")
        scram, challenge = self._scram, _text(data)
        try:
            scram.set_server_first(challenge)
        except ScramException as error:
            raise AuthError(f"the server's SCRAM challenge is not acceptable: {error}") from None
        client_key, server_key = self._keys.of(self._prepared, bytes(scram.salt), int(scram.iterations))
        binding = b64encode(scram.gs2_header.make_cbind_input(scram.cb)).decode()
        final = f"c={binding},r={scram.nonce}"
        signed = f"{scram.client_first_bare},{challenge},{final}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        self._server_signature = hmac.digest(server_key, signed, "sha256")
        self._state = _State.SASL_FINAL
        return a.encode_sasl_response(f"{final},p={b64encode(proof).decode()}".encode())

    def _verify(self, data: bytes) -> bytes:
        if self._scram is None or self._state is not _State.SASL_FINAL:
            raise AuthError("the server ended the SCRAM exchange out of turn")
        expected = "v=" + b64encode(self._server_signature).decode()
        # RFC 5802 7: extensions may follow the verifier; an error would be `e=…`.
        if not hmac.compare_digest(_text(data).partition(",")[0], expected):
            raise AuthError("the server could not prove that it knows the password")
        self._state = _State.VERIFIED
        return b""

    def _check_binding(self) -> None:
        if self._require_binding and not self._bound:
            raise AuthError("channel_binding=require, but the server's authentication does not include it")

    def _secret(self, method: str) -> str:
        if self._password is None:
            raise AuthError(f"the server asks for {method} password, and this login has none")
        return self._password


def _md5_answer(user: str, password: str, salt: bytes) -> bytes:
    """`md5` and the hash of (the hash of password and user) and salt, as the protocol defines it."""
    inner = hashlib.md5(_raw(password) + user.encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()


def _raw(password: str) -> bytes:
    """The password's own bytes, also where the environment held what is no UTF-8."""
    return password.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    """SCRAM messages are printable ASCII, but for what we would refuse anyway."""
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise AuthError("the server's SCRAM message is not text") from None
