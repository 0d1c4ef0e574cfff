"""COPY FROM STDIN and COPY TO STDOUT, as transcripts: pending, active, failed; simple and extended."""

from __future__ import annotations

import pytest

from tests.proxy.conftest import SetStage
from tests.proxy.notation import agent_bytes, server_bytes
from tests.proxy.stage import RULES, Stage, bytewise

COPY = "COPY orders FROM STDIN"
EXTENDED = (f"P : {COPY}", "B =", "E")


def copying(stage: Stage) -> Stage:
    """In the middle of a simple COPY FROM STDIN."""
    stage.agent(f"Q {COPY}").server_gets(f"Q {COPY}")
    return stage.server("G").agent_gets("G")


def test_a_copy_runs_from_begin_to_end(stage: Stage) -> None:
    """Data and CopyDone go on byte for byte; the row count is on record."""
    copying(stage).agent("d 1", "d 2", "c").server_gets("d 1", "d 2", "c")
    stage.server("C COPY 2", "Z I").agent_gets("C COPY 2", "Z I")
    assert stage.outcomes() == [(2, None)]
    stage.agent("Q SELECT 1").server_gets("Q SELECT 1")


def test_a_copy_may_be_given_up(stage: Stage) -> None:
    """CopyFail goes on, and so does the server's error."""
    copying(stage).agent("d 1", "f because").server_gets("d 1", "f because")
    stage.server("E 57014", "Z I").agent_gets("E 57014", "Z I")
    assert stage.outcomes() == [(None, "57014")]


def test_what_follows_a_copy_waits_until_the_server_has_agreed(stage: Stage) -> None:
    """Data that was sent blindly is held, not lost."""
    stage.agent(f"Q {COPY}", "d 1", "c", "Q SELECT 1").server_gets(f"Q {COPY}")
    stage.server("G").server_gets("d 1", "c", "Q SELECT 1")
    stage.server("C COPY 1", "Z I", "T", "C SELECT 1", "Z I")
    stage.agent_gets("G", "C COPY 1", "Z I", "T", "C SELECT 1", "Z I")


def test_data_for_a_copy_that_the_server_refused_is_dropped(stage: Stage) -> None:
    """As Postgres drops it; what follows is relayed again."""
    stage.agent(f"Q {COPY}", "d 1", "c", "Q SELECT 1").server("E 42P01", "Z I").agent_gets("E 42P01", "Z I")
    stage.server_gets(f"Q {COPY}", "Q SELECT 1")


def test_data_that_was_on_its_way_when_a_copy_failed_is_dropped(stage: Stage) -> None:
    """Also after the server's ReadyForQuery, and the end of the COPY with it."""
    copying(stage).agent("d bad").server("E 22P02", "Z I").agent_gets("E 22P02", "Z I")
    stage.agent("d 2", "d 3", "c").server_gets("d bad")
    stage.agent("d 4", "f why", "Q SELECT 1").server_gets("Q SELECT 1")


def test_data_for_a_copy_that_we_refused_is_dropped(stage: Stage) -> None:
    """A client that does not wait for CopyInResponse gets its error, and the session goes on."""
    stage.agent("Q COPY secret FROM STDIN; SELECT x FROM secret", "d 1", "c").server_gets("Q !")
    stage.server("E !", "Z I").agent_gets("E 42501", "Z I")
    stage.agent("Q SELECT 1").server_gets("Q SELECT 1")


def test_an_error_of_an_earlier_query_is_not_the_copys(stage: Stage) -> None:
    """What was held stays held until the COPY itself is answered."""
    stage.agent("Q SELECT x FROM orders", f"Q {COPY}", "d 1", "c")
    stage.server("E 42P01", "Z I").server_gets("Q SELECT x FROM orders", f"Q {COPY}")
    stage.server("G").server_gets("d 1", "c").agent_gets("E 42P01", "Z I", "G")


def test_two_copies_in_one_query_are_fed_one_after_the_other(stage: Stage) -> None:
    """Data for the second waits for its own CopyInResponse."""
    stage.agent(f"Q {COPY}; {COPY}", "d 1", "c", "d 2", "c", "Q SELECT 1").server("G")
    stage.server_gets(f"Q {COPY}; {COPY}", "d 1", "c")
    stage.server("C COPY 1", "G").server_gets("d 2", "c", "Q SELECT 1")
    stage.server("C COPY 1", "Z I").agent_gets("G", "C COPY 1", "G", "C COPY 1", "Z I")
    assert stage.outcomes() == [(2, None)]


def test_an_error_ends_all_copies_of_a_query(stage: Stage) -> None:
    """Nothing waits for a second one that will never come."""
    stage.agent(f"Q {COPY}; {COPY}", "d 1", "c", "Q SELECT 1").server("G")
    stage.server_gets(f"Q {COPY}; {COPY}", "d 1", "c")
    stage.server("E 22P02", "Z I").server_gets("Q SELECT 1")


# -- extended protocol ----------------------------------------------------------------------------------------


def test_a_sync_before_the_data_is_ignored_as_the_server_would(stage: Stage) -> None:
    """libpq sends one with the Execute and another one after CopyDone: one ReadyForQuery is due."""
    stage.agent(*EXTENDED, "S").server_gets(*EXTENDED)
    stage.server("1", "2", "G").agent_gets("1", "2", "G").server_gets()
    stage.agent("d 1", "H", "S", "c", "S").server_gets("d 1", "c", "S")
    stage.server("C COPY 1", "Z I").agent_gets("C COPY 1", "Z I")
    stage.agent("Q SELECT 1").server_gets("Q SELECT 1")


def test_a_sync_after_a_copy_that_was_refused_counts(stage: Stage) -> None:
    """Held until the error, then sent on: the server skips to it."""
    stage.agent(*EXTENDED, "S").server("1", "2", "E 42501").server_gets(*EXTENDED, "S")
    stage.server("Z I").agent_gets("1", "2", "E 42501", "Z I")
    assert stage.outcomes() == [(None, "42501")]


def test_a_copy_that_fails_on_the_way_skips_to_sync(stage: Stage) -> None:
    """Data, CopyDone and what follows are dropped up to the Sync."""
    stage.agent(*EXTENDED).server("1", "2", "G").agent("d bad").server("E 22P02")
    stage.agent("d 2", "c", "P : SELECT 1", "S").server_gets(*EXTENDED, "d bad", "S")
    stage.server("Z I").agent_gets("1", "2", "G", "E 22P02", "Z I")


def test_an_error_before_the_copys_own_pipeline_is_not_its_own(stage: Stage) -> None:
    """Skipping ends at the Sync in between, and the COPY still comes."""
    stage.agent("P : SELECT 1", "S", *EXTENDED, "d 1", "c", "S").server("E 42P01", "Z I")
    stage.server_gets("P : SELECT 1", "S", *EXTENDED)
    stage.server("1", "2", "G").server_gets("d 1", "c", "S")


# -- lengths --------------------------------------------------------------------------------------------------


def test_a_long_piece_of_data_is_streamed(stage: Stage) -> None:
    """It is not held until it is whole."""
    copying(stage)
    data = agent_bytes("d " + "x" * 1000)
    stage.agent_raw(data[:500])
    assert stage.new_server_bytes() == data[:500]
    stage.agent_raw(data[500:] + agent_bytes("c"))
    assert stage.new_server_bytes() == data[500:] + agent_bytes("c")


def test_the_rest_of_a_piece_goes_on_although_the_copy_failed(stage: Stage) -> None:
    """Its beginning has been sent: the server must see the whole message."""
    copying(stage)
    data = agent_bytes("d " + "x" * 1000)
    stage.agent_raw(data[:500]).server("E 22P02", "Z I").agent_raw(data[500:]).agent("Q SELECT 1")
    assert stage.new_server_bytes() == data + agent_bytes("Q SELECT 1")


def test_the_rest_of_a_dropped_piece_is_dropped(stage: Stage) -> None:
    """And nothing of what follows it."""
    data = agent_bytes("d " + "x" * 1000)
    stage.agent_raw(data[:500]).agent_raw(data[500:]).agent("Q SELECT 1").server_gets("Q SELECT 1")


@pytest.mark.parametrize("ending", ["none", "pending", "active"])
def test_an_overlong_query_in_any_state_of_a_copy(set_stage: SetStage, ending: str) -> None:
    """Refused where a Query may come, held where it may not yet, and fatal in the middle of the data."""
    stage = set_stage(delivery=bytewise, sql_bytes=1000)
    long = "Q SELECT " + "x" * 1500
    if ending == "active":
        copying(stage).agent(long).agent_gets("FATAL 08P01")
        assert stage.over
        return
    if ending == "pending":
        stage.agent(f"Q {COPY}", long).server_gets(f"Q {COPY}")
        stage.server("E 42P01", "Z I").agent_gets("E 42P01", "Z I")
    else:
        stage.agent(long)
    stage.server_gets("Q !").server("E !", "Z I").agent_gets("E 0A000", "Z I")
    stage.agent("Q SELECT 1").server_gets("Q SELECT 1")


# -- what does not fit ----------------------------------------------------------------------------------------


def test_another_message_in_the_middle_of_the_data_ends_the_session(stage: Stage) -> None:
    """The server would have lost its place, too; none of it is sent."""
    copying(stage).agent("Q DELETE FROM orders").agent_gets("FATAL 08P01").server_gets()
    assert stage.over


def test_leaving_in_the_middle_of_a_copy_reaches_the_server(stage: Stage) -> None:
    """Terminate goes on, and the server rolls back."""
    copying(stage).agent("d 1", "X").server_gets("d 1", "X")
    stage.agent_leaves()
    assert not stage.session.ended
    stage.server_leaves()
    assert stage.over


def test_leaving_while_a_copy_is_not_answered_does_not_wait(stage: Stage) -> None:
    """Terminate is no message that a COPY would hold up."""
    stage.agent(f"Q {COPY}", "X").server_gets(f"Q {COPY}", "X")


@pytest.mark.parametrize(
    "answers", [("C COPY 0", "Z I"), ("G", "Z I"), ("G", "G"), ("G", "C COPY 0", "Z I")], ids=str
)
def test_a_copy_that_is_not_answered_as_one_ends_the_session(stage: Stage, answers: tuple[str, ...]) -> None:
    """No CopyInResponse, or an end before ours: the session has lost step."""
    stage.agent(f"Q {COPY}").server(*answers)
    assert stage.over


def test_a_copy_in_that_nobody_asked_for_ends_the_session(stage: Stage) -> None:
    """Only a statement whose facts say so may ask for data."""
    stage.agent("Q SELECT 1").server("G").agent_gets("FATAL 57P01")
    assert stage.over


# -- COPY TO --------------------------------------------------------------------------------------------------


def test_a_copy_out_is_relayed_as_it_comes(stage: Stage) -> None:
    """Long data is not held until it is whole."""
    data = server_bytes("d " + "x" * 1000)
    stage.agent("Q SELECT x FROM orders").server("H").server_raw(data[:500])
    assert stage.new_agent_bytes() == server_bytes("H") + data[:500]
    stage.server_raw(data[500:]).server("c", "C COPY 1", "Z I")
    assert stage.new_agent_bytes() == data[500:] + server_bytes("c", "C COPY 1", "Z I")
    assert stage.outcomes() == [(1, None)]


def test_a_copy_out_is_cut_at_the_row_limit(set_stage: SetStage) -> None:
    """Its rows count like any others."""
    rules = RULES.replace("    access: read-write", "    access: read-write\n    limits: {max_rows: 2}")
    stage = set_stage(rules=rules)
    stage.agent("Q SELECT x FROM orders").server("H", "d 1", "d 2", "d 3", "d 4").agent_gets(
        "H", "d 1", "d 2"
    )
    assert len(stage.firewall.cancelled) == 1
    stage.server("E 57014", "Z I").agent_gets("E 53400", "Z I")
