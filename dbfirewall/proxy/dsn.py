"""Where a database is: the `dsn` of the rules, with libpq's meaning of its parameters.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from dbfirewall.errors import ConfigError
from dbfirewall.proxy.tls import upstream_context

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PARAMETERS: Final = frozenset(
    {
        "sslmode",
        "sslrootcert",
        "sslnegotiation",
        "connect_timeout",
        "host",
        "port",
        "channel_binding",
        "pooler",
    }
)


@dataclass(frozen=True, slots=True)
class Target:
    """One Postgres database. `host` beginning with `/` is the folder of a Unix socket.

    `direct_tls`: TLS from the first byte (`sslnegotiation=direct`). `connect_timeout`: seconds.
    `channel_binding`: disable, prefer or require. `session_pooler`: a pooler with session pooling stands before the
    server (`pooler=session`, our own parameter).
    """

    host: str
    port: int
    database: str
    sslmode: str = "prefer"
    root_cert: str | None = None
    direct_tls: bool = False
    connect_timeout: float = 10.0
    channel_binding: str = "prefer"
    session_pooler: bool = False

    @property
    def unix_path(self) -> str | None:
        """The socket's path, for a Unix socket."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    def tls_context(self) -> ssl.SSLContext:
        """A context for this target's sslmode. Raises ConfigError where its files can't be read."""
        return upstream_context(self.sslmode, self.root_cert)


def parse_dsn(dsn: str) -> Target:
    """The target of `postgresql://host:port/database?sslmode=…`. Raises ConfigError for what it can't mean."""
    try:
        parts = urlsplit(dsn)
        host, port = unquote(parts.hostname or ""), parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:  # its words may quote a password that stands where none should
        raise ConfigError("dsn: malformed: write postgresql://host:port/database") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError("dsn: begins with postgresql://")
    if unknown := sorted(query.keys() - _PARAMETERS):
        raise ConfigError(f"dsn: unknown parameter {unknown[0]} (known: {', '.join(sorted(_PARAMETERS))})")
    sslmode = _one_of(query, "sslmode", "prefer", SSL_MODES)
    direct = _one_of(query, "sslnegotiation", "postgres", ("postgres", "direct")) == "direct"
    if direct and sslmode not in ("require", "verify-ca", "verify-full"):
        raise ConfigError("dsn: sslnegotiation=direct needs sslmode require, verify-ca or verify-full")
    root_cert = query.get("sslrootcert")
    if sslmode in ("verify-ca", "verify-full") and root_cert is None:
        root_cert = "system"
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise ConfigError("dsn: names no database (postgresql://host:port/database)")
    return Target(
        host=query.get("host") or host or "localhost",
        port=_number(query, "port", port or 5432),
        database=database,
        sslmode=sslmode,
        root_cert=root_cert,
        direct_tls=direct,
        connect_timeout=_number(query, "connect_timeout", 10) or 10,
        channel_binding=_one_of(query, "channel_binding", "prefer", ("disable", "prefer", "require")),
        session_pooler=_one_of(query, "pooler", "none", ("none", "session")) == "session",
    )


def _one_of(query: dict[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    value = query.get(name, default)
    if value not in known:
        raise ConfigError(f"dsn: {name}={value} is none of {', '.join(known)}")
    return value


def _number(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise ConfigError(f"dsn: {name}={value} is not a number")
    return int(value)
