"""Letting agents in: the exchange, its failures, and that unknown agents look like known ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.errors import SqlState
from dbfirewall.policy.verifier import make_verifier, parse_verifier
from dbfirewall.proxy.channel_binding import end_point_hash
from dbfirewall.proxy.scram_server import AuthenticationError, ScramServer, mock_verifier
from dbfirewall.wire import authentication as a
from dbfirewall.wire.messages import HEADER
from tests.proxy.certificates import make_certificate

SECRET = b"s" * 32
PENCIL = parse_verifier(
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
MOCK = mock_verifier(SECRET, "mallory")


def _server(certificate: bytes | None = None) -> ScramServer:
    server = ScramServer("user", PENCIL, MOCK, certificate=certificate)
    server.begin()
    return server


def _first(mechanism: str, data: bytes | None) -> bytes:
    return a.encode_sasl_initial_response(a.SASLInitialResponse(mechanism, data))[HEADER:]


def _challenge(message: bytes) -> str:
    decoded = a.decode_authentication(message, HEADER, len(message))
    assert isinstance(decoded, a.AuthenticationSASLContinue)
    return decoded.data.decode()


def test_the_exchange_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of RFC 7677's example are answered with its own."""
    monkeypatch.setattr("scramp.core.token_hex", lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    server = ScramServer("user", PENCIL, MOCK)
    assert server.begin() == a.encode_authentication(a.AuthenticationSASL(("SCRAM-SHA-256",)))
    challenge = server.receive(_first("SCRAM-SHA-256", b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert _challenge(challenge) == f"r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert not server.done
    final = server.receive(f"c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode())
    signature = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert final == a.encode_authentication(a.AuthenticationSASLFinal(signature))
    assert server.done


def _log_in(server: ScramServer, password: str) -> ScramServer:
    client = scramp.ScramClient(["SCRAM-SHA-256"], "user", password)
    server.begin()
    challenge = server.receive(_first("SCRAM-SHA-256", client.get_client_first().encode()))
    client.set_server_first(_challenge(challenge))
    server.receive(client.get_client_final().encode())
    return server


def test_a_wrong_password_reads_as_in_postgres() -> None:
    """A wrong password is 28P01 in Postgres' own words, and the login does not go on."""
    server = ScramServer("user", PENCIL, MOCK)
    with pytest.raises(AuthenticationError) as refused:
        _log_in(server, "pencil2")
    assert str(refused.value) == 'password authentication failed for user "user"'
    assert refused.value.sqlstate == SqlState.BAD_PASSWORD
    assert "invalid-proof" in refused.value.cause
    with pytest.raises(AuthenticationError, match="user"):
        server.receive(b"n,,n=,r=x")
    assert not server.done


def test_an_unknown_agent_is_told_the_same() -> None:
    """An unknown agent gets a challenge of the same form, and the same words after it."""
    with pytest.raises(AuthenticationError) as refused:
        _log_in(ScramServer("mallory", None, MOCK), "pencil")
    assert str(refused.value) == 'password authentication failed for user "mallory"'
    assert refused.value.sqlstate == SqlState.BAD_PASSWORD


def test_an_unknown_agent_fails_even_with_a_proof() -> None:
    """Were somebody to know a password for the mock, it would still let nobody in."""
    server = ScramServer("mallory", None, PENCIL)
    with pytest.raises(AuthenticationError) as refused:
        _log_in(server, "pencil")
    assert refused.value.cause == "there is no such agent"
    assert not server.done


def test_a_mock_is_always_the_same() -> None:
    """Asked again, an unknown agent gets its own salt again, and another name another one."""
    assert mock_verifier(SECRET, "mallory") == MOCK
    assert mock_verifier(SECRET, "trudy").salt != MOCK.salt
    assert mock_verifier(b"t" * 32, "mallory").salt != MOCK.salt


def test_a_mock_looks_like_the_real_ones() -> None:
    """Iterations and the salt's length are those of a verifier in use, and each of those occurs."""
    real = [
        parse_verifier(make_verifier("x", 4096)),
        parse_verifier(make_verifier("x", 8192, salt=b"s" * 24)),
    ]
    mocks = [mock_verifier(SECRET, f"agent{number}", real) for number in range(40)]
    assert {(mock.iterations, len(mock.salt)) for mock in mocks} == {(4096, 16), (8192, 24)}
    assert (MOCK.iterations, len(MOCK.salt)) == (4096, 16)


def test_a_server_nonce_is_never_used_twice() -> None:
    """Two challenges to the same first message differ, so a proof cannot be played back."""
    first = _first("SCRAM-SHA-256", b"n,,n=,r=abc")
    assert _server().receive(first) != _server().receive(first)


def test_binding_is_offered_with_tls_only(tmp_path: Path) -> None:
    """With a certificate, SCRAM-SHA-256-PLUS is offered first; one without a hash changes nothing."""
    plain = a.encode_authentication(a.AuthenticationSASL(("SCRAM-SHA-256",)))
    bound = a.encode_authentication(a.AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")))
    ecdsa, ed25519 = make_certificate(tmp_path).der, make_certificate(tmp_path, "ed25519").der
    assert ScramServer("user", PENCIL, MOCK).begin() == plain
    assert ScramServer("user", PENCIL, MOCK, certificate=ecdsa).begin() == bound
    assert ScramServer("user", PENCIL, MOCK, certificate=ed25519).begin() == plain


def test_a_login_bound_to_another_certificate_fails(tmp_path: Path) -> None:
    """A proof for the certificate of a machine in the middle does not hold for ours."""
    ours, theirs = make_certificate(tmp_path).der, make_certificate(tmp_path).der
    binding = ("tls-server-end-point", end_point_hash(theirs))
    client = scramp.ScramClient(["SCRAM-SHA-256-PLUS"], "user", "pencil", channel_binding=binding)
    server = _server(ours)
    challenge = server.receive(_first("SCRAM-SHA-256-PLUS", client.get_client_first().encode()))
    client.set_server_first(_challenge(challenge))
    with pytest.raises(AuthenticationError) as refused:
        server.receive(client.get_client_final().encode())
    assert "channel-bindings-dont-match" in refused.value.cause


@pytest.mark.parametrize(
    ("mechanism", "first"),
    [
        ("SCRAM-SHA-256", b"y,,n=,r=abc"),
        ("SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=abc"),
        ("SCRAM-SHA-256-PLUS", b"n,,n=,r=abc"),
        ("SCRAM-SHA-256-PLUS", b"y,,n=,r=abc"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=abc"),
    ],
)
def test_binding_cannot_be_talked_away(tmp_path: Path, mechanism: str, first: bytes) -> None:
    """Where binding is offered, a client that says it was not, or that mixes mechanisms, is refused."""
    server = _server(make_certificate(tmp_path).der)
    with pytest.raises(AuthenticationError):
        server.receive(_first(mechanism, first))


@pytest.mark.parametrize(
    ("mechanism", "first"),
    [
        ("SCRAM-SHA-1", b"n,,n=,r=abc"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=abc"),
        ("SCRAM-SHA-256", None),
        ("SCRAM-SHA-256", b""),
        ("SCRAM-SHA-256", b"n,,"),
        ("SCRAM-SHA-256", b"n,,r=abc"),
        ("SCRAM-SHA-256", b"n,,n="),
        ("SCRAM-SHA-256", b"n,,n=,r="),
        ("SCRAM-SHA-256", b"n,a=admin,n=,r=abc"),
        ("SCRAM-SHA-256", b"n,,m=x,n=,r=abc"),
        ("SCRAM-SHA-256", b"n,,n=,r=\xff"),
    ],
)
def test_a_malformed_first_message_is_refused(mechanism: str, first: bytes | None) -> None:
    """A mechanism that was not offered, and a message that is none, end like a wrong password."""
    with pytest.raises(AuthenticationError, match="password authentication failed"):
        _server().receive(_first(mechanism, first))


@pytest.mark.parametrize(
    "proof", [b"", b"c=biws", b"c=biws,r=abc,p=AAAA", b"c=!,r=abc,p=AAAA", b"\xff", b"m=x"]
)
def test_a_malformed_proof_is_refused(proof: bytes) -> None:
    """A proof that is none ends like a wrong password."""
    server = _server()
    server.receive(_first("SCRAM-SHA-256", b"n,,n=,r=abc"))
    with pytest.raises(AuthenticationError, match="password authentication failed"):
        server.receive(proof)


def test_nothing_is_taken_before_it_is_asked_for() -> None:
    """A message before the mechanisms are offered is refused."""
    server = ScramServer("user", PENCIL, MOCK)
    with pytest.raises(AuthenticationError) as refused:
        server.receive(_first("SCRAM-SHA-256", b"n,,n=,r=abc"))
    assert refused.value.cause == "a message out of turn"


scraps = st.lists(
    st.sampled_from(
        [b"n", b",", b",,", b"n=", b"r=", b"abc", b"c=", b"biws", b"p=", b"i=", b"=", b"\0", b"e=x"]
    )
    | st.binary(max_size=4),
    max_size=10,
).map(b"".join)


@given(first=scraps, proof=scraps)
def test_any_bytes_end_in_a_refusal(first: bytes, proof: bytes) -> None:
    """Any bytes give a challenge or an AuthenticationError, nothing else, and let nobody in."""
    server = _server()
    with pytest.raises(AuthenticationError):
        server.receive(server.receive(_first("SCRAM-SHA-256", first)) and proof)
    other = _server()
    with pytest.raises(AuthenticationError):
        other.receive(first)
        other.receive(proof)
    assert not server.done
    assert not other.done
