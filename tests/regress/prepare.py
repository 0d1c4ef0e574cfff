"""The regression database: what the scripts create, kept in the place where it was created.

Each script runs as superuser in a schema of its own (those that others build on: in public), without its DROPs and
outside of transactions, so that what it made is still there when its statements are tried one by one.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from psycopg.pq.abc import PGconn

from dbfirewall.sql.functions import HARMLESS_VOLATILE
from tests.regress.script import Piece, statements
from tests.regress.wire import HUNG, LOST, open_session, run
from tests.support.postgres import Postgres

DATABASE = "regression"
READER, STRONG = "regress_agent_reader", "regress_agent_strong"
STATEMENT_SECONDS = 20.0

_BASE = ("test_setup", "create_index", "create_misc", "create_table", "create_type", "create_operator",
         "create_procedure", "create_function_c", "create_function_sql", "create_aggregate", "create_cast",
         "create_view", "create_index_spgist")  # fmt: skip
_LEFT_OUT = frozenset({"event_trigger", "tablespace"})
"""Scripts whose objects get in the way of all others: event triggers, and tablespaces outside of the database."""

_NOT_PREPARED = re.compile(
    r"\s*(drop|begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|discard|reindex|cluster"
    r"|listen|alter\s+system|alter\s+database|checkpoint)\b|\s*set\s+(local|transaction)\b",
    re.IGNORECASE,
)
_UNDONE = re.compile(r"\s*drop\s+(?:cast|operator|function\s+sql_to_date)\b", re.IGNORECASE)
"""Casts and operators without a schema of their own: they would change the meaning of every other script."""
_OPERATOR = re.compile(r"\s*create\s+operator\b", re.IGNORECASE)
_TEMPORARY = re.compile(r"^(\s*(?:create|select)\b.{0,80}?)\b(?:global\s+|local\s+)?temp(?:orary)?\s",
                        re.IGNORECASE | re.DOTALL)  # fmt: skip
_ON_COMMIT = re.compile(r"\bon\s+commit\s+(drop|delete\s+rows|preserve\s+rows)\b", re.IGNORECASE)

_LOGINS = """
CREATE ROLE {reader} LOGIN PASSWORD '{password}';
GRANT pg_read_all_data TO {reader};
CREATE ROLE {strong} SUPERUSER LOGIN PASSWORD '{password}';
"""


def scripts(folder: Path) -> dict[str, list[Piece]]:
    """Each script's statements, those first that others build on."""
    names = sorted(path.stem for path in (folder / "sql").glob("*.sql"))
    ordered = [name for name in _BASE if name in names] + [name for name in names if name not in _BASE]
    return {name: _read(folder, name) for name in ordered}


def _read(folder: Path, name: str) -> list[Piece]:
    text = (folder / "sql" / f"{name}.sql").read_bytes().decode("utf-8", "replace")
    # psql variables for the test data: `\set filename :abs_srcdir '/data/onek.data'` and then `:'filename'`.
    place = ""
    lines = []
    for line in text.split("\n"):
        if found := re.match(r"\\set filename :abs_srcdir '(/data/[^']*)'", line):
            place = str(folder) + found[1]
        lines.append(line.replace(":'filename'", f"'{place}'"))
    return statements("\n".join(lines))


def schema_of(name: str) -> str:
    """The schema that a script's objects are in."""
    return "public" if name in _BASE else f"f_{re.sub('[^a-z0-9_]', '_', name)}"


def prepare(postgres: Postgres, folder: Path, password: str) -> int:
    """Build the database; the number of statements that went through."""
    postgres.create_database(DATABASE)
    postgres.sql(_LOGINS.format(reader=READER, strong=STRONG, password=password))
    postgres.sql("GRANT ALL ON SCHEMA public TO PUBLIC", DATABASE)
    done = 0
    for name, pieces in scripts(folder).items():
        schema = schema_of(name)
        postgres.sql(
            f"CREATE SCHEMA IF NOT EXISTS {schema}; GRANT ALL ON SCHEMA {schema} TO PUBLIC", DATABASE
        )
        done += 0 if name in _LEFT_OUT else _play(postgres, schema, pieces)
    free = ", ".join(f"'{function}'" for function in sorted(HARMLESS_VOLATILE))
    postgres.sql(_MIRROR.format(free=free), DATABASE)
    return done


def _play(postgres: Postgres, schema: str, pieces: list[Piece]) -> int:
    """A script's statements as superuser, errors ignored."""
    done = 0
    connection: PGconn | None = None
    for piece in lasting(pieces):
        if _NOT_PREPARED.match(piece.sql) and not _UNDONE.match(piece.sql):
            continue
        if connection is None:
            # As startup options, so that RESET goes back to them.
            options = quote(f"-c search_path={schema},public -c statement_timeout=5s")
            connection = open_session(f"{postgres.dsn(DATABASE)}?options={options}")
        outcome = run(connection, permanent(piece.sql), STATEMENT_SECONDS, piece.data)
        done += outcome.sqlstate == ""
        if outcome.sqlstate in (LOST, HUNG):
            connection.finish()
            connection = None
    if connection is not None:
        connection.finish()
    return done


def lasting(pieces: list[Piece]) -> list[Piece]:
    """`pieces` without operators that the script rolls back."""
    kept: list[Piece] = []
    begin = None
    for piece in pieces:
        word = piece.sql.lower().strip()
        if word in ("begin", "start transaction"):
            begin = len(kept)
        elif word == "rollback" and begin is not None:
            kept[begin:] = [one for one in kept[begin:] if not _OPERATOR.match(one.sql)]
        elif word in ("commit", "end"):
            begin = None
        kept.append(piece)
    return kept


def permanent(sql: str) -> str:
    """`sql` with temporary objects made permanent ones."""
    return _ON_COMMIT.sub("", _TEMPORARY.sub(r"\1 ", sql, count=1))


_MIRROR = """
SET allow_system_table_mods = on;
UPDATE pg_proc SET proacl = ARRAY[makeaclitem(proowner, proowner, 'EXECUTE', false)] WHERE oid >= 16384
    AND NOT (prolang = 12 AND prosrc ~ '^(multi)?range_constructor')
    OR pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v' AND proname <> ALL (ARRAY[{free}])
       AND NOT starts_with(proname, 'pg_stat_get_');
"""
"""What the rules do not let the role call, PostgreSQL does not let its login call: SQLSTATEs can be compared."""
