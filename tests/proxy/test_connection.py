"""One connection, from its first byte to a session or to being turned away: nothing is left behind on any way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Never

import pytest

from dbfirewall.errors import AuditError
from dbfirewall.proxy import connection as connection_module
from dbfirewall.proxy import upstream as upstream_module
from dbfirewall.proxy.connection import Connection
from dbfirewall.proxy.firewall import Firewall
from dbfirewall.settings import Tls
from dbfirewall.wire import authentication as a
from dbfirewall.wire import messages as m
from tests.proxy.certificates import Certificate, make_certificate
from tests.proxy.notation import server_bytes
from tests.proxy.running import KEY, PASSWORD, REPORTED, Backend, Running, no_catalogs
from tests.proxy.stage import RULES
from tests.support.raw import GSS_REQUEST, SSL_REQUEST, Message, RawClient, query, startup

Work = Callable[[Running], Awaitable[None]]
OK = a.encode_authentication(a.AuthenticationOk())


@pytest.fixture(autouse=True)
def _catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    no_catalogs(monkeypatch)


def play(folder: Path, work: Work, backend: Backend | None = None, **options: Any) -> Backend:
    """Run `work`; afterwards nothing is left: no connection counted, none open at the server."""
    backend = backend or Backend()

    async def checked(running: Running) -> None:
        await work(running)
        firewall = running.firewall
        assert firewall is not None
        limiter = firewall.connections
        while firewall.sessions or limiter.total or limiter.unauthenticated or backend.open:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert (limiter.total, limiter.unauthenticated, limiter.of("bot")) == (0, 0, 0)
        assert firewall.metrics.sessions.cell("writer").value == 0

    assert Running(folder, **options).play(checked, backend) == 0
    return backend


def firewall_of(running: Running) -> Firewall:
    assert running.firewall is not None
    return running.firewall


def errors(messages: list[Message]) -> list[str]:
    return [one.fields["C"] for one in messages if one.type == b"E"]


async def kinds(client: RawClient) -> list[bytes]:
    """What comes up to the next ReadyForQuery."""
    return [one.type for one in await asyncio.to_thread(client.until, b"Z")]


async def turned_away(running: Running, **parameters: str) -> str:
    """The SQLSTATE that a login ends with."""
    with running.client() as client:
        messages = await running.log_in(client, **parameters)
        assert await asyncio.to_thread(client.read) is None
        return errors(messages)[0]


# -- into a session -------------------------------------------------------------------------------------------


def test_a_login_leads_to_a_session(tmp_path: Path) -> None:
    """The agent gets the server's parameters and notices, its pid, a key of ours, and its statements run."""

    async def work(running: Running) -> None:
        with running.client() as client:
            greeting = await running.log_in(client, database="shop", application_name="test")
            told = [one.type for one in greeting]
            assert told == [b"R", b"R", *[b"S"] * len(REPORTED), b"N", b"K", b"Z"]
            pid, key = struct.unpack("!I4s", greeting[-2].body)
            assert pid == 42
            assert key != b"KEY!"
            client.send(query("SELECT 1"))
            assert await kinds(client) == [b"T", b"D", b"C", b"Z"]

    backend = play(tmp_path, work)
    [started] = backend.startups
    assert started["user"] == "w"
    assert started["application_name"] == "test"
    assert (started["search_path"], started["client_encoding"]) == ("public", "UTF8")
    assert backend.ran == ["SELECT 1"]


def test_a_cancel_request_reaches_the_server_with_its_own_key(tmp_path: Path) -> None:
    """Ours is translated; a wrong one is ignored, and both connections just close."""

    async def work(running: Running) -> None:
        with running.client() as client:
            [key] = [one.body for one in await running.log_in(client) if one.type == b"K"]
            for sent in (key[:4] + b"nope", key):
                assert await running.talk(struct.pack("!II", 16, m.CANCEL_REQUEST_CODE) + sent) == b""

    backend = play(tmp_path, work)
    assert backend.cancels == [struct.pack("!I", 42) + b"KEY!"]


def test_a_newer_protocol_gets_a_longer_key(tmp_path: Path) -> None:
    """3.2: 32 bytes that nobody guesses; a version that we do not speak is negotiated first."""

    async def work(running: Running) -> None:
        for version, length, first in ((m.PROTOCOL_3_2, 32, b"R"), (m.PROTOCOL_3_0 + 9999, 32, b"v")):
            with running.client() as client:
                client.send(startup({"user": "bot"}, version))
                if first == b"v":
                    assert await asyncio.to_thread(client.read) == Message(
                        b"v", struct.pack("!II", m.PROTOCOL_3_2, 0)
                    )
                messages = await asyncio.to_thread(client.authenticate, "bot", PASSWORD)
                [key] = [one.body for one in messages if one.type == b"K"]
                assert len(key) == 4 + length

    play(tmp_path, work)


def test_what_is_sent_with_the_last_answer_is_not_lost(tmp_path: Path) -> None:
    """A client need not wait for ReadyForQuery before it sends its first statement."""

    async def work(running: Running) -> None:
        with running.client() as client:
            send = client.send

            def eager(data: bytes) -> None:
                send(data + query("SELECT 1") if b"p=" in data else data)

            client.send = eager  # type: ignore[method-assign]
            await running.log_in(client)
            assert await kinds(client) == [b"T", b"D", b"C", b"Z"]

    assert play(tmp_path, work).ran == ["SELECT 1"]


# -- turned away ----------------------------------------------------------------------------------------------


def test_who_is_turned_away_hears_why(tmp_path: Path) -> None:
    """Wrong password, unknown agent, another database, a parameter: the SQLSTATE says which."""

    async def work(running: Running) -> None:
        assert await turned_away(running, password="wrong") == "28P01"
        assert await turned_away(running, database="other") == "3D000"
        assert await turned_away(running, search_path="secret") == "25006"
        with running.client() as client:
            assert errors(await asyncio.to_thread(client.log_in, "nobody", "x")) == ["28P01"]
        refused = firewall_of(running).metrics.connections_refused
        counted = {reason: refused.cell(reason).value for reason in ("protocol", "database", "parameter")}
        assert counted == {"protocol": 2, "database": 1, "parameter": 1}

    assert play(tmp_path, work, role="reader").startups == []


def test_an_agent_has_so_many_connections(tmp_path: Path) -> None:
    """The role's limit before that of the settings; the place of one that left is free again."""

    async def work(running: Running) -> None:
        with running.client() as first:
            assert errors(await running.log_in(first)) == []
            assert await turned_away(running) == "53300"
        while firewall_of(running).sessions:  # noqa: ASYNC110  it is no event
            await asyncio.sleep(0.001)
        with running.client() as second:
            assert errors(await running.log_in(second)) == []

    play(tmp_path, work, connections_per_agent=1)


def test_plaintext_is_refused_where_tls_is_demanded(tmp_path: Path) -> None:
    """28000 with the hint to use sslmode; the same login over TLS gets in."""
    certificate = make_certificate(tmp_path)

    async def work(running: Running) -> None:
        assert await turned_away(running) == "28000"
        with running.client() as client:
            client.send(SSL_REQUEST)
            assert await asyncio.to_thread(client.exactly, 1) == b"S"
            await encrypt(client, certificate)
            assert errors(await running.log_in(client)) == []

    with pytest.MonkeyPatch.context() as patch:
        made = Connection.__init__

        def demanding(*arguments: Any, tls_required: bool) -> None:
            assert not tls_required
            made(*arguments, tls_required=True)

        patch.setattr(Connection, "__init__", demanding)
        play(tmp_path, work, tls=Tls(cert=certificate.cert, key=certificate.key))


async def encrypt(client: RawClient, certificate: Certificate, *protocols: str) -> None:
    """TLS from here on, with these ALPN protocols."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate.cert)
    if protocols:
        context.set_alpn_protocols(protocols)
    client.socket = await asyncio.to_thread(context.wrap_socket, client.socket, server_hostname="127.0.0.1")


def test_tls_may_begin_with_the_first_byte(tmp_path: Path) -> None:
    """Where its ALPN protocol says that Postgres is meant; another protocol's TLS is no login."""
    certificate = make_certificate(tmp_path)

    async def work(running: Running) -> None:
        with running.client() as client:
            await encrypt(client, certificate, "postgresql")
            assert errors(await running.log_in(client)) == []
        with running.client() as client:
            await encrypt(client, certificate)
            assert errors(await asyncio.to_thread(client.until)) == ["08P01"]

    play(tmp_path, work, tls=Tls(cert=certificate.cert, key=certificate.key))


def test_what_is_glued_to_a_request_for_tls_is_refused(tmp_path: Path) -> None:
    """In one chunk with it, or before the handshake: nobody put it there who knows the session's keys."""
    certificate = make_certificate(tmp_path)

    async def work(running: Running) -> None:
        answer = await running.talk(SSL_REQUEST + startup({"user": "bot"}))
        assert b"received unencrypted data after SSL request" in answer
        with running.client() as client:
            client.send(SSL_REQUEST)
            assert await asyncio.to_thread(client.exactly, 1) == b"S"
            client.send(startup({"user": "bot"}))
            assert b"SFATAL" not in await asyncio.to_thread(client.exactly, 1000)

    assert play(tmp_path, work, tls=Tls(cert=certificate.cert, key=certificate.key)).startups == []


def test_encryption_within_encryption_is_refused(tmp_path: Path) -> None:
    """A second request, through TLS."""
    certificate = make_certificate(tmp_path)

    async def work(running: Running) -> None:
        for again in (SSL_REQUEST, GSS_REQUEST):
            with running.client() as client:
                client.send(SSL_REQUEST)
                assert await asyncio.to_thread(client.exactly, 1) == b"S"
                await encrypt(client, certificate)
                client.send(again)
                assert errors(await asyncio.to_thread(client.until)) == ["08P01"]

    play(tmp_path, work, tls=Tls(cert=certificate.cert, key=certificate.key))


def test_a_handshake_that_is_never_finished_is_given_up(tmp_path: Path) -> None:
    """The connection is closed when its time is over, and not only forgotten."""
    certificate = make_certificate(tmp_path)

    async def work(running: Running) -> None:
        with running.client() as client:
            client.send(SSL_REQUEST)
            assert await asyncio.to_thread(client.exactly, 1000) == b"S"

    tls = Tls(cert=certificate.cert, key=certificate.key)
    play(tmp_path, work, tls=tls, handshake_timeout="200ms")


# -- the server behind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hello", "state"),
    [
        (server_bytes("FATAL 53300 too many clients"), "08001"),
        (server_bytes("FATAL 22023 no such value"), "22023"),
        (OK + server_bytes("S client_encoding=SJIS", "Z I"), "08001"),
        (b"garbage", "08001"),
    ],
    ids=["refused", "parameter", "unpinned", "garbage"],
)
def test_a_server_that_will_not_have_us_ends_the_login(tmp_path: Path, hello: bytes, state: str) -> None:
    """The agent hears no more than it needs to; the reason is in the log."""

    async def work(running: Running) -> None:
        assert await turned_away(running) == state
        with running.client() as client:
            messages = await running.log_in(client)
            assert b"too many clients" not in messages[-1].body

    play(tmp_path, work, Backend(hello=hello))


def test_a_server_that_is_lost_while_a_session_begins_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted and recorded as a session that began and ended."""

    async def lost(*arguments: Any) -> Any:
        upstream = await upstream_module.connect(*arguments)
        upstream.peer.abort()
        while not upstream.peer.lost:  # noqa: ASYNC110  it is no event
            await asyncio.sleep(0.001)
        return upstream

    monkeypatch.setattr(connection_module, "connect", lost)

    async def work(running: Running) -> None:
        with running.client() as client:
            assert errors(await running.log_in(client)) == []
            assert await asyncio.to_thread(client.read) is None

    play(tmp_path, work)
    assert b'"error":"server disconnected"' in (tmp_path / "audit.jsonl").read_bytes()


@pytest.mark.parametrize("hello", [b"", OK])
def test_an_agent_that_leaves_while_its_server_is_silent_leaves_nothing(tmp_path: Path, hello: bytes) -> None:
    """The connection to the server is given up when its time is over."""

    async def work(running: Running) -> None:
        client = running.client()
        with contextlib.suppress(OSError), client:
            client.socket.settimeout(0.2)
            await running.log_in(client)

    rules = RULES.replace("sslmode=disable", "sslmode=disable&connect_timeout=1")
    play(tmp_path, work, Backend(hello=hello), rules=rules)


def test_an_agent_that_left_while_its_session_began_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's connection, ready by then, is closed, and nobody is greeted."""
    clients: list[RawClient] = []

    async def slow(*arguments: Any) -> Any:
        upstream = await upstream_module.connect(*arguments)
        # Not close(): a thread waits in recv(), and the kernel would keep the connection for it.
        clients.pop().socket.shutdown(socket.SHUT_RDWR)
        await asyncio.sleep(0.05)
        return upstream

    monkeypatch.setattr(connection_module, "connect", slow)

    async def work(running: Running) -> None:
        clients.append(client := running.client())
        with contextlib.suppress(OSError), client:
            await running.log_in(client)

    backend = play(tmp_path, work)
    assert len(backend.startups) == 1
    assert b"session_start" not in (tmp_path / "audit.jsonl").read_bytes()


# -- rules that change, records that fail, defects ------------------------------------------------------------


def test_a_reload_while_a_session_begins_turns_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its login was decided by rules that are gone; nobody else is judged by them either."""
    playing: list[Running] = []

    async def slow(*arguments: Any) -> Any:
        upstream = await upstream_module.connect(*arguments)
        if playing:
            await firewall_of(playing.pop()).reload()
        return upstream

    monkeypatch.setattr(connection_module, "connect", slow)

    async def work(running: Running) -> None:
        playing.append(running)
        assert await turned_away(running) == "57P03"
        with running.client() as client:
            assert errors(await running.log_in(client)) == []
            firewall = firewall_of(running)
            assert [judge.role for judge in firewall._judges.values()] == [firewall.rules.roles["writer"]]

    play(tmp_path, work)


def test_no_session_begins_that_cannot_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """57P03, and the server's connection is closed."""

    async def work(running: Running) -> None:
        audit = firewall_of(running).audit
        flush = audit.flush

        def fail() -> None:
            flush()
            raise AuditError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(audit, "flush", fail)
            assert await turned_away(running) == "57P03"

    play(tmp_path, work)


def test_a_refusal_that_cannot_be_recorded_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent hears of it all the same, and the log says what could not be written."""

    def fail(*_arguments: object, **_members: object) -> Never:
        raise AuditError("the disk is full")

    async def work(running: Running) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(firewall_of(running), "record_stranger", fail)
            assert await turned_away(running, database="other") == "3D000"

    play(tmp_path, work)
    assert "the disk is full" in caplog.text


@pytest.mark.parametrize("where", ["startup_parameters", "sides"])
def test_a_defect_at_startup_ends_this_connection_and_no_other(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """XX000 before the session counts and after; the details are in the log."""

    def fail(*_arguments: object) -> Never:
        raise ZeroDivisionError("a secret detail")

    async def work(running: Running) -> None:
        with running.client() as bystander:
            await running.log_in(bystander)
            with monkeypatch.context() as patch:
                patch.setattr(connection_module, where, fail)
                with running.client() as client:
                    await running.log_in(client)
                    found = await asyncio.to_thread(client.until)
                    assert where != "sides" or errors(found) == ["XX000"]
            bystander.send(query("SELECT 1"))
            assert await kinds(bystander) == [b"T", b"D", b"C", b"Z"]

    play(tmp_path, work)
    assert "a secret detail" in caplog.text


def test_strangers_make_room_for_a_newcomer(tmp_path: Path) -> None:
    """A crowd that does not log in pushes out its own oldest, who is told."""

    async def work(running: Running) -> None:
        with running.client() as stranger:
            while firewall_of(running).connections.total == 0:  # noqa: ASYNC110  it is no event
                await asyncio.sleep(0.001)
            with running.client() as client:
                assert errors(await running.log_in(client)) == []
                assert errors(await asyncio.to_thread(stranger.until)) == ["53300"]

    play(tmp_path, work, unauthenticated=1)


def test_the_server_is_told_no_more_than_the_session_needs(tmp_path: Path) -> None:
    """What an agent may not choose is not passed on: the key and the password stay here."""

    async def work(running: Running) -> None:
        with running.client() as client:
            await running.log_in(client)

    [started] = play(tmp_path, work).startups
    assert set(started) <= {
        "user", "database", "client_encoding", "search_path", "", "application_name", "statement_timeout",
    }  # fmt: skip
    assert KEY not in str(started).encode()
