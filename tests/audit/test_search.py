"""Searching, merging outcomes, and reading the end of the record."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.audit.reader import Follower, Record, last_lines, read_lines
from dbfirewall.audit.search import WINDOW, Query, merged, parse_time, search
from dbfirewall.errors import AuditError
from tests.audit.conftest import OpenLog

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def statement(number: int, **members: str) -> Record:
    return {
        "event": "statement",
        "id": f"1-{number}",
        "decision": "allow",
        "ts": f"2026-01-0{number}",
        **members,
    }


def outcome(number: int, **members: str) -> Record:
    return {"event": "outcome", "id": f"1-{number}", "ts": f"2026-01-0{number}", **members}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-30", "2026-01-30T00:00:00.000000Z"),
        ("2026-01-30T10:00:00Z", "2026-01-30T10:00:00.000000Z"),
        ("2026-01-30T10:00:00.5+02:00", "2026-01-30T08:00:00.500000Z"),
        ("2026-01-30 10:00", "2026-01-30T10:00:00.000000Z"),
        ("90s", "2026-01-31T11:58:30.000000Z"),
        ("10m", "2026-01-31T11:50:00.000000Z"),
        ("36h", "2026-01-30T00:00:00.000000Z"),
        ("2d", "2026-01-29T12:00:00.000000Z"),
    ],
)
def test_times(text: str, moment: str) -> None:
    """A time is said absolutely, in UTC where no zone is named, or as how long ago."""
    assert parse_time(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10x", "-5m", "2026-13-01", "999999d"])
def test_no_times(text: str) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match="no time"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [1, 2, 3]),
        (Query(equal=(("agent", "a"),)), [1, 3]),
        (Query(equal=(("agent", "a"), ("decision", "deny"))), [3]),
        (Query(equal=(("rule", "r"),)), []),
        (Query(since="2026-01-02"), [2, 3]),
        (Query(until="2026-01-03"), [1, 2]),
        (Query(since="2026-01-02", until="2026-01-03"), [2]),
        (Query(sql=re.compile("orders")), [1]),
    ],
)
def test_queries(query: Query, found: list[int]) -> None:
    """A query matches where all that it says is so."""
    records = [
        statement(1, agent="a", sql="SELECT * FROM orders"),
        statement(2, agent="b"),
        statement(3, agent="a", decision="deny", sql="DROP TABLE x"),
    ]
    assert [record["id"] for record in search(records, query)] == [f"1-{number}" for number in found]


def test_a_match_brings_its_outcome() -> None:
    """The outcome of a matching statement is found with it, others' are not, and each only once."""
    records = [statement(1, sql="a"), statement(2, sql="b"), outcome(2), outcome(1), outcome(1)]
    found = list(search(records, Query(sql=re.compile("a"))))
    assert found == [records[0], records[3]]


def test_outcomes_stand_beside_their_statements() -> None:
    """Merging keeps the statements' order, whatever the order of outcomes."""
    records = [statement(1), statement(2), {"event": "kill", "id": "1-9"}, outcome(2), outcome(1)]
    entries = list(merged(records))
    assert [(entry.record["id"], entry.outcome) for entry in entries] == [
        ("1-1", records[4]),
        ("1-2", records[3]),
        ("1-9", None),
    ]


def test_an_outcome_without_statement_stands_alone() -> None:
    """Where the statement is not among the records, its outcome is an entry of its own."""
    [entry] = merged([outcome(1)])
    assert entry.record["event"] == "outcome"


def test_a_statement_without_outcome_is_not_waited_for_forever() -> None:
    """After WINDOW further entries a statement is shown without its outcome; a late one stands alone."""
    many = [{"event": "kill", "id": f"1-{number}"} for number in range(10, 10 + WINDOW)]
    entries = list(merged([statement(1), *many, outcome(1)]))
    assert entries[0].outcome is None
    assert entries[-1].record["event"] == "outcome"
    assert len(entries) == WINDOW + 2


@given(ends=st.lists(st.sampled_from(["allow", "deny", "late", "lost"]), max_size=20))
def test_merging_loses_nothing(ends: list[str]) -> None:
    """Every record is in exactly one entry, as a statement or as an outcome."""
    records: list[Record] = []
    for number, end in enumerate(ends):
        records.append(statement(number, decision="deny" if end == "deny" else "allow"))
        if end == "allow":
            records.append(outcome(number))
    records += [outcome(number) for number, end in enumerate(ends) if end == "late"]
    entries = list(merged(records))
    shown = [entry.record for entry in entries] + [entry.outcome for entry in entries if entry.outcome]
    assert sorted(map(json.dumps, shown)) == sorted(map(json.dumps, records))


@pytest.mark.parametrize("count", [1, 2, 5, 24, 25, 100])
def test_last_lines(folder: Path, open_log: OpenLog, count: int) -> None:
    """The newest lines, oldest first, also where they lie in several files and are long."""
    log = open_log(max_bytes=9_000)
    for number in range(23):
        log.event("cancel", error="x" * (number * 40))
        log.flush()
    log.close()
    assert last_lines(folder, count) == [line.raw for line in read_lines(folder)][-count:]


def test_last_lines_of_long_records(folder: Path, open_log: OpenLog) -> None:
    """Records longer than the first guess are read whole."""
    log = open_log()
    sql = log.sql_member(b"x" * 60_000)
    session = log.session(session_id="1")
    for _ in range(3):
        session.statement(sql, "")
    log.flush()
    assert [len(line) > 60_000 for line in last_lines(folder, 3)] == [True] * 3


def test_follow(folder: Path, open_log: OpenLog) -> None:
    """A follower yields what is appended after it began, through rotations, each line once and whole."""
    log = open_log(max_bytes=600)
    follower = Follower(folder)
    assert follower.poll() == []
    seen: list[bytes] = []
    for _ in range(9):
        log.event("cancel")
        log.flush()
        seen += follower.poll()
    follower.close()
    assert seen == [line.raw for line in read_lines(folder)][1:]


def test_follow_waits_for_the_end_of_a_line(folder: Path) -> None:
    """Half a line is kept until its other half is there."""
    folder.mkdir()
    path = folder / "audit.jsonl"
    path.touch()
    follower = Follower(folder)
    with path.open("ab", buffering=0) as file:
        file.write(b'{"v":')
        assert follower.poll() == []
        file.write(b'1}\n{"')
        assert follower.poll() == [b'{"v":1}\n']
    follower.close()


def test_follow_between_the_steps_of_a_rotation(folder: Path, open_log: OpenLog) -> None:
    """A moment without a current file is no error."""
    open_log()
    follower = Follower(folder)
    path = folder / "audit.jsonl"
    path.rename(folder / "audit-000001.jsonl")
    assert follower.poll() == []
    path.write_bytes(b'{"v":1}\n')
    assert follower.poll() == [b'{"v":1}\n']
    follower.close()


def test_nothing_to_follow(folder: Path) -> None:
    """Following a folder without a record is an AuditError."""
    with pytest.raises(AuditError, match="cannot read"):
        Follower(folder)
