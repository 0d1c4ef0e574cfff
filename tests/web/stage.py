"""A running admin listener on a real store and a real audit record; the agents and their server are what is played.

Everything is on an event loop of its own, in a thread: tests use plain HTTP clients and a browser.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from dbfirewall.approvals.model import Options, Preview, Request, Snapshot, State, Table, Terms
from dbfirewall.approvals.service import Approvals
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.audit.log import AuditLog
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.metrics import Metrics
from dbfirewall.policy.loader import load_rules
from dbfirewall.policy.models import Rules
from dbfirewall.policy.verifier import make_verifier
from dbfirewall.proxy.tasks import TaskOwner
from dbfirewall.web.app import create_app
from dbfirewall.web.options import WebOptions
from dbfirewall.web.server import bind, serve_admin
from dbfirewall.web.state import SessionView, SlackHandler

_T = TypeVar("_T")

ALICE = "dbfa_alice-0123456789abcdef0123456789abcdef"
BOB = "dbfa_bob-0123456789abcdef0123456789abcdef"
MALLORY = "dbfa_mallory-0123456789abcdef0123456789abcdef"
ROBOT = "the-robots-own-password"
"""An agent's password; the rules also call it the token of an approver, which must not help."""

RULES = f"""\
version: 1
roles:
  maintainer:
    access: read-write
    rules:
      - allow: [select, insert]
        on: public.*
      - gate: [update, delete, truncate]
        on: public.*
        approvers: [dba]
        hold: 45s
        reason: Changes of existing rows are looked at by a person.
      - deny: select
        on: public.customers
        columns: [card_number]
        reason: "<script>alert('rule')</script>"
agents:
  robot: {{role: maintainer, database: shop, password: "{make_verifier(ROBOT)}"}}
approvers:
  alice: {{groups: [dba], token: "sha256:{hashlib.sha256(ALICE.encode()).hexdigest()}"}}
  bob: {{groups: [dba], token: "sha256:{hashlib.sha256(BOB.encode()).hexdigest()}"}}
  mallory: {{groups: [marketing], token: "sha256:{hashlib.sha256(MALLORY.encode()).hexdigest()}"}}
  confused: {{groups: [dba], token: "sha256:{hashlib.sha256(ROBOT.encode()).hexdigest()}"}}
databases:
  shop:
    dsn: postgresql://db.internal:5432/shop?sslrootcert=/etc/secret-place/ca.pem
    logins:
      maintainer: {{user: maintainer_rw, password: {{env: VERY_SECRET_VARIABLE}}}}
"""

SQL = "DELETE FROM public.orders WHERE created_at < '2020-01-01' -- old ones"


def snapshot(sql: str = SQL, **members: Any) -> Snapshot:
    """What an agent sent, as a gate would have snapshotted it."""
    base = Snapshot(
        agent="robot", role="maintainer", database="shop", sql=sql.encode(), session="5e55101234ab",
        peer="127.0.0.1:50312", application="nightly clean-up", settings={"search_path": "public"},
        effects=(("delete", "public.orders"), ("select", "public.orders")),
        rule="gate update, delete, truncate on public.*",
        reason="Changes of existing rows are looked at by a person.",
    )  # fmt: skip
    return replace(base, **members)


def preview(**members: Any) -> Preview:
    """What a preview of that found out."""
    base = Preview(
        made_at=1_790_000_000.0, plan="Delete on orders  (cost=0.00..17.50 rows=3 width=6)", estimate=3.0, rows=(2,),
        tables=(Table("public.orders", ("id", "status", "note"), (("1", "shipped", None), ("7", "open", "late"))),),
        notes=("It locks 2 rows until the end of its transaction.",), enveloped=True,
    )  # fmt: skip
    return replace(base, **members)


TERMS = (Terms("gate update, delete, truncate on public.*", ("dba",)),)


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Stage:
    """The listener, what stands behind it, and ways to ask it."""

    def __init__(
        self,
        folder: Path,
        options: WebOptions | None = None,
        rules: str = RULES,
        store_at: Path | None = None,
    ) -> None:
        """`store_at`: the file of the store, where it is not this stage's own."""
        self.folder = folder
        self._rules_file = folder / "rules.yaml"
        self.write_rules(rules)
        self.metrics = Metrics()
        self.audit = AuditLog(folder / "state")
        self.approvals = Approvals(
            SqliteStore(store_at or folder / "approvals.sqlite3"), self.metrics, self._record
        )
        self.sick: list[str] = []
        self.unready: list[str] = []
        self.refusals: list[tuple[str, str]] = []
        self.agents: list[SessionView] = []
        self.undone: list[str] = []
        self.undo_error: Exception | None = None
        self.slack: SlackHandler | None = None
        self.socket = bind("127.0.0.1", 0)
        self.socket.listen()  # so that a test that is quicker than the loop waits instead of failing
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = options or WebOptions()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        self._ready.wait()

    async def _serve(self) -> None:
        self._tasks = TaskOwner()
        await self.approvals.start(self._tasks.spawn)
        self._ready.set()
        await serve_admin(create_app(self, self._options, self._stopping), self.socket, self._stopping)
        await self._tasks.close()
        await self.approvals.close()
        self.audit.close()

    # -- what the firewall would be -----------------------------------------------------------------------------

    def write_rules(self, text: str) -> None:
        """Put other rules in force."""
        self._rules_file.write_text(text)
        self._loaded = load_rules(self._rules_file)

    @property
    def rules(self) -> Rules:
        return self._loaded

    @property
    def audit_folder(self) -> Path:
        return self.folder / "state"

    def metrics_text(self) -> bytes:
        return self.metrics.render()

    def health(self) -> list[str]:
        return self.sick

    def readiness(self) -> list[str]:
        return self.unready

    def sessions(self) -> list[SessionView]:
        return self.agents

    def refused(self, peer: str, error: str) -> None:
        self.refusals.append((peer, error))

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> Any:
        return self._tasks.spawn(name, work)

    async def renew_preview(self, request: Request) -> Request | None:
        return await self.approvals.attach_preview(request.id, preview(rows=(5,)))

    async def undo_plan(self, request: Request) -> tuple[str, list[dict[str, Any]]]:
        return "INSERT INTO public.orders VALUES (1, 'shipped', NULL);", [
            {"name": "public.orders", "rows": 1}
        ]

    async def apply_undo(self, request: Request, approver: str) -> int:
        if self.undo_error is not None:
            raise self.undo_error
        self.undone.append(f"{request.id} by {approver}")
        return request.undo_rows

    def _record(self, event: Event, **members: Scalar) -> None:
        self.audit.event(event, **members)
        self.audit.flush()

    # -- what the test does -------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do `work` on the listener's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def submit(
        self,
        one: Snapshot | None = None,
        *,
        terms: tuple[Terms, ...] = TERMS,
        options: Options | None = None,
        seen: Preview | None = None,
    ) -> Request:
        """An agent asks; `seen`: the preview that is made of it."""
        request, _ = self.run(self.approvals.submit(one or snapshot(), terms, options or Options()))
        if seen is not None:
            attached = self.run(self.approvals.attach_preview(request.id, seen))
            assert attached is not None
            return attached
        return request

    def release(self, request: Request, state: State = State.DONE, undo_rows: int = 0) -> None:
        """The agent sent it again, and that is what became of it."""
        assert self.run(self.approvals.begin_release(request.id, "4711")) is not None
        if undo_rows:
            self.run(self.approvals.keep_undo(request.id, 0, "{}", undo_rows))
        self.run(self.approvals.finish(request.id, state, affected=(2,)))

    def get(self, request_id: str) -> Request:
        return self.run(self.approvals.get(request_id))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The audit records of that event."""
        lines = (self.audit_folder / "audit.jsonl").read_text().splitlines()
        return [record for line in lines if (record := json.loads(line))["event"] == name]

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One plain request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        pairs = answer.getheaders()
        cookies = [value for name, value in pairs if name.lower() == "set-cookie"]
        return Answer(answer.status, {name.lower(): value for name, value in pairs}, content, cookies)

    def api(self, path: str, body: Any = None, token: str | None = ALICE, **headers: str) -> Answer:
        """A GET of the API, or a POST where there is a body."""
        given = dict(headers) | ({"Authorization": f"Bearer {token}"} if token is not None else {})
        if body is None:
            return self.ask(f"/api/v1{path}", headers=given)
        given.setdefault("Content-Type", "application/json")
        return self.ask(f"/api/v1{path}", "POST", json.dumps(body).encode(), given)

    def browser(self, token: str | None = ALICE, **headers: str) -> Person:
        """Somebody with a browser, signed in where there is a token."""
        person = Person(self, headers)
        if token is not None:
            assert person.sign_in(token).status == 303
        return person

    def end_streams(self) -> None:
        """What shutdown begins with."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()


class Person:
    """A browser without JavaScript: keeps cookies, and says with forms where they come from."""

    def __init__(self, stage: Stage, headers: Mapping[str, str]) -> None:
        self._stage = stage
        self.headers = {"Origin": stage.url, "Sec-Fetch-Site": "same-origin", **headers}
        self.cookies: dict[str, str] = {}

    def sign_in(self, token: str, following: str = "/approvals") -> Answer:
        return self.post("/login", token=token, next=following)

    def get(self, path: str, **headers: str) -> Answer:
        return self._keep(self._stage.ask(path, headers=self._all(headers, "Origin")))

    def post(self, path: str, **fields: str) -> Answer:
        return self.post_raw(path, urlencode(fields).encode())

    def post_raw(self, path: str, body: bytes, **headers: str) -> Answer:
        given = {"Content-Type": "application/x-www-form-urlencoded", **self._all(headers)}
        return self._keep(self._stage.ask(path, "POST", body, given))

    def csrf(self) -> str:
        """The form token, from a page."""
        page = self.get("/approvals").text
        return page.split('name="csrf" value="')[1].split('"')[0]

    def decide(self, request: Request, decision: str, **fields: str) -> Answer:
        """The form on a request's page, as it is there now, with `fields` in it."""
        page = self.get(f"/approvals/{request.id}").text
        seen = page.split('name="seen" value="')[1].split('"')[0] if 'name="seen"' in page else ""
        token = page.split('name="csrf" value="')[1].split('"')[0]
        values = {"csrf": token, "seen": seen, "decision": decision, "envelope": "default", **fields}
        return self.post(f"/approvals/{request.id}/decide", **values)

    def _all(self, headers: Mapping[str, str], *without: str) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        own = {name: value for name, value in self.headers.items() if name not in without}
        return {**own, **({"Cookie": cookie} if cookie else {}), **headers}

    def _keep(self, answer: Answer) -> Answer:
        for line in answer.cookies:
            name, _, value = line.partition(";")[0].partition("=")
            if value.strip('"'):
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer
