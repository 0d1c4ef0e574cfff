"""A small shop behind a firewall with gates, and a person who decides by way of the store itself."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from dbfirewall.approvals.model import Envelope, Request, State
from dbfirewall.approvals.service import DEFAULT, Approvals, Default
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.approvals.store import Query
from dbfirewall.metrics import Metrics
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

DATABASE = "gates"
OTHER = "gates_other"
LOGIN = "gates_login"
LOGIN_PASSWORD = "the agents never see this"
TOKEN = "alice's own"
PATIENCE = 30.0
"""Seconds within which something must have happened."""

T = TypeVar("T")

SCHEMA = f"""
CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, price int NOT NULL DEFAULT 1);
CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, word text);
CREATE TABLE once (ran int);
CREATE TABLE late (id int PRIMARY KEY, of int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.orders (LIKE public.orders INCLUDING ALL);
INSERT INTO orders SELECT n, 'item ' || n FROM generate_series(1, 20) AS n;
INSERT INTO elsewhere.orders SELECT * FROM orders;
GRANT USAGE ON SCHEMA public, elsewhere TO {LOGIN};
GRANT ALL ON ALL TABLES IN SCHEMA public, elsewhere TO {LOGIN};
GRANT CREATE ON SCHEMA public TO {LOGIN};
ANALYZE;
"""

RULES = """
version: 1
roles:
  cleaner:
    access: read-write
    search_path: [public]
    rules:
      - allow: [select, insert, lock_rows]
        on: "*"
      - allow: [set, reset]
        on: [search_path, timezone]
      - allow: call
        on: [pg_catalog.pg_sleep]
      - gate: insert
        on: public.once
        approvers: [dba]
        HOLD
      - gate: [delete, truncate, copy_from]
        on: "*"
        approvers: [dba]
        HOLD
      - allow: update
        on: public.orders
        max_rows_affected: 3
      - gate: [vacuum, create, alter, drop]
        approvers: [dba]
        HOLD
    limits:
      statement_timeout: 20s
agents:
  bot: {role: cleaner, database: [gates, gates_other], password: "BOT"}
  twin: {role: cleaner, database: [gates, gates_other], password: "TWIN"}
approvers:
  alice: {groups: [dba], token: "sha256:TOKEN"}
databases:
  gates:
    dsn: postgresql://HOST:PORT/gates?sslmode=disable
    logins: {cleaner: {user: gates_login, password: {env: GATES_PASSWORD}}}
  gates_other:
    dsn: postgresql://HOST:PORT/gates_other?sslmode=disable
    logins: {cleaner: {user: gates_login, password: {env: GATES_PASSWORD}}}
"""


def rules(postgres: Postgres, text: str = RULES, hold: str = "hold: 0s") -> str:
    """The rules, with this server's address. `hold`: keys of each gate, a line each."""
    return (
        text.replace("HOLD", hold.replace("\n", "\n        "))
        .replace("HOST", postgres.host)
        .replace("PORT", str(postgres.port))
        .replace("BOT", verifier("bot-agent"))
        .replace("TWIN", verifier("twin-agent"))
        .replace("TOKEN", hashlib.sha256(TOKEN.encode()).hexdigest())
    )


def build(postgres: Postgres) -> None:
    """Both databases and the login."""
    exists = postgres.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{LOGIN}'")
    postgres.sql(f"{'ALTER' if exists else 'CREATE'} ROLE {LOGIN} LOGIN PASSWORD '{LOGIN_PASSWORD}'")
    for name in (DATABASE, OTHER):
        postgres.create_database(name)
        postgres.sql(SCHEMA, name)


def start(postgres: Postgres, folder: Path, text: str, **options: Any) -> Firewall:
    """A firewall in `folder`, not started yet."""
    return Firewall(text, folder, environment={"GATES_PASSWORD": LOGIN_PASSWORD}, **options)


@dataclass(frozen=True, slots=True)
class World:
    """The server, the firewall in front of it, and what a person would do."""

    postgres: Postgres
    firewall: Firewall

    def dsn(self, agent: str = "bot", database: str = DATABASE, **options: str) -> str:
        """An agent's URL."""
        return self.firewall.dsn(agent, f"{agent}-agent", database, **options)

    def connect(
        self, agent: str = "bot", database: str = DATABASE, **options: Any
    ) -> psycopg.Connection[Any]:
        """An agent's connection, autocommit unless said otherwise."""
        return psycopg.connect(
            self.dsn(agent, database), autocommit=options.pop("autocommit", True), **options
        )

    def sql(self, text: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """What the server itself says."""
        return self.postgres.sql(text, database)

    def count(self, table: str = "orders") -> int:
        """Its rows."""
        return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])

    def ask(self, work: Callable[[Approvals], Coroutine[Any, Any, T]]) -> T:
        """Something of the store, opened by this process beside the firewall."""

        async def main() -> T:
            store = SqliteStore(self.firewall.state / "approvals.sqlite3")
            await store.open()
            try:
                return await work(Approvals(store, Metrics(), lambda *_event, **_members: None))
            finally:
                await store.close()

        # In a thread of its own: some tests have a loop running.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(main())).result()

    def requests(self) -> list[Request]:
        """All of them, the newest first."""

        async def work(approvals: Approvals) -> list[Request]:
            return list(await approvals.list(Query(limit=500)))

        return self.ask(work)

    def request(self, request_id: str) -> Request:
        """This one."""
        return self.ask(lambda approvals: approvals.get(request_id))

    def until(self, request_id: str, *states: State) -> Request:
        """This one, once it is in one of these states."""
        deadline = time.monotonic() + PATIENCE
        while (request := self.request(request_id)).state not in states:
            if time.monotonic() > deadline:
                raise AssertionError(f"it never got there: {request}")
            time.sleep(0.05)
        return request

    def previewed(self, request_id: str) -> Request:
        """This one, once it has its preview."""
        deadline = time.monotonic() + PATIENCE
        while (request := self.request(request_id)).preview is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"no preview: {request}\n{self.firewall.errors()}")
            time.sleep(0.05)
        return request

    def vote(
        self,
        request_id: str,
        *,
        approve: bool = True,
        reason: str = "",
        envelope: Envelope | Default | None = DEFAULT,
        accept_undo: bool = False,
    ) -> Request:
        """What alice says."""
        if approve:
            self.previewed(request_id)

        async def work(approvals: Approvals) -> Request:
            return await approvals.vote(
                request_id, approver="alice", groups=("dba",), approve=approve, reason=reason, envelope=envelope,
                accept_undo=accept_undo, origin="a test",
            )  # fmt: skip

        return self.ask(work)

    def forget(self) -> None:
        """Withdraw what is open: what a person saw of it was of tables that are not as they were."""

        async def work(approvals: Approvals) -> None:
            for request in await approvals.list(Query(states=(State.PENDING, State.APPROVED), limit=500)):
                await approvals.withdraw(request.id, "the test is over")

        self.ask(work)

    def pending(self) -> Request:
        """The only request that waits, as soon as there is one."""
        deadline = time.monotonic() + PATIENCE
        while not (waiting := [one for one in self.requests() if one.state is State.PENDING]):
            if time.monotonic() > deadline:
                raise AssertionError(f"nobody asks\n{self.firewall.errors()}")
            time.sleep(0.05)
        assert len(waiting) == 1, waiting
        return waiting[0]


def run(work: Callable[[], Awaitable[None]]) -> None:
    """An asyncio test, within its time."""

    async def main() -> None:
        async with asyncio.timeout(2 * PATIENCE):
            await work()

    asyncio.run(main())
