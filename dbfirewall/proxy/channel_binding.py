"""The channel binding `tls-server-end-point`: a hash of the certificate that the server showed.

Both ends mix it into the SCRAM exchange, so a machine in the middle with another certificate cannot pass it on.
"""

from __future__ import annotations

import hashlib
from typing import Final

from asn1crypto.x509 import Certificate

# Signatures of a hash of the certificate. Ed25519 and Ed448 are not: libpq finds no hash for them and gives up.
_HASHED: Final = frozenset(("rsassa_pkcs1v15", "rsassa_pss", "ecdsa", "dsa"))


def end_point_hash(certificate: bytes) -> bytes | None:
    """RFC 5929 4.1: `certificate` (DER) hashed as its signature is, but by SHA-256 instead of MD5 and SHA-1.

    None where the signature has no hash of its own: then there is no such binding.
    """
    try:
        parsed = Certificate.load(certificate, strict=True)
        if parsed.signature_algo not in _HASHED:
            return None
        algorithm = parsed.hash_algo
        return hashlib.new("sha256" if algorithm in ("md5", "sha1") else algorithm, certificate).digest()
    except ValueError:
        return None
