"""Real drivers log in to `ScramServer`, and `UpstreamAuth` logs in to a real Postgres."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import asyncpg
import psycopg
import pytest
from psycopg import sql

from dbfirewall.policy.verifier import make_verifier, parse_verifier
from dbfirewall.proxy.scram_server import AuthenticationError, ScramServer, mock_verifier
from dbfirewall.proxy.upstream_auth import UpstreamAuth
from dbfirewall.wire import authentication as a
from dbfirewall.wire import backend as b
from dbfirewall.wire import messages as m
from dbfirewall.wire import startup as s
from dbfirewall.wire.framing import Frame, Framer, Phase
from tests.proxy.certificates import Certificate, make_certificate
from tests.support.postgres import Postgres

PASSWORDS = ["x", "Grüße", "a\u00a0b\u00adc", "\u2168", "\u00ad", "bell\x07", "\u0627a\u0627", "密码🔑"]
TIMEOUT = 20.0


class Door:
    """A server that lets agents in and then says only that it is ready; serves until closed."""

    def __init__(self, password: str, tls: Certificate | None = None, shown: bytes | None = None) -> None:
        """`shown`: the certificate that the login is bound to, where that is not the one in `tls`."""
        self._verifier = parse_verifier(make_verifier(password))
        self._tls = tls.server_context() if tls else None
        self._certificate = shown or (tls.der if tls else None)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.port: int = self._listener.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(TIMEOUT)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.settimeout(TIMEOUT)
            # Clients may leave as they like; what matters is what they say of it.
            with connection, suppress(OSError):
                if self._closing:
                    return
                self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        framer = Framer(Phase.STARTUP)
        frame = _read(connection, framer)
        encrypted = False
        while not isinstance(
            packet := s.decode_startup_packet(frame.body, 0, len(frame.body)), s.StartupMessage
        ):
            encrypted = self._tls is not None and isinstance(packet, s.SSLRequest)
            connection.sendall(m.ENCRYPTION_ACCEPTED if encrypted else m.ENCRYPTION_REFUSED)
            if encrypted and self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            frame = _read(connection, framer)
        with connection:
            self._authenticate(connection, framer, packet.parameters["user"], encrypted=encrypted)

    def _authenticate(
        self, connection: socket.socket, framer: Framer, agent: str, *, encrypted: bool
    ) -> None:
        framer.enter(Phase.CLIENT_AUTH)
        known = self._verifier if agent == "bob" else None
        mock = mock_verifier(b"s" * 32, agent, [self._verifier])
        server = ScramServer(agent, known, mock, certificate=self._certificate if encrypted else None)
        connection.sendall(server.begin())
        try:
            while not server.done:
                connection.sendall(server.receive(_read(connection, framer).body))
        except AuthenticationError as error:
            fields = {"S": "FATAL", "V": "FATAL", "C": error.sqlstate.value, "M": str(error)}
            connection.sendall(b.encode_error_response(fields))
            return
        connection.sendall(
            a.encode_authentication(a.AuthenticationOk())
            + b.encode_parameter_status(b.ParameterStatus(b"server_version", b"18.0"))
            + b.encode_parameter_status(b.ParameterStatus(b"client_encoding", b"UTF8"))
            + b.encode_backend_key_data(b.BackendKeyData(1, b"abcd"))
            + b.encode_ready_for_query(m.STATUS_IDLE)
        )
        while connection.recv(1024):
            pass


def _read(connection: socket.socket, framer: Framer) -> Frame:
    while (frame := framer.next()) is None:
        data = connection.recv(4096)
        if not data:
            raise ConnectionError("closed")
        framer.feed(data)
    return frame


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture(params=PASSWORDS, ids=ascii)
def password(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def door(password: str) -> Iterator[Door]:
    with Door(password) as door:
        yield door


def _psycopg(
    door: Door, password: str, *, user: str = "bob", tls: str = "disable", binding: str = "prefer"
) -> None:
    psycopg.connect(
        host="127.0.0.1", port=door.port, user=user, password=password, dbname="shop",
        sslmode=tls, channel_binding=binding,
    ).close()  # fmt: skip


def test_libpq_logs_in(door: Door, password: str) -> None:
    """libpq, which leaves SCRAM's user name empty, logs in with any password; a wrong one reads as ever."""
    _psycopg(door, password)
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "bob"'):
        _psycopg(door, password + "x")
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "eve"'):
        _psycopg(door, password, user="eve")


def test_asyncpg_logs_in(door: Door, password: str) -> None:
    """asyncpg, which prepares passwords by itself, logs in with the same ones."""

    async def log_in(secret: str) -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=door.port, user="bob", password=secret, database="shop", ssl=False
        )
        connection.terminate()

    asyncio.run(log_in(password))
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(log_in(password + "x"))


@pytest.mark.parametrize("binding", ["require", "prefer", "disable"])
def test_libpq_logs_in_through_tls(certificate: Certificate, binding: str) -> None:
    """Through TLS libpq logs in bound to the certificate, and unbound where it is told not to be."""
    with Door("x", certificate) as door:
        _psycopg(door, "x", tls="require", binding=binding)


@pytest.mark.parametrize("kind", ["rsa", "rsa-pss"])
def test_libpq_hashes_the_certificate_as_we_do(tmp_path: Path, kind: str) -> None:
    """For other signatures too, libpq and we bind to the same hash."""
    with Door("x", make_certificate(tmp_path, kind)) as door:
        _psycopg(door, "x", tls="require", binding="require")


def test_libpq_logs_in_where_there_is_no_binding(tmp_path: Path) -> None:
    """With an Ed25519 certificate binding is not offered, and a login without it works."""
    with Door("x", make_certificate(tmp_path, "ed25519")) as door:
        _psycopg(door, "x", tls="require", binding="prefer")


def test_a_machine_in_the_middle_is_noticed(certificate: Certificate, tmp_path: Path) -> None:
    """A login through somebody else's TLS fails, though the password is right."""
    (tmp_path / "ours").mkdir()
    ours = make_certificate(tmp_path / "ours").der
    refused = pytest.raises(psycopg.OperationalError, match="password authentication failed")
    with Door("x", certificate, shown=ours) as door, refused:
        _psycopg(door, "x", tls="require", binding="require")


def _log_in(postgres: Postgres, user: str, password: str) -> dict[str, str]:
    """Log in to a real server by UpstreamAuth; the error's fields, or nothing."""
    with socket.create_connection((postgres.host, postgres.port), TIMEOUT) as connection:
        startup = s.StartupMessage(m.PROTOCOL_3_0, {"user": user, "database": "postgres"})
        connection.sendall(s.encode_startup_message(startup))
        framer = Framer(Phase.SERVER_STARTUP)
        auth = UpstreamAuth(user, password, encrypted=False)
        while (frame := _read(connection, framer)).type != m.READY_FOR_QUERY:
            if frame.type == m.ERROR_RESPONSE:
                return b.decode_error_response(frame.body, 0, len(frame.body))
            if frame.type == m.AUTHENTICATION:
                connection.sendall(auth.receive(frame.body))
        assert auth.done
        connection.sendall(m.TERMINATE_MESSAGE)
    return {}


@pytest.mark.postgres
def test_we_log_in_to_postgres(postgres: Postgres, password: str) -> None:
    """A role whose password Postgres hashed lets us in, and nobody with another password."""
    role = sql.Identifier("upstream_auth_role")
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        try:
            assert _log_in(postgres, "upstream_auth_role", password) == {}
            assert _log_in(postgres, "upstream_auth_role", password + "x")["C"] == "28P01"
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.postgres
def test_postgres_takes_our_verifier(postgres: Postgres, password: str) -> None:
    """A verifier that we made lets libpq in to Postgres: the format is the same both ways."""
    role = sql.Identifier("verifier_role")
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        verifier = sql.Literal(make_verifier(password))
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, verifier))
        try:
            psycopg.connect(postgres.dsn("postgres", "verifier_role", password)).close()
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(role))
