"""Portals: an Execute runs what a Bind on record bound, and nothing else that has the name."""

from __future__ import annotations

import pytest

from tests.proxy.stage import Stage


def in_transaction(stage: Stage) -> Stage:
    """`stage` inside a transaction block, with the statements a and b prepared."""
    stage.agent("Q BEGIN", "P a: SELECT 1", "P b: INSERT INTO orders", "S")
    stage.server("C BEGIN", "Z T", "1", "1", "Z T")
    stage.new_server_bytes()
    stage.new_agent_bytes()
    return stage


def test_a_portal_is_executed_again_and_again(stage: Stage) -> None:
    """Inside a transaction its rows come in portions, and another portal is none of its business."""
    in_transaction(stage)
    stage.agent("B p=a", "E p/1", "S").server("2", "D 1", "s", "Z T")
    stage.agent("B q=b", "E q", "S").server("2", "C INSERT 0 1", "Z T")
    stage.agent("E p/1", "S").server("D 1", "s", "Z T")
    stage.server_gets("B p=a", "E p/1", "S", "B q=b", "E q", "S", "E p/1", "S")


def test_a_query_destroys_the_unnamed_portal(stage: Stage) -> None:
    """After it, failed or not, an Execute of the empty name is refused; a named portal is still there."""
    in_transaction(stage)
    stage.agent("B =a", "B p=a", "S").server("2", "2", "Z T")
    stage.agent("Q SELECT 2").server("T", "D 2", "C SELECT 1", "Z T")
    stage.new_server_bytes()
    stage.agent("E p", "S").server_gets("E p", "S").server("D 1", "C SELECT 1", "Z T")
    stage.agent("E", "S").server_gets("P !", "S")


def test_an_execute_waits_until_it_is_clear_what_is_bound(stage: Stage) -> None:
    """A Query or a Bind before the last Sync may have taken the portal away, so the Execute waits for the answer."""
    in_transaction(stage)
    stage.agent("B =a", "S", "Q SELECT x FROM nowhere", "E", "S")
    stage.server_gets("B =a", "S", "Q SELECT x FROM nowhere")
    stage.server("2", "Z T").server_gets()
    stage.server("E 42P01 nowhere", "Z E").server_gets("P !", "S")
    stage.new_agent_bytes()
    stage.server("E !", "Z E").agent_gets("E 34000", "Z E")


def test_a_bind_that_failed_binds_nothing(stage: Stage) -> None:
    """Refused by the server, or skipped after an error: an Execute of its name goes no further."""
    in_transaction(stage)
    stage.agent("B p=a", "B q=a", "S", "E p", "S").server_gets("B p=a", "B q=a", "S")
    stage.server("E 42P03 exists", "Z E").server_gets("P !", "S").server("E !", "Z E")
    stage.agent("E q", "S").server_gets("P !", "S")


def test_a_bind_that_failed_leaves_what_was_bound_before(stage: Stage) -> None:
    """After ROLLBACK TO, a portal from before the savepoint goes on, though a second Bind of its name failed."""
    in_transaction(stage)
    stage.agent("B p=a", "E p/1", "S", "Q SAVEPOINT s").server("2", "D 1", "s", "Z T", "C SAVEPOINT", "Z T")
    stage.agent("B p=b", "S", "Q ROLLBACK TO s").server("E 42P03 exists", "Z E", "C ROLLBACK", "Z T")
    stage.new_server_bytes()
    stage.agent("E p", "S").server_gets("E p", "S").server("D 1", "C SELECT 1", "Z T")
    assert stage.outcomes()[-1][1] is None


@pytest.mark.parametrize("name", ["", "p"])
def test_closing_leaves_what_was_bound_after(stage: Stage, name: str) -> None:
    """A Close that is answered late closes what was bound before it only."""
    in_transaction(stage)
    stage.agent(f"B {name}=a", f"C P {name}", f"B {name}=b", "S").server("2", "3", "2", "Z T")
    stage.new_server_bytes()
    stage.agent(f"E {name}", "S").server_gets(f"E {name}".rstrip(), "S").server("C INSERT 0 1", "Z T")
    stage.agent(f"C P {name}", "S").server("3", "Z T")
    stage.new_server_bytes()
    stage.agent(f"E {name}", "S").server_gets("P !", "S")


def test_an_execute_in_the_segment_of_its_bind_goes_at_once(stage: Stage) -> None:
    """Whatever is owed: where the Bind fails, the server skips the Execute as well."""
    in_transaction(stage)
    stage.agent("Q SELECT 2", "B =a", "E", "S").server_gets("Q SELECT 2", "B =a", "E", "S")
