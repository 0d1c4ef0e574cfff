"""pgbouncer between the firewall and the database: session pooling works, everything else is refused.

The program is installed by apt-get where it is missing.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import DiagnosticField

from tests.e2e.test_tls_upstream import settled
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, ROLES, build, rules
from tests.support.firewall import Firewall
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.programs import need

SETTINGS = """
ALTER ROLE e2e_reader SET default_transaction_read_only = on;
ALTER ROLE e2e_reader SET search_path = public;
ALTER ROLE e2e_reader SET statement_timeout = 20000;
ALTER ROLE e2e_writer SET search_path = public;
ALTER ROLE e2e_writer SET statement_timeout = 20000;
"""
"""What docs/deployment.md asks for: the pins as the logins' own settings."""

Start = Callable[..., Firewall]


class PgBouncer:
    """One pgbouncer in front of the test server, with the end-to-end tests' logins."""

    def __init__(self, postgres: Postgres, folder: Path, mode: str) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir(mode=0o755)
        users = "".join(f'"e2e_{role}" "{LOGIN_PASSWORD}"\n' for role in ROLES)
        (folder / "users.txt").write_text(users)
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{DATABASE} = host={postgres.host} port={postgres.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\npool_mode = {mode}\n"
            # What an operator writes who wants the pins to be swallowed:
            "ignore_startup_parameters = search_path,default_transaction_read_only,statement_timeout\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = need("pgbouncer")
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            nobody = pwd.getpwnam("nobody")
            identity = {"user": nobody.pw_uid, "group": nobody.pw_gid}
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            for parent in self._folder.parents:
                if parent.owner() == "root" and parent.stat().st_mode & 0o001 == 0:
                    parent.chmod(parent.stat().st_mode | 0o011)
        log = (self._folder / "log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [program, str(self._folder / "pgbouncer.ini")], cwd="/", stdout=log, stderr=log, **identity
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                psycopg.connect(self.dsn("reader")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def dsn(self, role: str) -> str:
        return (
            f"postgresql://e2e_{role}:{LOGIN_PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{DATABASE}"
        )


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Postgres:
    """The end-to-end tests' database, whose logins have no settings of their own yet."""
    build(postgres)
    return postgres


@pytest.fixture(scope="module", params=["session", "transaction", "statement"])
def any_mode(request: pytest.FixtureRequest) -> str:
    """A pool_mode."""
    mode: str = request.param
    return mode


@pytest.fixture
def pooler(database: Postgres, tmp_path: Path) -> Iterator[Callable[[str], PgBouncer]]:
    """`pooler(mode)`: a fresh pgbouncer (server connections that it holds keep the settings that they began with)."""
    started: list[PgBouncer] = []

    def start(mode: str) -> PgBouncer:
        started.append(PgBouncer(database, tmp_path / "pgbouncer", mode))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def behind(database: Postgres, tmp_path: Path) -> Iterator[Start]:
    """`behind(pgbouncer, "pooler=session")`: a firewall whose database is reached through it, launched."""
    started: list[Firewall] = []

    def start(pgbouncer: PgBouncer, query: str = "") -> Firewall:
        text = rules(database).replace(
            f":{database.port}/{DATABASE}?sslmode=disable",
            f":{pgbouncer.port}/{DATABASE}?sslmode=disable{query}",
        )
        firewall = Firewall(text, tmp_path / "firewall", environment={"E2E_PASSWORD": LOGIN_PASSWORD})
        firewall.launch()
        started.append(firewall)
        return firewall

    yield start
    for firewall in started:
        firewall.kill()
        print(firewall.errors())  # pytest shows it where the test failed


@pytest.fixture
def own_settings(database: Postgres) -> Iterator[None]:
    """The logins have the pins as settings of their own, for one test."""
    database.sql(SETTINGS)
    yield
    database.sql("ALTER ROLE e2e_reader RESET ALL; ALTER ROLE e2e_writer RESET ALL")


def test_an_unexpected_pooler_is_refused(
    behind: Start, pooler: Callable[[str], PgBouncer], any_mode: str
) -> None:
    """Whatever its mode, a pooler that the dsn does not speak of keeps the firewall from getting ready."""
    firewall = behind(pooler(any_mode))
    assert "pool" in settled(firewall)  # our words, or for statement pooling pgbouncer's own
    with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
        psycopg.connect(firewall.dsn("reader", "reader-agent", DATABASE))


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_pooling_that_shares_connections_is_refused(
    behind: Start, own_settings: None, pooler: Callable[[str], PgBouncer], mode: str
) -> None:
    """Also where the dsn claims that it pools sessions."""
    firewall = behind(pooler(mode), "&pooler=session")
    assert settled(firewall) != ""
    with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
        psycopg.connect(firewall.dsn("reader", "reader-agent", DATABASE))


def test_a_pin_that_the_pooler_dropped_ends_the_session_before_it_begins(
    behind: Start, pooler: Callable[[str], PgBouncer]
) -> None:
    """Without ALTER ROLE nothing pins the session: refused, and the log names what to set."""
    firewall = behind(pooler("session"), "&pooler=session")
    assert settled(firewall) == ""
    for agent in ("reader", "writer"):
        with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
            psycopg.connect(firewall.dsn(agent, f"{agent}-agent", DATABASE))
    assert "ALTER ROLE" in firewall.errors()


def test_a_session_through_a_session_pooler(
    behind: Start, own_settings: None, pooler: Callable[[str], PgBouncer], database: Postgres
) -> None:
    """Reads, refusals, prepared statements, transactions, COPY, cancel and writes all work as without."""
    firewall = behind(pooler("session"), "&pooler=session")
    assert settled(firewall) == ""
    with psycopg.connect(firewall.dsn("reader", "reader-agent", DATABASE), autocommit=True) as reader:
        for _ in range(3):
            assert reader.execute("SELECT count(*) FROM people", prepare=True).fetchone() == (50,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("DELETE FROM people")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM secrets")
        with reader.cursor().copy("COPY people (id) TO STDOUT") as copy:
            assert len(list(copy.rows())) == 50
        reader.execute("SET timezone = 'Asia/Tokyo'")
        reader.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        reader.cancel_safe(timeout=10)
        ended = []
        while (result := reader.pgconn.get_result()) is not None:
            ended.append(result.error_field(DiagnosticField.SQLSTATE))
        assert ended == [b"57014"]
    with psycopg.connect(firewall.dsn("writer", "writer-agent", DATABASE)) as writer:
        writer.execute("INSERT INTO scratch VALUES (1, 'through the pooler')")
    assert database.sql("SELECT b FROM scratch", DATABASE) == [("through the pooler",)]


def test_nothing_of_a_session_reaches_the_next(
    behind: Start, own_settings: None, pooler: Callable[[str], PgBouncer]
) -> None:
    """The pooler resets a server connection before the next session gets it, and that one is asked again."""
    firewall = behind(pooler("session"), "&pooler=session")
    assert settled(firewall) == ""
    seen = set()
    for _ in range(4):
        with psycopg.connect(firewall.dsn("reader", "reader-agent", DATABASE), autocommit=True) as reader:
            shown = reader.execute("SHOW timezone").fetchone()
            assert shown is not None
            seen.add(shown[0])
            reader.execute("SET timezone = 'Asia/Tokyo'")
            reader.execute("PREPARE kept AS SELECT 1")
    assert "Asia/Tokyo" not in seen
