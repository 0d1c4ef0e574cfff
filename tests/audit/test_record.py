"""What a record says, byte for byte."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.audit import decision_members, sql_member
from dbfirewall.audit.reader import read_lines, read_records
from dbfirewall.audit.record import (
    FIRST_PREV,
    MAX_EFFECTS,
    MAX_SQL_BYTES,
    MAX_TEXT,
    MEMBERS,
    line_hash,
    member,
)
from dbfirewall.sql.facts import Effect
from tests.audit.conftest import OpenLog

ORDERS = Effect("select", ("public", "orders"), columns=("id", "total"))


def as_json(members: str) -> dict[str, Any]:
    return dict(json.loads("{" + members.removeprefix(",") + "}"))


def records(folder: Path, event: str) -> list[dict[str, Any]]:
    return [record for record in read_records(folder) if record["event"] == event]


def test_statement_and_outcome(folder: Path, open_log: OpenLog) -> None:
    """A statement and its outcome are two records with one id, and carry every member of theirs."""
    log = open_log(clock=lambda: 1_767_225_600_123_456_789)
    session = log.session(
        session_id="7",
        agent="nightly",
        role="analyst",
        database="shop",
        peer="10.0.0.9:5555",
        application="psql",
    )
    decision = decision_members([ORDERS], "allow", "analyst.rules[0]", None)
    record_id = session.statement(log.sql_member(b"SELECT 1"), decision, params=b"\0\1", approval="apr_1")
    session.outcome(record_id, 3, 120, 0.12345, "57014")
    log.flush()
    who = {
        "session": "7", "agent": "nightly", "role": "analyst", "database": "shop", "peer": "10.0.0.9:5555",
        "application": "psql",
    }  # fmt: skip
    [statement], [outcome] = records(folder, "statement"), records(folder, "outcome")
    assert statement == {
        "v": 1, "ts": "2026-01-01T00:00:00.123456Z", "id": record_id, "event": "statement", **who,
        "sql": "SELECT 1", "params_sha256": hashlib.sha256(b"\0\1").hexdigest(),
        "effects": [{"action": "select", "object": "public.orders", "columns": ["id", "total"]}],
        "decision": "allow", "rule": "analyst.rules[0]", "sqlstate": None, "approval": "apr_1",
        "prev": statement["prev"], "hash": statement["hash"],
    }  # fmt: skip
    assert outcome == {
        "v": 1, "ts": "2026-01-01T00:00:00.123456Z", "id": record_id, "event": "outcome", **who,
        "rows": 3, "bytes": 120, "duration_ms": 0.123, "error": "57014",
        "prev": statement["hash"], "hash": outcome["hash"],
    }  # fmt: skip


def test_first_record_follows_zeros(folder: Path, open_log: OpenLog) -> None:
    """The very first record is `start`, and its prev is 64 zeros."""
    open_log(application="dbfirewall/1")
    first = next(read_records(folder))
    assert (first["event"], first["prev"], first["application"]) == ("start", FIRST_PREV, "dbfirewall/1")


def test_absent_values_are_null(folder: Path, open_log: OpenLog) -> None:
    """A statement without parameters and an outcome without rows or error say null."""
    log = open_log()
    session = log.session(session_id="1")
    record_id = session.statement(log.sql_member(b"BEGIN"), decision_members([], "allow", None, None))
    session.outcome(record_id, None, 0, 1)
    log.flush()
    [statement], [outcome] = records(folder, "statement"), records(folder, "outcome")
    assert (statement["params_sha256"], statement["rule"], statement["agent"]) == (None, None, None)
    assert (outcome["rows"], outcome["error"]) == (None, None)


@given(sql=st.binary(max_size=200))
def test_any_text_makes_one_line_of_ascii_json(sql: bytes) -> None:
    """Whatever the bytes of a statement are, its member is printable ASCII and reads back."""
    text = sql_member(sql)
    assert text.isascii()
    assert text.isprintable()
    read = as_json(text)
    try:
        assert read == {"sql": sql.decode()}
    except UnicodeDecodeError:
        assert read["fingerprint"] == hashlib.sha256(sql).hexdigest()


@given(value=st.text(st.characters(exclude_categories=[]), max_size=50))
def test_any_name_makes_one_line_of_ascii_json(value: str) -> None:
    """Names that a peer chose, lone surrogates included, read back from printable ASCII."""
    text = member("application", value)
    assert text.isascii()
    assert text.isprintable()
    assert as_json(text) == {"application": value}


def test_long_sql_is_cut_and_named_by_its_fingerprint() -> None:
    """A text over the limit is cut to the limit, and its fingerprint is that of the whole."""
    sql = b"x" * (MAX_SQL_BYTES + 1)
    assert as_json(sql_member(sql)) == {
        "sql": "x" * MAX_SQL_BYTES,
        "fingerprint": hashlib.sha256(sql).hexdigest(),
    }
    assert as_json(sql_member(sql[:-1])) == {"sql": "x" * MAX_SQL_BYTES}


def test_fingerprint_mode_never_holds_the_text(open_log: OpenLog) -> None:
    """With `sql="fingerprint"` a record has the fingerprint alone."""
    text = open_log(sql="fingerprint").sql_member(b"SELECT 'secret'")
    assert as_json(text) == {"fingerprint": hashlib.sha256(b"SELECT 'secret'").hexdigest()}


def test_long_names_are_cut() -> None:
    """A name longer than the limit is cut to it."""
    assert as_json(member("application", "a" * (MAX_TEXT + 1))) == {"application": "a" * MAX_TEXT}


def test_many_effects_are_counted_not_listed() -> None:
    """A record lists MAX_EFFECTS effects, and says how many more there were."""
    effects = as_json(decision_members([ORDERS] * (MAX_EFFECTS + 5), "deny", "r", "42501"))["effects"]
    assert len(effects) == MAX_EFFECTS + 1
    assert effects[-1] == {"action": "…", "object": "5 more"}


def test_an_effect_without_columns_has_no_columns_member() -> None:
    """`columns` is there only where the action is about columns."""
    [effect] = as_json(decision_members([Effect("drop", ("public", "Order Items"))], "deny", "r", "42501"))[
        "effects"
    ]
    assert effect == {"action": "drop", "object": 'public."Order Items"'}


def test_event_takes_known_members_only(open_log: OpenLog) -> None:
    """A misspelt member is an error of ours, not a record."""
    log = open_log()
    with pytest.raises(ValueError, match="no such audit member: cause"):
        log.event("kill", cause="x")
    with pytest.raises(ValueError, match="hash"):
        log.session(session_id="1").event("kill", hash="x")


def test_members_are_the_contract_s(folder: Path, open_log: OpenLog) -> None:
    """No record has a member outside the list, and they stand in its order."""
    log = open_log()
    session = log.session(session_id="1", agent="a")
    record_id = session.statement(log.sql_member(b"\xff"), decision_members([ORDERS], "deny", "r", "42501"))
    session.outcome(record_id, 1, 1, 1.0)
    session.event("tripwire", error="search_path", sqlstate="57P01")
    log.flush()
    for record in read_records(folder):
        assert [name for name in MEMBERS if name in record][:5] == list(record)[:5]
        assert set(record) <= set(MEMBERS)


def test_a_line_is_canonical_json(folder: Path, open_log: OpenLog) -> None:
    """Writing a record again with Python's json, without spaces, gives the same line: its hash can be checked."""
    log = open_log()
    session = log.session(session_id="1", agent="a\u2028é", application="\x1b[31m")
    for duration in (0.0, 1.0, 0.1234567, 12345.6, 7):
        record_id = session.statement(
            log.sql_member("SELECT 'é\t'".encode()), decision_members([ORDERS], "allow", "r", None)
        )
        session.outcome(record_id, 1, 1, duration)
    log.flush()
    for line in read_lines(folder):
        raw = line.raw.removesuffix(b"\n")
        record = json.loads(raw)
        assert json.dumps(record, separators=(",", ":")).encode() == raw
        assert record.pop("hash") == line_hash(raw)
        assert hashlib.sha256(json.dumps(record, separators=(",", ":")).encode()).hexdigest() == line_hash(
            raw
        )


def test_the_documented_script_verifies(folder: Path, open_log: OpenLog) -> None:
    """The ten lines of Python in docs/audit.md accept an intact file and refuse an edited one."""
    log = open_log()
    log.session(session_id="1").event("session_start")
    log.close()
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    [script] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    path = folder / "audit.jsonl"
    with path.open("rb") as intact:
        exec(script, {"file": intact})
    path.write_bytes(path.read_bytes().replace(b"session_start", b"session_stop!"))
    with path.open("rb") as edited, pytest.raises(SystemExit):
        exec(script, {"file": edited})
