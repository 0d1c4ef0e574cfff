"""Agent → server, as transcripts: what goes on, what is replaced, what is held."""

from __future__ import annotations

from tests.proxy.stage import Stage


def test_an_allowed_query_goes_on_byte_for_byte(stage: Stage) -> None:
    """The same bytes reach the server, and the server's the agent."""
    stage.agent("Q SELECT x FROM orders").server_gets("Q SELECT x FROM orders")
    stage.server("T", "D 1", "C SELECT 1", "Z I").agent_gets("T", "D 1", "C SELECT 1", "Z I")
    assert stage.decisions() == [("SELECT x FROM orders", "allow")]
    assert stage.outcomes() == [(1, None)]


def test_a_denied_query_is_replaced_in_its_place(stage: Stage) -> None:
    """The server gets a poison, and the agent our error in the place of the server's."""
    stage.agent("Q SELECT x FROM secret").server_gets("Q !")
    stage.server("E !", "Z I").agent_gets("E 42501", "Z I")
    assert stage.decisions() == [("SELECT x FROM secret", "deny")]
