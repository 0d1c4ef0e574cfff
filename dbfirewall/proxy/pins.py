"""The session wall: what the firewall sets on the server when it opens a session, and watches afterwards.

Pins travel in the startup packet, so they win over `ALTER ROLE … SET`, and RESET goes back to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbfirewall.errors import SqlState
from dbfirewall.policy.models import Role
from dbfirewall.proxy.admission import Turned
from dbfirewall.proxy.dsn import Target
from dbfirewall.sql.facts import quote_identifier

_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_IDENTITY = ("session_authorization", "is_superuser")
_TRANSACTION_TIMEOUT_SINCE = 170000


@dataclass(frozen=True, slots=True)
class Footing:
    """What a session stands on at the server: where, as whom, and how it is pinned.

    All of it is settled when the session begins. When a reload changes any of it, the session can't follow.
    """

    target: Target
    user: str
    pin: str
    pins: Mapping[str, str]


def pins(role: Role, search_path: tuple[str, ...] | None, server_version: int) -> dict[str, str]:
    """Startup parameters for a session of `role`. `server_version`: e.g. 180006. `search_path` None: not pinned."""
    values = {"client_encoding": "UTF8"}
    if search_path is not None:
        values["search_path"] = ", ".join(map(quote_identifier, search_path)) or '""'
    if role.read_only:
        values["default_transaction_read_only"] = "on"
    names: tuple[str, ...] = _TIMEOUTS
    if server_version >= _TRANSACTION_TIMEOUT_SINCE:
        names = (*names, "transaction_timeout")
    for name in names:
        if (milliseconds := getattr(role.limits, name)) is not None:
            values[name] = str(milliseconds)
    return values


def tripwires(role: Role, asked: Mapping[str, str], reported: Mapping[str, str]) -> dict[str, str]:
    """Reported parameter (lower case) → the value it must keep in this session.

    `reported`: the server's ParameterStatus messages at startup. Raises Turned where the server does not confirm
    what every decision rests on.
    """
    values = {name.lower(): value for name, value in reported.items()}
    required = {"client_encoding": "UTF8", "server_encoding": "UTF8", "standard_conforming_strings": "on"}
    if role.read_only:
        required["default_transaction_read_only"] = "on"
    for name, wanted in required.items():
        if values.get(name) != wanted:
            raise Turned(
                SqlState.UPSTREAM_DOWN, f"The server does not confirm {name} = {wanted}; no session is possible.",
                reason="unpinned",
            )  # fmt: skip
    watched = dict(required)
    if not role.grants("set_session_authorization"):
        watched |= {name: values[name] for name in _IDENTITY if name in values}
    if "search_path" in values and "search_path" not in asked and role.search_path is not None:
        watched["search_path"] = values["search_path"]
    return watched
