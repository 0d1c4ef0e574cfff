"""The `certificate` of an agent in the rules: which TLS client certificate is its own.

`CN=<name>`: any certificate whose subject has exactly this one common name, as long as the settings' CA vouches for
it; it may be renewed without a change of the rules. `sha256:<64 hex digits>`: this one certificate and no other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, Literal

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CertificateName:
    """What a certificate must be: `value` is the common name, or the SHA-256 of its DER bytes in lower-case hex."""

    kind: Literal["cn", "sha256"]
    value: str

    def fits(self, der: bytes, common_names: tuple[str, ...]) -> bool:
        """Whether the certificate `der`, whose subject has these common names, is meant.

        Two common names mean none: which of them the CA checked cannot be known.
        """
        if self.kind == "cn":
            return common_names == (self.value,)
        return hmac.compare_digest(hashlib.sha256(der).hexdigest(), self.value)


def parse_certificate(text: str) -> CertificateName:
    """What the rules say. ValueError says how it is written.

    A fingerprint may have the colons and capitals that `openssl x509 -fingerprint -sha256` prints.
    """
    kind, _, value = text.partition("=")
    if kind == "CN" and value and value == value.strip() and value.isprintable():
        return CertificateName("cn", value)
    kind, _, digest = text.partition(":")
    digest = digest.replace(":", "").lower()
    if kind == "sha256" and _FINGERPRINT.fullmatch(digest):
        return CertificateName("sha256", digest)
    raise ValueError("a certificate is written CN=<its common name>, or sha256:<its fingerprint in hex>")
