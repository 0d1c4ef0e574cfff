"""Connections that have not logged in, so that a crowd of them does not keep others out.

When there is no room for a newcomer, the address that holds the most places gives up its oldest one. So whoever
opens thousands of connections without logging in pushes out their own, and an agent elsewhere still comes in.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Protocol


class Waiting(Protocol):
    """A connection that can be told to go."""

    def give_way(self) -> None:
        """End now; the place is counted as free already."""


class WaitingRoom:
    """Who waits, by address, each address' oldest first."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[Waiting, None]] = {}

    def enter(self, waiting: Waiting, host: str) -> None:
        """`waiting`, of the address `host`, has connected."""
        self._by_address.setdefault(_network(host), {})[waiting] = None

    def leave(self, waiting: Waiting, host: str) -> bool:
        """It has logged in, gone or given way; False where that was so before."""
        network = _network(host)
        there = self._by_address.get(network, {})
        if waiting not in there:
            return False
        del there[waiting]
        if not there:
            del self._by_address[network]
        return True

    def longest(self) -> Waiting | None:
        """Who has to give way; None where nobody waits."""
        crowd = max(self._by_address.values(), key=len, default=None)
        return next(iter(crowd)) if crowd else None


def _network(host: str) -> str:
    """What one stranger may hold many addresses of: an IPv6 /64 counts as one."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
