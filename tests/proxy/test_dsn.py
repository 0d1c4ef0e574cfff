"""Where a database is, and what its dsn can't mean."""

from __future__ import annotations

import ssl

import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.proxy.dsn import Target, parse_dsn


@pytest.mark.parametrize(
    ("dsn", "target"),
    [
        ("postgresql://db/shop", Target("db", 5432, "shop")),
        ("postgres://db:5433/shop", Target("db", 5433, "shop")),
        ("postgresql:///shop", Target("localhost", 5432, "shop")),
        ("postgresql://[::1]:1/my%20shop", Target("::1", 1, "my shop")),
        ("postgresql:///shop?host=/run/postgresql&port=5433", Target("/run/postgresql", 5433, "shop")),
        ("postgresql://%2Frun%2Fpostgresql/shop", Target("/run/postgresql", 5432, "shop")),
        ("postgresql://db/shop?sslmode=disable", Target("db", 5432, "shop", sslmode="disable")),
        (
            "postgresql://db/shop?sslmode=verify-full",
            Target("db", 5432, "shop", sslmode="verify-full", root_cert="system"),
        ),
        (
            "postgresql://db/shop?sslmode=verify-ca&sslrootcert=/ca.pem",
            Target("db", 5432, "shop", sslmode="verify-ca", root_cert="/ca.pem"),
        ),
        (
            "postgresql://db/shop?sslmode=require&sslnegotiation=direct",
            Target("db", 5432, "shop", sslmode="require", direct_tls=True),
        ),
        ("postgresql://db/shop?connect_timeout=3", Target("db", 5432, "shop", connect_timeout=3)),
        ("postgresql://db/shop?connect_timeout=0", Target("db", 5432, "shop", connect_timeout=10)),
        (
            "postgresql://db/shop?channel_binding=require",
            Target("db", 5432, "shop", channel_binding="require"),
        ),
    ],
)
def test_a_dsn_names_a_target(dsn: str, target: Target) -> None:
    """With libpq's meaning of its parameters."""
    assert parse_dsn(dsn) == target


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("mysql://db/shop", "begins with postgresql://"),
        ("postgresql://db", "names no database"),
        ("postgresql://db:x/shop", "dsn: "),
        ("postgresql://db:99999/shop", "dsn: "),
        ("postgresql://[::1/shop", "dsn: "),
        ("postgresql://db/shop?sslmode", "dsn: "),
        ("postgresql://db/shop?sslmode=maybe", "sslmode=maybe is none of"),
        ("postgresql://db/shop?target_session_attrs=any", "unknown parameter target_session_attrs"),
        ("postgresql://db/shop?sslnegotiation=direct", "needs sslmode"),
        ("postgresql://db/shop?port=x", "port=x is not a number"),
        ("postgresql://db/shop?connect_timeout=-1", "connect_timeout=-1 is not a number"),
        ("postgresql://db/shop?channel_binding=yes", "channel_binding=yes is none of"),
    ],
)
def test_a_dsn_that_means_nothing_is_refused(dsn: str, says: str) -> None:
    """In words that begin with `dsn:`."""
    with pytest.raises(ConfigError) as error:
        parse_dsn(dsn)
    assert str(error.value).startswith("dsn: ")
    assert says in str(error.value)


def test_only_a_folder_is_a_unix_socket() -> None:
    """The path that libpq would use."""
    assert parse_dsn("postgresql:///shop?host=/run&port=1").unix_path == "/run/.s.PGSQL.1"
    assert parse_dsn("postgresql://db/shop").unix_path is None


@pytest.mark.parametrize(
    ("mode", "verifies", "names"),
    [("require", ssl.CERT_NONE, False), ("verify-ca", ssl.CERT_REQUIRED, False),
     ("verify-full", ssl.CERT_REQUIRED, True)],
)  # fmt: skip
def test_a_context_checks_what_sslmode_says(mode: str, verifies: ssl.VerifyMode, names: bool) -> None:
    """Nothing, the chain, or chain and name."""
    context = parse_dsn(f"postgresql://db/shop?sslmode={mode}").tls_context()
    assert (context.verify_mode, context.check_hostname) == (verifies, names)


def test_a_root_certificate_that_is_not_there_is_refused() -> None:
    """When the rules are read, not when the first agent connects."""
    with pytest.raises(ConfigError, match="sslrootcert"):
        parse_dsn("postgresql://db/shop?sslmode=verify-ca&sslrootcert=/nowhere").tls_context()


def test_require_with_a_root_certificate_verifies(tmp_path: object) -> None:
    """As libpq does it, for compatibility's sake: a root that is given is used."""
    context = parse_dsn("postgresql://db/shop?sslmode=require&sslrootcert=system").tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
