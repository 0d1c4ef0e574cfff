"""What the console and the API are told at start. From dbfirewall.settings; docs/settings.md is the reference."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

IDLE_SECONDS: Final = 30 * 60.0
LIFETIME_SECONDS: Final = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class WebOptions:
    """`public_url`: where people reach the console, empty where that is the listener's own address.

    `hosts`: further host names that requests may name. `auth_header`: the header in which an authenticating
    reverse proxy names the approver, lower case; empty: none is believed. `trusted_proxies`: the networks whose
    word counts for it and for X-Forwarded-For. `idle`, `lifetime`: of a session, in seconds.
    """

    public_url: str = ""
    hosts: frozenset[str] = frozenset()
    auth_header: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    idle: float = IDLE_SECONDS
    lifetime: float = LIFETIME_SECONDS

    def trusts(self, address: str) -> bool:
        """Whether `address` is a reverse proxy of ours."""
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(peer, "ipv4_mapped", None)
        return any((mapped or peer) in network for network in self.trusted_proxies)

    def knows_host(self, host: str) -> bool:
        """Whether a request may name `host` (a Host header): an IP address, localhost, or a name from the settings.

        DNS rebinding needs a name that an attacker controls; an address and localhost are no such names.
        """
        try:
            parts = urlsplit(f"//{host}")
            name = (parts.hostname or "").rstrip(".")
            _ = parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.path or parts.query or not name:
            return False
        if name == "localhost" or name in self.hosts or name == urlsplit(self.public_url).hostname:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def scheme(self, host: str) -> str:
        """`https` where `host` is that of an https public URL, else `http`: this listener has no TLS of its own."""
        public = urlsplit(self.public_url)
        return "https" if public.scheme == "https" and public.netloc.lower() == host.lower() else "http"
