"""What both directions share: how a session is judged again, and how it ends, once and completely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

import pytest

from dbfirewall.errors import AuditError, ProtocolError
from dbfirewall.proxy.agent_stream import MAX_KEPT
from dbfirewall.sql.reading import Reading
from tests.proxy.conftest import SetStage
from tests.proxy.notation import agent_texts
from tests.proxy.stage import RULES, Stage, bytewise

READER = RULES.replace("allow: [select, insert,", "allow: [select,")
"""The writer may not insert any more."""


# -- rules that change ----------------------------------------------------------------------------------------


def test_a_prepared_statement_is_judged_again_after_a_reload(stage: Stage) -> None:
    """Parsed under the old rules, bound under the new ones: refused."""
    stage.agent("P a: INSERT INTO orders", "S").server("1", "Z I").reload(READER)
    stage.agent("B =a", "E", "S").server_gets("P a: INSERT INTO orders", "S", "P !", "S")
    stage.server("E !", "Z I").agent_gets("1", "Z I", "E 42501", "Z I")
    assert stage.decisions() == [("INSERT INTO orders", "deny")]


def test_a_bound_portal_is_judged_again_after_a_reload(stage: Stage) -> None:
    """Bound under the old rules, executed under the new ones: refused."""
    stage.agent("P : INSERT INTO orders", "B p=", "H").server("1", "2").reload(READER)
    stage.agent("E p", "S").server_gets("P : INSERT INTO orders", "B p=", "H", "P !", "S")
    stage.server("E !", "Z I").agent_gets("1", "2", "E 42501", "Z I")


def test_a_portal_that_the_new_rules_allow_runs(stage: Stage) -> None:
    """And is not judged a third time."""
    stage.agent("P : SELECT x FROM orders", "B p=", "H").reload(READER)
    stage.agent("E p/1", "E p/1", "S")
    stage.server_gets("P : SELECT x FROM orders", "B p=", "H", "E p/1", "E p/1", "S")


def test_sql_execute_is_judged_by_the_new_rules(stage: Stage) -> None:
    """EXECUTE of what was prepared before."""
    stage.agent("Q PREPARE a AS INSERT INTO orders", "Q EXECUTE a").reload(READER).agent("Q EXECUTE a")
    stage.server_gets("Q PREPARE a AS INSERT INTO orders", "Q EXECUTE a", "Q !")


def test_the_new_row_limit_counts_at_once(stage: Stage) -> None:
    """Also for a session that began without one."""
    stage.reload(RULES.replace("    access: read-write", "    access: read-write\n    limits: {max_rows: 1}"))
    stage.agent("Q SELECT x FROM orders").server("T", "D 1", "D 2").agent_gets("T", "D 1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  bot: {role: ROLE,", "  other: {role: ROLE,"),
        ("  bot: {role: ROLE,", "  bot: {role: reader,"),
        ("access: read-write\n", "access: read-write\n    search_path: [reporting]\n"),
        ("access: read-write\n", "access: read-write\n    limits: {statement_timeout: 1s}\n"),
        ("    access: read-write\n", "    access: read-only\n"),
        ("127.0.0.1:1/shop", "127.0.0.1:2/shop"),
        ("writer: {user: w}", "writer: {user: other}"),
    ],
    ids=["agent", "role", "search_path", "timeout", "access", "server", "login"],
)
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_session_ends_when_what_it_stands_on_changes(
    stage: Stage, before: str, after: str, *, busy: bool
) -> None:
    """Its pins were settled with the server when it began; it could only go on with the old ones."""
    assert RULES.count(before) >= 1
    if busy:
        stage.agent("Q SELECT x FROM orders")
    stage.reload(RULES.replace(before, after, 1)).agent_gets("FATAL 57P01")
    assert stage.over
    assert len(stage.firewall.cancelled) == busy


def test_a_session_ends_when_its_database_is_gone(stage: Stage) -> None:
    """And what it was running is cancelled on the server where it runs."""
    rules = RULES.replace("  shop:", "  store:").replace("database: shop", "database: store")
    stage.agent("Q SELECT x FROM orders").reload(rules).agent_gets("FATAL 57P01")
    assert stage.over
    assert stage.firewall.cancelled == [None]


# -- long texts -----------------------------------------------------------------------------------------------


def test_a_long_text_waits_for_a_worker(stage: Stage) -> None:
    """What follows waits behind it; then all goes on in order."""
    stage.agent("Q SELECT 1", "Q LONG SELECT x FROM orders", "Q SELECT 2").server_gets("Q SELECT 1")
    assert [text for _, text, _ in stage.firewall.to_read] == [b"LONG SELECT x FROM orders"]
    stage.worker_reads().server_gets("Q LONG SELECT x FROM orders", "Q SELECT 2")
    assert stage.agent_transport.is_reading()


def test_so_much_is_read_ahead_and_no_more(set_stage: SetStage) -> None:
    """While its stream is held an agent may send on, up to a limit; then it is read again when it goes on."""
    stage = set_stage()
    stage.agent("Q LONG SELECT x FROM orders").agent(*["Q SELECT 2"] * 10)
    assert stage.agent_transport.is_reading()
    stage.agent("Q SELECT '" + "x" * MAX_KEPT + "'")
    assert not stage.agent_transport.is_reading()
    stage.worker_reads()
    assert stage.agent_transport.is_reading()
    assert len(agent_texts(stage.new_server_bytes())) == 12


def test_an_agent_that_leaves_while_it_is_held_is_noticed(stage: Stage) -> None:
    """Whatever it is held for: its session ends at once."""
    stage.agent("Q LONG SELECT x FROM orders").agent_leaves()
    assert stage.over


@pytest.mark.parametrize(
    "messages", [["Q LONG DELETE FROM secret"], ["P : LONG DELETE FROM secret", "S"]], ids=["Q", "P"]
)
def test_a_long_text_may_be_denied(stage: Stage, messages: list[str]) -> None:
    """The worker's reading is judged like any other."""
    stage.agent(*messages).server_gets().worker_reads()
    assert agent_texts(stage.new_server_bytes())[0] in ("Q !", "P !")


def test_a_long_statement_is_read_again_when_the_rules_changed(stage: Stage) -> None:
    """At Bind and at Execute."""
    text = "LONG SELECT x FROM orders"
    stage.agent(f"P a: {text}").worker_reads().agent("S").reload(RULES).agent("B =a", "H")
    stage.server_gets(f"P a: {text}", "S")
    stage.worker_reads().reload(RULES).agent("E", "S").server_gets("B =a", "H")
    stage.worker_reads().server_gets("E", "S")
    assert stage.firewall.to_read == []


def test_a_reading_that_is_judged_by_old_rules_is_not_used(stage: Stage) -> None:
    """The rules changed while the worker's reading was judged: it is read once more."""
    stage.agent("Q LONG INSERT INTO orders")
    old, (_, sql, resume) = stage.session.judge, stage.firewall.to_read.pop()
    stage.reload(READER)
    verdict = old.judge_reading(sql, Reading(), stage.session.facts)
    stage.session.take_verdict(sql, old, verdict)
    resume()
    stage.server_gets().worker_reads().server_gets("Q !")


def test_a_reading_is_used_for_one_message_only(stage: Stage) -> None:
    """What EXECUTE amounts to may differ for the next Bind, in the same chunk."""
    stage.agent("P a: SELECT 1", "S", "P b: LONG EXECUTE a", "S").worker_reads().server(
        "1", "Z I", "1", "Z I"
    )
    stage.agent("B =b", "C S a", "P a: DELETE FROM orders", "B =b", "S").worker_reads()
    stage.new_server_bytes()
    stage.worker_reads().server_gets("P !", "S")


def test_sql_execute_of_a_text_that_must_be_read_again_is_refused(stage: Stage) -> None:
    """Better than to guess; the agent may bind it instead."""
    stage.agent("P a: LONG SELECT 1", "S").worker_reads().reload(RULES).agent("Q EXECUTE a")
    stage.server_gets("P a: LONG SELECT 1", "S", "Q !")


def test_executes_in_a_circle_are_refused(stage: Stage) -> None:
    """EXECUTE of an EXECUTE is not followed: it could have no end."""
    stage.agent("P b: SELECT 1", "P a: EXECUTE b", "S", "C S b", "P b: EXECUTE a", "S")
    stage.server("1", "1", "Z I", "3")
    assert "P !" in agent_texts(stage.new_server_bytes())
    assert not stage.session.ended


# -- the end --------------------------------------------------------------------------------------------------


def test_terminate_ends_an_idle_session(stage: Stage) -> None:
    """The server gets a Terminate of ours, and both connections close."""
    stage.agent("Q SELECT 1").server("C SELECT 1", "Z I").agent("X").server_gets("Q SELECT 1", "X")
    assert stage.over
    assert not stage.server_transport.aborted
    assert [record["error"] for record in _ends(stage)] == [None]


def test_terminate_in_a_transaction_cancels_nothing(stage: Stage) -> None:
    """Nothing runs: the server rolls back by itself."""
    stage.agent("Q BEGIN").server("C BEGIN", "Z T").agent("X").server_gets("Q BEGIN", "X")
    assert stage.over
    assert stage.firewall.cancelled == []


def test_after_terminate_what_was_sent_may_finish(stage: Stage) -> None:
    """The agent is gone; the server does what it was asked, and then closes."""
    stage.agent("Q INSERT INTO orders", "X").server_gets("Q INSERT INTO orders", "X").agent_leaves()
    assert not stage.session.ended
    stage.server("C INSERT 0 1", "Z I").server_leaves()
    assert stage.over
    assert stage.firewall.cancelled == []


def test_a_lost_agent_takes_its_statement_with_it(stage: Stage) -> None:
    """Without a Terminate: cancelled and aborted, so that no backend is left behind."""
    stage.agent("Q SELECT x FROM orders").agent_leaves()
    assert stage.over
    assert stage.server_transport.aborted
    assert len(stage.firewall.cancelled) == 1


def test_a_lost_agent_with_nothing_running_leaves_politely(stage: Stage) -> None:
    """There is nothing to cancel."""
    stage.agent_leaves().server_gets("X")
    assert stage.over
    assert stage.firewall.cancelled == []


def test_what_waits_for_a_server_that_does_not_read_is_dropped(stage: Stage) -> None:
    """A queue that nobody takes must not keep the connection, and with it a backend."""
    stage.server_transport.queued = 1
    stage.agent_leaves()
    assert stage.server_transport.aborted


def test_a_lost_server_ends_the_session(stage: Stage) -> None:
    """What it said last has been relayed; there is nobody to cancel anything."""
    stage.agent("Q SELECT x FROM orders").server("FATAL 57P01").server_leaves().agent_gets("FATAL 57P01")
    assert stage.over
    assert stage.firewall.cancelled == []


def test_a_session_ends_once(stage: Stage) -> None:
    """Whoever ends it first; what comes later changes nothing, and nothing is counted twice."""
    stage.agent("X").agent_leaves().server_leaves()
    stage.session.end(b"again")
    stage.session.drain()
    assert stage.over
    assert len(_ends(stage)) == 1
    stage.agent_peer.data_received(b"late")
    assert stage.firewall.metrics.sessions.cell("writer").value == 0


def test_draining_lets_a_session_finish(stage: Stage) -> None:
    """Idle: now. Busy: when its transaction is over, with what it was told before."""
    stage.agent("Q BEGIN", "Q SELECT 1").server("C BEGIN", "Z T")
    stage.firewall.draining = True
    stage.server("D 1", "C SELECT 1", "Z T")
    assert not stage.session.ended
    stage.agent("Q COMMIT").server("C COMMIT", "Z I")
    stage.agent_gets("C BEGIN", "Z T", "D 1", "C SELECT 1", "Z T", "C COMMIT", "Z I", "FATAL 57P01")
    assert stage.over


def test_nothing_is_forwarded_when_the_audit_record_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what came before it in the same chunk; the session ends, and so does its count."""

    def fail() -> Never:
        raise AuditError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(stage.firewall.audit, "flush", fail)
        stage.agent("Q SELECT 1").agent_gets("FATAL 57P01").server_gets()
    assert stage.over
    assert stage.firewall.metrics.audit_failures.cell().value == 1


def test_a_session_ends_even_if_that_cannot_be_recorded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit record fails while the session ends: the connections and the counts go all the same."""

    def fail(*_arguments: object, **_members: object) -> Never:
        raise AuditError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(stage.firewall.audit, "append_event", fail)
        stage.agent("X")
    assert stage.over


@pytest.mark.parametrize("side", ["agent", "server"])
def test_a_defect_ends_the_session_and_tells_nothing(
    stage: Stage, side: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """XX000 for the agent, the details for the log."""
    name = "judge_text" if side == "agent" else "end_call"

    def fail(*_arguments: object) -> Never:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(stage.session, name, fail)
    stage.agent("Q SELECT 1").server("C SELECT 1", "Z I")
    told = stage.new_agent_bytes()
    assert b"XX000" in told
    assert b"secret detail" not in told
    assert "a secret detail" in caplog.text
    assert stage.over


def _ends(stage: Stage) -> list[dict[str, object]]:
    stage.firewall.audit.flush()
    return stage.audit("session_end")


# -- limits ---------------------------------------------------------------------------------------------------

RATED = RULES.replace("    access: read-write", "    access: read-write\n    limits: {queries: 2/min}")


@pytest.mark.parametrize(
    ("once", "again", "sync"),
    [
        (["Q SELECT 1"], "Q !", []),
        (["Q DELETE FROM secret"], "Q !", []),
        (["P : SELECT 1", "B =", "E", "S"], "P !", ["S"]),
        (["P : DELETE FROM secret", "S"], "P !", ["S"]),
    ],
    ids=["Q", "denied", "B", "P"],
)
def test_a_rate_limit_refuses_what_is_too_much(
    set_stage: SetStage, once: list[str], again: str, sync: list[str]
) -> None:
    """53400 with the time to wait, on record; denied statements count as well."""
    stage = set_stage(rules=RATED)
    stage.agent(*once, *once)
    stage.new_server_bytes()
    stage.tokens.clear()
    stage.agent(*once)
    got = agent_texts(stage.new_server_bytes())
    assert got[-1 - len(sync) :] == [again, *sync]
    assert [decision for _, decision in stage.decisions()][-1] == "deny"
    assert stage.audit()[-1]["sqlstate"] == "53400"
    assert stage.firewall.metrics.limited.cell("writer", "queries").value == 1


def test_a_row_limit_cuts_a_result_and_says_so(set_stage: SetStage) -> None:
    """No row beyond it reaches the agent; the statement is cancelled, and its error says why."""
    stage = _limited(set_stage)
    stage.agent("Q SELECT x FROM orders").server("T", "D 1", "D 2", "D 3", "D 4").agent_gets(
        "T", "D 1", "D 2"
    )
    assert len(stage.firewall.cancelled) == 1
    stage.server("E 57014", "Z I").agent_gets("E 53400", "Z I")
    assert stage.outcomes() == [(None, "53400")]
    assert stage.firewall.metrics.limited.cell("writer", "max_rows").value == 1


@pytest.mark.parametrize(
    ("sent", "answer", "told"),
    [
        (
            ["Q SELECT x FROM orders"],
            ["T", "D 1", "D 2", "D 3", "C SELECT 3"],
            ["T", "D 1", "D 2", "E 53400"],
        ),
        (
            ["P : SELECT x FROM orders", "B =", "E", "S"],
            ["1", "2", "D 1", "D 2", "D 3", "C SELECT 3"],
            ["1", "2", "D 1", "D 2", "E 53400"],
        ),
    ],
    ids=["simple", "extended"],
)
def test_a_result_that_ends_before_the_cancel_is_still_an_error(
    set_stage: SetStage, sent: list[str], answer: list[str], told: list[str]
) -> None:
    """It would otherwise look complete."""
    stage = _limited(set_stage)
    stage.agent(*sent).server(*answer, "Z I").agent_gets(*told, "Z I")
    assert stage.outcomes() == [(3, "53400")]


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (["Q SELECT x FROM orders; INSERT INTO orders"], ["T"]),
        (["P a: SELECT x FROM orders", "B =a", "E", "P b: INSERT INTO orders", "B =b", "E", "S"], ["1", "2"]),
        (["P a: SELECT x FROM orders", "B =a", "E", "P b: INSERT INTO orders", "H"], ["1", "2"]),
        (["P a: INSERT INTO orders", "B =a", "E", "P b: SELECT x FROM orders", "B =b", "E", "S"],
         ["1", "2", "C INSERT 0 1", "1", "2"]),
    ],
    ids=["query", "before others", "before a parse", "after others"],
)  # fmt: skip
def test_a_cut_amid_other_statements_ends_the_session(
    set_stage: SetStage, sent: list[str], answer: list[str]
) -> None:
    """They may be done, and stay so, where an error would say that the whole transaction is undone."""
    stage = _limited(set_stage)
    stage.agent(*sent).server(*answer, "D 1", "D 2", "D 3").agent_gets(*answer, "D 1", "D 2", "FATAL 53400")
    assert stage.over
    assert stage.server_transport.aborted
    assert len(stage.firewall.cancelled) == 1
    assert stage.firewall.metrics.limited.cell("writer", "max_rows").value == 1


def test_a_cut_of_the_last_of_several_results_in_a_transaction_is_an_error(set_stage: SetStage) -> None:
    """The agent's own transaction is the agent's to end."""
    stage = _limited(set_stage)
    stage.agent("Q BEGIN").server("C BEGIN", "Z T")
    stage.agent("P a: INSERT INTO orders", "B =a", "E", "P b: SELECT x FROM orders", "B =b", "E", "S")
    stage.new_agent_bytes()
    stage.server("1", "2", "C INSERT 0 1", "1", "2", "D 1", "D 2", "D 3", "C SELECT 3", "Z T")
    stage.agent_gets("1", "2", "C INSERT 0 1", "1", "2", "D 1", "D 2", "E 53400", "Z T")
    stage.agent("Q INSERT INTO orders; SELECT x FROM orders")
    stage.firewall.cancelled[0]()  # type: ignore[misc]  # there is somebody to tell
    stage.server("C INSERT 0 1", "T", "D 1", "D 2", "D 3", "E 57014", "Z E")
    stage.agent_gets("C INSERT 0 1", "T", "D 1", "D 2", "E 53400", "Z E")


def test_after_a_cut_the_rest_of_the_pipeline_is_skipped(set_stage: SetStage) -> None:
    """As after any error, though the server knows of none."""
    stage = _limited(set_stage)
    stage.agent("P a: SELECT x FROM orders", "P b: INSERT INTO orders", "S").server("1", "1", "Z I")
    stage.agent("B =a", "E", "H").server("2", "D 1", "D 2", "D 3", "C SELECT 3")
    stage.new_server_bytes()
    stage.firewall.cancelled[0]()  # type: ignore[misc]  # there is somebody to tell
    stage.agent("B =b", "E", "S").server_gets("S").server("Z I")
    stage.agent("B =b", "E", "S").server_gets("B =b", "E", "S")


def test_what_is_allowed_is_never_taken_for_a_refusal(set_stage: SetStage) -> None:
    """A defect that mixed them up would end the session."""
    stage = set_stage()
    verdict = stage.session.judge_text(b"SELECT 1")
    assert verdict is not None
    with pytest.raises(ProtocolError):
        stage.session.refused(b"SELECT 1", verdict)


def test_the_next_statement_does_not_run_into_the_cancel(set_stage: SetStage) -> None:
    """The agent is held until the server has taken the cancel request in."""
    stage = _limited(set_stage)
    stage.agent("Q SELECT x FROM orders").server("T", "D 1", "D 2", "D 3", "C SELECT 3", "Z I")
    stage.agent("Q SELECT 1").server_gets("Q SELECT x FROM orders")
    [taken] = stage.firewall.cancelled
    assert taken is not None
    taken()
    stage.agent("Q SELECT 2").server_gets("Q SELECT 1", "Q SELECT 2")


def test_two_holds_do_not_undo_each_other(set_stage: SetStage) -> None:
    """A cancel on its way and a text at a worker: the agent goes on when both are over, in either order."""
    for worker_first in (True, False):
        stage = _limited(set_stage)
        stage.agent("Q SELECT x FROM orders", "Q LONG SELECT 1", "Q SELECT 2").server(
            "T", "D 1", "D 2", "D 3"
        )
        release: Callable[[], None] | None = stage.firewall.cancelled[0]
        assert release is not None
        steps = [stage.worker_reads, release] if worker_first else [release, stage.worker_reads]
        steps[0]()
        stage.server_gets("Q SELECT x FROM orders")
        steps[1]()
        stage.server_gets("Q LONG SELECT 1", "Q SELECT 2")


def test_a_row_that_is_cut_off_leaves_no_trace(set_stage: SetStage) -> None:
    """However the network cuts it: its bytes neither reach the agent nor disturb what follows."""
    stage = _limited(set_stage, delivery=bytewise)
    stage.agent("Q SELECT x FROM orders").server("D 1", "D 2", "D " + "x" * 1000, "E 57014", "Z I")
    stage.agent_gets("D 1", "D 2", "E 53400", "Z I")


def _limited(set_stage: SetStage, **options: object) -> Stage:
    rules = RULES.replace("    access: read-write", "    access: read-write\n    limits: {max_rows: 2}")
    return set_stage(rules=rules, **options)


# -- the catalog ----------------------------------------------------------------------------------------------


def test_new_names_are_read_when_they_are_committed(stage: Stage) -> None:
    """A snapshot that is read before COMMIT would not have them."""
    refreshed = stage.firewall.stage_catalogs.refreshed
    stage.agent("Q CREATE TABLE orders").server("C CREATE TABLE", "Z I")
    assert refreshed == ["shop"]
    stage.agent("Q BEGIN", "Q CREATE TABLE orders", "Q COMMIT")
    stage.server("C BEGIN", "Z T", "C CREATE TABLE", "Z T")
    assert refreshed == ["shop"]
    stage.server("C COMMIT", "Z I")
    assert refreshed == ["shop", "shop"]
    stage.agent("Q SELECT 1").server("C SELECT 1", "Z I")
    stage.agent("Q CREATE TABLE orders").server("E 42P07", "Z I")
    assert refreshed == ["shop", "shop"]
