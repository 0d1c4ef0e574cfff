"""Agent → server, as transcripts: what goes on, what is replaced, what is held."""

from __future__ import annotations

import pytest

from dbfirewall.proxy import agent_stream
from tests.proxy.conftest import SetStage
from tests.proxy.notation import agent_bytes, agent_texts
from tests.proxy.stage import Stage, bytewise, whole

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
        "1", "Z I", "1", "2", "3", "1", "E 0A000", "Z I"
    )


def test_a_portal_outlives_the_end_of_an_earlier_pipeline(stage: Stage) -> None:
    """ReadyForQuery for what came before says nothing about what was bound since."""
    stage.agent("P a: SELECT 1", "B =a", "E", "S", "B =a").server("1", "2", "C SELECT 1", "Z I")
    stage.agent("E", "S").server_gets("P a: SELECT 1", "B =a", "E", "S", "B =a", "E", "S")
    stage.server("2", "C SELECT 1", "Z I").agent_gets("1", "2", "C SELECT 1", "Z I", "2", "C SELECT 1", "Z I")


def test_a_portal_ends_with_its_transaction(stage: Stage) -> None:
    """Executed afterwards it is unknown, and the server is not even asked."""
    stage.agent("P a: SELECT 1", "B p=a", "S").server("1", "2", "Z I").agent("E p", "S")
    stage.server_gets("P a: SELECT 1", "B p=a", "S", "P !", "S")
    stage.server("E !", "Z I").agent_gets("1", "2", "Z I", "E 34000", "Z I")


def test_names_that_mean_nothing_are_refused_as_postgres_does(stage: Stage) -> None:
    """26000 for a statement, named or not, and 34000 for a portal; each is on record."""
    for message, state in (("B =a", "26000"), ("B =", "26000"), ("E p", "34000")):
        stage.agent(message, "S").server_gets("P !", "S").server("E !", "Z I").agent_gets(f"E {state}", "Z I")
    assert [record["sqlstate"] for record in stage.audit()] == ["26000", "26000", "34000"]


def test_a_name_that_may_have_two_meanings_is_judged_once_it_is_settled(stage: Stage) -> None:
    """A Parse that the server may have refused does not hide what the name meant before: the hole to close."""
    stage.agent("P a: DELETE FROM orders", "S").server("1", "Z I")
    stage.agent("P a: SELECT 1", "S", "B =a", "E", "S")
    stage.server_gets("P a: DELETE FROM orders", "S", "P a: SELECT 1", "S")
    stage.server("E 42P05", "Z I").server_gets("P !", "S")
    stage.server("E !", "Z I").agent_gets("1", "Z I", "E 42P05", "Z I", "E ZG001", "Z I")


def test_a_pipeline_of_unnamed_statements_may_be_long(stage: Stage) -> None:
    """In one pipeline a Bind can only mean the Parse before it."""
    unit = ("P : SELECT 1", "B =", "E")
    stage.agent(*unit * 30, "S").server_gets(*unit * 30, "S")
    stage.server(*("1", "2", "C SELECT 1") * 30, "Z I").agent_gets(*("1", "2", "C SELECT 1") * 30, "Z I")


@pytest.mark.parametrize(
    "drop", [["C S a", "S"], ["Q DEALLOCATE a"], ["Q DEALLOCATE ALL"], ["Q DISCARD ALL"]]
)
def test_a_dropped_statement_is_forgotten(stage: Stage, drop: list[str]) -> None:
    """By Close or by SQL; a new one of that name is judged alone."""
    answers = {"C S a": ["3"], "Q DEALLOCATE a": ["C DEALLOCATE"], "Q DEALLOCATE ALL": ["C DEALLOCATE ALL"],
               "Q DISCARD ALL": ["C DISCARD ALL"]}  # fmt: skip
    stage.agent("P a: DELETE FROM orders", "S").server("1", "Z I")
    stage.agent(*drop).server(*answers[drop[0]], "Z I").new_server_bytes()
    assert len(stage.session.names) == 0
    stage.agent("P a: SELECT 1", "S", "B =a", "S").server_gets("P a: SELECT 1", "S", "B =a", "S")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("DEALLOCATE a", "E 26000"),
        ("DEALLOCATE a; SELECT 1", "C DEALLOCATE"),
        ("DISCARD ALL", "C DISCARD PLANS"),
    ],
)
def test_what_may_not_be_dropped_is_not_forgotten(stage: Stage, text: str, answer: str) -> None:
    """Where the server's answer leaves it open, the name keeps its meaning."""
    stage.agent("P a: SELECT 1", "S").server("1", "Z I").agent(f"Q {text}").server(answer, "Z I")
    assert len(stage.session.names) == 1


def test_prepared_statements_of_sql_and_protocol_share_their_names(stage: Stage) -> None:
    """PREPARE and Bind, Parse and EXECUTE."""
    stage.agent("Q PREPARE a AS SELECT 1", "B =a", "E", "S", "P b: DELETE FROM orders", "S", "Q EXECUTE b")
    stage.server_gets(
        "Q PREPARE a AS SELECT 1", "B =a", "E", "S", "P b: DELETE FROM orders", "S", "Q !"
    )  # fmt: skip


def test_too_many_prepared_statements_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Parse, by PREPARE and by a Bind of a PREPARE: 53400, and the session goes on."""
    stage.agent("P p: PREPARE a AS SELECT 1", "S").server("1", "Z I").new_server_bytes()
    monkeypatch.setattr(stage.session.names, "MAX_BYTES", 500)
    stage.agent("P b: SELECT 1", "S", "Q PREPARE a AS SELECT 1", "B =p", "S").server_gets(
        "P !", "S", "Q !", "P !", "S"
    )
    stage.server("E !", "Z I", "E !", "Z I", "E !", "Z I")
    stage.agent_gets("1", "Z I", *["E 53400", "Z I"] * 3)


def test_too_many_portals_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """53400, and the session goes on."""
    monkeypatch.setattr("dbfirewall.proxy.agent_side.MAX_PORTALS", 1)
    stage.agent("P a: SELECT 1", "B p=a", "B q=a", "S").server_gets("P a: SELECT 1", "B p=a", "P !", "S")
    stage.server("1", "2", "E !", "Z I").agent_gets("1", "2", "E 53400", "Z I")


# -- pipelines ------------------------------------------------------------------------------------------------


def test_after_a_refusal_nothing_is_sent_before_the_next_sync(stage: Stage) -> None:
    """The server would skip it all; what is skipped is neither judged nor on record."""
    skipped = ("P : SELECT 1", "B =", "E", "D P ", "C S a", "Q SELECT 1", "F", "d x", "H")
    stage.agent("P : DELETE FROM secret", *skipped, "S", "Q SELECT 2")
    stage.server_gets("P !", "H", "S", "Q SELECT 2")
    assert stage.decisions() == [("DELETE FROM secret", "deny"), ("SELECT 2", "allow")]


def test_after_an_error_nothing_is_sent_before_the_next_sync(stage: Stage) -> None:
    """The same where the server was the one to refuse; a Parse that is skipped changes no name."""
    stage.agent("P a: DELETE FROM orders", "S").server("1", "Z I").new_server_bytes()
    stage.agent("P b: SELECT 1", "H").server("E 42601").agent("P a: SELECT 1", "B =b", "S").server("Z I")
    stage.server_gets("P b: SELECT 1", "H", "S")
    stage.agent("B =a", "S").server_gets("P !", "S")


def test_a_refused_query_does_not_stop_a_pipeline(stage: Stage) -> None:
    """An error of a simple Query skips nothing."""
    stage.agent("Q DELETE FROM secret", "P : SELECT 1", "B =", "E", "S")
    stage.server_gets("Q !", "P : SELECT 1", "B =", "E", "S")


@pytest.mark.parametrize("describe", [["D P "], []], ids=["described", "plain"])
def test_the_usual_tail_of_a_bind_is_settled_like_any_other(stage: Stage, describe: list[str]) -> None:
    """Bind, Describe, Execute and Sync in one piece, and again with a named portal, answer by answer."""
    unit = ("B =a", *describe, "E", "S", "B p=a", "D P p", "E p", "S")
    stage.agent("P a: SELECT 1", *unit).server_gets("P a: SELECT 1", *unit)
    described = ("T",) if describe else ()
    answers = ("1", "2", *described, "D 1", "C SELECT 1", "Z I", "2", "T", "D 1", "C SELECT 1", "Z I")
    stage.server(*answers).agent_gets(*answers)
    assert stage.outcomes() == [(1, None), (1, None)]
    assert stage.session.idle


def test_flush_goes_on(stage: Stage) -> None:
    """It has no answer."""
    stage.agent("P : SELECT 1", "D S ", "H").server_gets("P : SELECT 1", "D S ", "H")
    stage.server("1", "t", "T").agent_gets("1", "t", "T")
    assert stage.session.idle


def test_parameters_are_on_record_as_a_digest(stage: Stage) -> None:
    """Of exactly the bytes that were bound; none where there are none."""
    stage.agent("P a: SELECT 1", "B =a(x,y)", "B =a", "S").server_gets(
        "P a: SELECT 1", "B =a(x,y)", "B =a", "S"
    )
    digests = [record["params_sha256"] for record in stage.audit()]
    assert len(digests[0]) == 64
    assert digests[1] is None


def test_a_flood_of_messages_waits_for_its_answers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server has not answered is remembered here: so much of it, and no more is read."""
    for module in ("agent_stream", "server_side"):
        monkeypatch.setattr(f"dbfirewall.proxy.{module}.MAX_PENDING", 10)
    stage.agent(*["S"] * 11).agent(*["S"] * 6)
    assert not stage.agent_transport.is_reading()
    stage.server_gets(*["S"] * 11)
    stage.server(*["Z I"] * 6).server_gets()
    stage.server("Z I").server_gets(*["S"] * 6)
    assert stage.agent_transport.is_reading()


# -- the fast-path function call ------------------------------------------------------------------------------


def test_a_function_call_is_refused(stage: Stage) -> None:
    """It carries no SQL that could be judged."""
    stage.agent("F").server_gets("Q !").server("E !", "Z I").agent_gets("E 0A000", "Z I")
    assert stage.audit()[0]["sqlstate"] == "0A000"


# -- what is malformed, or too long ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"!\0\0\0\4",
        b"p\0\0\0\4",
        b"!\0\0\0\x09",
        b"Q\0\0\0\3",
        b"Q\0\0\0\4",
        b"Q\0\0\0\6ab",
        b"S\0\0\0\5x",
        b"H\0\0\0\5x",
        b"B\0\0\0\4",
        b"B\0\0\0\6x\0",
        b"P\0\0\0\5\0",
        b"E\0\0\0\5\0",
        b"D\0\0\0\6X\0",
        b"C\0\0\0\5S",
        b"E\x10\0\0\0",
        b"B\x7f\xff\xff\xff",
        b"Q\x7f\xff\xff\xff",
    ],
)
def test_what_is_malformed_ends_the_session(stage: Stage, data: bytes) -> None:
    """08P01, and nothing of it reaches the server."""
    stage.agent_raw(data).agent_gets("FATAL 08P01")
    assert stage.new_server_bytes() in (b"", b"X\0\0\0\4")
    assert stage.over


@pytest.mark.parametrize("message", ["Q {}", "P : {}"])
def test_an_overlong_text_is_refused_as_it_streams_in(set_stage: SetStage, message: str) -> None:
    """The poison takes its place at once, and its rest is dropped, whatever follows and however it was cut."""
    for delivery in (whole, bytewise):
        stage = set_stage(delivery=delivery, sql_bytes=1000)
        long = agent_bytes(message.format("SELECT " + "x" * 2000))
        after = () if message[0] == "Q" else ("S",)
        stage.agent_raw(long[:500]).agent_raw(long[500:]).agent(*after, "Q SELECT 1")
        stage.server_gets(message[0] + " !", *after, "Q SELECT 1")
        stage.server("E !", "Z I").agent_gets("E 0A000", "Z I")


def test_an_overlong_text_that_would_be_skipped_is_dropped(set_stage: SetStage) -> None:
    """No second poison within one pipeline."""
    stage = set_stage(delivery=bytewise, sql_bytes=1000)
    stage.agent("P : DELETE FROM secret", "P : SELECT " + "x" * 2000, "S").server_gets("P !", "S")


def test_a_long_bind_is_held_until_it_is_whole(stage: Stage) -> None:
    """Parameters may be long; they are forwarded as one message."""
    bind = "B =a(" + "x" * 5000 + ")"
    stage.agent("P a: SELECT 1").new_server_bytes()
    data = agent_bytes(bind)
    stage.agent_raw(data[:4000]).server_gets().agent_raw(data[4000:]).server_gets(bind)


def test_messages_that_end_in_the_middle_of_a_chunk_wait_for_their_rest(stage: Stage) -> None:
    """What is complete goes on meanwhile."""
    data = agent_bytes("Q SELECT 1", "Q SELECT 2")
    stage.agent_raw(data[:-3]).server_gets("Q SELECT 1").agent_raw(data[-3:]).server_gets("Q SELECT 2")


def test_a_flood_is_worked_through_in_turns(set_stage: SetStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives at once goes on a little at a time, in order and whole: here one message each turn."""
    monkeypatch.setattr(agent_stream, "TURN", 0.0)
    stage = set_stage()
    texts = [f"Q SELECT {number}" for number in range(5)] + ["P a: SELECT 1", "B =a", "E", "S", "Q SELECT 6"]
    data = agent_bytes(*texts)
    stage.agent_peer.data_received(data[:-3])
    turns = [agent_texts(stage.new_server_bytes())]
    while stage.firewall.later:
        stage.firewall.later.pop(0)()
        turns.append(agent_texts(stage.new_server_bytes()))
    assert turns == [[text] for text in texts[:6]] + [["B =a", "E", "S"]]
    stage.agent_peer.data_received(data[-3:])
    stage.server_gets(texts[-1])
    assert not stage.firewall.later


def test_a_flood_that_ends_the_session_goes_no_further(
    set_stage: SetStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for its turn then is dropped."""
    monkeypatch.setattr(agent_stream, "TURN", 0.0)
    stage = set_stage()
    stage.agent_peer.data_received(agent_bytes(*["Q SELECT 1"] * 1000))
    stage.session.end()
    sent = stage.server_transport.sent[:]
    stage.firewall.later.pop(0)()
    stage._pump()
    assert stage.over
    assert stage.server_transport.sent == sent
