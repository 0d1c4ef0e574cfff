"""The authentication exchange: the server's Authentication… messages, and the client's answers (type `p`).

Source: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dbfirewall.wire import body
from dbfirewall.wire import messages as m

_OK: Final = 0
_CLEARTEXT: Final = 3
_MD5: Final = 5
_SASL: Final = 10
_SASL_CONTINUE: Final = 11
_SASL_FINAL: Final = 12

# Known, so that they can be refused by their names: code -> name.
_UNSUPPORTED: Final[dict[int, str]] = {
    2: "KerberosV5",
    4: "CryptPassword",
    6: "SCMCredential",
    7: "GSS",
    8: "GSSContinue",
    9: "SSPI",
}


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """The client is authenticated."""


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword:
    """The password itself is asked for."""


@dataclass(frozen=True, slots=True)
class AuthenticationMD5Password:
    """An MD5 hash of the password is asked for. `salt`: 4 bytes."""

    salt: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationSASL:
    """`mechanisms`: names, the server's favourite first; never empty."""

    mechanisms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue:
    """`data`: the mechanism's challenge."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal:
    """`data`: the mechanism's last word (SCRAM: the server's signature)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationUnsupported:
    """A method that dbfirewall does not speak. `name`: the protocol's word for it (GSS, SSPI, …)."""

    name: str


Authentication = (
    AuthenticationOk
    | AuthenticationCleartextPassword
    | AuthenticationMD5Password
    | AuthenticationSASL
    | AuthenticationSASLContinue
    | AuthenticationSASLFinal
    | AuthenticationUnsupported
)


@dataclass(frozen=True, slots=True)
class SASLInitialResponse:
    """The chosen mechanism and its first message; None where the client sends none."""

    mechanism: str
    data: bytes | None


def encode_authentication(msg: Authentication) -> bytes:
    """The whole message. ValueError for what dbfirewall never asks for (AuthenticationUnsupported)."""
    if isinstance(msg, AuthenticationOk):
        return _authentication(_OK, b"")
    if isinstance(msg, AuthenticationCleartextPassword):
        return _authentication(_CLEARTEXT, b"")
    if isinstance(msg, AuthenticationMD5Password):
        if len(msg.salt) != 4:
            raise ValueError("an MD5 salt has 4 bytes")
        return _authentication(_MD5, msg.salt)
    if isinstance(msg, AuthenticationSASL):
        return _authentication(_SASL, _mechanisms(msg.mechanisms))
    if isinstance(msg, AuthenticationSASLContinue):
        return _authentication(_SASL_CONTINUE, msg.data)
    if isinstance(msg, AuthenticationSASLFinal):
        return _authentication(_SASL_FINAL, msg.data)
    raise ValueError(f"dbfirewall does not ask for {msg.name} authentication")


def decode_authentication(buf: bytes, start: int, end: int) -> Authentication:
    """Refuses a code that the protocol does not define."""
    reader = body.Reader("Authentication", buf, start, end)
    code = reader.int32()
    if code in _UNSUPPORTED:
        return AuthenticationUnsupported(_UNSUPPORTED[code])
    if code == _SASL_CONTINUE:
        return AuthenticationSASLContinue(reader.rest())
    if code == _SASL_FINAL:
        return AuthenticationSASLFinal(reader.rest())
    msg = _decode_request(reader, code)
    reader.finish()
    return msg


def encode_password(password: bytes) -> bytes:
    """PasswordMessage: the password, or the answer to AuthenticationMD5Password."""
    return body.message(m.PASSWORD, body.cstring(password))


def decode_password(buf: bytes, start: int, end: int) -> bytes:
    """The bytes that PasswordMessage carries."""
    reader = body.Reader("Password", buf, start, end)
    password = reader.cstring()
    reader.finish()
    return password


def encode_sasl_initial_response(msg: SASLInitialResponse) -> bytes:
    """The whole message."""
    return body.message(m.PASSWORD, body.cstring(msg.mechanism.encode()) + body.value(msg.data))


def decode_sasl_initial_response(buf: bytes, start: int, end: int) -> SASLInitialResponse:
    """A `p` message that answers AuthenticationSASL."""
    reader = body.Reader("SASLInitialResponse", buf, start, end)
    response = SASLInitialResponse(reader.text(), reader.value())
    reader.finish()
    return response


def encode_sasl_response(data: bytes) -> bytes:
    """The whole message."""
    return body.message(m.PASSWORD, data)


def decode_sasl_response(buf: bytes, start: int, end: int) -> bytes:
    """A `p` message that answers AuthenticationSASLContinue: the whole body."""
    return buf[start:end]


def _authentication(code: int, data: bytes) -> bytes:
    return body.message(m.AUTHENTICATION, body.int32(code) + data)


def _mechanisms(names: tuple[str, ...]) -> bytes:
    if not names or "" in names:
        raise ValueError("at least one mechanism, each with a name")
    return b"".join([body.cstring(name.encode()) for name in names]) + b"\x00"


def _decode_request(reader: body.Reader, code: int) -> Authentication:
    if code == _OK:
        return AuthenticationOk()
    if code == _CLEARTEXT:
        return AuthenticationCleartextPassword()
    if code == _MD5:
        return AuthenticationMD5Password(reader.take(4))
    if code == _SASL:
        return AuthenticationSASL(_decode_mechanisms(reader))
    raise reader.error(f"unknown authentication method {code}")


def _decode_mechanisms(reader: body.Reader) -> tuple[str, ...]:
    names: list[str] = []
    while name := reader.text():
        names.append(name)
    if not names:
        raise reader.error("it names no mechanism")
    return tuple(names)
