"""What an agent is shown of its requests and of its rules, row by row."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dbfirewall.approvals.model import State, Vote
from dbfirewall.proxy.inband import MAX_SQL, request_row, rules_rows
from dbfirewall.sql.virtual import TABLES
from tests.approvals.example import SNAPSHOT, request
from tests.policy.build import role

YES = Vote("alice", approve=True, at=1_767_225_700.0, origin="10.0.0.1 console", groups=("dba",))
NO = Vote("bob", approve=False, at=1_767_225_800.0, reason="Keep\nthe \0rows of\x1b[2J January.")


def test_a_request_that_waits() -> None:
    """Its id, what it is about, until when it is good, and what to do next."""
    row = request_row(request())
    assert row == {
        "id": "apr_0123456789",
        "state": "pending",
        "database": "shop",
        "sql": SNAPSHOT.sql.decode(),
        "rule": "gate delete on public.*",
        "reason": None,
        "created_at": "2026-01-01T00:00:00.000Z",
        "expires_at": "2026-01-01T01:00:00.000Z",
        "decided_at": None,
        "rows": None,
        "hint": "A person has to decide. Send the statement again, unchanged, once it is approved.",
    }
    assert list(row) == list(TABLES["approvals"])


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_next_step(state: State) -> None:
    """And nothing of who decides, from where, or what they were shown."""
    row = request_row(request(state=state, votes=(YES,)))
    assert row["state"] == state
    assert row["hint"].endswith(".")
    told = json.dumps(row)
    for secret in ("alice", "10.0.0.1", "dba", "secret-row", "secret-plan", "secret-note"):
        assert secret not in told


def test_when_it_was_decided() -> None:
    """By the vote that decided it: one of two leaves it pending."""
    assert request_row(request(votes=(YES,)))["decided_at"] is None
    assert (
        request_row(request(state=State.APPROVED, votes=(YES,)))["decided_at"] == "2026-01-01T00:01:40.000Z"
    )
    assert request_row(request(state=State.EXPIRED))["decided_at"] is None


def test_why_it_was_denied() -> None:
    """The approver's words, on one line, without what a terminal or the server would not take."""
    row = request_row(request(state=State.DENIED, votes=(NO,)))
    assert row["reason"] == "Keep the rows of[2J January."
    assert (
        request_row(request(state=State.WITHDRAWN, note="orders was altered."))["reason"]
        == "orders was altered."
    )
    assert (
        request_row(request(state=State.FAILED, error="deadlock detected"))["reason"] == "deadlock detected"
    )


def test_how_many_rows_it_changed() -> None:
    """Of all of the message's statements that tell it."""
    assert request_row(request(state=State.DONE, affected=(2, None, 3)))["rows"] == 5
    assert request_row(request(state=State.DONE, affected=(0,)))["rows"] == 0
    assert request_row(request(state=State.DONE, affected=(None,)))["rows"] is None


def test_a_long_statement_is_cut() -> None:
    """And one that is not UTF-8 shows its bytes."""
    long = request(snapshot=replace(SNAPSHOT, sql=b"SELECT '" + b"x" * 9000 + b"'"))
    assert len(request_row(long)["sql"]) == MAX_SQL
    assert request_row(request(snapshot=replace(SNAPSHOT, sql=b"\xff")))["sql"] == "\\xff"


def test_the_rules_of_a_role() -> None:
    """What each is about and under which conditions, in the words of the file; not who may approve."""
    who = role(
        {
            "allow": ["update", "delete"],
            "on": ["public.*", "a.b"],
            "require_where": True,
            "max_rows_affected": 20,
        },
        {"deny": "select", "columns": ["ssn", "card"], "reason": "Not\nyours."},
        {"gate": "drop", "kind": ["table", "view"], "approvals": 2, "approvers": ["dba"], "id": "drops"},
        {"gate": "truncate"},
    )
    nothing = {"objects": "*", "columns": None, "conditions": None, "reason": None}
    rows = rules_rows(who)
    assert rows == [
        nothing
        | {
            "effect": "allow",
            "actions": "update, delete",
            "objects": "public.*, a.b",
            "conditions": "update and delete only with a WHERE; at most 20 changed rows a statement",
            "rule": "allow update, delete on public.*, a.b",
        },
        nothing
        | {
            "effect": "deny",
            "actions": "select",
            "columns": "ssn, card",
            "reason": "Not yours.",
            "rule": "deny select columns ssn, card",
        },
        nothing
        | {
            "effect": "gate",
            "actions": "drop",
            "conditions": "only of kind table, view; 2 people have to approve",
            "rule": "drops",
        },
        nothing | {"effect": "gate", "actions": "truncate", "rule": "gate truncate"},
    ]
    assert all(list(row) == list(TABLES["my_rules"]) for row in rows)


def test_the_ceiling_of_a_role_that_only_reads() -> None:
    """It comes first, since no rule lifts it."""
    first, second = rules_rows(role({"allow": "*"}, access="read-only"))
    assert (first["effect"], first["rule"]) == ("deny", "read-only")
    assert second["effect"] == "allow"
    assert set(first) <= set(TABLES["my_rules"])
