"""Server → agent, as transcripts: what goes on, what ends a session, and what is noted on the way."""

from __future__ import annotations

import pytest

from dbfirewall.proxy.server_side import MAX_INSPECTED
from tests.proxy.conftest import SetStage
from tests.proxy.notation import server_bytes
from tests.proxy.stage import Stage, bytewise

QUERY = "Q SELECT x FROM orders"


# -- rows and everything else that only passes ----------------------------------------------------------------


def test_everything_that_a_query_may_cause_passes(stage: Stage) -> None:
    """Notices, notifications and parameters among the rows, in their order."""
    answers = ("N look", "T", "D 1", "A channel", "S TimeZone=UTC", "D 2", "C SELECT 2", "Z I")
    stage.agent(QUERY).server(*answers).agent_gets(*answers)
    assert stage.outcomes() == [(2, None)]


def test_what_comes_unasked_passes(stage: Stage) -> None:
    """Between statements, too: a notification, a notice, a parameter, and the server's last words."""
    answers = ("A channel", "N look", "S TimeZone=UTC", "FATAL 57P01")
    stage.server(*answers).agent_gets(*answers)
    assert not stage.session.ended


def test_a_query_without_statements_passes(stage: Stage) -> None:
    """EmptyQueryResponse in the place of CommandComplete, in both protocols."""
    stage.agent("Q ", "P : ", "B =", "E", "S").server("I", "Z I", "1", "2", "I", "Z I")
    stage.agent_gets("I", "Z I", "1", "2", "I", "Z I")
    assert stage.outcomes() == [(0, None), (0, None)]


def test_a_query_of_several_statements_has_one_outcome(stage: Stage) -> None:
    """With the rows of all of them."""
    stage.agent("Q SELECT 1; INSERT INTO orders; SELECT 2")
    stage.server("T", "D 1", "C SELECT 1", "C INSERT 0 5", "T", "D 1", "C SELECT 1", "Z I")
    assert stage.outcomes() == [(7, None)]


def test_a_long_row_is_streamed(stage: Stage) -> None:
    """It is not held until it is whole, and what follows is read again."""
    row = server_bytes("D " + "x" * 2000)
    stage.agent(QUERY).server_raw(row[:700])
    assert stage.new_agent_bytes() == row[:700]
    stage.server_raw(row[700:]).server("C SELECT 1", "Z I")
    assert stage.new_agent_bytes() == row[700:] + server_bytes("C SELECT 1", "Z I")


def test_bytes_are_counted(stage: Stage) -> None:
    """Both ways, and for the outcome of each statement those that were sent for it."""
    stage.agent(QUERY).server("T", "D 1", "C SELECT 1", "Z I").agent(QUERY).server("T", "C SELECT 0", "Z I")
    stage.firewall.audit.flush()
    sizes = [record["bytes"] for record in stage.audit("outcome")]
    assert sizes[0] - sizes[1] == len(server_bytes("D 1"))
    relayed = stage.firewall.metrics.relayed_bytes
    assert relayed.cell("to_server").value == 2 * len(stage.server_transport.sent) / 2
    assert relayed.cell("to_agent").value > 0


# -- errors ---------------------------------------------------------------------------------------------------


def test_only_the_error_that_names_the_poison_is_replaced(stage: Stage) -> None:
    """Where the server fails otherwise in its place, the agent hears that."""
    stage.agent("Q DELETE FROM secret").server_gets("Q !").server("E 57014", "Z I").agent_gets(
        "E 57014", "Z I"
    )
    stage.agent("Q SELECT fail").server("E 42601 dbfirewall_denied_0123456789abcdef", "Z I")
    stage.agent_gets("E 42601", "Z I")


def test_errors_of_the_server_are_counted_by_class_and_ours_are_not(stage: Stage) -> None:
    """The first two characters of their SQLSTATE."""
    stage.agent("Q DELETE FROM secret").server_gets("Q !").server("E !", "Z I")
    stage.agent(QUERY, "S").server("E 42P01", "Z I", "E 23505", "Z I")
    errors = stage.firewall.metrics.upstream_errors
    assert {key: errors.cell(key).value for key in ("42", "23")} == {"42": 1, "23": 1}


def test_a_commit_that_fails_at_sync_skips_nothing(stage: Stage) -> None:
    """The error comes in answer to Sync itself; the next message runs."""
    stage.agent("P : INSERT INTO orders", "B =", "E", "S", QUERY)
    answers = ("1", "2", "C INSERT 0 1", "E 23505", "Z I", "T", "C SELECT 0", "Z I")
    stage.server(*answers).agent_gets(*answers)
    assert not stage.session.skipping


def test_a_statement_that_was_skipped_has_an_outcome(stage: Stage) -> None:
    """Bound and sent, but the Bind failed: it never ran, and the record says why."""
    stage.agent("P : SELECT 1", "B =", "E", "B =", "E", "S").server("1", "E 22P02", "Z I")
    assert stage.outcomes() == [(None, "22P02"), (None, "22P02")]


# -- out of step ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        ([], ["Z I"]),
        ([], ["C SELECT 1"]),
        ([], ["1"]),
        ([], ["2"]),
        ([], ["3"]),
        ([], ["I"]),
        ([QUERY], ["1"]),
        ([QUERY], ["2"]),
        ([QUERY], ["Z I", "Z I"]),
        (["P : SELECT 1", "S"], ["2"]),
        (["P : SELECT 1", "S"], ["Z I"]),
        (["P : SELECT 1", "S"], ["1", "C SELECT 1"]),
        (["P : SELECT 1", "B =", "S"], ["1", "3"]),
        (["S"], ["C SELECT 1"]),
    ],
    ids=str,
)
def test_an_answer_to_something_else_ends_the_session(
    stage: Stage, sent: list[str], answers: list[str]
) -> None:
    """Whoever lost count, nothing can be judged any more: FATAL, and the server's connection is aborted."""
    stage.agent(*sent).server(*answers)
    assert stage.new_agent_bytes().endswith(server_bytes("Z I")[:0] + b"\0\0")
    assert stage.over
    assert stage.server_transport.aborted


def test_a_poison_that_worked_ends_the_session(stage: Stage) -> None:
    """A server that takes it for a statement is none that we know."""
    stage.agent("P : DELETE FROM secret", "S").server("1")
    assert stage.over


@pytest.mark.parametrize(
    "data",
    [
        b"V\0\0\0\4",
        b"W\0\0\0\7\0\0\0",
        b"R\0\0\0\x08\0\0\0\0",
        b"K\0\0\0\x0cabcdefgh",
        b"?\0\0\0\4",
        b"C\0\0\0\3",
        b"C\0\0\0\5x",
        b"Z\0\0\0\5?",
        b"Z\0\0\0\6II",
        b"S\0\0\0\6a\0",
        b"E\0\0\0\5x",
    ],
)
def test_a_message_that_a_session_cannot_have_ends_it(stage: Stage, data: bytes) -> None:
    """Function results, logins, what is malformed or unknown."""
    stage.agent(QUERY).server_raw(data)
    assert stage.over


def test_what_must_be_looked_into_may_not_be_endless(stage: Stage) -> None:
    """An error of a gigabyte is not held in memory."""
    stage.agent(QUERY).server_raw(b"E" + (MAX_INSPECTED + 1).to_bytes(4, "big")).agent_gets("FATAL 08P01")
    assert stage.over


def test_what_came_before_the_end_is_the_agents(set_stage: SetStage) -> None:
    """The same in one chunk as in many."""
    for options in ({}, {"delivery": bytewise}):
        stage = set_stage(**options)
        stage.agent(QUERY).server("T", "D 1", "1").agent_gets("T", "D 1", "FATAL 57P01")


# -- tripwires ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "changed"),
    [
        ("reader", "default_transaction_read_only=off"),
        ("reader", "search_path=secret"),
        ("writer", "session_authorization=postgres"),
        ("writer", "is_superuser=on"),
        ("writer", "client_encoding=SJIS"),
        ("writer", "standard_conforming_strings=off"),
        ("writer", "Standard_Conforming_Strings=off"),
    ],
)
def test_a_change_that_was_not_allowed_ends_the_session(set_stage: SetStage, role: str, changed: str) -> None:
    """Counted, recorded, and the agent learns which one."""
    stage = set_stage(role=role, parameters={"session_authorization": role, "is_superuser": "off"})
    stage.agent(QUERY).server("T", f"S {changed}", "D 1").agent_gets("T", "FATAL 57P01")
    assert stage.over
    name = changed.partition("=")[0].lower()
    stage.firewall.audit.flush()
    assert stage.audit("tripwire")[0]["sql"] == f"{name}={changed.partition('=')[2]}"
    assert stage.firewall.metrics.tripwires.cell(name).value == 1


def test_a_parameter_that_did_not_really_change_is_relayed(stage: Stage) -> None:
    """The same value, or one that nobody watches."""
    stage.server("S client_encoding=UTF8", "S application_name=x")
    stage.agent_gets("S client_encoding=UTF8", "S application_name=x")


@pytest.mark.parametrize(
    ("statement", "changed", "ends"),
    [
        ("SET search_path=secret", "search_path=secret", False),
        ("SET search_path=secret", "is_superuser=on", True),
        ("DO", "is_superuser=on", False),
        ("DO", "client_encoding=SJIS", True),
        ("DO", "standard_conforming_strings=off", True),
        ("DISCARD ALL", "search_path=other", False),
    ],
)
def test_a_tripwire_stands_down_for_what_was_allowed(
    stage: Stage, statement: str, changed: str, ends: bool
) -> None:
    """For the parameters that an allowed statement may change; never for those that decide how SQL is read."""
    stage.session.tripwires |= {"is_superuser": "off", "search_path": "public"}
    stage.agent(f"Q {statement}").server(f"S {changed}")
    assert stage.session.ended is ends


def test_a_denied_statement_loosens_nothing(stage: Stage) -> None:
    """Only what runs may change something."""
    stage.session.tripwires |= {"search_path": "public"}
    stage.agent("Q SET search_path=secret; DELETE FROM secret").server("S search_path=secret")
    assert stage.session.ended


def test_names_are_judged_anew_when_the_search_path_may_have_changed(stage: Stage) -> None:
    """From the statement on that changes it, and for what was prepared before, too."""
    before = stage.session.judge
    stage.agent("P a: SELECT x FROM orders", "S", "Q SET search_path=secret")
    assert stage.session.search_path is None
    assert stage.session.judge is not before
    assert stage.session.judge.scope.search_path is None
    stage.agent("B =a", "S")
    assert stage.session.names.meanings(b"a")[0].judge is stage.session.judge
