"""The channel binding `tls-server-end-point`: a hash of the certificate that the server showed.

Both ends mix it into the SCRAM exchange, so a machine in the middle with another certificate cannot pass it on.
"""

from __future__ import annotations

import hashlib

from asn1crypto.x509 import Certificate


def end_point_hash(certificate: bytes) -> bytes | None:
    """RFC 5929 4.1: `certificate` (DER) hashed as its signature is, but by SHA-256 instead of MD5 and SHA-1.

    None where the signature has no hash of its own (Ed25519): then there is no such binding.
    """
    try:
        algorithm = Certificate.load(certificate, strict=True).hash_algo
        return hashlib.new("sha256" if algorithm in ("md5", "sha1") else algorithm, certificate).digest()
    except ValueError:
        return None
