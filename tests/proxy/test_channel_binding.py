"""The hash that binds a login to the certificate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.proxy.channel_binding import end_point_hash
from tests.proxy.certificates import Hash, make_certificate


@pytest.mark.parametrize(
    ("kind", "algorithm", "expected"),
    [
        ("ecdsa", hashes.SHA256(), "sha256"),
        ("ecdsa", hashes.SHA384(), "sha384"),
        ("rsa", hashes.SHA256(), "sha256"),
        ("rsa", hashes.SHA512(), "sha512"),
        ("rsa-pss", hashes.SHA384(), "sha384"),
    ],
)
def test_hashed_as_the_signature_is(tmp_path: Path, kind: str, algorithm: Hash, expected: str) -> None:
    """The certificate is hashed by its signature's own hash function."""
    der = make_certificate(tmp_path, kind, algorithm).der
    assert end_point_hash(der) == hashlib.new(expected, der).digest()


@pytest.mark.parametrize("weak", ["2a864886f70d010105", "2a864886f70d010104"], ids=["sha1", "md5"])
def test_weak_hashes_give_way_to_sha256(tmp_path: Path, weak: str) -> None:
    """A certificate signed with SHA-1 or MD5 is hashed by SHA-256 (RFC 5929)."""
    der = make_certificate(tmp_path, "rsa").der.replace(
        bytes.fromhex("2a864886f70d01010b"), bytes.fromhex(weak)
    )
    assert end_point_hash(der) == hashlib.sha256(der).digest()


def test_no_hash_no_binding(tmp_path: Path) -> None:
    """An Ed25519 signature has no hash function that could be used."""
    assert end_point_hash(make_certificate(tmp_path, "ed25519").der) is None


@given(junk=st.binary(max_size=64))
def test_junk_has_no_binding(junk: bytes) -> None:
    """What is no certificate gives None, not an exception."""
    assert end_point_hash(junk) is None
