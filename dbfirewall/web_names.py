"""Names of hosts, headers and networks, as settings give them: in a list, or in one text with commas."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def parse_words(value: object) -> tuple[str, ...]:
    """A list of words, or such a list in one text, separated by commas. ValueError for anything else."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of names is wanted here")
    return tuple(word for item in items if (word := item.strip()))


def parse_hosts(value: object) -> tuple[str, ...]:
    """Host names, lower case. ValueError for what is none."""
    for name in (names := parse_words(value)):
        if not _HOST.fullmatch(name):
            raise ValueError(f"{name!r} is not a host name: write it without port and https://")
    return tuple(name.lower() for name in names)


def parse_networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks such as `10.0.0.0/8`, or single addresses. ValueError for anything else."""
    return tuple(ip_network(word) for word in parse_words(value))


def parse_header(value: object) -> str:
    """A header's name, lower case; empty for none. ValueError for what is none, or means something else."""
    if not isinstance(value, str) or (value and not _HEADER.fullmatch(value)):
        raise ValueError(f"{value!r} is not a header's name")
    if value.lower() in ("authorization", "cookie", "host", "origin") or value.lower().startswith("sec-"):
        raise ValueError(f"{value!r} is a header that browsers send themselves")
    return value.lower()
