"""`make regress`: every regression statement, directly and through a firewall.

For each statement, three times:
- directly, as the reader's login in a READ ONLY transaction: what it should do;
- through the firewall as the same login: the same SQLSTATE, or results of the same shape;
- through the firewall with a superuser's login, bare: whatever it is, no transaction id is taken (every write takes
  one), the session stays usable, and an answer comes before the deadline.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import pq
from psycopg.pq.abc import PGconn

from tests.regress.prepare import DATABASE, READER, prepare, schema_of, scripts
from tests.regress.rules import LOGIN_VARIABLE, agent, rules
from tests.regress.script import Piece
from tests.regress.source import regress_folder
from tests.regress.verdict import Trial, classify, summary
from tests.regress.wire import HUNG, LOST, Outcome, open_session, run
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres, running_postgres

DEADLINE = 15.0
"""Seconds until a statement without an answer counts as hung; the server's own timeout is 5 s."""


@dataclass
class Lane:
    """One way to the database, reconnected when it was lost. `path`: set where no firewall sets it."""

    url: str
    path: str = ""
    connection: PGconn | None = None

    def run(self, sql: str, data: str = "") -> Outcome:
        if self.connection is None:
            self.connection = open_session(self.url)
            run(self.connection, "SET client_min_messages = error", DEADLINE)
            if self.path:
                run(self.connection, f"SET search_path = {self.path}; SET statement_timeout = '5s'; "
                    "SET lock_timeout = '1s'", DEADLINE)  # fmt: skip
        outcome = run(self.connection, sql, DEADLINE, data)
        if outcome.sqlstate in (HUNG, LOST) or self.connection.status != pq.ConnStatus.OK:
            self.close()
        return outcome

    def inside(self, begin: str, piece: Piece) -> Outcome:
        """In a transaction that is rolled back, or alone where it can't be in one."""
        self.run(begin)
        outcome = self.run(piece.sql, piece.data)
        self.settle()
        return outcome

    def settle(self) -> None:
        """Out of whatever transaction the statement left."""
        if self.connection is not None and self.connection.transaction_status != pq.TransactionStatus.IDLE:
            self.run("ROLLBACK")

    def close(self) -> None:
        if self.connection is not None:
            self.connection.finish()
        self.connection = None


@dataclass
class Bench:
    """The server, the firewall, and what has been found."""

    postgres: Postgres
    firewall: Firewall
    password: str
    trials: list[Trial] = field(default_factory=list)
    admin: Lane = field(init=False)

    def __post_init__(self) -> None:
        self.admin = Lane(self.postgres.dsn(DATABASE))

    def next_xid(self) -> str:
        """The next transaction id: it stands still as long as nothing is written."""
        if self.admin.connection is None:
            self.admin.run("SELECT 1")
        assert self.admin.connection is not None
        result = self.admin.connection
        result.nonblocking = 0
        answer = result.exec_(b"SELECT pg_snapshot_xmax(pg_current_snapshot())")
        return (answer.get_value(0, 0) or b"").decode()

    def script(self, name: str, pieces: list[Piece]) -> None:
        """All of one script's statements."""
        path = ", ".join(dict.fromkeys((schema_of(name), "public")))
        direct = Lane(self.postgres.dsn(DATABASE, READER, self.password), path)
        reader = Lane(self.firewall.dsn(agent("reader", name), "agent", "regression"))
        strong = Lane(self.firewall.dsn(agent("strong", name), "agent", "regression"))
        for number, piece in enumerate(pieces):
            expected = direct.inside("BEGIN READ ONLY", piece)
            before = self.next_xid()
            got = reader.inside("BEGIN", piece)
            bare = strong.run(piece.sql, piece.data)
            strong.settle()
            changed = self.next_xid() != before
            trial = Trial(name, number, piece.sql, expected, got, bare, changed=changed)
            self.trials.append(trial)
        for lane in (direct, reader, strong):
            lane.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make regress", description=__doc__)
    parser.add_argument("--scripts", nargs="*", help="only these (default: all)")
    parser.add_argument("--every", type=int, default=1, help="only every n-th statement")
    parser.add_argument("--pin", default="session", choices=["session", "strict"])
    parser.add_argument("--details", type=Path, help="a folder: write every deviation there, as JSON lines")
    options = parser.parse_args()
    folder = regress_folder()
    password = secrets.token_urlsafe(16)
    chosen = {
        name: pieces[:: options.every]
        for name, pieces in scripts(folder).items()
        if not options.scripts or name in options.scripts
    }
    started = time.monotonic()
    with running_postgres(None) as postgres, tempfile.TemporaryDirectory() as work:
        for text in ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"):
            postgres.sql(text)
        prepared = prepare(postgres, folder, password)
        print(f"prepared: {prepared} statements, {time.monotonic() - started:.0f} s", flush=True)
        text = rules(postgres, chosen, options.pin)
        with Firewall(text, Path(work), environment={LOGIN_VARIABLE: password}) as firewall:
            bench = Bench(postgres, firewall, password)
            for name, pieces in chosen.items():
                bench.script(name, pieces)
        print(f"tried: {len(bench.trials)} statements, {time.monotonic() - started:.0f} s", flush=True)
    if options.details:
        options.details.mkdir(parents=True, exist_ok=True)
        with (options.details / f"{options.pin}.jsonl").open("w") as out:
            for trial in bench.trials:
                if (what := classify(trial)) != "same":
                    out.write(json.dumps({"class": what, **trial.as_json()}) + "\n")
    return summary(bench.trials, Counter(map(classify, bench.trials)))


if __name__ == "__main__":
    sys.exit(main())
