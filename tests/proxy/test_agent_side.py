"""Agent → server, as transcripts: what goes on, what is replaced, what is held."""

from __future__ import annotations

import pytest

from tests.proxy.stage import Stage

LONG_NAME = "n" * 63


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


# -- prepared statements and portals --------------------------------------------------------------------------


def test_a_gated_statement_may_be_prepared_but_not_bound(stage: Stage) -> None:
    """The Bind is replaced, the prepared statement stays."""
    stage.agent("P a: DELETE FROM orders", "B =a", "E", "S").server_gets(
        "P a: DELETE FROM orders", "P !", "S"
    )
    stage.server("1", "E !", "Z I").agent_gets("1", "E ZG001", "Z I")
    assert stage.decisions() == [("DELETE FROM orders", "gate")]


@pytest.mark.parametrize("kind", ["P {}: SELECT 1", "B {}="])
def test_names_that_the_server_would_cut_are_refused(stage: Stage, kind: str) -> None:
    """Postgres looks names up by their first 63 bytes only: two names of ours could be one of its own."""
    fine, cut = kind.format(LONG_NAME), kind.format(LONG_NAME + "x")
    stage.agent("P : SELECT 1", fine, "S").server_gets("P : SELECT 1", fine, "S")
    answer = "1" if kind[0] == "P" else "2"
    stage.server("1", answer, "Z I").agent_gets("1", answer, "Z I")
    stage.agent("P : SELECT 1", cut, "S").server_gets("P : SELECT 1", "P !", "S")
    stage.server("1", "E !", "Z I").agent_gets("1", "E 42622", "Z I")


def test_an_execute_is_judged_by_what_its_name_means_then(stage: Stage) -> None:
    """A portal of `EXECUTE a` runs whatever `a` is when it is executed, not when it was bound."""
    stage.agent("P a: SELECT 1", "S").server("1", "Z I")
    stage.agent("P b: EXECUTE a", "B p=b", "C S a", "P a: DELETE FROM orders", "E p", "S")
    stage.server_gets(
        "P a: SELECT 1", "S",
        "P b: EXECUTE a", "B p=b", "C S a", "P a: DELETE FROM orders", "P !", "S",
    )  # fmt: skip
    stage.server("1", "2", "3", "1", "E !", "Z I").agent_gets(
        "1", "Z I", "1", "2", "3", "1", "E ZG001", "Z I"
    )
