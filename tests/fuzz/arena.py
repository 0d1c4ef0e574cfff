"""Two databases that differ only in what a read-only role must not see, and what a statement did to them.

The login that runs the statements is a superuser, so that nothing but the firewall stands between. What a
statement did is noticed by its traces: a transaction id that was taken (every write takes one), sequences, locks,
listeners, parameters, files. What it told is noticed twice over: by canaries in all that the server sent, and
by running it on both databases, whose answers must be the same.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from psycopg import pq

from dbfirewall.catalog.loader import load_catalog
from dbfirewall.catalog.types import Catalog
from dbfirewall.gate import Judge, SessionFacts
from dbfirewall.metrics import Metrics
from dbfirewall.policy.loader import load_rules
from tests.support.postgres import Postgres

FOLDER = Path(__file__).parent
CANARIES = (b"CANARY", b"canary")
"""Planted in forbidden columns and relations, and as the name and the content of a file of the server."""

SLOW_SECONDS = 0.5
"""The only statement that takes so long here is one that was told to sleep."""

RULES = """
version: 1
roles:
  reader:
    access: read-only
    rules:
      - allow: select
        on: [public.orders, public.guesses, public.parcels, public.grades, public.slips, public.customers_public]
      - allow: select
        on: public.customers
        columns: [id, name, city]
      - allow: select
        on: [public.sneaky, public.sneakier]
      - deny: select
        on: public.vault*
      - allow: call
        on: public.nice
"""

_STATE = """
SELECT pg_snapshot_xmax(pg_current_snapshot()),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT string_agg(c, ',') FROM pg_listening_channels() AS c),
    (SELECT last_value::text || is_called FROM public.counter),
    (SELECT count(*) FROM pg_largeobject_metadata),
    (SELECT count(*) FROM pg_ls_dir('.')),
    (SELECT count(*) FROM pg_replication_slots),
    (SELECT string_agg(current_setting(n), ',' ORDER BY n) FROM unnest(ARRAY['search_path', 'role', 'row_security',
        'session_authorization', 'session_replication_role', 'default_transaction_read_only', 'client_encoding',
        'standard_conforming_strings', 'statement_timeout', 'transaction_read_only', 'lock_timeout']) AS n)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """All that the server sent (`said`: rows, notices, errors), and whether every statement ran (`ok`)."""

    said: tuple[bytes, ...]
    ok: bool
    seconds: float


class Session:
    """One superuser's session on one arena."""

    def __init__(self, dsn: str) -> None:
        self._connection = pq.PGconn.connect(dsn.encode())
        if self._connection.status != pq.ConnStatus.OK:
            raise ConnectionError(self._connection.get_error_message())
        self._notices: list[bytes] = []
        self._connection.notice_handler = self._notice
        self.run(b"SET statement_timeout = '3s'; SET search_path = public")

    def run(self, sql: bytes) -> Answer:
        """Send `sql` as one simple query."""
        said: list[bytes] = []
        ok, started = True, time.monotonic()
        self._connection.send_query(sql)
        while (result := self._connection.get_result()) is not None:
            said += _values(result)
            match result.status:
                case pq.ExecStatus.COPY_OUT:
                    said += self._copy_out()
                case pq.ExecStatus.COPY_IN:
                    self._connection.put_copy_end(b"no data")
                case pq.ExecStatus.FATAL_ERROR:
                    ok = False
                    said.append(result.error_message)
        said += self._notices
        self._notices.clear()
        return Answer(tuple(said), ok, time.monotonic() - started)

    def settle(self) -> None:
        """End what the last statement left open, so that the next one finds a fresh session."""
        if self._connection.transaction_status != pq.TransactionStatus.IDLE:
            self.run(b"ROLLBACK")

    def state(self) -> tuple[bytes, ...]:
        """What changes when something is written, locked, listened to or set."""
        return self.run(_STATE.encode()).said

    def refresh(self) -> None:
        """Drop what the session holds: prepared statements, cursors, parameters, locks."""
        self.run(b"DISCARD ALL")
        self.run(b"SET statement_timeout = '3s'; SET search_path = public")

    def close(self) -> None:
        """Hang up."""
        self._connection.finish()

    def _notice(self, result: object) -> None:
        self._notices.append(bytes(getattr(result, "error_message", b"")))

    def _copy_out(self) -> list[bytes]:
        rows: list[bytes] = []
        while True:
            size, data = self._connection.get_copy_data(0)
            if size <= 0:
                return rows
            rows.append(bytes(data))


def _values(result: pq.abc.PGresult) -> list[bytes]:
    rows, columns = range(result.ntuples), range(result.nfields)
    return [result.get_value(row, column) or b"" for row in rows for column in columns]


class Arena:
    """The two databases on one server, a session on each, and the judge."""

    def __init__(self, postgres: Postgres, rules: Path) -> None:
        """`rules`: where the rules file may be written."""
        self._postgres = postgres
        for mark in "ABC":
            name = f"fuzz_{mark.lower()}"
            postgres.create_database(name)
            postgres.sql(
                (FOLDER / "arena.sql").read_text().replace("%%", "%").replace("%(mark)s", mark), name
            )
        postgres.sql(
            "DO $$BEGIN EXECUTE format('COPY (SELECT %L) TO %L', 'CANARY file',"
            " current_setting('data_directory') || '/canary.txt'); END$$"
        )
        rules.write_text(RULES)
        self._role = load_rules(rules).roles["reader"]
        self.catalog = asyncio.run(self._load())
        self.sessions = [Session(postgres.dsn(f"fuzz_{mark}")) for mark in "ab"]
        self._spare = Session(postgres.dsn("fuzz_c"))
        self.judge_afresh()

    async def _load(self) -> Catalog:
        connection = await asyncpg.connect(self._postgres.dsn("fuzz_a"))
        try:
            return await load_catalog(connection, 1)
        finally:
            await connection.close()

    def judge_afresh(self) -> None:
        """Begin with empty decision caches."""
        self._judge = Judge(self._role, self.catalog, Metrics(), inline_bytes=1 << 20)

    def allows(self, sql: bytes) -> bool:
        """Whether the whole pipeline, its caches included, lets the text through."""
        verdict = self._judge.judge(sql, SessionFacts())
        assert verdict is not None
        return verdict.outcome == "allow"

    def reason(self, sql: bytes) -> str:
        """Why the text is refused."""
        verdict = self._judge.judge(sql, SessionFacts())
        assert verdict is not None
        return f"{verdict.decision.sqlstate} {verdict.decision.reason}"

    def runs(self, sql: bytes) -> bool:
        """Whether Postgres runs a text, whatever it does; on a third database, and rolled back."""
        self._spare.run(b"BEGIN")
        answer = self._spare.run(sql)
        self._spare.run(b"ROLLBACK")
        self._spare.refresh()
        return answer.ok

    def harm(self, sql: bytes) -> str:
        """What an allowed text did or told that it must not; empty for nothing. Runs it on both databases."""
        problem = self._harm(sql)
        # Somebody else's transaction would not show twice.
        return problem if problem and self._harm(sql) else ""

    def _harm(self, sql: bytes) -> str:
        answers: list[Answer] = []
        for session in self.sessions:
            before = session.state()
            answers.append(session.run(sql))
            session.settle()
            after = session.state()
            session.refresh()
            if before != after:
                return f"changed {[pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]}"
        return self._told(answers[0], answers[1], sql)

    def _told(self, first: Answer, second: Answer, sql: bytes) -> str:
        everything = b"\n".join((*first.said, *second.said))
        # What the text itself says is no secret.
        if any(canary in everything and canary not in sql for canary in CANARIES):
            return "told a canary"
        if min(first.seconds, second.seconds) > SLOW_SECONDS:
            return "slept"
        if sorted(first.said) != sorted(second.said) and not self._varies(sql):
            return "answers depend on what is forbidden"
        return ""

    def _varies(self, sql: bytes) -> bool:
        """Whether two runs on one database differ too."""
        runs = []
        for _ in range(2):
            runs.append(sorted(self.sessions[0].run(sql).said))
            self.sessions[0].settle()
            self.sessions[0].refresh()
        return runs[0] != runs[1]

    def close(self) -> None:
        """Hang up, so that the databases can be made again."""
        drop = (
            b"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'fuzz'"
        )
        self._spare.run(drop)
        for session in (*self.sessions, self._spare):
            session.close()
