"""How the rules name a client certificate, and which certificate is meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dbfirewall.policy.certificate import CertificateName, parse_certificate
from dbfirewall.policy.loader import RulesError, parse_rules
from tests.policy.example import EXAMPLE

DER = b"a certificate"
DIGEST = hashlib.sha256(DER).hexdigest()
AGENT = '  nightly-report: {role: analyst, database: shop, password: "'


def mistakes(agents: str) -> list[str]:
    """What is wrong with the example when these agents stand beside its own."""
    assert EXAMPLE.count(AGENT) == 1
    with pytest.raises(RulesError) as caught:
        parse_rules({Path("rules.yaml"): EXAMPLE.replace(AGENT, agents + AGENT).encode()})
    return [error.message for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("CN=loader", CertificateName("cn", "loader")),
        ("CN=a=b, c", CertificateName("cn", "a=b, c")),
        (f"sha256:{DIGEST}", CertificateName("sha256", DIGEST)),
        (f"sha256:{':'.join([DIGEST[i : i + 2].upper() for i in range(0, 64, 2)])}",
         CertificateName("sha256", DIGEST)),
    ],
)  # fmt: skip
def test_a_certificate_is_named_by_its_common_name_or_fingerprint(text: str, meant: CertificateName) -> None:
    """Fingerprints also as openssl prints them."""
    assert parse_certificate(text) == meant


@pytest.mark.parametrize(
    "text", ["", "CN=", "CN= x", "cn=x", "loader", "sha256:", f"sha256:{DIGEST[1:]}", f"sha256={DIGEST}",
             f"sha1:{DIGEST}", "CN=a\0b", f"SHA256:{DIGEST}"],
)  # fmt: skip
def test_what_names_no_certificate_is_refused(text: str) -> None:
    """With the way to write it."""
    with pytest.raises(ValueError, match="CN="):
        parse_certificate(text)


def test_only_the_certificate_that_is_meant_fits() -> None:
    """Exactly its name, as the only one; or exactly its bytes."""
    named, printed = CertificateName("cn", "loader"), CertificateName("sha256", DIGEST)
    assert named.fits(b"anything", ("loader",))
    assert printed.fits(DER, ())
    for names in ((), ("Loader",), ("loader", "loader"), ("loader", "x"), ("loader.",)):
        assert not named.fits(DER, names)
    assert not printed.fits(DER + b"\0", ("loader",))


def test_mistakes_of_certificates_are_told() -> None:
    """No credential at all, a name that is none, and a certificate that is another agent's."""
    place = "role: analyst, database: shop"
    assert "a `password`, a `certificate`, or both" in mistakes(f"  a: {{{place}}}\n")[0]
    assert "CN=" in mistakes(f"  a: {{{place}, certificate: a}}\n")[0]
    shared = "".join(f"  {name}: {{{place}, certificate: CN=x}}\n" for name in "ab")
    assert mistakes(shared) == ["this is the certificate of agent 'a' already"]


def test_an_agent_may_have_a_certificate_alone_or_both() -> None:
    """Both shapes load."""
    alone = EXAMPLE.replace(AGENT, "  a: {role: analyst, database: shop, certificate: CN=a}\n" + AGENT)
    both = EXAMPLE.replace(AGENT, AGENT.replace("password", "certificate: CN=b, password"))
    assert parse_rules({Path("a"): alone.encode()}).agents["a"].password is None
    agent = parse_rules({Path("b"): both.encode()}).agents["nightly-report"]
    assert agent.certificate == "CN=b"
    assert agent.password is not None
