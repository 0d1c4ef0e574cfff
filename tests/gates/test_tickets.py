"""Asked, told to come back, approved, sent again: run once."""

from __future__ import annotations

import json

import psycopg
import pytest

from dbfirewall.approvals.model import State
from tests.gates.world import World


def ticket(error: psycopg.Error) -> str:
    """The approval that an error of ours names."""
    assert error.sqlstate == "ZG001", error
    approval: str = json.loads(error.diag.message_detail or "{}")["approval"]
    return approval


def test_simple_query(tickets: World) -> None:
    """A gated DELETE by the simple protocol: ZG001, approved, sent again it runs once, and then asks anew."""
    statement = "DELETE FROM orders WHERE id <= 3"
    with tickets.connect() as agent:
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(statement)
        first = ticket(caught.value)
        assert tickets.count() == 20
        tickets.vote(first)
        assert agent.execute(statement).rowcount == 3
        assert tickets.count() == 17
        done = tickets.request(first)
        assert (done.state, done.affected) == (State.DONE, (3,))
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(statement)
        assert ticket(caught.value) != first
