"""TLS towards the database: what sslmode, sslnegotiation and channel_binding of a `dsn` demand is what happens.

The server here is a TLS-terminating relay; `make matrix` has the same on servers with TLS of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, rules
from tests.proxy.certificates import Certificate, make_certificate
from tests.support.firewall import Firewall
from tests.support.tls_relay import TlsRelay

pytestmark = pytest.mark.postgres

Start = Callable[[str], Firewall]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The server's certificate: for the address 127.0.0.1, signed by itself."""
    return make_certificate(tmp_path_factory.mktemp("shown"))


@pytest.fixture(scope="module")
def relay(world: World, shown: Certificate) -> Iterator[TlsRelay]:
    """TLS in front of the database."""
    with TlsRelay(world.postgres.host, world.postgres.port, shown.cert, shown.key) as running:
        yield running


@pytest.fixture
def behind_tls(world: World, relay: TlsRelay, tmp_path: Path) -> Iterator[Start]:
    """`behind_tls(query)`: a firewall whose dsn goes to the relay with these parameters, just launched."""
    started: list[Firewall] = []

    def start(query: str) -> Firewall:
        plain = f"{world.postgres.host}:{world.postgres.port}/{DATABASE}?sslmode=disable"
        text = rules(world.postgres).replace(plain, f"{query.replace('PORT', str(relay.port))}")
        firewall = Firewall(text, tmp_path, environment={"E2E_PASSWORD": LOGIN_PASSWORD})
        firewall.launch()
        started.append(firewall)
        return firewall

    yield start
    for firewall in started:
        firewall.kill()


def settled(firewall: Firewall, seconds: float = 20.0) -> str:
    """ "" once the firewall is ready; what keeps it from that, once it has tried."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            status, body = firewall.get("/readyz")
        except OSError:
            status, body = 0, "not loaded yet"
        if status == 200:
            return ""
        if "not loaded yet" not in body:
            return body
        time.sleep(0.05)
    raise AssertionError(firewall.errors())


def count_through(firewall: Firewall) -> object:
    """A SELECT's answer through the firewall."""
    with psycopg.connect(firewall.dsn("reader", "reader-agent", DATABASE, sslmode="disable")) as connection:
        return connection.execute("SELECT count(*) FROM people").fetchone()


def test_verify_full_takes_the_certificate_that_it_trusts(
    behind_tls: Start, relay: TlsRelay, shown: Certificate
) -> None:
    """Root certificate and host name fit: the session runs, and every connection of the firewall was TLS."""
    relay.handshakes.clear()
    firewall = behind_tls(f"127.0.0.1:PORT/{DATABASE}?sslmode=verify-full&sslrootcert={shown.cert}")
    assert settled(firewall) == ""
    assert count_through(firewall) == (50,)
    assert set(relay.handshakes) == {"negotiated"}


def test_direct_tls(behind_tls: Start, relay: TlsRelay, shown: Certificate) -> None:
    """sslnegotiation=direct: TLS from the first byte, for the catalog's connection and the session's."""
    relay.handshakes.clear()
    query = f"sslmode=verify-full&sslnegotiation=direct&sslrootcert={shown.cert}"
    firewall = behind_tls(f"127.0.0.1:PORT/{DATABASE}?{query}")
    assert settled(firewall) == ""
    assert count_through(firewall) == (50,)
    assert set(relay.handshakes) == {"direct"}


def test_verify_full_refuses_a_certificate_that_another_signed(
    behind_tls: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Not ready, and an agent gets no session."""
    stranger = make_certificate(tmp_path_factory.mktemp("stranger"))
    firewall = behind_tls(f"127.0.0.1:PORT/{DATABASE}?sslmode=verify-full&sslrootcert={stranger.cert}")
    assert "CERTIFICATE_VERIFY_FAILED" in settled(firewall)


@pytest.mark.parametrize(
    ("sslmode", "problem"), [("verify-full", "CERTIFICATE_VERIFY_FAILED"), ("verify-ca", "")]
)
def test_the_name_in_the_certificate(
    world: World, behind_tls: Start, shown: Certificate, sslmode: str, problem: str
) -> None:
    """The certificate is for 127.0.0.1: at another address verify-full refuses it; verify-ca does not look."""
    with TlsRelay(
        world.postgres.host, world.postgres.port, shown.cert, shown.key, address="127.0.0.2"
    ) as elsewhere:
        query = f"sslmode={sslmode}&sslrootcert={shown.cert}"
        firewall = behind_tls(f"127.0.0.2:{elsewhere.port}/{DATABASE}?{query}")
        told = settled(firewall)
        assert problem in told if problem else told == ""


def test_channel_binding_required_where_the_server_has_none(behind_tls: Start, shown: Certificate) -> None:
    """Somebody in the middle who ends TLS is found out: no session, and the log says why."""
    query = f"sslmode=verify-full&channel_binding=require&sslrootcert={shown.cert}"
    firewall = behind_tls(f"127.0.0.1:PORT/{DATABASE}?{query}")
    settled(firewall)
    with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
        count_through(firewall)
    assert "channel_binding=require" in firewall.errors()


def test_a_server_without_tls_is_refused_where_tls_is_demanded(behind_tls: Start, world: World) -> None:
    """sslmode=require never falls back to plain text."""
    firewall = behind_tls(f"{world.postgres.host}:{world.postgres.port}/{DATABASE}?sslmode=require")
    assert settled(firewall) != ""
