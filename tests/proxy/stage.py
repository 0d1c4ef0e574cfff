"""A session between an agent and a server that are both played by a test: real code, transports that only record.

`Stage` wires what `Connection` wires, with real rules, a real audit record and the real peers. Only what SQL means
is simplified: `ToyJudge` reads a few forms of statements by their words, and real rules decide about them.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest

from dbfirewall.audit.files import CURRENT
from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Catalog
from dbfirewall.gate import HOUSEKEEPING, Judge, SessionFacts, Verdict
from dbfirewall.policy.decision import Context, decide
from dbfirewall.policy.housekeeping import housekeeping
from dbfirewall.policy.loader import parse_rules
from dbfirewall.policy.models import Rules
from dbfirewall.proxy import firewall as firewall_module
from dbfirewall.proxy.admission import Request
from dbfirewall.proxy.catalogs import CatalogService
from dbfirewall.proxy.connection import Connection
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.firewall import Firewall
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.session import Session
from dbfirewall.proxy.tasks import TaskOwner
from dbfirewall.proxy.upstream import Credentials, Upstream
from dbfirewall.settings import LimitSettings, Settings
from dbfirewall.sql.facts import ALL_COLUMNS, Analysis, Effect, Refusal, Statement
from dbfirewall.sql.reading import Reading
from dbfirewall.wire import messages as m
from tests.proxy.notation import TOKEN, agent_bytes, agent_texts, server_bytes, server_texts

VERIFIER = (
    "SCRAM-SHA-256$4096:eQAK0iMEq0BbWFbgpS22Cw==$iFuqX8jEEDnuFxpjOHw6BMVRuYqFJDx2LAtZ+LzA/KY="
    ":xyTgBh+q4s4L+ZKPDDMKufC6+WDgkcJncLp7yMG/NwE="
)

RULES = """
version: 1
roles:
  writer:
    access: read-write
    rules:
      - allow: [select, insert, copy_from, create, prepare, discard, code, set, call]
        on: "*"
      - allow: [code]
      - allow: set
        on: [search_path, role]
      - gate: delete
        on: public.orders
        approvers: [dba]
      - deny: [select, insert, delete]
        on: public.secret
        reason: Nobody reads that.
  reader:
    access: read-only
    rules:
      - allow: select
        on: public.orders
  strict:
    access: read-only
    pin: strict
    rules:
      - allow: select
        on: public.orders
agents:
  bot: {role: ROLE, database: shop, password: "VERIFIER"}
approvers:
  alice: {groups: [dba], token: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
databases:
  shop:
    dsn: postgresql://127.0.0.1:1/shop?sslmode=disable
    logins:
      writer: {user: w}
      reader: {user: r}
      strict: {user: s}
"""


@cache
def _parsed(text: str) -> Rules:
    return parse_rules({Path("rules.yaml"): text.encode()})


def _rules(text: str) -> Rules:
    """The rules of `text`, as fresh as if they had been parsed once more (which takes much longer)."""
    return _parsed(text).model_copy(deep=True)


Delivery = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> list[bytes]:
    """As it was sent."""
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[i : i + 1] for i in range(len(data))]


class FakeTransport(asyncio.Transport):
    """Records what is written. `queued`: what `get_write_buffer_size` says."""

    def __init__(self, name: str) -> None:
        super().__init__({"peername": (name, 4711)})
        self.sent = bytearray()
        self._reading = True
        self.closed = False
        self.aborted = False
        self.queued = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written after close"
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def get_write_buffer_size(self) -> int:
        return self.queued

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever full unless a test says so."""


class ToyJudge(Judge):
    """Decides by real rules on facts that are read off the words of a few forms of statements.

    `LONG …` texts have to be read in a worker, whatever their length.
    """

    def judge(self, sql: bytes, session: SessionFacts) -> Verdict | None:
        if len(sql) > self._max_text_bytes:
            return self.too_long()
        if sql.startswith(b"LONG "):
            return None
        return self.judge_reading(sql, Reading(), session)

    def judge_reading(self, sql: bytes, reading: Reading, session: SessionFacts) -> Verdict:
        context = Context(protocol_prepared=session.protocol_prepared, executable=session.executable)
        if housekeeping(sql, self.role, context):
            return self._verdict(Analysis(), HOUSEKEEPING)
        try:
            analysis = toy_facts(sql.decode())
        except UnicodeDecodeError:
            analysis = Analysis(refusal=Refusal("encoding", "That is no UTF-8."))
        if b"\0" in sql:
            analysis = Analysis(refusal=Refusal("encoding", "There is a NUL in it."))
        return self._verdict(analysis, decide(analysis, self.role, context))


def toy_facts(sql: str) -> Analysis:
    """The facts of `;`-separated statements."""
    parts = [part.strip() for part in sql.removeprefix("LONG ").split(";") if part.strip()]
    statements = [_toy_statement(part) for part in parts]
    known = tuple(statement for statement in statements if statement is not None)
    if len(known) != len(statements):
        return Analysis(refusal=Refusal("syntax", "That is no SQL."))
    return Analysis(known)


_FORMS: tuple[tuple[str, Callable[[re.Match[str]], Statement]], ...] = (
    (r"SELECT .*?FROM (\w+)", lambda found: _statement("select", _relation("select", found[1]), rows=True)),
    (r"SELECT \S+", lambda _: _statement("select", rows=True)),
    (r"SHOW (\w+)", lambda found: _statement("show", Effect("show", (found[1],)), rows=True)),
    (r"INSERT INTO (\w+)", lambda found: _statement("insert", _relation("insert", found[1]))),
    (r"DELETE FROM (\w+)", lambda found: _statement("delete", _relation("delete", found[1]))),
    (r"CREATE TABLE (\w+)", lambda found: _statement(
        "create", _relation("create", found[1], kind="table"), changes_catalog=True)),
    (r"COPY (\w+) FROM STDIN", lambda found: _statement(
        "copy", _relation("copy_from", found[1]), copy_from_stdin=True)),
    (r"(BEGIN|COMMIT|ROLLBACK|SAVEPOINT)(?: (.+))?", lambda found: _statement(
        found[1].lower(), Effect(found[1].lower(), detail=(found[2] or "").lower()))),
    (r"SET (\w+)=(\S*)", lambda found: _statement("set", Effect("set", (found[1],), value=found[2]))),
    (r"DISCARD ALL", lambda _: _statement("discard", Effect("discard"))),
    (r"DEALLOCATE ALL", lambda _: _statement("deallocate", Effect("deallocate"))),
    (r"DEALLOCATE (\w+)", lambda found: _statement("deallocate", Effect("deallocate", (found[1],)))),
    (r"EXECUTE (\w+)", lambda found: _statement("execute", Effect("execute", (found[1],)), tags=())),
    (r"DO", lambda _: _statement("do", Effect("code"))),
)  # fmt: skip


def _toy_statement(text: str) -> Statement | None:
    if found := re.fullmatch(r"PREPARE (\w+) AS (.*)", text):
        inner = _toy_statement(found[2])
        effects = inner.effects if inner is not None else ()
        tags, rows = (inner.tags, inner.returns_rows) if inner is not None else ((), False)
        own = Effect("prepare", (found[1],))
        return _statement("prepare", own, *effects, prepares=found[1], inner_tags=tags, inner_rows=rows)
    for pattern, make in _FORMS:
        if found := re.fullmatch(pattern, text):
            return make(found)
    return None


def _relation(action: str, name: str, **members: Any) -> Effect:
    columns = ALL_COLUMNS if action in ("select", "insert") else None
    return Effect(action, ("public", name), columns=columns, **members)


def _statement(kind: str, *effects: Effect, rows: bool = False, **members: Any) -> Statement:
    tags = members.pop("tags", (kind.upper(),))
    return Statement(kind, effects, returns_rows=rows, tags=tags, **members)


class StageCatalogs(CatalogService):
    """One empty snapshot for every database, at once and without a server."""

    def __init__(self, firewall: Firewall) -> None:
        super().__init__(firewall.metrics, 60.0, lambda _name: None)
        self.refreshed: list[str] = []

    def watch(self, name: str, target: Target, credentials: Credentials, owner: TaskOwner) -> None:
        """There is nothing to watch."""

    def keep(self, names: frozenset[str]) -> None:
        """There is nothing to forget."""

    def current(self, name: str) -> Catalog | None:
        return offline_catalog()

    def refresh_soon(self, name: str) -> None:
        self.refreshed.append(name)


class StageFirewall(Firewall):
    """Real shared state, without tasks: reads for a worker and cancel requests are only noted."""

    def __init__(self, settings: Settings, rules: Path) -> None:
        super().__init__(settings, rules)
        self.to_read: list[tuple[Session, bytes, Callable[[], None]]] = []
        self.cancelled: list[Callable[[], None] | None] = []
        self.later: list[Callable[[], None]] = []
        self.stage_catalogs = StageCatalogs(self)
        self.catalogs = self.stage_catalogs

    def read_in_worker(self, session: Session, sql: bytes, resume: Callable[[], None]) -> None:
        self.to_read.append((session, sql, resume))

    def soon(self, work: Callable[[], None]) -> None:
        self.later.append(work)

    def cancel_upstream(self, session: Session, then: Callable[[], None] | None = None) -> None:
        self.cancelled.append(then)


class Stage:
    """One session of agent `bot`. The methods chain, so that a test reads from top to bottom."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        role: str = "writer",
        rules: str = RULES,
        delivery: Delivery = whole,
        parameters: dict[str, str] | None = None,
        **limits: Any,
    ) -> None:
        monkeypatch.setattr(firewall_module, "Judge", ToyJudge)
        monkeypatch.setattr(firewall_module, "load_rules", lambda path: _rules(path.read_text()))
        self._rules = folder / "rules.yaml"
        self._write_rules(rules, role)
        self._audit = folder / CURRENT
        settings = Settings(state=folder, limits=LimitSettings(**limits))
        settings = settings.model_copy(update={"audit": settings.audit.model_copy(update={"fsync": "off"})})
        self.firewall = StageFirewall(settings, self._rules)
        self.firewall.load()
        self.delivery = delivery
        self.agent_transport, self.server_transport = FakeTransport("agent"), FakeTransport("server")
        self.agent_peer, self.server_peer = Peer(), Peer()
        self.agent_peer.connection_made(self.agent_transport)
        self.server_peer.connection_made(self.server_transport)
        self._backlog: dict[Peer, list[bytes]] = {self.agent_peer: [], self.server_peer: []}
        self._role = role
        self.session = self._connect(parameters or {})
        self.tokens: list[bytes] = []
        self._seen_agent, self._seen_server = len(self.agent_transport.sent), 0

    def _write_rules(self, rules: str, role: str) -> None:
        self._rules.write_text(rules.replace("VERIFIER", VERIFIER).replace("ROLE", role))

    def _connect(self, parameters: dict[str, str]) -> Session:
        firewall = self.firewall
        assert firewall.connections.accept()
        assert firewall.connections.authenticated("bot", 10)
        connection = Connection(firewall, self.agent_peer, None, tls_required=False)
        connection._agent = "bot"
        reported = {
            "client_encoding": "UTF8", "server_encoding": "UTF8", "standard_conforming_strings": "on",
            "default_transaction_read_only": "on", "search_path": "public", **parameters,
        }  # fmt: skip
        upstream = Upstream(self.server_peer, reported, 42, b"key!")
        request = Request("bot", "shop", {}, m.PROTOCOL_3_0, b"", encrypted=False)
        role = firewall.rules.roles[firewall.rules.agents["bot"].role]
        return connection._start(request, "shop", role, {}, upstream)

    # -- what the two ends do -----------------------------------------------------------------------------------

    def agent(self, *texts: str) -> Self:
        """The agent sends these messages."""
        return self.agent_raw(agent_bytes(*texts))

    def agent_raw(self, data: bytes) -> Self:
        """The agent sends these bytes."""
        return self._send(self.agent_peer, data)

    def server(self, *texts: str) -> Self:
        """The server sends these messages; `E !` answers the oldest poison that has no answer yet."""
        data = b""
        for text in texts:
            token = self.tokens.pop(0) if text == "E !" else b""
            data += server_bytes(text, token=token)
        return self.server_raw(data)

    def server_raw(self, data: bytes) -> Self:
        """The server sends these bytes."""
        return self._send(self.server_peer, data)

    def _send(self, peer: Peer, data: bytes) -> Self:
        self._backlog[peer] += self.delivery(data)
        self._pump()
        return self

    def _pump(self) -> None:
        """Deliver what is allowed in, until nothing moves."""
        moved = True
        while moved:
            moved = bool(self.firewall.later)
            while self.firewall.later:
                self.firewall.later.pop(0)()
            for peer, waiting in self._backlog.items():
                transport = peer.transport
                assert isinstance(transport, FakeTransport)
                while waiting and transport.is_reading() and not transport.closed:
                    peer.data_received(waiting.pop(0))
                    moved = True
                if transport.closed and not peer.lost:
                    peer.connection_lost(None)
                    moved = True

    def agent_leaves(self) -> Self:
        """The agent's connection breaks."""
        self.agent_transport.closed = True
        self._pump()
        return self

    def server_leaves(self) -> Self:
        """The server's connection breaks."""
        self.server_transport.closed = True
        self._pump()
        return self

    def worker_reads(self) -> Self:
        """The worker is done with the oldest text it was given."""
        session, sql, resume = self.firewall.to_read.pop(0)
        verdict = session.judge.judge_reading(sql, Reading(), session.facts)
        session.take_verdict(sql, session.judge, verdict)
        resume()
        self._pump()
        return self

    def reload(self, rules: str, role: str | None = None) -> Self:
        """The rules change."""
        self._write_rules(rules, role or self._role)
        self.firewall.load()
        self._pump()
        return self

    # -- what must have come of it --------------------------------------------------------------------------------

    def server_gets(self, *texts: str) -> Self:
        """Exactly these messages have reached the server since this was last asked."""
        assert agent_texts(self.new_server_bytes()) == list(texts)
        return self

    def new_server_bytes(self) -> bytes:
        """What has reached the server since this was last asked."""
        new = bytes(self.server_transport.sent[self._seen_server :])
        self._seen_server += len(new)
        self.tokens += dict.fromkeys(TOKEN.findall(new))
        return new

    def agent_gets(self, *texts: str) -> Self:
        """Exactly these messages have reached the agent since this was last asked."""
        assert server_texts(self.new_agent_bytes()) == list(texts)
        return self

    def new_agent_bytes(self) -> bytes:
        """What has reached the agent since this was last asked."""
        new = bytes(self.agent_transport.sent[self._seen_agent :])
        self._seen_agent += len(new)
        return new

    @property
    def over(self) -> bool:
        """Whether both connections are closed and nothing of the session is left."""
        closed = self.agent_transport.closed and self.server_transport.closed
        gone = not self.firewall.sessions and self.firewall.connections.total == 0
        assert self.session.ended == gone == closed
        return closed

    def audit(self, event: str = "statement") -> list[dict[str, Any]]:
        """The records of one kind that are on the disk by now."""
        lines = self._audit.read_text().splitlines()
        return [record for line in lines if (record := json.loads(line))["event"] == event]

    def decisions(self) -> list[tuple[str, str]]:
        """(text, decision) of every statement on record."""
        return [(record.get("sql", ""), record["decision"]) for record in self.audit()]

    def outcomes(self) -> list[tuple[int | None, str | None]]:
        """(rows, error) of every outcome on record, those still in memory included."""
        self.firewall.audit.flush()
        return [(record["rows"], record["error"]) for record in self.audit("outcome")]

    def close(self) -> None:
        """Let go of the state folder."""
        self.firewall.audit.close()
