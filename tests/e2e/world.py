"""A small database with a reader and a writer, each reachable through the firewall and directly."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

DATABASE = "e2e"
ROLES = ("reader", "writer", "dumper")

SCHEMA = """
CREATE TYPE mood AS ENUM ('calm', 'busy');
CREATE TYPE place AS (street text, number int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE people (
    id serial PRIMARY KEY,
    name text NOT NULL,
    state mood NOT NULL DEFAULT 'calm',
    home place,
    tags text[] NOT NULL DEFAULT '{}',
    extra jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE people IS 'everybody';
CREATE TABLE visits (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person int NOT NULL REFERENCES people ON DELETE CASCADE,
    happened timestamptz NOT NULL DEFAULT timestamptz '2026-01-01 00:00:00+00',
    rating positive
);
CREATE INDEX visits_person ON visits (person);
CREATE VIEW busy_people AS SELECT id, name FROM people WHERE state = 'busy';
CREATE TABLE secrets (id int PRIMARY KEY, word text);
CREATE TABLE scratch (a int, b text);
CREATE FUNCTION double_it(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 2;
INSERT INTO people (name, state, home, tags, extra)
SELECT 'person ' || n, (ARRAY['calm', 'busy'])[1 + n % 2]::mood, ROW('Street ' || n, n)::place,
       ARRAY['t' || n % 3], jsonb_build_object('n', n)
FROM generate_series(1, 50) AS n;
INSERT INTO visits (person, rating) SELECT 1 + n % 50, 1 + n % 5 FROM generate_series(1, 200) AS n;
INSERT INTO secrets VALUES (1, 'swordfish');
REVOKE ALL ON DATABASE e2e FROM PUBLIC;
GRANT CONNECT ON DATABASE e2e TO e2e_reader, e2e_writer, e2e_dumper;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO e2e_reader, e2e_writer, e2e_dumper;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO e2e_reader, e2e_dumper;
GRANT INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO e2e_writer;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO e2e_writer;
ANALYZE;
"""

RULES = """
version: 1
roles:
  reader:
    access: read-only
    search_path: [public]
    rules:
      - allow: select
        on: public.*
      - deny: select
        on: public.secrets
        reason: Secrets stay secret.
      - allow: call
        on: public.double_it
    limits:
      statement_timeout: 20s
  writer:
    access: read-write
    search_path: [public]
    rules:
      - allow: [select, insert, update, delete, truncate, merge, copy_from, nextval]
        on: public.*
      - deny: [select, insert, update, delete, truncate, merge, copy_from]
        on: public.secrets
      - allow: call
        on: public.double_it
    limits:
      statement_timeout: 20s
  dumper:
    access: read-only
    search_path: [public]
    rules:
      - allow: select
        on: public.*
      - deny: select
        on: public.secrets
        reason: Secrets stay secret.
agents:
  dumper: {role: dumper, database: e2e, password: "%(dumper)s"}
  reader: {role: reader, database: e2e, password: "%(reader)s"}
  writer: {role: writer, database: e2e, password: "%(writer)s"}
databases:
  e2e:
    dsn: postgresql://%(host)s:%(port)d/e2e?sslmode=disable
    logins:
      dumper: {user: e2e_dumper, password: {env: E2E_PASSWORD}}
      reader: {user: e2e_reader, password: {env: E2E_PASSWORD}}
      writer: {user: e2e_writer, password: {env: E2E_PASSWORD}}
"""

LOGIN_PASSWORD = "the agents never see this"


@dataclass(frozen=True, slots=True)
class World:
    """The server and the firewall in front of it. An agent's password is its name and `-agent`."""

    postgres: Postgres
    firewall: Firewall

    def through(self, agent: str, **options: str) -> str:
        """An agent's URL, through the firewall."""
        return self.firewall.dsn(agent, f"{agent}-agent", DATABASE, **options)

    def direct(self, agent: str) -> str:
        """The same login, straight to the server."""
        return self.postgres.dsn(DATABASE, f"e2e_{agent}", LOGIN_PASSWORD)

    def sql(self, text: str) -> list[tuple[object, ...]]:
        """What the server itself says, past the firewall."""
        return self.postgres.sql(text, DATABASE)


def create_login(postgres: Postgres, name: str, password: str = LOGIN_PASSWORD) -> None:
    """A login role of the cluster, new or with a new password."""
    exists = postgres.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'")
    postgres.sql(f"{'ALTER' if exists else 'CREATE'} ROLE {name} LOGIN PASSWORD '{password}'")


def rules(postgres: Postgres, template: str = RULES) -> str:
    """The rules, with this server's address and the agents' verifiers."""
    verifiers = {role: verifier(f"{role}-agent") for role in ROLES}
    return template % {"host": postgres.host, "port": postgres.port, **verifiers}


def build(postgres: Postgres) -> None:
    """The database and its logins."""
    for role in ROLES:
        create_login(postgres, f"e2e_{role}")
    postgres.create_database(DATABASE)
    postgres.sql(SCHEMA, DATABASE)
