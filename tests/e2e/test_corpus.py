"""The corpus through the wire: what is refused leaves no trace on a real server, what is allowed is unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest
from psycopg import pq

from tests.conftest import StartFirewall
from tests.e2e.world import LOGIN_PASSWORD, create_login
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

pytestmark = pytest.mark.postgres

CORPUS = Path(__file__).parents[1] / "corpus"
ENTRIES = [json.loads(line) for line in (CORPUS / "wire.jsonl").read_text().splitlines()]
DENIED = [entry for entry in ENTRIES if entry["expected"] == "deny"]
ALLOWED = [entry for entry in ENTRIES if entry["expected"] == "allow"]
SQLSTATES = {"42501", "25006", "0A000", "42601"}
VARYING = ("random()", "gen_random_uuid()")

RULES = """
version: 1
roles:
  analyst:
    access: read-only
    pin: %(pin)s
    search_path: [public]
    rules:
      - allow: select
        on: [public.*, delete_me.*]
      - deny: select
        on: public.secret
      - allow: call
        on: public.f_read
agents:
  agent: {role: analyst, database: lab, password: "%(verifier)s"}
databases:
  lab:
    dsn: postgresql://%(host)s:%(port)d/lab?sslmode=disable
    logins:
      analyst: {user: agent, password: {env: LAB_PASSWORD}}
"""

Answer = tuple[str, object]


@pytest.fixture(scope="module")
def lab(postgres: Postgres) -> Postgres:
    """The server with the corpus' database."""
    postgres.create_database("lab")
    postgres.sql((CORPUS / "schema.sql").read_text(), "lab")
    create_login(postgres, "agent")
    return postgres


@pytest.fixture(scope="module", params=["session", "strict"])
def agent_url(request: pytest.FixtureRequest, lab: Postgres, firewall: StartFirewall) -> str:
    """The agent's way through a firewall, for each kind of pin."""
    values = {"pin": request.param, "host": lab.host, "port": lab.port, "verifier": verifier("agent")}
    started: Firewall = firewall(RULES % values, environment={"LAB_PASSWORD": LOGIN_PASSWORD})
    return started.dsn("agent", "agent", "lab")


class Session:
    """A libpq connection that is opened anew whenever the other side has ended it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def run(self, entry: dict[str, Any], protocol: str) -> pq.abc.PGresult:
        """One statement as a simple Query or by Parse, Bind, Execute; COPY streams are drained."""
        if self.connection.closed:
            self.connection.close()
            self.connection = psycopg.connect(self.url, autocommit=True)
        raw, text = self.connection.pgconn, entry["sql"].encode()
        if protocol == "simple" and "params" not in entry:
            result = raw.exec_(text)
        else:
            result = raw.exec_params(text, [value.encode() for value in entry.get("params", ())])
        self._leave_copy(result)
        if raw.status == pq.ConnStatus.OK and raw.transaction_status != pq.TransactionStatus.IDLE:
            raw.exec_(b"ROLLBACK")
        return result

    def _leave_copy(self, result: pq.abc.PGresult) -> None:
        raw = self.connection.pgconn
        if result.status == pq.ExecStatus.COPY_IN:
            raw.put_copy_end(b"test over")
        while result.status == pq.ExecStatus.COPY_OUT and raw.get_copy_data(0)[0] > 0:
            pass
        if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
            while raw.get_result() is not None:
                pass


def refusal(result: pq.abc.PGresult) -> str:
    """Why `result` is not a proper refusal of the firewall's; empty where it is."""
    if result.status != pq.ExecStatus.FATAL_ERROR:
        return f"ran: {result.command_status!r}"
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    detail = (result.error_field(pq.DiagnosticField.MESSAGE_DETAIL) or b"").decode()
    if state not in SQLSTATES:
        return f"{state}: {result.get_error_message()}"
    try:
        decision = json.loads(detail)["decision"]
    except (ValueError, KeyError):
        return f"not the firewall's own: {result.get_error_message()}"
    return "" if decision == "deny" else f"decision {decision}"


def answer(result: pq.abc.PGresult) -> Answer:
    """Status, columns, rows and tag, in a form that compares."""
    columns = [(result.fname(at), result.ftype(at)) for at in range(result.nfields)]
    rows = [[result.get_value(row, at) for at in range(result.nfields)] for row in range(result.ntuples)]
    return pq.ExecStatus(result.status).name, (
        columns,
        rows,
        result.command_status,
        result.get_error_message(),
    )


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_what_is_refused_is_refused_by_us_and_leaves_no_trace(
    lab: Postgres, agent_url: str, protocol: str
) -> None:
    """Every refusal has a SQLSTATE of ours and a reason; the server's dump is the same before and after."""
    before = lab.dump("lab")
    with Session(agent_url) as session:
        wrong = {entry["id"]: told for entry in DENIED if (told := refusal(session.run(entry, protocol)))}
    assert lab.dump("lab") == before
    assert wrong == {}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_what_is_allowed_returns_what_the_server_returns(
    lab: Postgres, agent_url: str, protocol: str
) -> None:
    """Columns, types, rows and tags equal those of the same login without a firewall."""
    wrong = {}
    with Session(agent_url) as through, Session(lab.dsn("lab", "agent", LOGIN_PASSWORD)) as direct:
        direct.connection.execute("SET default_transaction_read_only = on")
        for entry in ALLOWED:
            found, expected = answer(through.run(entry, protocol)), answer(direct.run(entry, protocol))
            varies = any(word in entry["sql"] for word in VARYING)
            if found[0] != expected[0] or (found != expected and not varies):
                wrong[entry["id"]] = (found, expected)
    assert wrong == {}


def test_the_corpus_is_worth_running() -> None:
    """Ids are unique, and there is enough on both sides."""
    assert len({entry["id"] for entry in ENTRIES}) == len(ENTRIES)
    assert len(DENIED) > 150
    assert len(ALLOWED) > 50
