"""Names that may mean several texts: what runs is what is on record."""

from __future__ import annotations

from tests.proxy.stage import Stage


def test_a_bind_waits_until_its_name_is_settled(stage: Stage) -> None:
    """A skipped Parse leaves the older text in force: the Bind after it waits, and that text is recorded."""
    stage.agent("P : INSERT INTO orders", "S").server("1", "Z I")
    stage.new_server_bytes()
    stage.agent("D S nowhere", "P : SELECT 1", "S", "B =", "E", "S")
    stage.server_gets("D S nowhere", "P : SELECT 1", "S")
    stage.server("E 26000", "Z I").server_gets("B =", "E", "S")
    assert stage.decisions() == [("INSERT INTO orders", "allow")]


def test_an_unanswered_parse_is_waited_for(stage: Stage) -> None:
    """The Parse that replaces a text may still fail; only what the server confirmed is bound."""
    stage.agent("P : INSERT INTO orders", "S").server("1", "Z I")
    stage.agent("P : SELECT 1", "S", "B =", "E", "S").server("1", "Z I")
    stage.server("2", "D 1", "C SELECT 1", "Z I")
    assert stage.decisions() == [("SELECT 1", "allow")]
    assert stage.outcomes() == [(1, None)]


def test_a_name_that_nothing_settles_is_refused(stage: Stage) -> None:
    """PREPARE has no answer of its own: a name with two such texts can't be bound, but EXECUTE goes on."""
    stage.agent("Q PREPARE a AS SELECT 1").server("C PREPARE", "Z I")
    stage.agent("Q PREPARE a AS INSERT INTO orders").server("E 42P05 exists", "Z I")
    stage.new_server_bytes()
    stage.new_agent_bytes()
    stage.agent("B =a", "E", "S").server_gets("P !", "S")
    stage.server("E !", "Z I").agent_gets("E 0A000", "Z I")
    stage.agent("Q EXECUTE a").server_gets("Q EXECUTE a")


def test_the_same_text_twice_is_no_doubt(stage: Stage) -> None:
    """A text prepared again under its own name is bound at once."""
    stage.agent("P a: SELECT 1", "S", "P a: SELECT 1", "S", "B =a", "E", "S")
    stage.server_gets("P a: SELECT 1", "S", "P a: SELECT 1", "S", "B =a", "E", "S")


def test_a_query_drops_the_unnamed_statement(stage: Stage) -> None:
    """Run or refused: a Bind of the empty name is then refused, as by the server; a Parse after it holds."""
    for text, answer in (("SELECT 2", "C SELECT 1"), ("DELETE FROM orders", "E !")):
        stage.agent("P : INSERT INTO orders", "S", f"Q {text}").server("1", "Z I")
        stage.new_server_bytes()
        stage.server(answer, "Z I").agent("B =", "E", "S").server_gets("P !", "S").server("E !", "Z I")
    stage.agent("Q SELECT 2", "P : INSERT INTO orders", "S").server("C SELECT 1", "Z I", "1", "Z I")
    stage.new_server_bytes()
    stage.agent("B =", "E", "S").server_gets("B =", "E", "S")
