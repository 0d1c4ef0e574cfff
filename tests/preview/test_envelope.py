"""How messages are released, told by their text alone."""

from __future__ import annotations

import pytest

from dbfirewall.preview.envelope import Release, release, tag_rows
from dbfirewall.preview.locks import locks
from dbfirewall.preview.text import pieces

WRAPPED = {
    "DELETE FROM t": (True,),
    "UPDATE t SET a = 1 RETURNING a": (True,),
    "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING": (True,),
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE": (True,),
    "WITH x AS (SELECT 1) DELETE FROM t": (True,),
    "WITH x AS (DELETE FROM u) DELETE FROM t": (False,),
    "WITH x AS (DELETE FROM u RETURNING 1) SELECT * FROM x": (False,),
    "DELETE FROM t; UPDATE t SET a = 1; SELECT 1": (True, True, False),
    "SELECT f()": (False,),
    "SELECT * FROM t FOR UPDATE": (False,),
    "TRUNCATE t": (False,),
    "DROP TABLE t": (False,),
    "CREATE INDEX i ON t (a)": (False,),
    "ALTER TABLE t ADD COLUMN a int": (False,),
    "ANALYZE t": (False,),
    "CREATE TABLE n AS SELECT 1": (False,),
    "COPY t TO STDOUT": (False,),
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m": (False,),
    "EXPLAIN ANALYZE DELETE FROM t": (False,),
    "ALTER DATABASE d CONNECTION LIMIT 5": (False,),
    "GRANT SELECT ON t TO r": (False,),
}


@pytest.mark.parametrize("statement", WRAPPED)
def test_what_runs_inside_a_transaction(statement: str) -> None:
    """These can be rolled back; of plain changes the tag tells how many rows there were."""
    found = release(statement.encode())
    assert (found.wrapped, found.counted, found.reason) == (True, WRAPPED[statement], "")
    assert found.enveloped == any(WRAPPED[statement])


PLAIN = [
    "VACUUM", "VACUUM FULL t", "CREATE INDEX CONCURRENTLY i ON t (a)", "DROP INDEX CONCURRENTLY i", "REINDEX TABLE t",
    "REINDEX (CONCURRENTLY) TABLE t", "CREATE DATABASE d", "DROP DATABASE d", "ALTER DATABASE d SET TABLESPACE s",
    "ALTER SYSTEM SET a = 1", "CREATE TABLESPACE s LOCATION '/x'", "DROP TABLESPACE s", "CALL p()", "DO 'BEGIN END'",
    "BEGIN", "COMMIT", "DELETE FROM t; COMMIT", "SAVEPOINT a", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'",
    "COPY t FROM STDIN", "CLUSTER", "DISCARD ALL", "PREPARE p AS DELETE FROM t", "EXECUTE p", "DEALLOCATE p",
    "DECLARE c CURSOR FOR SELECT 1", "FETCH c", "LOCK t", "SET CONSTRAINTS ALL DEFERRED", "CHECKPOINT",
    "ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p",
    "DROP SUBSCRIPTION s", "LOAD 'x'", "", "nonsense",
]  # fmt: skip


@pytest.mark.parametrize("statement", PLAIN)
def test_what_is_released_as_it_is(statement: str) -> None:
    """These can't be rolled back, or end a transaction themselves; there is always a reason."""
    found = release(statement.encode())
    assert not found.wrapped
    assert not found.enveloped
    assert found.reason or not statement


def test_reads() -> None:
    """What only reads can be sent again without harm."""
    for statement in ("SELECT 1", "SHOW x", "EXPLAIN SELECT 1", "WITH a AS (SELECT 1) TABLE a", "VALUES (1)"):
        assert release(statement.encode()).reads, statement
    for statement in ("SELECT 1 INTO t", "SELECT * FROM t FOR SHARE", "EXPLAIN DELETE FROM t", "DELETE FROM t",
                      "WITH x AS (DELETE FROM t) SELECT 1", "SELECT 1; DELETE FROM t", ""):  # fmt: skip
        assert not release(statement.encode()).reads, statement


def test_rows_by_tags() -> None:
    """Tags are taken in order; a tag that is missing or counts nothing tells nothing."""
    found = Release(True, counted=(True, False, True))
    assert found.affected(["DELETE 3", "SELECT 9", "INSERT 0 5"]) == (3, None, 5)
    assert found.affected(["DELETE 3"]) == (3, None, None)
    assert found.affected(["DELETE 3", "SELECT 1", "UPDATE 0", "UPDATE 7"]) == (3, None, 0)
    assert tag_rows("MERGE 4") == 4
    for tag in ("CREATE TABLE", "", "DELETE x", "DELETE ٣", "DELETE " + "9" * 20):
        assert tag_rows(tag) is None


LOCKS = {
    "DROP TABLE a, s.b": {"a": "ACCESS EXCLUSIVE", "b": "ACCESS EXCLUSIVE"},
    "DROP INDEX CONCURRENTLY i": {"i": "SHARE UPDATE EXCLUSIVE"},
    "DROP FUNCTION f": {},
    "TRUNCATE a, b": {"a": "ACCESS EXCLUSIVE", "b": "ACCESS EXCLUSIVE"},
    "ALTER TABLE t ALTER a SET STATISTICS 5": {"t": "SHARE UPDATE EXCLUSIVE"},
    "ALTER TABLE t ALTER a SET STATISTICS 5, DROP COLUMN b": {"t": "ACCESS EXCLUSIVE"},
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u": {
        "t": "SHARE ROW EXCLUSIVE",
        "u": "SHARE ROW EXCLUSIVE",
    },
    "ALTER TABLE t ADD CHECK (a > 0)": {"t": "ACCESS EXCLUSIVE"},
    "ALTER TABLE t VALIDATE CONSTRAINT c": {"t": "SHARE UPDATE EXCLUSIVE"},
    "ALTER TABLE t DISABLE TRIGGER ALL": {"t": "SHARE ROW EXCLUSIVE"},
    "ALTER TABLE t DETACH PARTITION p": {"t": "ACCESS EXCLUSIVE"},
    "ALTER TABLE t RENAME TO u": {"t": "ACCESS EXCLUSIVE"},
    "CREATE INDEX ON t (a)": {"t": "SHARE"},
    "CREATE INDEX CONCURRENTLY ON t (a)": {"t": "SHARE UPDATE EXCLUSIVE"},
    "CREATE TRIGGER g BEFORE DELETE ON t EXECUTE FUNCTION f()": {"t": "SHARE ROW EXCLUSIVE"},
    "CREATE POLICY p ON t": {"t": "ACCESS EXCLUSIVE"},
    "VACUUM t": {"t": "SHARE UPDATE EXCLUSIVE"},
    "VACUUM (FULL) t": {"t": "ACCESS EXCLUSIVE"},
    "REFRESH MATERIALIZED VIEW m": {"m": "ACCESS EXCLUSIVE"},
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m": {"m": "EXCLUSIVE"},
    "CLUSTER t": {"t": "ACCESS EXCLUSIVE"},
    "SELECT 1": {},
}


@pytest.mark.parametrize("statement", LOCKS)
def test_locks(statement: str) -> None:
    """The strongest lock that a statement takes on each table that it names."""
    (piece,) = pieces(statement.encode())
    found = locks(piece)
    assert {lock.relation: lock.mode for lock in found} == LOCKS[statement]
    assert all(lock.meaning for lock in found)
