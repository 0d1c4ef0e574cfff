"""Logging in to Postgres: every method, and what a false server tries."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.errors import ProtocolError
from dbfirewall.policy.verifier import make_verifier, parse_verifier
from dbfirewall.proxy import upstream_auth
from dbfirewall.proxy.scram_server import ScramServer, mock_verifier
from dbfirewall.proxy.upstream_auth import AuthError, SaltedKeys, UpstreamAuth
from dbfirewall.wire import authentication as a
from dbfirewall.wire.messages import HEADER
from tests.proxy.certificates import make_certificate

OK = b"\x00\x00\x00\x00"
CLEARTEXT = b"\x00\x00\x00\x03"
MD5 = b"\x00\x00\x00\x05salt"
SCRAM = b"\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
BOTH = b"\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"
CONTINUE = b"\x00\x00\x00\x0b"
FINAL = b"\x00\x00\x00\x0c"


def _auth(password: str | None = "hunter2", *, encrypted: bool = False, **more: bytes | bool) -> UpstreamAuth:
    return UpstreamAuth("bob", password, encrypted=encrypted, **more)  # type: ignore[arg-type]


def _mechanism(message: bytes) -> tuple[str, bytes]:
    response = a.decode_sasl_initial_response(message, HEADER, len(message))
    assert response.data is not None
    return response.mechanism, response.data


def _server(password: str, certificate: bytes | None = None) -> ScramServer:
    verifier = parse_verifier(make_verifier(password))
    return ScramServer("bob", verifier, mock_verifier(b"s" * 32, "bob"), certificate=certificate)


def _exchange(client: UpstreamAuth, server: ScramServer) -> None:
    message = server.begin()
    while reply := client.receive(message[HEADER:]):
        message = server.receive(reply[HEADER:])
    assert server.done
    client.receive(OK)


def test_trust() -> None:
    """A server that asks for nothing lets us in at once."""
    auth = _auth(None)
    assert not auth.done
    assert auth.receive(OK) == b""
    assert auth.done


def test_cleartext_through_tls() -> None:
    """Through TLS the password is sent when it is asked for."""
    auth = _auth(encrypted=True)
    assert auth.receive(CLEARTEXT) == a.encode_password(b"hunter2")
    assert not auth.done
    auth.receive(OK)
    assert auth.done


def test_no_cleartext_without_tls() -> None:
    """Without TLS it is not, whoever asks."""
    with pytest.raises(AuthError, match="without TLS"):
        _auth().receive(CLEARTEXT)


def test_md5_is_libpqs() -> None:
    """The md5 answer is the salted hash of what libpq stores for the same user and password."""
    connection = psycopg.pq.PGconn.connect_start(b"host=127.0.0.1 port=1")
    stored = connection.encrypt_password(b"hunter2", b"bob", b"md5")
    connection.finish()
    answer = _auth().receive(MD5)
    assert answer == a.encode_password(b"md5" + hashlib.md5(stored[3:] + b"salt").hexdigest().encode())


def test_the_clients_side_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nonce and user of RFC 7677's example, our messages are the example's."""
    monkeypatch.setattr("scramp.core.token_hex", lambda: "rOprNGfwEbeRWgbNEkqO")
    monkeypatch.setattr(upstream_auth, "_SCRAM_USER", "user")
    auth = _auth("pencil")
    assert _mechanism(auth.receive(SCRAM)) == ("SCRAM-SHA-256", b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    nonce = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    proof = auth.receive(CONTINUE + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert proof[HEADER:] == b"c=biws," + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert auth.receive(FINAL + b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    assert not auth.done
    auth.receive(OK)
    assert auth.done


@pytest.mark.parametrize("password", ["x", "Grüße", "\u00ad", "bell\x07", "\u0627a\u0627"], ids=ascii)
def test_any_password_is_proved(password: str) -> None:
    """Passwords that SASLprep changes, or forbids, log in as the verifier made of them expects."""
    client = _auth(password)
    _exchange(client, _server(password))
    assert client.done


def test_a_logins_keys_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as salt, iterations and password stay; each login still proves itself by them."""
    asked: list[tuple[bytes, int]] = []

    def counted(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        asked.append((password, iterations))
        return pbkdf2(name, password, salt, iterations)

    pbkdf2 = hashlib.pbkdf2_hmac
    verifier, second = (parse_verifier(make_verifier("hunter2", count)) for count in (4096, 5000))
    monkeypatch.setattr("dbfirewall.proxy.upstream_auth.hashlib.pbkdf2_hmac", counted)
    keys = SaltedKeys()
    for known in (verifier, verifier, second, second, verifier):
        client = UpstreamAuth("bob", "hunter2", encrypted=False, keys=keys)
        _exchange(client, ScramServer("bob", known, known))
        assert client.done
    assert asked == [(b"hunter2", 4096), (b"hunter2", 5000), (b"hunter2", 4096)]
    with pytest.raises(ProtocolError, match="password authentication failed"):
        _exchange(
            UpstreamAuth("bob", "other", encrypted=False, keys=keys), ScramServer("bob", verifier, verifier)
        )


def test_bytes_from_the_environment_are_taken_as_they_were() -> None:
    """A Latin-1 password in an environment variable is the bytes that it was."""
    auth = _auth(b"Gr\xfc\xdfe".decode("utf-8", "surrogateescape"), encrypted=True)
    assert auth.receive(CLEARTEXT) == a.encode_password(b"Gr\xfc\xdfe")


def test_binding_is_used_where_it_can_be(tmp_path: Path) -> None:
    """With a certificate and a server that offers it, the login is bound; without either it is not."""
    der = make_certificate(tmp_path).der
    assert _mechanism(_auth(encrypted=True, certificate=der).receive(BOTH))[0] == "SCRAM-SHA-256-PLUS"
    mechanism, first = _mechanism(_auth(encrypted=True, certificate=der).receive(SCRAM))
    assert (mechanism, first[:3]) == ("SCRAM-SHA-256", b"y,,")
    mechanism, first = _mechanism(_auth(encrypted=True).receive(BOTH))
    assert (mechanism, first[:3]) == ("SCRAM-SHA-256", b"n,,")
    client = _auth(encrypted=True, certificate=der, require_channel_binding=True)
    _exchange(client, _server("hunter2", der))
    assert client.done


@pytest.mark.parametrize("request_", [OK, CLEARTEXT, MD5, SCRAM], ids=["ok", "cleartext", "md5", "scram"])
def test_required_binding_is_required(tmp_path: Path, request_: bytes) -> None:
    """With channel_binding=require nothing else than a bound login is gone through with."""
    certificate = make_certificate(tmp_path).der
    with pytest.raises(AuthError, match="channel_binding=require"):
        _auth(encrypted=True, certificate=certificate, require_channel_binding=True).receive(request_)


def test_a_server_that_hides_binding_is_found_out(tmp_path: Path) -> None:
    """When somebody strips the offer of channel binding, the real server refuses the login."""
    der = make_certificate(tmp_path).der
    server = _server("hunter2", der)
    server.begin()
    reply = _auth(encrypted=True, certificate=der).receive(SCRAM)
    with pytest.raises(ProtocolError):
        server.receive(reply[HEADER:])


@pytest.mark.parametrize("request_", [MD5, SCRAM, CLEARTEXT], ids=["md5", "scram", "cleartext"])
def test_a_login_without_a_password_says_so(request_: bytes) -> None:
    """A server that asks a login without a password gets none, and the operator reads why."""
    with pytest.raises(AuthError, match="this login has none"):
        _auth(None, encrypted=True).receive(request_)


@pytest.mark.parametrize(("code", "name"), [(2, "KerberosV5"), (6, "SCMCredential"), (7, "GSS"), (9, "SSPI")])
def test_other_methods_are_refused_by_name(code: int, name: str) -> None:
    """What dbfirewall does not speak is named to the operator."""
    with pytest.raises(AuthError, match=name):
        _auth().receive(code.to_bytes(4, "big"))


def test_other_mechanisms_are_refused_by_name() -> None:
    """A server without SCRAM-SHA-256, or with nothing but PLUS where there is no TLS, is refused."""
    with pytest.raises(AuthError, match="OAUTHBEARER"):
        _auth().receive(b"\x00\x00\x00\x0aOAUTHBEARER\x00SCRAM-SHA-1\x00\x00")
    with pytest.raises(AuthError, match="SCRAM-SHA-256-PLUS"):
        _auth().receive(b"\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00\x00")


def _challenged(iterations: int = 4096) -> UpstreamAuth:
    auth = _auth()
    _, first = _mechanism(auth.receive(SCRAM))
    auth.receive(CONTINUE + first[first.index(b"r=") :] + b"xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=%d" % iterations)
    return auth


def test_ok_before_the_servers_proof_is_a_downgrade() -> None:
    """A server that lets us in without having proved itself is not the server."""
    auth = _auth()
    auth.receive(SCRAM)
    with pytest.raises(AuthError, match="without proving"):
        auth.receive(OK)
    with pytest.raises(AuthError, match="without proving"):
        _challenged().receive(OK)


@pytest.mark.parametrize("final", [b"v=AAAA", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"e=other-error",
                                   b"", b"x", b"\xff"])  # fmt: skip
def test_a_false_signature_is_refused(final: bytes) -> None:
    """A signature that does not fit our password, or that is none, ends the login."""
    with pytest.raises(AuthError):
        _challenged().receive(FINAL + final)


@pytest.mark.parametrize(
    "challenge", [b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", b"", b"e=other-error", b"\xff"]
)
def test_a_false_challenge_is_refused(challenge: bytes) -> None:
    """A challenge with somebody else's nonce, or that is none, is not answered."""
    auth = _auth()
    auth.receive(SCRAM)
    with pytest.raises(AuthError):
        auth.receive(CONTINUE + challenge)


@pytest.mark.parametrize("iterations", [1, 4095, 10_000_001, 2_147_483_648])
def test_iterations_have_bounds(iterations: int) -> None:
    """Too few would give the password away to guessing, too many would keep us busy: neither is answered."""
    with pytest.raises(AuthError, match="not acceptable"):
        _challenged(iterations)


@pytest.mark.parametrize("second", [CLEARTEXT, MD5, SCRAM], ids=["cleartext", "md5", "scram"])
@pytest.mark.parametrize("first", [CLEARTEXT, MD5, SCRAM], ids=["cleartext", "md5", "scram"])
def test_a_server_asks_once(first: bytes, second: bytes) -> None:
    """A second request is refused, whichever came first."""
    auth = _auth(encrypted=True)
    auth.receive(first)
    with pytest.raises(AuthError, match="second time"):
        auth.receive(second)


@pytest.mark.parametrize("body", [CONTINUE + b"r=x", FINAL + b"v=x"], ids=["challenge", "final"])
def test_scram_out_of_turn(body: bytes) -> None:
    """SCRAM messages that nothing led to, or that come after the end, are refused."""
    with pytest.raises(AuthError, match="out of turn"):
        _auth().receive(body)
    done = _auth()
    done.receive(OK)
    with pytest.raises(AuthError, match="out of turn"):
        done.receive(body)


bodies = st.sampled_from([OK, CLEARTEXT, MD5, SCRAM, BOTH, CONTINUE, FINAL, b"\0\0\0\x07"]) | st.binary(
    max_size=12
)


@given(
    messages=st.lists(st.tuples(bodies, st.sampled_from([b"", b"r=x,s=eHh4eHh4eHh4eHh4,i=4096", b"v=AAAA"])))
)
def test_any_messages_keep_the_password(messages: list[tuple[bytes, bytes]]) -> None:
    """Whatever a server without TLS sends: bytes or a clear error, and never the password in either."""
    auth = _auth()
    for body, tail in messages:
        try:
            sent = auth.receive(body + tail)
        except (AuthError, ProtocolError) as error:
            assert "hunter2" not in str(error)  # noqa: PT017
            return
        assert b"hunter2" not in sent
