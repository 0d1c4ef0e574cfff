"""The certificate that an agent showed in the TLS handshake, as far as the rules speak of it."""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto.x509 import Certificate

from dbfirewall.policy.certificate import CertificateName
from dbfirewall.proxy.peer import Peer


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate for which the settings' CA vouches. `common_names`: those of its subject, in its order."""

    der: bytes
    common_names: tuple[str, ...]

    def fits(self, wanted: CertificateName) -> bool:
        """Whether this is the certificate that the rules mean."""
        return wanted.fits(self.der, self.common_names)


def client_certificate(peer: Peer) -> ClientCertificate | None:
    """What `peer` showed and OpenSSL verified; None where it showed nothing, or has no TLS."""
    # Without a client_ca nothing is asked for, and a certificate that does not verify ends the handshake.
    der = peer.tls.object.getpeercert(binary_form=True) if peer.tls is not None else None
    return ClientCertificate(der, _common_names(der)) if der else None


def _common_names(der: bytes) -> tuple[str, ...]:
    try:
        rdns = Certificate.load(der, strict=True).subject.chosen
        pairs = [pair for rdn in rdns for pair in rdn]
        return tuple(str(pair["value"].native) for pair in pairs if pair["type"].native == "common_name")
    except ValueError:
        return ()
