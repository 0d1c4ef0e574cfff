"""The role that may select everything and call every non-volatile built-in, once per script's search_path."""

from __future__ import annotations

from collections.abc import Iterable

from dbfirewall.sql.functions import DENIED
from tests.regress.prepare import DATABASE, READER, STRONG, schema_of
from tests.support.postgres import Postgres
from tests.support.scram import verifier

LOGIN_VARIABLE = "REGRESS_PASSWORD"
WRITES = frozenset({"pg_current_xact_id", "txid_current"})
"""Declared stable, but they take a transaction id, which is a change."""

_ROLE = """
  {login}_{name}:
    access: read-only
    pin: {pin}
    search_path: [{path}]
    rules:
      - allow: select
        on: ["*", "pg_catalog.*", "information_schema.*", "pg_toast.*"]
      - allow: call
        on: [{calls}]
    limits: {{statement_timeout: 5s, lock_timeout: 1s}}"""


def rules(postgres: Postgres, names: Iterable[str], pin: str = "session") -> str:
    """The rules file. Agents are `reader_NAME` and `strong_NAME`, with the password `agent`."""
    calls = ", ".join(f"pg_catalog.{name}" for name in sorted(DENIED - WRITES))
    secret = verifier("agent")
    roles, agents, logins = [], [], []
    for name in names:
        safe = schema_of(name) if schema_of(name) != "public" else f"p_{name}"
        path = ", ".join(dict.fromkeys((schema_of(name), "public")))
        for login, user in (("reader", READER), ("strong", STRONG)):
            role = f"{login}_{safe}"
            roles.append(_ROLE.format(login=login, name=safe, pin=pin, path=path, calls=calls))
            agents.append(f'  {role}: {{role: {role}, database: regression, password: "{secret}"}}')
            logins.append(f"      {role}: {{user: {user}, password: {{env: {LOGIN_VARIABLE}}}}}")
    return "\n".join([
        "version: 1", "roles:", *roles, "agents:", *agents, "databases:", "  regression:",
        f"    dsn: postgresql://{postgres.host}:{postgres.port}/{DATABASE}?sslmode=disable", "    logins:", *logins,
    ])  # fmt: skip


def agent(login: str, name: str) -> str:
    """The agent's name for a script."""
    return f"{login}_" + (schema_of(name) if schema_of(name) != "public" else f"p_{name}")
