"""A certificate authority for tests: server certificates, and client certificates for agents."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key as PEM files. `fingerprint`: SHA-256 of the DER bytes, in hex."""

    cert: Path
    key: Path
    fingerprint: str

    @property
    def options(self) -> dict[str, str]:
        """As libpq's connection parameters."""
        return {"sslcert": str(self.cert), "sslkey": str(self.key)}


class Authority:
    """Makes certificates in `folder`, each under a name of its own; `cert` is its own one."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.cert = self._write(name, self._signed(self._name, self._key, authority=True), self._key).cert

    def issue(self, name: str, common_names: tuple[str, ...] = (), *, days: int = 1) -> Pair:
        """A certificate with `common_names` (unless given: its `name`); `days` negative: one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, part) for part in common_names or (name,)]
        return self._write(name, self._signed(x509.Name(parts), key, days=days), key)

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False, days: int = 1
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(addresses, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
        cert_file, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key_file.write_bytes(secret)
        key_file.chmod(0o600)
        return Pair(cert_file, key_file, certificate.fingerprint(hashes.SHA256()).hex())
