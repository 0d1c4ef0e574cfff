"""The digest of definitions changes with what a statement means, and with nothing else."""

from __future__ import annotations

import pytest

from dbfirewall.preview.definitions import definitions
from tests.preview.helpers import Place, offline_facts

SCHEMA = """
CREATE TABLE parent (id int PRIMARY KEY, name text DEFAULT 'x', n int);
CREATE TABLE child (id serial PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, note text);
CREATE TABLE loose (id int PRIMARY KEY, parent int REFERENCES parent);
CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW seen AS SELECT id, name FROM parent WHERE n > 0;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE SCHEMA side;
CREATE TABLE side.a (x int);
CREATE SEQUENCE numbers;
CREATE TABLE stranger (id int);
INSERT INTO parent VALUES (1, 'a', 1), (2, 'b', 2);
INSERT INTO child (parent) VALUES (1);
"""


@pytest.fixture
def schema(place: Place) -> Place:
    place.sql(SCHEMA)
    return place


def digest(place: Place, sql: str) -> str:
    facts = offline_facts(sql)
    return place.talk(lambda talk: definitions(talk, facts))


CHANGES = [
    ("DELETE FROM parent", "ALTER TABLE parent ADD COLUMN more int"),
    ("DELETE FROM parent", "ALTER TABLE parent RENAME COLUMN n TO m"),
    ("DELETE FROM parent", "DROP VIEW seen; ALTER TABLE parent ALTER n TYPE bigint"),
    ("DELETE FROM parent", "ALTER TABLE parent ALTER name SET DEFAULT 'y'"),
    ("DELETE FROM parent", "ALTER TABLE parent ADD CHECK (n > 0)"),
    ("DELETE FROM parent", "CREATE UNIQUE INDEX ON parent (name)"),
    ("DELETE FROM parent", "CREATE TRIGGER t BEFORE DELETE ON parent FOR EACH ROW EXECUTE FUNCTION touch()"),
    ("DELETE FROM parent", "CREATE RULE r AS ON DELETE TO parent DO INSTEAD NOTHING"),
    ("DELETE FROM parent", "ALTER TABLE parent ENABLE ROW LEVEL SECURITY"),
    ("DELETE FROM parent", "CREATE POLICY p ON parent USING (true)"),
    ("DELETE FROM parent", "CREATE TABLE other (parent int REFERENCES parent ON DELETE CASCADE)"),
    ("DELETE FROM parent", "CREATE TABLE heir () INHERITS (parent)"),
    ("DELETE FROM parent", "DROP TABLE parent CASCADE; CREATE TABLE parent (id int, name text, n int)"),
    ("DELETE FROM parent", "CREATE TRIGGER t AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION touch()"),
    ("DELETE FROM parent", "ALTER TABLE child ADD COLUMN more int"),
    ("DELETE FROM parent", "ALTER TABLE loose DROP CONSTRAINT loose_parent_fkey"),
    ("DELETE FROM parted", "CREATE TABLE parted_2 PARTITION OF parted DEFAULT"),
    ("DELETE FROM parted", "ALTER TABLE parted DETACH PARTITION parted_1"),
    ("UPDATE seen SET name = 'z'", "CREATE OR REPLACE VIEW seen AS SELECT id, name FROM parent"),
    ("UPDATE seen SET name = 'z'", "ALTER TABLE parent ADD COLUMN more int"),
    ("UPDATE seen SET name = 'z'", "ALTER VIEW seen SET (check_option = local)"),
    (
        "SELECT twice(n) FROM parent",
        "CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 3'",
    ),
    ("SELECT twice(n) FROM parent", "ALTER FUNCTION twice(int) SECURITY DEFINER"),
    ("SELECT twice(n) FROM parent", "CREATE FUNCTION twice(text) RETURNS int LANGUAGE sql AS 'SELECT 3'"),
    ("DROP SCHEMA side CASCADE", "CREATE TABLE side.b (x int)"),
    ("DROP TABLE parent CASCADE", "CREATE VIEW another AS SELECT * FROM parent"),
    ("SELECT nextval('numbers')", "ALTER SEQUENCE numbers INCREMENT 5"),
]
"""A statement, and what changes what it means."""


@pytest.mark.parametrize(("statement", "change"), CHANGES)
def test_a_change_of_meaning_changes_the_digest(schema: Place, statement: str, change: str) -> None:
    """Whoever approved the statement as it was has not approved what it would do now."""
    before = digest(schema, statement)
    assert digest(schema, statement) == before
    schema.sql(change)
    assert digest(schema, statement) != before


SAME = [
    "INSERT INTO parent VALUES (7, 'seven', 7)",
    "ANALYZE parent",
    "VACUUM parent",
    "CREATE INDEX ON parent (n)",
    "TRUNCATE parent CASCADE",
    "COMMENT ON TABLE parent IS 'x'",
    "ALTER TABLE stranger ADD COLUMN more int; CREATE TABLE unrelated (id int)",
    "ALTER TABLE parent SET (autovacuum_enabled = off)",
    "SELECT nextval('child_id_seq')",
    "VACUUM FULL parent",
    "CREATE TABLE side.b (x int)",
]
"""What happens every day."""


def test_daily_work_changes_nothing(schema: Place) -> None:
    """Rows, statistics, plain indexes, comments and other tables leave an approval as it is."""
    before = digest(schema, "DELETE FROM parent WHERE id = 1")
    for work in SAME:
        schema.sql(work)
        assert digest(schema, "DELETE FROM parent WHERE id = 1") == before, work


def test_a_temporary_table_in_the_way_is_another_definition(schema: Place) -> None:
    """A session in which a temporary table hides the real one does not redeem what was approved for that."""
    facts = offline_facts("DELETE FROM parent")

    async def work(talk: object) -> tuple[str, str]:
        from dbfirewall.proxy.side import SideConnection

        assert isinstance(talk, SideConnection)
        before = await definitions(talk, facts)
        await talk.script(b"CREATE TEMP TABLE parent (id int)")
        return before, await definitions(talk, facts)

    before, after = schema.talk(work)
    assert before != after


def test_what_an_agent_created_is_not_called(schema: Place) -> None:
    """Functions and operators in a schema of the search_path do not stand in for those of pg_catalog."""
    before = digest(schema, "DELETE FROM parent")
    schema.sql(
        """
        CREATE FUNCTION bad(oid, oid) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
        CREATE OPERATOR public.= (leftarg = oid, rightarg = oid, function = bad);
        CREATE FUNCTION sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT 1/0; SELECT $1';
        CREATE TYPE public.text AS (x int);
        CREATE TABLE public.pg_class (oid oid);
        """
    )
    facts = offline_facts("DELETE FROM public.parent")

    async def work(talk: object) -> str:
        from dbfirewall.proxy.side import SideConnection

        assert isinstance(talk, SideConnection)
        await talk.script(b"SET search_path = public, pg_catalog")
        return await definitions(talk, facts)

    assert schema.talk(work) == before
