"""psycopg 3 does its ordinary work through the firewall."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors
from psycopg.types.composite import CompositeInfo, register_composite

from tests.e2e.world import World

pytestmark = pytest.mark.postgres

Db = Connection[tuple[Any, ...]]


@pytest.fixture
def reader(world: World) -> Iterator[Db]:
    """The reader's session, autocommit."""
    with psycopg.connect(world.through("reader"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def writer(world: World) -> Iterator[Db]:
    """The writer's session, autocommit, with an empty table `scratch`."""
    world.sql("TRUNCATE scratch")
    with psycopg.connect(world.through("writer"), autocommit=True) as connection:
        yield connection


def test_rows_are_those_of_the_server(world: World, reader: Db) -> None:
    """A simple and an extended query return what the same login gets directly, types included."""
    query = "SELECT id, name, state, home, tags, extra FROM people ORDER BY id"
    with psycopg.connect(world.direct("reader")) as direct:
        expected = answer(direct, query, prepare=False)
    assert answer(reader, query, prepare=False) == expected
    assert answer(reader, query, prepare=True) == expected
    assert reader.execute(query, binary=True).fetchall()[0][0] == 1


def answer(connection: Db, query: str, *, prepare: bool) -> tuple[object, ...]:
    """Names and types of the columns, the rows, and the command tag."""
    cursor = connection.execute(query.encode(), prepare=prepare)
    columns = [(column.name, column.type_code) for column in cursor.description or ()]
    return columns, cursor.fetchall(), cursor.statusmessage


def test_parameters_travel(reader: Db) -> None:
    """Text and binary parameters, arrays and None reach the server as sent."""
    row = reader.execute("SELECT %s::int, %s::text[], %s::text", (7, ["a", "b"], None)).fetchone()
    assert row == (7, ["a", "b"], None)
    row = reader.execute("SELECT %b::int8 + 1, %b::bytea", (2**40, b"\x00\xff")).fetchone()
    assert row == (2**40 + 1, b"\x00\xff")


def test_a_prepared_statement_runs_again_and_again(world: World) -> None:
    """With prepare_threshold=0 every statement is prepared at once and reused."""
    with psycopg.connect(world.through("reader"), autocommit=True, prepare_threshold=0) as connection:
        for number in range(1, 20):
            row = connection.execute("SELECT name FROM people WHERE id = %s", (number,)).fetchone()
            assert row == (f"person {number}",)


def test_more_statements_than_the_client_keeps_prepared(world: World) -> None:
    """psycopg deallocates what it no longer keeps, and the session goes on."""
    with psycopg.connect(world.through("reader"), autocommit=True, prepare_threshold=0) as connection:
        connection.prepared_max = 3
        for number in range(12):
            assert connection.execute(f"SELECT %s::int + {number}", (1,)).fetchone() == (number + 1,)


def test_a_denied_prepared_statement_is_denied_every_time(world: World) -> None:
    """A refused Parse leaves nothing behind that could run later."""
    with psycopg.connect(world.through("reader"), autocommit=True, prepare_threshold=0) as connection:
        for _ in range(3):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute("SELECT word FROM secrets WHERE id = %s", (1,))
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_refusal_says_why_to_people_and_to_machines(reader: Db) -> None:
    """MESSAGE carries the rule's reason, DETAIL one line of JSON, HINT a next step."""
    with pytest.raises(errors.InsufficientPrivilege) as refused:
        reader.execute("SELECT word FROM secrets")
    told = refused.value.diag
    assert "Secrets stay secret" in (told.message_primary or "")
    assert told.severity_nonlocalized == "ERROR"
    detail = json.loads(told.message_detail or "")
    assert detail["decision"] == "deny"
    assert detail["effect"] == {"action": "select", "object": "public.secrets"}
    assert detail["retry"] in ("never", "after-rewrite")
    assert "swordfish" not in str(refused.value)


def test_a_pipeline_keeps_answers_in_order(reader: Db) -> None:
    """Many statements in flight at once come back in the order sent."""
    with reader.pipeline():
        cursors = [reader.execute("SELECT %s::int", (number,)) for number in range(50)]
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]


def test_a_refusal_inside_a_pipeline_aborts_to_the_next_sync(reader: Db) -> None:
    """What follows a refused statement in its pipeline does not run; after Sync the session is usable."""
    with pytest.raises(errors.InsufficientPrivilege), reader.pipeline() as pipeline:
        first = reader.execute("SELECT 1")
        reader.execute("SELECT word FROM secrets")
        after = reader.execute("SELECT 2")
        pipeline.sync()
        assert first.fetchone() == (1,)
        with pytest.raises(psycopg.errors.PipelineAborted):
            after.fetchone()
    assert reader.execute("SELECT 3").fetchone() == (3,)


def test_a_pipelines_earlier_writes_are_rolled_back_by_a_refusal(world: World, writer: Db) -> None:
    """One implicit transaction up to Sync: a refused statement undoes the ones before it."""
    with pytest.raises(errors.InsufficientPrivilege), writer.pipeline():
        writer.execute("INSERT INTO scratch VALUES (1, 'x')")
        writer.execute("SELECT word FROM secrets")
    assert world.sql("SELECT count(*) FROM scratch") == [(0,)]


def test_copy_out(world: World, reader: Db) -> None:
    """COPY TO STDOUT delivers the bytes that the server delivers directly."""
    statement = "COPY (SELECT id, name FROM people ORDER BY id) TO STDOUT"
    with psycopg.connect(world.direct("reader")) as direct, direct.cursor().copy(statement) as copy:
        expected = b"".join(copy)
    with reader.cursor().copy(statement) as copy:
        assert b"".join(copy) == expected


def test_copy_in(world: World, writer: Db) -> None:
    """COPY FROM STDIN loads rows, megabytes of them."""
    with writer.cursor().copy("COPY scratch FROM STDIN") as copy:
        for number in range(20_000):
            copy.write_row((number, "x" * 100))
    assert world.sql("SELECT count(*), max(a) FROM scratch") == [(20_000, 19_999)]


def test_a_copy_that_the_client_gives_up_loads_nothing(world: World, writer: Db) -> None:
    """CopyFail ends the COPY with an error, and the session goes on."""
    with pytest.raises(ZeroDivisionError), writer.cursor().copy("COPY scratch FROM STDIN") as copy:
        copy.write_row((1, "x"))
        raise ZeroDivisionError
    assert world.sql("SELECT count(*) FROM scratch") == [(0,)]
    assert writer.execute("SELECT 1").fetchone() == (1,)


def test_a_copy_that_the_server_rejects_ends_cleanly(writer: Db) -> None:
    """Bad data is the server's error while CopyData is still coming; the session stays in step."""
    with (
        pytest.raises(errors.InvalidTextRepresentation),
        writer.cursor().copy("COPY scratch FROM STDIN") as copy,
    ):
        copy.write("not a number\tx\n")
        for _ in range(2000):
            copy.write("1\tx\n")
    assert writer.execute("SELECT 1").fetchone() == (1,)


def test_a_refused_copy_in_reads_no_data(world: World, reader: Db) -> None:
    """A reader's COPY FROM is refused with 25006 and the session goes on."""
    with (
        pytest.raises(errors.ReadOnlySqlTransaction),
        reader.cursor().copy("COPY scratch FROM STDIN") as copy,
    ):
        copy.write_row((1, "x"))
    assert reader.execute("SELECT 1").fetchone() == (1,)


def test_cancel_reaches_the_statement(writer: Db) -> None:
    """A CancelRequest with the firewall's key stops the running statement, and only that."""
    timer = threading.Timer(0.3, writer.cancel_safe)
    timer.start()
    with pytest.raises(errors.QueryCanceled):
        writer.execute("SELECT count(*) FROM generate_series(1, 2000000000)")
    timer.join()
    assert writer.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_that_came_too_late_hits_nothing_else(writer: Db) -> None:
    """When the request's connection ends, the server has taken it in: the next statement is safe."""
    for _ in range(10):
        writer.cancel()
        assert writer.execute("SELECT count(*) FROM generate_series(1, 200000)").fetchone() == (200000,)


def test_a_transaction_commits_and_rolls_back(world: World, writer: Db) -> None:
    """Blocks, savepoints and rollbacks are the server's own."""
    with writer.transaction():
        writer.execute("INSERT INTO scratch VALUES (1, 'kept')")
        with pytest.raises(ZeroDivisionError), writer.transaction():
            writer.execute("INSERT INTO scratch VALUES (2, 'undone')")
            raise ZeroDivisionError
    assert world.sql("SELECT a FROM scratch") == [(1,)]


def test_a_refusal_in_a_transaction_fails_it(world: World, writer: Db) -> None:
    """After a refusal the transaction is in error, and only ROLLBACK helps: the driver's state is right."""
    writer.execute("BEGIN")
    writer.execute("INSERT INTO scratch VALUES (1, 'x')")
    with pytest.raises(errors.InsufficientPrivilege):
        writer.execute("DELETE FROM secrets")
    assert writer.info.transaction_status.name == "INERROR"
    with pytest.raises(errors.InFailedSqlTransaction):
        writer.execute("SELECT 1")
    writer.execute("COMMIT")
    assert writer.info.transaction_status.name == "IDLE"
    assert world.sql("SELECT count(*) FROM scratch") == [(0,)]


def test_a_refusal_outside_a_transaction_leaves_the_session_idle(reader: Db) -> None:
    """The status byte after a refusal is I, and the next statement runs."""
    with pytest.raises(errors.ReadOnlySqlTransaction):
        reader.execute("DELETE FROM people")
    assert reader.info.transaction_status.name == "IDLE"
    assert reader.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT 1/0", "SELECT * FROM nowhere", "SELECT 'x'::int"])
def test_the_servers_own_errors_keep_the_session_in_step(reader: Db, statement: str) -> None:
    """An error of the server's, before and after a prepared statement, shifts nothing."""
    for prepare in (False, True):
        with pytest.raises(psycopg.Error):
            reader.execute(statement.encode(), prepare=prepare)
        assert reader.execute("SELECT 42", prepare=prepare).fetchone() == (42,)


def test_a_server_side_cursor_pages(reader: Db) -> None:
    """DECLARE, FETCH and CLOSE work in a transaction."""
    with reader.transaction(), reader.cursor("pages") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT id FROM people ORDER BY id")
        assert [row[0] for row in cursor] == list(range(1, 51))


def test_several_statements_in_one_query(writer: Db) -> None:
    """A simple Query with several allowed statements returns each result."""
    cursor = writer.execute("SELECT 1; SELECT 2")
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset()
    assert cursor.fetchall() == [(2,)]


def test_one_refused_statement_refuses_the_whole_query(world: World, writer: Db) -> None:
    """Of several statements in one Query none runs when one is refused."""
    with pytest.raises(errors.InsufficientPrivilege):
        writer.execute("INSERT INTO scratch VALUES (1, 'x'); DELETE FROM secrets")
    assert world.sql("SELECT count(*) FROM scratch") == [(0,)]


def test_custom_types_are_found(reader: Db) -> None:
    """psycopg looks a composite type up in the catalogs and reads its values."""
    info = CompositeInfo.fetch(reader, "place")
    assert info is not None
    register_composite(info, reader)
    row = reader.execute("SELECT home FROM people WHERE id = 3").fetchone()
    assert row is not None
    assert (row[0].street, row[0].number) == ("Street 3", 3)


def test_notices_and_parameters_are_relayed(world: World, reader: Db) -> None:
    """What the server reports on its own reaches the client."""
    assert reader.info.parameter_status("server_version") == world.sql("SHOW server_version")[0][0]
    reader.execute("SET application_name = 'an agent'")
    assert reader.info.parameter_status("application_name") == "an agent"


def test_empty_and_comment_only_queries(reader: Db) -> None:
    """EmptyQueryResponse comes back for nothing at all."""
    for text in ("", ";", "  ", "-- nothing"):
        assert reader.execute(text).description is None
    assert reader.execute("SELECT 1").fetchone() == (1,)


def test_large_results_and_large_parameters(reader: Db) -> None:
    """Megabytes in one value, in both directions."""
    text = "ü" * 1_000_000
    assert reader.execute("SELECT %s::text", (text,)).fetchone() == (text,)
    row = reader.execute("SELECT repeat('x', 5000000)").fetchone()
    assert row is not None
    assert len(row[0]) == 5_000_000


def test_protocol_3_2(world: World) -> None:
    """libpq 18 asks for protocol 3.2 and gets along, cancel key included."""
    with psycopg.connect(world.through("reader", max_protocol_version="latest")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.cancel_safe()
        connection.rollback()


def test_the_role_is_read_only_on_the_server_too(reader: Db) -> None:
    """The session wall: Postgres itself was told."""
    assert reader.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
    assert reader.execute("SHOW transaction_read_only").fetchone() == ("on",)
    assert reader.execute("SHOW statement_timeout").fetchone() == ("20s",)
