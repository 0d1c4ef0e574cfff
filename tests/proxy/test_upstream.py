"""The way to Postgres: dial, TLS as sslmode says, log in, up to the first ReadyForQuery; and cancel requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.upstream import Credentials, Upstream, UpstreamError, connect, send_cancel
from dbfirewall.wire import authentication as a
from tests.proxy.certificates import Certificate, make_certificate
from tests.proxy.notation import server_bytes
from tests.proxy.running import KEY, REPORTED, Backend

LOGIN = Credentials("w", "secret")
OK = a.encode_authentication(a.AuthenticationOk())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def target(backend: Backend, mode: str = "disable", **options: object) -> Target:
    return Target("127.0.0.1", backend.port, "shop", **{"sslmode": mode, "connect_timeout": 10.0, **options})  # type: ignore[arg-type]


def run(backend: Backend, work: Callable[[], Awaitable[None]]) -> None:
    """With `backend` up; afterwards no connection to it is open."""

    async def main() -> None:
        async with asyncio.timeout(20), backend:
            await work()
            while backend.open:  # noqa: ASYNC110  it is no event
                await asyncio.sleep(0.001)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def refused(backend: Backend, mode: str = "disable", **options: object) -> UpstreamError:
    """The error that connecting ends with."""
    errors: list[UpstreamError] = []

    async def work() -> None:
        with pytest.raises(UpstreamError) as error:
            await connect(target(backend, mode, **options), LOGIN, {})
        errors.append(error.value)

    run(backend, work)
    return errors[0]


def connected(backend: Backend, mode: str = "disable", **options: object) -> bool:
    """Whether the connection that was made has TLS."""
    found: list[Upstream] = []

    async def work() -> None:
        upstream = await connect(target(backend, mode, **options), LOGIN, {"TimeZone": "UTC"})
        found.append(upstream)
        upstream.peer.abort()

    run(backend, work)
    return found[0].peer.tls is not None


def test_what_the_server_said_is_at_hand() -> None:
    """Its parameters in order, its notices as they were, pid and key; it was asked for what was wanted."""
    backend = Backend()

    async def work() -> None:
        upstream = await connect(target(backend), LOGIN, {"TimeZone": "UTC"})
        assert list(upstream.parameters.items())[:2] == [
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
        ]
        assert (upstream.notices, upstream.pid, upstream.key) == ([server_bytes("N welcome")], 42, b"KEY!")
        upstream.peer.abort()

    run(backend, work)
    assert backend.startups == [{"user": "w", "database": "shop", "TimeZone": "UTC", "": ""}]


def test_no_parameter_takes_the_place_of_the_login() -> None:
    """Whoever made the parameters, user and database are the target's own."""
    backend = Backend()

    async def work() -> None:
        upstream = await connect(target(backend), LOGIN, {"user": "postgres", "database": "other"})
        upstream.peer.abort()

    run(backend, work)
    assert (backend.startups[0]["user"], backend.startups[0]["database"]) == ("w", "shop")


# -- TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "encrypted"),
    [("disable", False), ("allow", False), ("prefer", True), ("require", True), ("verify-ca", True),
     ("verify-full", True)],
)  # fmt: skip
def test_tls_is_used_as_sslmode_says(certificate: Certificate, mode: str, encrypted: bool) -> None:
    """Where the server can."""
    backend = Backend(encryption=b"S", certificate=certificate)
    root = str(certificate.cert) if mode.startswith("verify") else None
    assert connected(backend, mode, root_cert=root) is encrypted


def test_prefer_goes_on_without_tls_where_the_server_has_none() -> None:
    """As libpq does; the other modes that ask for it do not."""
    assert connected(Backend(), "prefer") is False
    for mode in ("require", "verify-ca", "verify-full"):
        assert "does not support TLS" in str(refused(Backend(), mode))


def test_prefer_goes_on_without_tls_where_tls_is_not_let_in(certificate: Certificate) -> None:
    """28000 is what pg_hba.conf answers to a connection that it has no line for; `allow` tries the other way."""
    no_entry = server_bytes("FATAL 28000 no pg_hba.conf entry")
    backend = Backend(hello=no_entry, encryption=b"S", certificate=certificate)
    for mode in ("prefer", "allow"):
        assert refused(backend, mode).refusal["C"] == "28000"
    assert len(backend.startups) == 4
    backend = Backend(hello=server_bytes("FATAL 53300 too many"), encryption=b"S", certificate=certificate)
    assert refused(backend, "prefer").refusal["C"] == "53300"
    assert len(backend.startups) == 1


def test_a_certificate_that_does_not_verify_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    """Another root: nothing is sent, least of all a password."""
    other = make_certificate(tmp_path)
    backend = Backend(encryption=b"S", certificate=certificate)
    assert "certificate" in str(refused(backend, "verify-ca", root_cert=str(other.cert))).lower()
    assert backend.startups == []


@pytest.mark.parametrize("answer", [b"SE", b"E", b"x"])
def test_an_answer_to_the_request_for_tls_that_is_none_is_refused(answer: bytes) -> None:
    """Also plaintext glued to the yes: it could have been put there by anybody (CVE-2021-23222)."""
    assert str(refused(Backend(encryption=answer), "require"))


def test_direct_tls_needs_no_request(certificate: Certificate) -> None:
    """TLS from the first byte, as Postgres 17 has it: only with its ALPN name, or it could be anybody's TLS."""
    speaking = Backend(certificate=certificate, direct=True)
    assert speaking.context is not None
    speaking.context.set_alpn_protocols(["postgresql"])
    assert connected(speaking, "require", direct_tls=True)
    assert "ALPN" in str(refused(Backend(certificate=certificate, direct=True), "require", direct_tls=True))


# -- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hello",
    [
        server_bytes("Z I"),
        OK + server_bytes("D x"),
        OK + server_bytes("Z I", "N late"),
        OK + a.encode_authentication(a.AuthenticationCleartextPassword()),
        a.encode_authentication(a.AuthenticationCleartextPassword()),
        a.encode_authentication(a.AuthenticationSASL(("SCRAM-SHA-256-PLUS",))),
        b"\0",
        b"R\xff\xff\xff\xff",
    ],
    ids=["no login", "row", "too much", "asks after", "cleartext", "mechanism", "garbage", "length"],
)
def test_a_server_that_breaks_the_rules_is_refused(hello: bytes) -> None:
    """And the connection is closed."""
    assert str(refused(Backend(hello=hello)))


def test_the_servers_own_words_are_kept() -> None:
    """For the log; the agent is not told."""
    error = refused(Backend(hello=OK + server_bytes("FATAL 53300 sorry, too many clients already")))
    assert (str(error), error.refusal["C"]) == ("sorry, too many clients already", "53300")


def test_a_server_that_hangs_up_or_says_nothing_is_given_up() -> None:
    """After connect_timeout, at the latest."""
    assert str(refused(Backend(hello=b""), connect_timeout=0.05)) == "timed out"
    assert (
        str(refused(Backend(hello=OK + server_bytes(*REPORTED) + KEY), connect_timeout=0.05)) == "timed out"
    )


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Neither the port nor the socket."""

    async def work() -> None:
        for gone in (Target("127.0.0.1", 1, "shop"), Target(str(tmp_path), 5432, "shop")):
            with pytest.raises(UpstreamError, match="cannot connect"):
                await connect(gone, LOGIN, {})

    asyncio.run(work())


def test_a_unix_socket_needs_no_tls(tmp_path: Path) -> None:
    """Whatever sslmode says: it never leaves the machine."""
    backend = Backend()

    async def main() -> None:
        server = await asyncio.start_unix_server(backend._serve, tmp_path / ".s.PGSQL.5432")
        place = Target(str(tmp_path), 5432, "shop", sslmode="verify-full")
        upstream = await connect(place, LOGIN, {})
        assert upstream.peer.tls is None
        await send_cancel(place, 42, b"KEY!")
        upstream.peer.abort()
        while backend.open:  # noqa: ASYNC110  it is no event
            await asyncio.sleep(0.001)
        server.close()

    asyncio.run(main())
    assert len(backend.cancels) == 1


# -- cancel ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_a_cancel_request_goes_the_way_of_the_session(certificate: Certificate, mode: str) -> None:
    """Its key is worth a password: encrypted wherever the session is."""
    backend = Backend(encryption=b"S", certificate=certificate)

    async def work() -> None:
        await send_cancel(target(backend, mode), 42, b"KEY!")

    run(backend, work)
    assert backend.cancels == [b"\0\0\0\x2aKEY!"]


def test_a_cancel_request_that_fails_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sent it must not be held up by it."""
    asyncio.run(send_cancel(Target("127.0.0.1", 1, "shop"), 42, b"KEY!"))
    assert "cancel request failed" in caplog.text


def test_a_password_is_never_shown() -> None:
    """Not even where the credentials are printed."""
    assert "secret" not in repr(LOGIN)
