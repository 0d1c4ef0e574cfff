"""Which statements tell by their command tag how many rows they change."""

from __future__ import annotations

import pytest

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Scope
from dbfirewall.sql.analyze import analyze


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("UPDATE t SET a = 1", "told"),
        ("DELETE FROM t USING u WHERE t.a = u.a RETURNING *", "told"),
        ("INSERT INTO t SELECT * FROM u ON CONFLICT (a) DO UPDATE SET a = 2", "told"),
        (
            "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
            "told",
        ),
        ("WITH x AS (SELECT 1) UPDATE t SET a = 1", "told"),
        ("WITH x AS (DELETE FROM t) UPDATE t SET a = 1", "hidden"),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "hidden"),
        ("INSERT INTO t WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "hidden"),
        ("SELECT 1", "hidden"),
        ("TRUNCATE t", "hidden"),
        ("COPY t FROM STDIN", "hidden"),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT", "hidden"),
        ("PREPARE p AS DELETE FROM t", "hidden"),
        ("CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM u", "hidden"),
        ("EXPLAIN ANALYZE DELETE FROM t", "hidden"),
        ("EXPLAIN (VERBOSE, ANALYZE) DELETE FROM t", "hidden"),
        ("EXPLAIN (ANALYZE off) DELETE FROM t", "hidden"),
        ("EXPLAIN DELETE FROM t", "none"),
        ("EXPLAIN (VERBOSE, COSTS off) DELETE FROM t", "none"),
        ("EXPLAIN VERBOSE WITH x AS (DELETE FROM t) SELECT 1", "none"),
        ("PREPARE p AS SELECT 1", "hidden"),
    ],
)
def test_a_count_is_told_of_one_change_alone(sql: str, count: str) -> None:
    """Of a change that stands in WITH or elsewhere the tag says nothing; what is only explained changes nothing."""
    (statement,) = analyze(sql.encode(), Scope(offline_catalog(), ("public",))).statements
    assert statement.count == count
