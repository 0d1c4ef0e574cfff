"""The strictest TLS that libpq knows, on both sides of the firewall at once, on a server of each major version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbfirewall.wire import messages as m
from tests.e2e.test_tls_upstream import settled
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, build, rules
from tests.proxy.certificates import Certificate, make_certificate
from tests.support import npm
from tests.support.embedded import FAST, EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

DIRECT_SINCE = 17


@pytest.fixture(scope="module", params=sorted(npm.VERSIONS))
def major(request: pytest.FixtureRequest) -> int:
    """A major version of PostgreSQL."""
    version: int = request.param
    return version


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of the servers, and of the firewall."""
    return make_certificate(tmp_path_factory.mktemp("shown"))


@pytest.fixture(scope="module")
def server(major: int, shown: Certificate) -> Iterator[Postgres]:
    """A server with TLS, and the database of the end-to-end tests."""
    programs = npm.programs(major)
    with EmbeddedPostgres(settings=FAST, programs=programs, tls=(shown.cert, shown.key)) as running:
        postgres = Postgres(running.host, running.port, running.superuser, running.password, "npm")
        build(postgres)
        yield postgres


def firewall_for(server: Postgres, folder: Path, shown: Certificate, query: str) -> Firewall:
    """A firewall with TLS towards its agents, whose dsn has these parameters."""
    text = rules(server).replace("sslmode=disable", f"{query}&sslrootcert={shown.cert}")
    tls = {"DBFIREWALL_TLS_CERT": str(shown.cert), "DBFIREWALL_TLS_KEY": str(shown.key)}
    return Firewall(text, folder, environment={"E2E_PASSWORD": LOGIN_PASSWORD, **tls})


def strictest(firewall: Firewall, shown: Certificate) -> str:
    """An agent's URL with all that libpq 18 can demand."""
    return firewall.dsn(
        "reader", "reader-agent", DATABASE,
        sslmode="verify-full", sslrootcert=str(shown.cert), sslnegotiation="direct", channel_binding="require",
        min_protocol_version="3.2", max_protocol_version="latest",
    )  # fmt: skip


def modes(major: int) -> list[str]:
    """How the firewall may reach this server: with an SSLRequest, and from 17 on without."""
    bound = "sslmode=verify-full&channel_binding=require"
    return [bound] + ([f"{bound}&sslnegotiation=direct"] if major >= DIRECT_SINCE else [])


def test_everything_at_once(server: Postgres, major: int, shown: Certificate, tmp_path: Path) -> None:
    """verify-full, channel binding, direct TLS and protocol 3.2 by the agent; the same upstream where it is known."""
    for number, query in enumerate(modes(major)):
        with firewall_for(server, tmp_path / str(number), shown, query) as firewall:
            with psycopg.connect(strictest(firewall, shown)) as connection:
                assert connection.pgconn.full_protocol_version == 30002
                assert connection.execute("SELECT count(*) FROM people").fetchone() == (50,)
                encrypted = connection.execute(
                    "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                ).fetchone()
                assert encrypted == (True,)
            assert server.sql("SELECT current_setting('server_version_num')::int / 10000") == [(major,)]


def test_a_cancel_request_travels_encrypted(server: Postgres, shown: Certificate, tmp_path: Path) -> None:
    """A cancel of protocol 3.2, with its 32-byte key, over TLS on both sides, ends the statement."""
    with (
        firewall_for(server, tmp_path, shown, "sslmode=verify-full&channel_binding=require") as firewall,
        psycopg.connect(strictest(firewall, shown), autocommit=True) as connection,
    ):
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        connection.cancel_safe(timeout=10)
        results = []
        while (result := connection.pgconn.get_result()) is not None:
            results.append(result.error_field(psycopg.pq.DiagnosticField.SQLSTATE))
        assert results == [b"57014"]


def test_direct_tls_to_a_server_that_does_not_know_it(
    server: Postgres, major: int, shown: Certificate, tmp_path: Path
) -> None:
    """Up to 16 the firewall never gets ready, and does not fall back; from 17 on it works."""
    firewall = firewall_for(server, tmp_path, shown, "sslmode=verify-full&sslnegotiation=direct")
    firewall.launch()
    try:
        assert (settled(firewall) == "") == (major >= DIRECT_SINCE)
    finally:
        firewall.kill()


def test_the_older_protocol_on_a_new_server(server: Postgres, shown: Certificate, tmp_path: Path) -> None:
    """An agent that speaks 3.0 gets it, whatever the server could."""
    with firewall_for(server, tmp_path, shown, "sslmode=verify-full") as firewall:
        url = firewall.dsn("reader", "reader-agent", DATABASE, sslmode="require", max_protocol_version="3.0")
        with psycopg.connect(url) as connection:
            assert connection.pgconn.full_protocol_version == m.PROTOCOL_3_0 // 65536 * 10000
