"""Bad input gets a clear error, nothing of it runs, and nobody else notices."""

from __future__ import annotations

import datetime
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import Connection

from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, rules
from tests.support.firewall import Firewall
from tests.support.ports import free_port
from tests.support.raw import (
    GSS_REQUEST,
    SSL_REQUEST,
    SYNC,
    RawClient,
    bind,
    execute,
    message,
    parse,
    query,
    startup,
)

pytestmark = pytest.mark.postgres

CANARY = "INSERT INTO scratch VALUES (1, 'this ran')"


@pytest.fixture(scope="module")
def bystander(world: World) -> Iterator[Connection[tuple[Any, ...]]]:
    """A session that is open all the while."""
    with psycopg.connect(world.through("reader"), autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def nothing_runs(world: World, bystander: Connection[tuple[Any, ...]]) -> Iterator[None]:
    """After each test: the canary did not run, the bystander works, and newcomers get in."""
    world.sql("TRUNCATE scratch")
    yield
    assert world.sql("SELECT count(*) FROM scratch") == [(0,)]
    assert bystander.execute("SELECT count(*) FROM people").fetchone() == (50,)
    with psycopg.connect(world.through("reader")) as newcomer:
        assert newcomer.execute("SELECT 1").fetchone() == (1,)


@pytest.fixture
def raw(world: World) -> Iterator[RawClient]:
    """A fresh connection on which nothing was said yet."""
    with RawClient(world.firewall.host, world.firewall.port) as client:
        yield client


@pytest.fixture
def session(raw: RawClient) -> RawClient:
    """The writer's session, ready for queries: it may insert, so that what slips through does run."""
    assert raw.log_in("writer", "writer-agent", database=DATABASE)[-1].type == b"Z"
    return raw


def assert_usable(client: RawClient) -> None:
    """The session answers a query in step."""
    client.send(query("SELECT 'still here'"))
    kinds = [one.type for one in client.until(b"Z")]
    assert kinds == [b"T", b"D", b"C", b"Z"]


# -- who is it? ---------------------------------------------------------------------------------------------


def test_a_wrong_password_is_28p01(raw: RawClient) -> None:
    """The error is Postgres' own for that case, FATAL, and the connection ends."""
    told = raw.log_in("reader", "wrong", database=DATABASE)[-1].fields
    assert (told["C"], told["V"]) == ("28P01", "FATAL")
    assert raw.read() is None


def test_an_unknown_agent_is_told_the_same_as_a_wrong_password(world: World) -> None:
    """Nobody learns from the answers which agents exist: same messages, same words."""
    answers = []
    for agent in ("reader", "nobody-here"):
        with RawClient(world.firewall.host, world.firewall.port) as client:
            told = client.log_in(agent, "wrong", database=DATABASE)[-1].fields
            answers.append({letter: text.replace(agent, "X") for letter, text in told.items()})
    assert answers[0] == answers[1]
    assert answers[0]["C"] == "28P01"


def test_an_unknown_agent_is_always_shown_the_same_salt(world: World) -> None:
    """A made-up agent's salt and iterations do not change from try to try, as a real one's do not."""
    challenges = []
    for _ in range(2):
        with RawClient(world.firewall.host, world.firewall.port) as client:
            client.send(startup({"user": "nobody-here", "database": DATABASE}))
            client.until(b"R")
            first = b"n,,n=,r=abcdefghijklmnopqrst"
            client.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
            challenges.append(client.until(b"R", b"E")[-1].body.partition(b",s=")[2])
    assert challenges[0] == challenges[1] != b""


def test_a_database_that_is_not_the_agents_is_refused(raw: RawClient) -> None:
    """3D000, whether that database exists or not."""
    assert raw.log_in("reader", "reader-agent", database="postgres")[-1].fields["C"] == "3D000"


def test_a_startup_packet_without_a_user_is_refused(raw: RawClient) -> None:
    """28000, as Postgres says."""
    raw.send(startup({"database": DATABASE}))
    assert raw.error()["C"] == "28000"


@pytest.mark.parametrize("version", [0, 1, 2 << 16, 4 << 16, 0x7FFFFFFF])
def test_another_protocol_version_is_refused(raw: RawClient, version: int) -> None:
    """Versions 0, 2, 4 and nonsense get an error, not silence."""
    raw.send(startup({"user": "reader", "database": DATABASE}, version))
    assert raw.error()["C"] in ("0A000", "08P01")
    assert raw.read() is None


LOOSENING = [
    {"replication": "true"},
    {"replication": "database"},
    {"options": "-c session_replication_role=replica"},
    {"options": "--search-path=evil"},
    {"options": "-D /tmp"},
    {"standard_conforming_strings": "off"},
    {"client_encoding": "SJIS"},
    {"search_path": "evil"},
    {"statement_timeout": "0"},
    {"role": "postgres"},
    {"session_authorization": "postgres"},
]
WRITING = [{"options": "-cdefault_transaction_read_only=off"}, {"default_transaction_read_only": "off"}]


@pytest.mark.parametrize(
    ("agent", "parameters"),
    [*(("reader", one) for one in LOOSENING + WRITING), *(("writer", one) for one in LOOSENING)],
    ids=str,
)
def test_a_startup_parameter_that_would_loosen_the_session_is_refused(
    raw: RawClient, agent: str, parameters: dict[str, str]
) -> None:
    """Refused by name before a session exists; nothing is silently dropped."""
    told = raw.log_in(agent, f"{agent}-agent", database=DATABASE, **parameters)[-1].fields
    assert told["C"] in ("0A000", "25006", "42501")
    assert told["V"] == "FATAL"
    assert told["M"]


def test_a_harmless_startup_parameter_is_taken(raw: RawClient) -> None:
    """What JDBC and asyncpg send is set, and reported."""
    answers = raw.log_in(
        "reader",
        "reader-agent",
        database=DATABASE,
        DateStyle="ISO",
        TimeZone="Asia/Tokyo",
        client_encoding="UTF8",
    )
    assert answers[-1].type == b"Z"
    assert b"TimeZone\0Asia/Tokyo\0" in [one.body for one in answers if one.type == b"S"]


def test_a_startup_parameter_of_no_meaning_is_the_servers_error(raw: RawClient) -> None:
    """22023 with the server's own words, not "the database cannot be reached"."""
    told = raw.log_in("reader", "reader-agent", database=DATABASE, TimeZone="Nowhere/Else")[-1].fields
    assert (told["C"], told["V"]) == ("22023", "FATAL")
    assert "TimeZone" in told["M"]


# -- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_firewall(world: World, firewall: StartFirewall, tmp_path_factory: pytest.TempPathFactory) -> Firewall:
    """A firewall whose listener others could reach, so that TLS is demanded."""
    folder = tmp_path_factory.mktemp("tls")
    port = free_port()
    environment = {"E2E_PASSWORD": LOGIN_PASSWORD, **certificate(folder)}
    environment["DBFIREWALL_LISTEN"] = f"0.0.0.0:{port}"
    return firewall(rules(world.postgres), environment=environment, port=port)


def certificate(folder: Path) -> dict[str, str]:
    """A self-signed certificate for localhost, as settings."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    (folder / "key.pem").chmod(0o600)
    return {"DBFIREWALL_TLS_CERT": str(folder / "cert.pem"), "DBFIREWALL_TLS_KEY": str(folder / "key.pem")}


def test_plaintext_where_tls_is_demanded_is_refused_before_any_password(tls_firewall: Firewall) -> None:
    """The refusal comes in place of the authentication request, and says what to do."""
    with RawClient(tls_firewall.host, tls_firewall.port) as client:
        client.send(startup({"user": "reader", "database": DATABASE}))
        answer = client.read()
        assert answer is not None
        assert answer.type == b"E"
        assert answer.fields["C"] == "28000"
        assert "TLS" in answer.fields["M"]


@pytest.mark.parametrize("options", [{}, {"sslnegotiation": "direct"}, {"channel_binding": "require"}])
def test_a_tls_session_works(tls_firewall: Firewall, options: dict[str, str]) -> None:
    """By SSLRequest, directly, and with SCRAM bound to the TLS channel."""
    url = tls_firewall.dsn("reader", "reader-agent", DATABASE, sslmode="require", **options)
    with psycopg.connect(url) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (50,)


def test_bytes_sent_in_the_clear_behind_an_sslrequest_are_not_taken_as_encrypted(
    tls_firewall: Firewall,
) -> None:
    """CVE-2021-23214: what came before the handshake ends the connection."""
    with RawClient(tls_firewall.host, tls_firewall.port) as client:
        client.send(SSL_REQUEST + startup({"user": "reader", "database": DATABASE}) + query(CANARY))
        answer = client.exactly(65536)
        assert answer in (b"", b"S") or b"C08P01\0" in answer


def test_the_firewall_will_not_listen_for_others_without_tls(world: World, tmp_path: Path) -> None:
    """Neither a certificate nor an explicit `tls: off`: it refuses to start and says so."""
    refused = Firewall(
        rules(world.postgres),
        tmp_path,
        environment={"E2E_PASSWORD": LOGIN_PASSWORD, "DBFIREWALL_LISTEN": f"0.0.0.0:{free_port()}"},
    )
    assert refused.launch().wait(30) == 2
    assert "tls" in refused.errors().lower()


# -- bytes that are no protocol -----------------------------------------------------------------------------


def test_encryption_is_declined_politely_and_once_each(raw: RawClient) -> None:
    """Without a certificate GSSENCRequest and SSLRequest get N, and a plain startup may follow."""
    raw.send(GSS_REQUEST)
    assert raw.exactly(1) == b"N"
    raw.send(SSL_REQUEST)
    assert raw.exactly(1) == b"N"
    assert raw.log_in("reader", "reader-agent", database=DATABASE)[-1].type == b"Z"


def test_a_second_sslrequest_is_refused(raw: RawClient) -> None:
    """As Postgres has it: the same request twice is a protocol violation."""
    raw.send(SSL_REQUEST)
    assert raw.exactly(1) == b"N"
    raw.send(SSL_REQUEST)
    assert raw.error()["C"] in ("08P01", "0A000")


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: db\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + b"\x01" * 600,
        b"\0" * 64,
        b"\xff" * 64,
    ],
    ids=["http", "tls", "zeros", "ones"],
)
def test_garbage_before_startup_ends_the_connection(raw: RawClient, garbage: bytes) -> None:
    """Whatever comes back, it is an error of ours or nothing, and the end."""
    raw.send(garbage)
    answer = raw.exactly(65536)
    assert answer == b"" or b"SFATAL\0" in answer


@pytest.mark.parametrize("length", [0, 3, 7, 10_010, 1 << 30, 0x7FFFFFFF, -1])
def test_a_startup_packet_of_an_impossible_length_ends_the_connection(raw: RawClient, length: int) -> None:
    """The header alone is enough to refuse: nothing waits for a gigabyte."""
    raw.send(struct.pack("!i", length))
    raw.send(struct.pack("!i", 196608))
    assert raw.error().get("C", "08P01") == "08P01"
    assert raw.read() is None


def test_a_huge_authentication_message_ends_the_connection(raw: RawClient) -> None:
    """Before a password is checked, nobody may make the firewall remember much."""
    raw.send(startup({"user": "reader", "database": DATABASE}))
    raw.until(b"R")
    raw.send(b"p" + struct.pack("!i", 1 << 30) + b"x" * 100)
    assert raw.error()["C"] == "08P01"
    assert raw.read() is None


def test_a_query_instead_of_a_password_ends_the_connection(raw: RawClient) -> None:
    """No statement is read before the agent is known."""
    raw.send(startup({"user": "writer", "database": DATABASE}) + query(CANARY))
    assert raw.error()["C"] in ("08P01", "28000", "28P01")
    assert raw.read() is None


@pytest.mark.parametrize("kind", [b"Q", b"P", b"B", b"E", b"S", b"d", b"F", b"X", b"\0", b"~"])
def test_a_gigabyte_header_after_login_ends_the_session(session: RawClient, kind: bytes) -> None:
    """The announced length is refused at once where it is beyond what that message may have."""
    session.send(kind + struct.pack("!i", 0x7FFFFFFF) + b"x" * 1000)
    told = session.error()
    assert (told["C"], told["V"]) == ("08P01", "FATAL")
    assert session.read() is None


@pytest.mark.parametrize("length", [-1, 0, 3])
def test_a_length_too_small_to_hold_itself_ends_the_session(session: RawClient, length: int) -> None:
    """A length counts its own four bytes."""
    session.send(b"Q" + struct.pack("!i", length) + CANARY.encode() + b"\0")
    assert session.error()["C"] == "08P01"
    assert session.read() is None


@pytest.mark.parametrize("kind", [b"\0", b"~", b"p", b"R", b"Z", b"1"])
def test_an_unknown_message_type_ends_the_session(session: RawClient, kind: bytes) -> None:
    """Bytes after login that are no frontend message are a protocol violation."""
    session.send(message(kind, b"whatever") + query(CANARY))
    assert session.error()["C"] == "08P01"
    assert session.read() is None


def test_copy_data_without_a_copy_is_not_smuggled(session: RawClient) -> None:
    """As with Postgres itself, stray CopyData and CopyDone are dropped, or end the session: nothing more."""
    session.send(message(b"d", b"1\tx\n") + message(b"c"))
    session.send(query("SELECT 1"))
    kinds = [one.type for one in session.until(b"Z")]
    assert kinds in ([b"T", b"D", b"C", b"Z"], [b"E"])


def test_the_function_call_message_is_refused(world: World, session: RawClient) -> None:
    """The fast path carries no SQL to judge: refused whatever function it names, and the session goes on."""
    oid = world.sql("SELECT 'double_it(int)'::regprocedure::oid::int")[0][0]
    assert isinstance(oid, int)
    argument = struct.pack("!hhi", 1, 4, 0)
    session.send(message(b"F", struct.pack("!ihh", oid, 1, 1) + argument + struct.pack("!h", 1)))
    answers = session.until(b"Z")
    assert [one.type for one in answers] == [b"E", b"Z"]
    assert answers[0].fields["C"] in ("42501", "0A000")
    assert_usable(session)


@pytest.mark.parametrize("close", [True, False], ids=["then hangs up", "then waits"])
def test_a_message_that_is_sent_halfway_never_runs(world: World, close: bool) -> None:
    """Half a Query is no Query, whether its sender leaves or dawdles; others are served meanwhile."""
    with RawClient(world.firewall.host, world.firewall.port) as client:
        client.log_in("writer", "writer-agent", database=DATABASE)
        client.send(query(CANARY)[:-1])
        if not close:
            with psycopg.connect(world.through("reader")) as other:
                assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_leaves_in_the_middle_leaves_no_backend(world: World) -> None:
    """When a client dies during a long statement or a COPY, its backend goes too."""
    with RawClient(world.firewall.host, world.firewall.port) as client:
        client.log_in("writer", "writer-agent", database=DATABASE, application_name="leaver")
        client.send(query("COPY scratch FROM STDIN"))
        client.until(b"G")
        client.send(message(b"d", b"1\tthis ran\n"))
    alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leaver'"
    deadline = time.monotonic() + 10
    while world.sql(alive) != [(0,)]:
        assert time.monotonic() < deadline, "the backend is still there"
        time.sleep(0.05)


# -- text that is no SQL ------------------------------------------------------------------------------------


BAD_TEXTS = {
    "a NUL in the middle": b"SELECT 1\0; " + CANARY.encode(),
    "invalid UTF-8": b"SELECT '\xff'; " + CANARY.encode(),
    "overlong UTF-8": b"SELECT '\xc0\xaf'; " + CANARY.encode(),
    "a lone surrogate": b"SELECT '\xed\xa0\x80'; " + CANARY.encode(),
    "10,000 nested parentheses": b"SELECT " + b"(" * 10_000 + b"1" + b")" * 10_000 + b"; " + CANARY.encode(),
    "an unclosed string": b"SELECT 'abc; " + CANARY.encode(),
    "an unclosed comment": CANARY.encode() + b" /* ",
    "nonsense": b"this is not SQL; " + CANARY.encode(),
    "nested array constructors": b"SELECT " + b"ARRAY[" * 30 + b"1" + b"]" * 30 + b"; " + CANARY.encode(),
}
SQLSTATES = {"08P01", "0A000", "22021", "42501", "42601", "54000", "54001"}


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_a_bad_text_in_a_query_is_refused(session: RawClient, text: bytes) -> None:
    """An ErrorResponse with a SQLSTATE; then the session goes on, or is over."""
    session.send(query(text))
    told = session.error()
    assert told["C"] in SQLSTATES
    assert told["M"]
    if told["V"] == "ERROR":
        session.until(b"Z")
        assert_usable(session)
    else:
        assert session.read() is None


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_a_bad_text_in_a_parse_is_refused(session: RawClient, text: bytes) -> None:
    """The same through the extended protocol; what follows up to Sync is skipped."""
    session.send(parse(text) + bind() + execute() + SYNC)
    told = session.error()
    assert told["C"] in SQLSTATES
    if told["V"] == "ERROR":
        assert [one.type for one in session.until(b"Z")] == [b"Z"]
        assert_usable(session)
    else:
        assert session.read() is None


@pytest.mark.parametrize("encode", [query, lambda sql: parse(sql) + SYNC], ids=["query", "parse"])
def test_a_statement_of_20_megabytes_is_refused(session: RawClient, encode: Callable[[str], bytes]) -> None:
    """Too long to be judged is too long to run."""
    session.send(encode(CANARY + " -- " + "x" * 20_000_000))
    told = session.error()
    assert told["C"] in ("08P01", "0A000", "54000", "53400")
    if told["V"] == "ERROR":
        session.until(b"Z")
        assert_usable(session)
    else:
        assert session.read() is None


def test_two_statements_in_one_parse_are_refused(session: RawClient) -> None:
    """The extended protocol takes one statement."""
    session.send(parse(f"SELECT 1; {CANARY}") + bind() + execute() + SYNC)
    assert session.error()["C"] in ("42501", "42601")
    session.until(b"Z")
    assert_usable(session)


def test_an_execute_of_what_was_never_prepared_is_the_servers_error(session: RawClient) -> None:
    """Unknown names shift nothing: 26000 and 34000 as ever."""
    session.send(bind(name=b"nothing") + execute() + SYNC)
    assert session.error()["C"] == "26000"
    session.until(b"Z")
    session.send(execute(b"nothing") + SYNC)
    assert session.error()["C"] == "34000"
    session.until(b"Z")
    assert_usable(session)


# -- rules that are no rules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nroles:\n  reader:\n    acess: read-only\n", ["rules.yaml:4", "acess", "access"]),
        (
            "version: 1\nroles:\n  reader:\n    rules:\n      - alow: select\n",
            ["rules.yaml:5", "alow", "allow"],
        ),
        (
            "version: 1\nroles:\n  reader:\n    rules:\n      - allow: selct\n",
            ["rules.yaml:5", "selct", "select"],
        ),
        ("version: 2\nroles: {}\n", ["rules.yaml:1", "version"]),
        ("roles: [\n", ["rules.yaml"]),
        ("", ["rules.yaml"]),
        ("version: 1\n", ["rules.yaml"]),
    ],
    ids=["unknown key", "unknown effect", "unknown action", "version", "no YAML", "empty", "no roles"],
)
def test_the_firewall_does_not_start_with_bad_rules(tmp_path: Path, text: str, words: list[str]) -> None:
    """Exit code 2, file and line, the nearest valid spelling; no port is opened."""
    refused = Firewall(text, tmp_path)
    assert refused.launch().wait(30) == 2
    assert all(word in refused.errors() for word in words), refused.errors()


def test_the_firewall_does_not_start_without_a_rules_file(tmp_path: Path) -> None:
    """A path that is not there is an error, not an empty rule set."""
    refused = Firewall(tmp_path / "nowhere.yaml", tmp_path)
    assert refused.launch().wait(30) == 2
    assert "nowhere.yaml" in refused.errors()
