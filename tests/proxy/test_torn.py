"""A session that ends while a message is half-way to the agent."""

from __future__ import annotations

from tests.proxy.conftest import SetStage
from tests.proxy.notation import server_bytes, server_texts


def test_nothing_is_said_inside_a_message(set_stage: SetStage) -> None:
    """Where the agent has got half a row, a FATAL of ours would be read as the rest of it: it just hangs up."""
    stage = set_stage()
    stage.agent("Q SELECT 1")
    row = server_bytes("D a long enough row")
    stage.server("T").server_raw(row[:9]).agent_raw(b"\xff\0\0\0\4")
    assert stage.over
    assert stage.new_agent_bytes() == server_bytes("T") + row[:9]


def test_the_reason_is_said_once_the_message_is_whole(set_stage: SetStage) -> None:
    """With the row complete, the agent hears why its session ends."""
    stage = set_stage()
    stage.agent("Q SELECT 1")
    row = server_bytes("D a long enough row")
    stage.server("T").server_raw(row[:9]).server_raw(row[9:]).agent_raw(b"\xff\0\0\0\4")
    assert server_texts(stage.new_agent_bytes()) == ["T", "D a long enough row", "FATAL 08P01"]
    assert stage.over
