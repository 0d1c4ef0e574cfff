"""`pin: strict`, as transcripts: the firewall's own transaction around each unit, and the server's proof of each."""

from __future__ import annotations

import pytest

from tests.proxy.conftest import SetStage
from tests.proxy.stage import Delivery, Stage

OPEN = "Q BEGIN READ ONLY; SELECT 1"
OPENED = ("C BEGIN", "T", "D 1", "C SELECT 1", "Z T")
UNIT = ("B =", "D P ", "E", "S")
CLOSE = "Q COMMIT"
CLOSED = ("C COMMIT", "Z I")
SELECT = "SELECT x FROM orders"


@pytest.fixture
def stage(set_stage: SetStage, delivery: Delivery) -> Stage:
    """A session of a strict role."""
    return set_stage(role="strict", delivery=delivery)


def in_transaction(stage: Stage) -> Stage:
    """After the agent's own BEGIN."""
    stage.agent("Q BEGIN").server_gets(OPEN)
    return stage.server(*OPENED).agent_gets("C BEGIN", "Z T")


# -- simple protocol ------------------------------------------------------------------------------------------


def test_a_query_becomes_one_parse_in_a_transaction_of_ours(stage: Stage) -> None:
    """BEGIN and a snapshot first; the agent sees only its own result, and Z I at the end."""
    stage.agent(f"Q {SELECT}").server_gets(OPEN)
    stage.server(*OPENED).agent_gets()
    stage.server_gets(f"P : {SELECT}", *UNIT, CLOSE)
    stage.server("1", "2", "T", "D 1", "C SELECT 1", "Z T").agent_gets("T", "D 1", "C SELECT 1")
    stage.server(*CLOSED).agent_gets("Z I")
    assert stage.decisions() == [(SELECT, "allow")]
    assert stage.outcomes() == [(1, None)]


def test_queries_sent_together_run_one_after_the_other(stage: Stage) -> None:
    """Nothing of the second is sent before the transaction of the first is closed."""
    stage.agent(f"Q {SELECT}", "Q SHOW all").server_gets(OPEN)
    stage.server(*OPENED).server_gets(f"P : {SELECT}", *UNIT, CLOSE)
    stage.server("1", "2", "T", "D 1", "C SELECT 1", "Z T").server_gets()
    stage.server(*CLOSED).server_gets(OPEN)
    stage.server(*OPENED).server_gets("P : SHOW all", *UNIT, CLOSE)
    stage.server("1", "2", "T", "D 1", "C SHOW", "Z T", *CLOSED)
    stage.agent_gets("T", "D 1", "C SELECT 1", "Z I", "T", "D 1", "C SHOW", "Z I")


def test_a_refusal_before_a_query_keeps_its_place(stage: Stage) -> None:
    """The poison goes before the BEGIN that the next message needs, whatever came in one chunk."""
    stage.agent("Q DELETE FROM orders", f"Q {SELECT}").server_gets("Q !", OPEN)
    stage.server("E !", "Z I").agent_gets("E 25006", "Z I")
    stage.server(*OPENED).server_gets(f"P : {SELECT}", *UNIT, CLOSE)


def test_an_error_at_the_server_ends_the_unit(stage: Stage) -> None:
    """The agent gets the error and Z I; our COMMIT rolls back."""
    stage.agent(f"Q {SELECT}").server(*OPENED).server("E 42P01", "Z E").agent_gets("E 42P01")
    stage.server("C ROLLBACK", "Z I").agent_gets("Z I")
    assert stage.outcomes() == [(None, "42P01")]
    stage.new_server_bytes()
    stage.agent("Q SHOW all").server_gets(OPEN)


def test_an_error_while_it_runs_is_its_outcome(stage: Stage) -> None:
    """Rows may have come already."""
    stage.agent(f"Q {SELECT}").server(*OPENED).server("1", "2", "T", "D 1", "E 22012", "Z E")
    stage.server("C ROLLBACK", "Z I").agent_gets("T", "D 1", "E 22012", "Z I")
    assert stage.outcomes() == [(None, "22012")]


def test_a_query_takes_the_empty_names(stage: Stage) -> None:
    """It travels as the unnamed statement: a Bind or Execute of that name must not find it under another's record."""
    in_transaction(stage).agent(f"P : {SELECT}", "B =", "S").server("1", "t", "T", "2", "Z T")
    stage.agent("Q SHOW all").server("1", "2", "T", "D 1", "C SHOW", "Z T")
    stage.new_server_bytes()
    stage.agent("E", "S").server_gets("P !", "S").server("E !", "Z E")
    stage.agent("B =", "E", "S").server_gets("P !", "S")
    assert stage.decisions()[-2:] == [("", "deny"), ("", "deny")]


def test_two_statements_in_one_query_are_refused(stage: Stage) -> None:
    """Only one statement can be proved at a time; the refusal is on record."""
    stage.agent(f"Q {SELECT}; {SELECT}").server_gets("Q !")
    stage.server("E !", "Z I").agent_gets("E 0A000", "Z I")
    assert stage.decisions() == [(f"{SELECT}; {SELECT}", "deny")]


def prepared(stage: Stage, how: str) -> Stage:
    """A session that has prepared `a`, by the protocol or by SQL, in a transaction that is over."""
    if how == "P":
        in_transaction(stage).agent(f"P a: {SELECT}", "S").server("1", "t", "T", "Z T")
    else:
        in_transaction(stage).agent(f"Q PREPARE a AS {SELECT}").server("1", "2", "n", "C PREPARE", "Z T")
    stage.agent("Q COMMIT").server("1", "2", "n", "C COMMIT", "Z I").new_server_bytes()
    stage.new_agent_bytes()
    return stage


@pytest.mark.parametrize("how", ["P", "PREPARE"])
def test_an_execute_is_proved_by_what_was_prepared(stage: Stage, how: str) -> None:
    """It has to describe and to answer as that statement."""
    prepared(stage, how).agent("Q EXECUTE a").server_gets(OPEN)
    stage.server(*OPENED).server_gets("P : EXECUTE a", *UNIT, CLOSE)
    stage.server("1", "2", "T", "D 1", "C SELECT 1", "Z T", *CLOSED)
    stage.agent_gets("T", "D 1", "C SELECT 1", "Z I")
    assert stage.decisions()[-1] == ("EXECUTE a", "allow")


@pytest.mark.parametrize("how", ["P", "PREPARE"])
@pytest.mark.parametrize("answer", [("n", "C SELECT 1"), ("T", "D 1", "C SHOW")], ids=["rows", "tag"])
def test_an_execute_of_something_else_ends_the_session(
    stage: Stage, how: str, answer: tuple[str, ...]
) -> None:
    """Neither other rows nor another tag than what was prepared under that name."""
    prepared(stage, how).agent("Q EXECUTE a").server(*OPENED)
    stage.server("1", "2", *answer)
    assert stage.over


def test_an_execute_of_a_name_that_is_gone_is_the_servers_error(stage: Stage) -> None:
    """It describes to nothing before the server looks the name up; the session goes on."""
    prepared(stage, "P").agent("Q EXECUTE a").server(*OPENED)
    stage.server("1", "2", "n", "E 26000", "Z E", "C ROLLBACK", "Z I").agent_gets("E 26000", "Z I")
    assert stage.outcomes()[-1] == (None, "26000")
    assert not stage.over


def test_what_cannot_be_proved_is_refused(stage: Stage) -> None:
    """What a portal of EXECUTE will answer is not known when it is parsed: refused."""
    prepared(stage, "P").agent("P : EXECUTE a", "S").server_gets(OPEN).server(*OPENED)
    stage.server_gets("P !", "S", CLOSE)
    assert stage.decisions()[-1] == ("EXECUTE a", "deny")


def test_an_empty_query_is_sent_empty(stage: Stage) -> None:
    """Whatever comments it held."""
    stage.agent("Q ;").server_gets("Q")
    stage.server("I", "Z I").agent_gets("I", "Z I")


def test_housekeeping_goes_as_it_is(stage: Stage) -> None:
    """What a driver's pool sends is known by its exact text."""
    text = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
    stage.agent(f"Q {text}").server_gets(f"Q {text}")
    stage.server("T", "D ", "C SELECT 1", "C CLOSE CURSOR ALL", "C UNLISTEN", "C RESET", "Z I")
    stage.agent_gets("T", "D ", "C SELECT 1", "C CLOSE CURSOR ALL", "C UNLISTEN", "C RESET", "Z I")


# -- the agent's own transactions -----------------------------------------------------------------------------


def test_the_agents_begin_is_in_our_words(stage: Stage) -> None:
    """Read-only and with a snapshot; its statements then need no transaction of ours, until COMMIT."""
    in_transaction(stage)
    stage.agent(f"Q {SELECT}").server_gets(f"P : {SELECT}", *UNIT)
    stage.server("1", "2", "T", "D 1", "C SELECT 1", "Z T").agent_gets("T", "D 1", "C SELECT 1", "Z T")
    stage.agent("Q COMMIT").server_gets("P : COMMIT", *UNIT)
    stage.server("1", "2", "n", "C COMMIT", "Z I").agent_gets("C COMMIT", "Z I")
    stage.agent(f"Q {SELECT}").server_gets(OPEN)
    assert stage.outcomes() == [(0, None), (1, None), (0, None)]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("ISOLATION LEVEL SERIALIZABLE, DEFERRABLE", ", ISOLATION LEVEL SERIALIZABLE, DEFERRABLE"),
        ("ISOLATION LEVEL REPEATABLE READ", ", ISOLATION LEVEL REPEATABLE READ"),
        ("READ WRITE", ""),
    ],
)
def test_the_isolation_that_begin_asks_for_is_kept(stage: Stage, asked: str, sent: str) -> None:
    """Level and deferrability, in our own words."""
    stage.agent(f"Q BEGIN {asked}").server_gets(f"Q BEGIN READ ONLY{sent}; SELECT 1")


def test_a_failed_transaction_is_the_agents_to_end(stage: Stage) -> None:
    """Z E goes to the agent, and nothing is opened inside."""
    in_transaction(stage)
    stage.agent(f"Q {SELECT}").server_gets(f"P : {SELECT}", *UNIT)
    stage.server("E 42P01", "Z E").agent_gets("E 42P01", "Z E")
    stage.agent("Q ROLLBACK").server_gets("P : ROLLBACK", *UNIT)
    stage.server("1", "2", "n", "C ROLLBACK", "Z I").agent_gets("C ROLLBACK", "Z I")


def test_control_outside_of_a_transaction_needs_none(stage: Stage) -> None:
    """COMMIT without BEGIN is a warning, as ever."""
    stage.agent("Q COMMIT").server_gets("P : COMMIT", *UNIT)
    stage.server("1", "2", "n", "N no transaction", "C COMMIT", "Z I")
    stage.agent_gets("N no transaction", "C COMMIT", "Z I")


def test_a_transaction_that_cannot_be_opened_ends_the_session(stage: Stage) -> None:
    """Nothing of the agent's was sent; the server's reason is relayed, and then ours."""
    stage.agent(f"Q {SELECT}").server("E 57014", "Z I").agent_gets("E 57014", "FATAL 57P01")
    stage.server_gets(OPEN)
    assert stage.over


# -- extended protocol ----------------------------------------------------------------------------------------


def pipeline(stage: Stage) -> Stage:
    """Parse to Sync in one go; after the transaction is open, up to the running Execute."""
    stage.agent(f"P a: {SELECT}", "B =a", "D P ", "E", "S").server_gets(OPEN)
    return stage.server(*OPENED).agent_gets().server_gets(f"P a: {SELECT}", "D S a", "B =a", "D P ", "E", "H")


def test_a_pipeline_runs_in_a_transaction_of_ours(stage: Stage) -> None:
    """Our Describe and our Flush stay hidden; Sync waits for the Execute, and our COMMIT follows it."""
    pipeline(stage)
    stage.server("1", "t", "T", "2", "T", "D 1", "C SELECT 1").agent_gets("1", "2", "T", "D 1", "C SELECT 1")
    stage.server_gets("S", CLOSE)
    stage.server("Z T").agent_gets()
    stage.server(*CLOSED).agent_gets("Z I")
    assert stage.outcomes() == [(1, None)]


def test_an_execute_that_fails_does_not_hold_the_agent_for_ever(stage: Stage) -> None:
    """The Sync that waited for it goes on, and the agent gets Z I."""
    pipeline(stage)
    stage.server("1", "t", "T", "2", "T", "E 22012").agent_gets("1", "2", "T", "E 22012")
    stage.server_gets("S", CLOSE)
    stage.server("Z E", "C ROLLBACK", "Z I").agent_gets("Z I")
    assert stage.outcomes() == [(None, "22012")]


def test_a_parse_that_fails_does_not_hold_the_agent_for_ever(stage: Stage) -> None:
    """The same where the server refuses earlier: what was skipped has an outcome too."""
    pipeline(stage)
    stage.server("E 42P01").agent_gets("E 42P01").server_gets("S", CLOSE)
    stage.server("Z E", "C ROLLBACK", "Z I").agent_gets("Z I")
    assert stage.outcomes() == [(None, "42P01")]


def test_a_portal_may_be_executed_in_parts(stage: Stage) -> None:
    """PortalSuspended ends an Execute, too."""
    stage.agent(f"P : {SELECT}", "B =", "E /1", "E /1", "S").server(*OPENED)
    stage.server("1", "t", "T", "2", "D 1", "s").agent_gets("1", "2", "D 1", "s")
    stage.server_gets(OPEN, f"P : {SELECT}", "D S ", "B =", "E /1", "H", "E /1", "H")
    stage.server("C SELECT 0").agent_gets("C SELECT 0").server_gets("S", CLOSE)


def test_a_begin_in_a_pipeline_makes_our_transaction_the_agents(stage: Stage) -> None:
    """Postgres warns that there is one already; the agent must not hear of it."""
    stage.agent("P : BEGIN", "B =", "E", f"P : {SELECT}", "B =", "E", "S").server(*OPENED)
    stage.server("1", "t", "n", "2", "N there is already a transaction in progress", "C BEGIN")
    stage.server("1", "t", "T", "2", "D 1", "C SELECT 1").server("Z T")
    stage.agent_gets("1", "2", "C BEGIN", "1", "2", "D 1", "C SELECT 1", "Z T")
    stage.new_server_bytes()
    stage.agent(f"Q {SELECT}").server_gets(f"P : {SELECT}", *UNIT)


def test_nothing_follows_a_commit_in_a_pipeline(stage: Stage) -> None:
    """It would run outside of the read-only transaction: refused, Sync aside."""
    in_transaction(stage)
    stage.agent("P : COMMIT", "B =", "E", f"P : {SELECT}", "B =", "E", "S")
    stage.server_gets("P : COMMIT", "D S ", "B =", "E", "H")
    stage.server("1", "t", "n", "2", "C COMMIT").server_gets("P !", "S")
    stage.server("E !", "Z I").agent_gets("1", "2", "C COMMIT", "E 0A000", "Z I")
    stage.agent(f"Q {SELECT}").server_gets(OPEN)


def test_a_commit_in_a_transaction_of_ours_ends_it(stage: Stage) -> None:
    """COMMIT without BEGIN, in a pipeline: our own COMMIT is then the one that warns."""
    stage.agent("P : COMMIT", "B =", "E", "S").server(*OPENED)
    stage.server("1", "t", "n", "2", "C COMMIT").server("Z I", "N no transaction", *CLOSED)
    stage.agent_gets("1", "2", "C COMMIT", "N no transaction", "Z I")


def test_describe_and_close_alone_need_a_transaction_too(stage: Stage) -> None:
    """Whatever the extended protocol does, it does inside."""
    stage.agent("C S a", "S").server_gets(OPEN)
    stage.server(*OPENED).server_gets("C S a", "S", CLOSE)
    stage.server("3", "Z T", *CLOSED).agent_gets("3", "Z I")


def test_a_lone_sync_needs_none(stage: Stage) -> None:
    """Nothing runs between two Syncs."""
    stage.agent("S").server_gets("S")
    stage.server("Z I").agent_gets("Z I")


def test_terminate_does_not_wait(stage: Stage) -> None:
    """An agent that leaves while something runs: what it had sent may finish, nothing is opened."""
    stage.agent("X")
    assert stage.over


def test_a_function_call_is_refused(stage: Stage) -> None:
    """As everywhere."""
    stage.agent("F").server_gets("Q !")
    stage.server("E !", "Z I").agent_gets("E 0A000", "Z I")


def test_parameters_that_change_are_relayed(stage: Stage) -> None:
    """Also in the middle of what the agent does not see."""
    stage.agent(f"Q {SELECT}").server("C BEGIN", "S TimeZone=UTC").agent_gets("S TimeZone=UTC")


@pytest.mark.parametrize(
    ("text", "described", "answer"),
    [("", "n", "I"), ("\n                SELECT\n                    set_config('jit', $1, false)\n                ",
                      "T", "C SELECT 1")],
    ids=["empty", "housekeeping"],
)  # fmt: skip
def test_what_has_no_facts_needs_no_proof(stage: Stage, text: str, described: str, answer: str) -> None:
    """Nothing at all, and a driver's own text: whatever it describes to and answers."""
    stage.agent(f"P : {text}", "B =", "E", "S").server(*OPENED).server("1", "t", described, "2", answer)
    stage.server("Z T", *CLOSED).agent_gets("1", "2", answer, "Z I")
    assert not stage.session.ended


# -- proof ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        ("1", "2", "n"),  # no rows described for a SELECT
        ("1", "2", "T", "C DELETE 1"),  # another tag
        ("1", "2", "T", "C SELECTED"),  # not even the tag's first word
        ("1", "2", "T", "C SELECT 1", "Z I"),  # the transaction is gone
        ("1", "2", "T", "C SELECT 1", "Z T", "C COMMIT", "Z T"),  # our COMMIT did not end it
        ("2",),  # out of order
    ],
    ids=str,
)
def test_what_does_not_fit_ends_the_session(stage: Stage, answers: tuple[str, ...]) -> None:
    """The server understood or ran something else than was judged: FATAL 57P01, and nothing more is sent."""
    stage.agent(f"Q {SELECT}").server(*OPENED).server(*answers)
    assert stage.new_agent_bytes().endswith(b"\0\0")
    assert stage.over
    assert stage.server_transport.aborted


def test_rows_from_a_statement_that_should_have_none_end_the_session(stage: Stage) -> None:
    """Our own Describe after each Parse is checked against the facts."""
    in_transaction(stage)
    stage.agent("P : COMMIT", "S").server("1", "t", "T")
    stage.agent_gets("1", "FATAL 57P01")
    assert stage.over


def test_a_transaction_that_nobody_opened_ends_the_session(stage: Stage) -> None:
    """Z T after a COMMIT that found none."""
    stage.agent("Q COMMIT").server("1", "2", "n", "C COMMIT", "Z T").agent_gets("C COMMIT", "FATAL 57P01")
    assert stage.over
