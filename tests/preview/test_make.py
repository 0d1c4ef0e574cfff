"""What a preview tells, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from dbfirewall.approvals.model import Options, Parameter, Snapshot
from dbfirewall.preview.definitions import definitions
from dbfirewall.preview.make import make_preview
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.side import SideConnection, side_connection
from dbfirewall.proxy.upstream import Credentials
from tests.preview.helpers import Place, offline_facts
from tests.preview.previewing import SETTINGS, preview, said
from tests.support.postgres import Postgres, running_postgres

SCHEMA = """
CREATE TABLE parent (id int PRIMARY KEY, name text, n int);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
CREATE TABLE odd (id int PRIMARY KEY, "Weird ""name" text, big text, raw bytea, arr text[], nothing int);
CREATE TABLE bare (a int);
CREATE VIEW seen AS SELECT id, name FROM parent WHERE n > 2;
CREATE VIEW further AS SELECT * FROM seen;
CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SCHEMA hidden; CREATE TABLE hidden.parent (id int, name text, n int);
INSERT INTO parent SELECT i, 'p' || i, i FROM generate_series(1, 20) i;
INSERT INTO child SELECT i, 1 + i % 5 FROM generate_series(1, 20) i;
INSERT INTO odd VALUES (1, '<script>alert(1)</script>', repeat('x', 1000), '\\x00ff', '{a,NULL}', NULL),
    (2, '', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 10000) i), '', '{}', NULL);
INSERT INTO bare VALUES (1), (1), (2);
INSERT INTO parted SELECT i, '2026-02-02' FROM generate_series(1, 5) i;
INSERT INTO hidden.parent VALUES (1, 'hidden', 1);
ANALYZE;
"""


@pytest.fixture
def schema(place: Place) -> Place:
    place.sql(SCHEMA)
    return place


def test_delete(schema: Place) -> None:
    """A DELETE: plan, estimate, exact number, ten rows of it, and what its foreign keys take along."""
    before = schema.dump()
    made = preview(schema, "DELETE FROM parent WHERE id <= 12")
    assert made.made_at == 12.0
    assert made.plan.startswith("Delete on parent")
    assert (made.estimate, made.rows, made.enveloped) == (12, (12,), True)
    (table,) = made.tables
    assert (table.name, table.columns, len(table.rows), table.after) == (
        "public.parent", ("id", "name", "n"), 10, (),
    )  # fmt: skip
    assert table.rows[0] == ("1", "p1", "1")
    assert "It also changes public.child: 20 rows deleted." in made.notes
    assert schema.dump() == before


def test_update_shows_before_and_after(schema: Place) -> None:
    """An UPDATE: the same rows as they are and as they would be."""
    made = preview(schema, "UPDATE parent SET name = upper(name), n = n + 1 WHERE id IN (3, 4)")
    (table,) = made.tables
    assert made.rows == (2,)
    assert list(zip(table.rows, table.after, strict=True)) == [
        (("3", "p3", "3"), ("3", "P3", "4")),
        (("4", "p4", "4"), ("4", "P4", "5")),
    ]


def test_insert_and_merge(schema: Place) -> None:
    """Rows that would be added, and those that a MERGE would change."""
    made = preview(
        schema, "INSERT INTO parent SELECT id + 100, name, n FROM parent WHERE id < 4 RETURNING id"
    )
    assert (made.rows, made.tables[0].rows[0]) == ((3,), ("101", "p1", "1"))
    made = preview(
        schema,
        "MERGE INTO bare USING parent ON bare.a = parent.id WHEN MATCHED AND a = 2 THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET a = 9 WHEN NOT MATCHED AND id > 18 THEN INSERT VALUES (id)",
    )
    assert made.rows == (5,)


def test_parameters(schema: Place) -> None:
    """Bound parameters are used as they were bound, text or binary, in their order."""
    parameters = (Parameter(0, 0, b"new"), Parameter(23, 1, b"\0\0\0\x05"))
    made = preview(schema, "UPDATE parent SET name = $1 WHERE id < $2", parameters)
    assert made.rows == (4,)
    assert made.tables[0].after[0] == ("1", "new", "1")


def test_the_agents_search_path_and_styles_hold(schema: Place) -> None:
    """Names and dates mean what they mean in the agent's session."""
    assert preview(schema, "DELETE FROM parent").rows == (20,)
    schema.path = ("hidden", "public")
    made = preview(schema, "DELETE FROM parent", search_path="hidden, public")
    assert (made.rows, made.tables[0].name) == ((1,), "hidden.parent")
    schema.path = ("public",)
    made = preview(schema, "DELETE FROM parted WHERE at = '02/03/2026'", datestyle="SQL, DMY")
    assert made.rows == (0,)
    schema.sql("UPDATE parted SET at = '2026-03-02' WHERE id = 1")
    assert preview(schema, "DELETE FROM parted WHERE at = '02/03/2026'", datestyle="SQL, DMY").rows == (1,)


def test_values_are_cut(schema: Place) -> None:
    """A sample has the server's own text of every value, cut where it is long; NULL is not an empty text."""
    made = preview(schema, "DELETE FROM odd")
    rows = {row[0]: row for row in made.tables[0].rows}
    assert made.tables[0].columns[1] == 'Weird "name'
    assert rows["1"][1:] == ("<script>alert(1)</script>", "x" * 300 + "…", "\\x00ff", "{a,NULL}", None)
    assert rows["2"][1:] == ("", "(320000 bytes)", "\\x", "{}", None) or len(rows["2"][2] or "") == 301


def test_no_rows(schema: Place) -> None:
    """A change of nothing is counted as nothing, with an envelope around it."""
    for statement in (
        "DELETE FROM parent WHERE id > 99",
        "UPDATE parent SET n = 0 WHERE false",
        "DELETE FROM bare WHERE a > 9",
    ):
        made = preview(schema, statement)
        assert (made.rows, made.enveloped, made.tables[0].rows, made.tables[0].after) == ((0,), True, (), ())


def test_rows_without_a_key_and_views_and_partitions(schema: Place) -> None:
    """Tables without a primary key, updatable views and partitioned tables are counted like others."""
    assert preview(schema, "UPDATE bare SET a = a + 1").rows == (3,)
    made = preview(schema, "UPDATE seen SET name = 'x'")
    assert (made.rows, made.tables[0].columns) == ((18,), ("id", "name"))
    assert preview(schema, "DELETE FROM further WHERE id = 3").rows == (1,)
    assert preview(schema, "DELETE FROM parted WHERE id < 3").rows == (2,)


def test_several_statements_of_a_message(schema: Place) -> None:
    """They run one after the other; what comes after one that is not run is not counted."""
    made = preview(
        schema, "DELETE FROM child; DELETE FROM parent WHERE id < 3; SELECT 1; UPDATE bare SET a = 0"
    )
    assert made.rows == (20, 2, None, 3)
    made = preview(schema, "DELETE FROM bare; CREATE TABLE new (a int); DELETE FROM child")
    assert made.rows == (3, None, None)
    assert "What comes after a statement that was not run was not counted." in made.notes


def test_changes_inside_with(schema: Place) -> None:
    """Where the command tag does not tell all, there is no envelope, and the preview says so."""
    made = preview(schema, "WITH gone AS (DELETE FROM child RETURNING id) DELETE FROM bare WHERE a = 1")
    assert (made.rows, made.enveloped) == ((), False)
    assert "its command tag does not tell them all" in said(made)
    assert "It also changes public.child: 20 rows deleted." in made.notes


def test_a_statement_that_would_fail(schema: Place) -> None:
    """Whoever decides learns that it would fail, and how."""
    made = preview(schema, "UPDATE parent SET id = 1")
    assert any(note.startswith("It would fail: the server says: duplicate key") for note in made.notes)
    assert (made.rows, made.enveloped) == ((), False)
    made = preview(schema, "INSERT INTO parent VALUES (1)")
    assert "It would fail" in said(made)


def test_a_login_that_may_delete_but_not_read(schema: Place) -> None:
    """Without the right to read, rows are counted and not shown."""
    schema.sql("CREATE ROLE writer LOGIN PASSWORD 'x'; GRANT DELETE ON parent, child TO writer")
    schema.user, schema.password = "writer", "x"
    try:
        made = preview(schema, "DELETE FROM parent")
        assert (made.rows, made.tables) == ((20,), ())
        made = preview(schema, "DELETE FROM bare")
        assert (made.rows, "permission denied for table bare" in said(made)) == ((), True)
    finally:
        schema.sql("DROP OWNED BY writer; DROP ROLE writer")


def test_too_many_rows_are_not_run(schema: Place) -> None:
    """A change of which the planner expects more than 100,000 rows is read, not run."""
    schema.sql("CREATE TABLE many AS SELECT generate_series(1, 150000) AS id; ANALYZE many")
    made = preview(schema, "DELETE FROM many")
    assert made.rows == (150_000,)
    assert "the planner expects 150,000 rows" in said(made)


def test_a_lock_that_another_session_holds(schema: Place) -> None:
    """A preview waits half a second for a lock and no longer; it says so, and reads the rows where it can."""
    with psycopg.connect(schema.postgres.dsn(schema.database)) as other:
        other.execute("DELETE FROM parent WHERE id = 1")
        made = preview(schema, "DELETE FROM parent WHERE id < 3")
        assert (
            "It could not be run for this preview: a lock that it needs is held by another session."
            in made.notes
        )
        assert (made.rows, made.enveloped) == ((2,), True)
        assert "counted by reading" in said(made)
        other.rollback()
        other.execute("LOCK TABLE bare IN ACCESS EXCLUSIVE MODE")
        made = preview(schema, "DELETE FROM bare")
        assert "It could not be planned: a lock that it needs is held by another session." in made.notes
        made = preview(schema, "DROP TABLE bare")
        assert made.objects == ({"object": "public.bare", "kind": "table", "lock": "ACCESS EXCLUSIVE"},)


def test_a_slow_statement(schema: Place) -> None:
    """A preview gives up after three seconds of one statement."""
    schema.sql("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    made = preview(
        schema, "DELETE FROM bare WHERE (SELECT count(*) FROM generate_series(1, 1000000000)) = a"
    )  # fmt: skip
    assert "Its rows were not counted: it takes longer than 3 seconds." in made.notes


def test_plan_only_and_none(schema: Place) -> None:
    """The rule may ask for the plan alone, or for nothing."""
    made = preview(schema, "DELETE FROM parent", options=Options(preview="plan"))
    assert (made.plan != "", made.estimate, made.rows, made.enveloped) == (True, 20, (), False)
    made = preview(schema, "DELETE FROM parent", options=Options(preview="none"))
    assert (made.plan, made.estimate, made.rows, made.notes[0]) == (
        "",
        None,
        (),
        "The rule asks for no preview.",
    )


def test_inside_the_agents_transaction(schema: Place) -> None:
    """What the agent's open transaction has done is not seen, which the preview says."""
    assert "not seen here" in said(preview(schema, "DELETE FROM parent", in_transaction=True))


def test_reads_are_planned_and_not_run(schema: Place) -> None:
    """A gated SELECT has a plan and an estimate; its rows are nobody's business yet."""
    made = preview(schema, "SELECT * FROM parent WHERE id < 5")
    assert (made.plan.startswith("Seq Scan on parent"), made.rows, made.tables) == (True, (), ())
    assert 1 <= (made.estimate or 0) <= 5


def test_undo_is_foretold(schema: Place) -> None:
    """Whether rows could be kept, and what undo would not restore."""
    wanted = Options(undo=True)
    made = preview(schema, "DELETE FROM parent", options=wanted)
    assert (made.undo, made.undo_problem) == (
        True,
        "What foreign keys change in public.child is not restored.",
    )
    made = preview(schema, "UPDATE parent SET id = id + 100", options=wanted)
    assert not made.undo
    assert "changes the primary key" in made.undo_problem
    schema.sql("INSERT INTO bare SELECT generate_series(1, 20000)")
    made = preview(schema, "TRUNCATE bare", options=wanted)
    assert (made.undo, made.undo_problem) == (
        False,
        "Undo is not possible: it changes more than 10,000 rows.",
    )
    made = preview(schema, "VACUUM bare", options=wanted)
    assert "released as it is, outside of a transaction" in said(made)


DDL = {
    "DROP TABLE parent": (
        {"object": "public.parent", "kind": "table", "lock": "ACCESS EXCLUSIVE", "rows": 20, "exact": True},
        "It would fail, because others depend on it: constraint child_parent_fkey on table child, view further,",
    ),
    "DROP TABLE parent CASCADE": (
        {"object": "public.parent", "rows": 20},
        "CASCADE also drops: constraint child_parent_fkey on table child, view further, view seen.",
    ),
    "DROP TABLE bare": ({"object": "public.bare", "rows": 3}, "nobody can read or write it meanwhile."),
    "DROP SCHEMA hidden CASCADE": (None, "CASCADE also drops: table hidden.parent."),
    "TRUNCATE parent": ({"object": "public.parent"}, "because foreign keys refer to it: public.child."),
    "TRUNCATE parent CASCADE": ({"object": "public.parent"}, "CASCADE also truncates: public.child"),
    "TRUNCATE parted": ({"object": "public.parted_1", "rows": 5, "exact": True}, "ACCESS EXCLUSIVE on parted"),
    "ALTER TABLE bare ALTER a TYPE bigint": ({"object": "public.bare"}, "It may write the whole table anew"),
    "ALTER TABLE bare ADD COLUMN b int": ({"object": "public.bare"}, "It takes ACCESS EXCLUSIVE on bare"),
    "ALTER TABLE child ADD FOREIGN KEY (id) REFERENCES parent": (
        {"object": "public.child", "lock": "SHARE ROW EXCLUSIVE"}, "SHARE ROW EXCLUSIVE on parent"
    ),
    "CREATE INDEX ON bare (a)": ({"object": "public.bare", "lock": "SHARE"}, "nobody can write it meanwhile."),
    "CREATE INDEX CONCURRENTLY i ON bare (a)": (
        {"object": "public.bare", "lock": "SHARE UPDATE EXCLUSIVE"}, "It is released as it is"
    ),
    "VACUUM FULL bare": ({"object": "public.bare", "lock": "ACCESS EXCLUSIVE"}, "VACUUM can't run inside"),
}  # fmt: skip


@pytest.mark.parametrize("statement", DDL)
def test_ddl(schema: Place, statement: str) -> None:
    """Objects with their size and rows, the lock, what CASCADE takes along; nothing of it is run."""
    wanted, note = DDL[statement]
    before = schema.dump()
    made = preview(schema, statement)
    assert schema.dump() == before
    assert note in said(made)
    assert (made.rows, made.enveloped) == ((), False)
    if wanted is not None:
        assert any(wanted.items() <= dict(each).items() for each in made.objects), made.objects
        assert all(each.get("bytes", 0) >= 0 for each in made.objects)


def test_no_lock_and_no_transaction_stay(schema: Place) -> None:
    """After a preview its session is idle, outside of a transaction, with the settings that it had."""
    facts = schema.facts("DELETE FROM parent")
    snapshot = Snapshot("a", "r", "d", b"DELETE FROM parent", settings={"timezone": "Asia/Kolkata"})

    async def main() -> tuple[str | None, ...]:
        target = Target(schema.postgres.host, schema.postgres.port, schema.database, sslmode="disable")
        credentials = Credentials(schema.user, schema.password)
        async with side_connection(target, credentials, {"timezone": "UTC"}) as talk:
            await make_preview(talk, snapshot, facts, Options(), now=1.0)
            left = await talk.run(
                "SELECT pg_current_xact_id_if_assigned(), current_setting('timezone'),"
                " current_setting('lock_timeout'), count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                " AND locktype = 'relation' AND relation >= 16384"
            )
            return left.rows[0]

    assert asyncio.run(main()) == (None, "UTC", "0", "0")


def test_a_lost_connection(schema: Place) -> None:
    """A server that goes away leaves a preview that says so."""
    facts = offline_facts("DELETE FROM parent")
    snapshot = Snapshot("a", "r", "d", b"DELETE FROM parent")

    class Gone:
        async def run(self, *_: object, **__: object) -> object:
            raise ConnectionResetError

        script = run  # no mock of a server: one that is not there

    made = asyncio.run(make_preview(Gone(), snapshot, facts, Options(), now=1.0))  # type: ignore[arg-type]
    assert "The preview is not complete: the connection to the server was lost." in made.notes
    assert (made.rows, made.enveloped) == ((), False)


@pytest.fixture(scope="module", params=[14, 16])
def older(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A server that does not have RETURNING old and new."""
    with running_postgres(f"npm:{request.param}") as server:
        yield server


def test_older_servers(older: Postgres) -> None:
    """Previews, their samples before and after, undo and definitions work without the newest server, too."""
    place = Place(older, "older")
    place.sql(SCHEMA)
    before = place.dump()
    made = preview(
        place, "UPDATE parent SET name = upper(name) WHERE id IN (3, 4)", options=Options(undo=True)
    )
    (table,) = made.tables
    assert (made.rows, made.undo) == ((2,), True)
    assert sorted(zip(table.rows, table.after, strict=True)) == [
        (("3", "p3", "3"), ("3", "P3", "3")),
        (("4", "p4", "4"), ("4", "P4", "4")),
    ]
    made = preview(place, "UPDATE bare SET a = 7")
    assert (made.rows, made.tables[0].rows, len(made.tables[0].after)) == ((3,), (), 3)
    made = preview(place, "DELETE FROM parent WHERE id < 3")
    assert (made.rows, len(made.tables[0].rows)) == ((2,), 2)
    assert preview(place, "DROP TABLE parent CASCADE").objects[0]["rows"] == 20
    assert place.dump() == before


def test_settings_and_role_of_the_agents_session(schema: Place) -> None:
    """A role that the agent has taken on, and settings that it has made, hold for the preview, or there is none."""
    schema.sql("CREATE ROLE other; GRANT DELETE, SELECT ON bare TO other")
    try:
        made = preview(schema, "DELETE FROM bare", current_user="other", xmloption="document")
        assert made.rows == (3,)
        made = preview(schema, "DELETE FROM child", current_user="other")
        assert "permission denied for table child" in said(made)
        made = preview(schema, "DELETE FROM bare", current_user="nobody at all")
        assert said(made).startswith("No preview: the agent's session has settings that can't be had here")
        assert made.rows == ()
    finally:
        schema.sql("DROP OWNED BY other; DROP ROLE other")


def test_an_agent_that_sees_other_tables(schema: Place) -> None:
    """Where a temporary table hides the real one from the agent alone, no count of the real one is shown."""
    statement = "DELETE FROM bare"
    facts = schema.facts(statement)

    async def snapshot(talk: SideConnection) -> Snapshot:
        plain = await definitions(talk, facts)
        await talk.script(b"CREATE TEMP TABLE bare (a int)")
        hidden = await definitions(talk, facts)
        assert plain != hidden
        return Snapshot("a", "r", "d", statement.encode(), settings=SETTINGS, definitions=hidden)

    other = schema.talk(snapshot)
    made = schema.talk(lambda talk: make_preview(talk, other, facts, Options(), now=1.0))
    assert (made.rows, made.plan) == ((), "")
    assert "the agent's session sees other definitions" in said(made)


def test_a_select_that_does_something(schema: Place) -> None:
    """What a query does besides reading is named."""
    schema.sql("CREATE SEQUENCE numbers; CREATE FUNCTION pay() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert "draws from the sequence public.numbers" in said(preview(schema, "SELECT nextval('numbers')"))
    assert "It calls public.pay" in said(preview(schema, "SELECT pay()"))
    assert "EXPLAIN ANALYZE runs" in said(preview(schema, "EXPLAIN ANALYZE DELETE FROM bare"))
    assert schema.sql("SELECT count(*) FROM bare") == [(3,)]
