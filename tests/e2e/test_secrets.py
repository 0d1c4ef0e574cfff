"""Secrets stay where they are: planted everywhere, then looked for wherever the firewall leaves a trace."""

from __future__ import annotations

import base64
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.policy.loader import load_rules, parse_rules
from dbfirewall.policy.verifier import parse_verifier
from dbfirewall.proxy.dsn import parse_dsn
from dbfirewall.proxy.secrets import read_credentials
from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, World, create_login
from tests.support.firewall import Firewall
from tests.support.raw import SYNC, RawClient, bind, execute, message, parse, query
from tests.support.scram import verifier

pytestmark = pytest.mark.postgres

LOGINS = {
    "planted_env": "planted-env-5qN7",
    "planted_file": "planted-file-8kW2",
    "planted_command": "planted-command-3tZ9",
    "planted_wrong": "planted-wrong-1cY4",
}
AGENT_PASSWORD = "planted-agent-4mR6"
GUESS = "planted-guess-7dL1"
CREDENTIALS = [*LOGINS.values(), AGENT_PASSWORD, GUESS]
LITERAL = "planted-literal-2vX8"
PARAMETER = "planted-parameter-9hJ3"
ROW = "planted-row-6pB5"
CONTENTS = [LITERAL, PARAMETER, ROW]

RULES = """
version: 1
roles:
  env: {access: read-only, rules: [{allow: select, on: public.*}, {deny: select, on: public.secrets}]}
  file: {access: read-write, rules: [{allow: [select, insert, copy_from], on: public.*}]}
  command: {access: read-only, pin: strict, rules: [{allow: select, on: public.people}]}
  wrong: {access: read-only, rules: [{allow: select, on: public.people}]}
agents:
  env: {role: env, database: e2e, password: "VERIFIER"}
  file: {role: file, database: e2e, password: "VERIFIER"}
  command: {role: command, database: e2e, password: "VERIFIER"}
  wrong: {role: wrong, database: e2e, password: "VERIFIER"}
databases:
  e2e:
    dsn: postgresql://HOST:PORT/e2e?sslmode=disable
    logins:
      command: {user: planted_command, password: {command: [PYTHON, -c, "print(open('FOLDER/command').read())"]}}
      env: {user: planted_env, password: {env: PLANTED_PASSWORD}}
      file: {user: planted_file, password: {file: FOLDER/file}}
      wrong: {user: planted_wrong, password: {file: FOLDER/wrong}}
"""


@dataclass
class Planted:
    """A firewall full of secrets. `verifier`: that of its agents. `told`: what its agents were told."""

    firewall: Firewall
    verifier: str
    told: list[str] = field(default_factory=list)

    @property
    def credentials(self) -> list[str]:
        """Every password, and every part of the verifier in each form that a text may have it in."""
        parts = self.verifier.removeprefix("SCRAM-SHA-256$4096:").replace("$", ":").split(":")
        raw = [base64.b64decode(part) for part in parts]
        return [*CREDENTIALS, *parts, *(one.hex() for one in raw), *(repr(one)[2:-1] for one in raw)]


@pytest.fixture(scope="module")
def planted(world: World, firewall: StartFirewall, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """One that logs at debug level and audits by fingerprint, after a busy life."""
    folder = tmp_path_factory.mktemp("planted")
    for login, password in LOGINS.items():
        create_login(world.postgres, login, password)
        world.sql(f"GRANT e2e_writer TO {login}")
        (folder / login.removeprefix("planted_")).write_text(password + "\n")
    world.sql("ALTER ROLE planted_wrong PASSWORD 'another one'")
    known = verifier(AGENT_PASSWORD)
    text = RULES.replace("VERIFIER", known).replace("FOLDER", str(folder)).replace("PYTHON", sys.executable)
    started = firewall(
        text.replace("HOST", world.postgres.host).replace("PORT", str(world.postgres.port)),
        environment={
            "PLANTED_PASSWORD": LOGINS["planted_env"],
            "DBFIREWALL_LOG_LEVEL": "debug",
            "DBFIREWALL_AUDIT_SQL": "fingerprint",
        },
    )
    found = Planted(started, known)
    _live(found)
    return found


STATEMENTS = [
    f"SELECT '{LITERAL}'",
    f"SELECT '{LITERAL}'::int",
    f"SELECT word FROM secrets WHERE word = '{LITERAL}'",
    f"DELETE FROM people WHERE name = '{LITERAL}'",
    f"SELECT '{LITERAL}' FROM",
    f"SET TimeZone = '{LITERAL}'",
    f"SET search_path = '{LITERAL}'",
    f"NOTIFY x, '{LITERAL}'",
    f"PREPARE p AS SELECT '{LITERAL}'",
    f"DO $$ BEGIN RAISE '{LITERAL}'; END $$",
    f"COPY people TO '/{LITERAL}'",
    f"/* {LITERAL} */ SELECT $a${LITERAL}$a$, {'(' * 60}1{')' * 60}",
    f"SELECT '{LITERAL}', {' + '.join(['1'] * 3000)}",
    f"SELECT U&'{LITERAL}' UESCAPE '!' WHERE '{LITERAL}' ~ '('",
]


def _live(planted: Planted) -> None:
    """Logins that work and fail, statements of every fate, a reload that is refused."""
    for agent in ("env", "file", "command"):
        url = planted.firewall.dsn(agent, AGENT_PASSWORD, DATABASE)
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            for statement in STATEMENTS:
                _run(planted, connection, statement.encode(), None)
            _run(planted, connection, b"SELECT %s::text", [PARAMETER])
            _run(planted, connection, b"SELECT %s::int", [PARAMETER])
            _run(planted, connection, b"INSERT INTO scratch VALUES (1, %s)", [PARAMETER])
            with suppress(psycopg.Error), connection.cursor().copy("COPY scratch FROM STDIN") as copy:
                copy.write(f"{ROW}\t{ROW}\n")
        with RawClient(planted.firewall.host, planted.firewall.port) as client:
            client.log_in(agent, AGENT_PASSWORD, database=DATABASE)
            client.send(parse(f"SELECT '{LITERAL}'") + bind() + execute() + SYNC)
            client.send(query(f"SELECT '{LITERAL}\0'") + message(b"~", LITERAL.encode()))
            planted.told += [str(one.fields) for one in client.until(b"none") if one.type == b"E"]
    for agent, password in (("env", GUESS), ("nobody", GUESS), ("wrong", AGENT_PASSWORD)):
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(planted.firewall.dsn(agent, password, DATABASE))
        planted.told.append(str(caught.value))
    good = planted.firewall.rules.read_text()
    planted.firewall.rules.write_text(good.replace("{env: PLANTED_PASSWORD}", LOGINS["planted_env"]))
    assert planted.firewall.process is not None
    planted.firewall.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while "rules not reloaded" not in planted.firewall.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    planted.firewall.rules.write_text(good)


def _run(
    planted: Planted,
    connection: psycopg.Connection[tuple[object, ...]],
    text: bytes,
    parameters: list[str] | None,
) -> None:
    try:
        connection.execute(text, parameters)
    except psycopg.Error as error:
        planted.told.append(f"{error} {error.diag.message_detail} {error.diag.message_hint}")


def found_in(text: str, secrets: list[str]) -> list[str]:
    """Those of `secrets` that stand in `text`."""
    return [secret for secret in secrets if secret in text]


def test_the_busy_life_was_one(planted: Planted) -> None:
    """What is looked through below is not empty: every kind of statement left its record."""
    kinds = {"outcome", "auth_failure", "refused_connection"}
    records = planted.firewall.audit_until(lambda records: kinds <= {one["event"] for one in records})
    assert {"allow", "deny"} <= {one.get("decision") for one in records}
    assert len(planted.told) > 30
    assert found_in(" ".join(planted.told), CONTENTS), "an agent's own words may come back to it"


def test_the_log_holds_none(planted: Planted) -> None:
    """At level debug, with failed logins, failed statements and a refused reload in it."""
    text = planted.firewall.log.read_text()
    assert "rules not reloaded" in text
    assert "cannot connect to e2e" in text
    assert found_in(text, planted.credentials + CONTENTS) == []


def test_the_state_folder_holds_none(planted: Planted) -> None:
    """No file in it: the audit record by fingerprint names texts by their hash alone."""
    files = [path for path in planted.firewall.state.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert found_in(path.read_bytes().decode("latin-1"), planted.credentials + CONTENTS) == [], path


def test_what_agents_are_told_holds_no_credential(planted: Planted) -> None:
    """Not the logins' and not the agents'; neither the server's address nor a login's name."""
    told = "\n".join(planted.told)
    assert found_in(told, planted.credentials) == []
    assert found_in(told, [*LOGINS, str(planted.firewall.folder), "Traceback", ".py"]) == []


def test_metrics_and_health_hold_none(planted: Planted) -> None:
    """Labels are names from the rules and from fixed lists."""
    for page in ("/metrics", "/healthz", "/readyz"):
        assert found_in(planted.firewall.get(page)[1], planted.credentials + CONTENTS) == []


def test_the_process_list_holds_none(planted: Planted) -> None:
    """No command line; and of the children, which read hostile texts, no environment either."""
    assert planted.firewall.process is not None
    main = planted.firewall.process.pid
    children = _descendants(main)
    assert children, "a text of more than 4 KiB was read by a worker"
    for pid in (main, *children):
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin-1")
        assert found_in(text, planted.credentials + CONTENTS) == []
    for pid in children:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode("latin-1")
        assert "PATH=" in text
        assert found_in(text, [*planted.credentials, "PLANTED_PASSWORD"]) == []


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def test_no_repr_shows_one(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rules, verifiers and credentials, so that no traceback and no careless log line can."""
    monkeypatch.setenv("PLANTED_PASSWORD", LOGINS["planted_env"])
    rules = load_rules(planted.firewall.rules)
    credentials = read_credentials(rules)
    assert {one.password for one in credentials.values()} == set(LOGINS.values())
    shown = [rules, rules.agents["env"], credentials, parse_verifier(planted.verifier)]
    for form in (repr, str, ascii):
        text = "\n".join(form(one) for one in shown if not (form is str and one is shown[-1]))
        assert found_in(text, planted.credentials) == []


SECRET = "hunter2/x"
MISPLACED = [
    ("password: {env: PLANTED_PASSWORD}", f"password: {SECRET}"),
    ("password: {env: PLANTED_PASSWORD}", f"password: [{SECRET}]"),
    ("password: {env: PLANTED_PASSWORD}", f"password: {{env: [{SECRET}]}}"),
    ("password: {env: PLANTED_PASSWORD}", f"password: {{command: {{a: {SECRET}}}}}"),
    ('{role: env, database: e2e, password: "VERIFIER"}', f"{{role: env, database: e2e, password: {SECRET}}}"),
    ('{role: env, database: e2e, password: "VERIFIER"}', f"{{role: env, database: e2e, password: [{SECRET}]}}"),
    ("dsn: postgresql://", f"dsn: postgresql://user:{SECRET}@"),
    ("dsn: postgresql://", f"dsn: postgresql://user:[{SECRET}@"),
    ("e2e?sslmode=disable", f"e2e?password={SECRET}"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "mistake"), MISPLACED)
def test_a_secret_in_the_wrong_place_is_not_repeated(planted: Planted, place: str, mistake: str) -> None:
    """The error says where it stands and what to do, not what it is."""
    text = RULES.replace("VERIFIER", planted.verifier).replace("HOST", "db").replace("PORT", "5432")
    place = place.replace("VERIFIER", planted.verifier)
    assert place in text
    with pytest.raises(ConfigError) as caught:
        parse_rules({Path("rules.yaml"): text.replace(place, mistake, 1).encode()})
    assert "hunter2" not in str(caught.value)
    assert caught.value.line


@pytest.mark.parametrize("dsn", [f"postgresql://user:{SECRET}@db/x", f"postgresql://[{SECRET}@db/x"])
def test_a_password_in_a_dsn_is_not_repeated(dsn: str) -> None:
    """Wherever the place was, the parser's own words are left out."""
    with pytest.raises(ConfigError) as caught:
        parse_dsn(dsn)
    assert "hunter2" not in str(caught.value)
