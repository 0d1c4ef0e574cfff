"""`dbfirewall approvals` against a real admin listener and store: what people and scripts see, and exit statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dbfirewall.approvals.model import Options, Parameter, State, Terms
from dbfirewall.cli import main
from tests.web.stage import ALICE, BOB, MALLORY, Stage, preview, snapshot


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A listener of this test's own."""
    stage = Stage(tmp_path)
    yield stage
    stage.stop()


def run(stage: Stage, *arguments: str, token: str = ALICE, typed: str = "") -> Result:
    """One command, as the person who has the token."""
    environment = {"DBFIREWALL_URL": stage.url, "DBFIREWALL_TOKEN": token, "NO_COLOR": "1"}
    return CliRunner().invoke(main, ["approvals", *arguments], env=environment, input=typed)


def test_list_shows_what_needs_somebody(stage: Stage) -> None:
    """One line a request, with the rows and the statement; what is over only with --all or its state."""
    waits = stage.submit(seen=preview())
    over = stage.submit(snapshot("DELETE FROM public.orders"), seen=preview(rows=(7,)))
    run(stage, "deny", over.id, "--reason", "no")
    lines = run(stage, "list").output.splitlines()
    assert len(lines) == 2
    assert waits.id in lines[1]
    assert "pending    robot            shop" in lines[1]
    assert "DELETE FROM public.orders WHERE" in lines[1]
    assert over.id in run(stage, "list", "--all").output
    assert [one["id"] for one in json.loads(run(stage, "list", "--state", "denied", "--json").output)] == [
        over.id
    ]
    assert "There are none." in run(stage, "list", "--state", "done").output


def test_list_of_nothing(stage: Stage) -> None:
    """Says so, and is an empty list for scripts."""
    assert run(stage, "list").output == "Nothing waits.\n"
    assert json.loads(run(stage, "list", "--json").output) == []


def test_show_says_all_that_is_known(stage: Stage) -> None:
    """Who, what, why, the rows before and after, the plan, the parameters and the notes."""
    parameters = (Parameter(25, 0, b"late"), Parameter(23, 1, b"\x00\x00\x00\x07"), Parameter(25, 0, None))
    table = preview().tables[0]
    seen = preview(tables=(type(table)(table.name, table.columns, table.rows, (("1", "sent", None),)),))
    asked = stage.submit(snapshot(parameters=parameters, in_transaction=True), seen=seen)
    page = run(stage, "show", asked.id).output
    for text in (
        "robot (role maintainer), 127.0.0.1:50312", "shop, inside an open transaction", "nightly clean-up",
        "delete public.orders", "dba", "It would change 2 rows.", "-- old ones", "$1 = 'late'", "$3 = NULL",
        "- 1   shipped  NULL", "+ 1   sent     NULL", "It locks 2 rows", "Delete on orders",
    ):  # fmt: skip
        assert text in page, page
    assert json.loads(run(stage, "show", asked.id, "--json").output)["id"] == asked.id


def test_approve_asks_first(stage: Stage) -> None:
    """It shows the request and asks; no leaves it as it is, yes approves within the previewed rows."""
    asked = stage.submit(seen=preview())
    refused = run(stage, "approve", asked.id, typed="n\n")
    assert refused.exit_code == 1
    assert "It would change 2 rows." in refused.output
    assert stage.get(asked.id).state is State.PENDING
    done = run(stage, "approve", asked.id, "--reason", "fine", typed="y\n")
    assert done.exit_code == 0
    approved = stage.get(asked.id)
    assert (approved.state, approved.votes[0].approver, approved.votes[0].reason) == (
        State.APPROVED, "alice", "fine",
    )  # fmt: skip
    assert approved.envelope is not None
    assert (approved.envelope.rows, approved.envelope.tolerance) == ((2,), 0.0)


def test_approve_sets_the_envelope(stage: Stage) -> None:
    """--tolerance is in per cent; --any-rows lifts it; both at once are a mistake."""
    wide, lifted = (stage.submit(snapshot(f"DELETE FROM t{n}"), seen=preview()) for n in (1, 2))
    assert run(stage, "approve", wide.id, "--yes", "--tolerance", "25").exit_code == 0
    assert run(stage, "approve", lifted.id, "--yes", "--any-rows").exit_code == 0
    envelope = stage.get(wide.id).envelope
    assert envelope is not None
    assert envelope.tolerance == 0.25
    assert stage.get(lifted.id).envelope is None
    assert run(stage, "approve", lifted.id, "--any-rows", "--tolerance", "1").exit_code == 2


def test_two_people(stage: Stage) -> None:
    """`approvals: 2`: the first one leaves it pending, and can't be the second one, too."""
    asked = stage.submit(terms=(Terms("gate", ("dba",), 2),), seen=preview())
    assert "pending" in run(stage, "approve", asked.id, "--yes").output
    again = run(stage, "approve", asked.id, "--yes")
    assert (again.exit_code, "already" in again.output) == (1, True)
    assert run(stage, "approve", asked.id, "--yes", token=BOB).exit_code == 0
    assert stage.get(asked.id).state is State.APPROVED


def test_deny_needs_a_reason(stage: Stage) -> None:
    """The agent is told it; deciding twice is refused."""
    asked = stage.submit(seen=preview())
    assert run(stage, "deny", asked.id).exit_code == 2
    assert run(stage, "deny", asked.id, "--reason", "Keep January.").exit_code == 0
    assert stage.get(asked.id).reason == "Keep January."
    twice = run(stage, "deny", asked.id, "--reason", "again")
    assert (twice.exit_code, "denied already" in twice.output) == (1, True)


def test_who_may_not(stage: Stage) -> None:
    """Another group: 1 and who may. A wrong or missing token, or nobody there: 2."""
    asked = stage.submit(seen=preview())
    other = run(stage, "approve", asked.id, "--yes", token=MALLORY)
    assert (other.exit_code, "only dba may decide this" in other.output) == (1, True)
    wrong = run(stage, "list", token="dbfa_guess")
    assert (wrong.exit_code, "This token is no approver's." in wrong.output) == (2, True)
    missing = run(stage, "list", token="")
    assert (missing.exit_code, "DBFIREWALL_TOKEN" in missing.output) == (2, True)
    nobody = run(stage, "list", "--url", "http://127.0.0.1:9")
    assert (nobody.exit_code, "cannot reach the firewall at 127.0.0.1" in nobody.output) == (2, True)
    assert stage.get(asked.id).state is State.PENDING


@pytest.mark.parametrize("url", ["http://[", "ftp://127.0.0.1", "nonsense", "http://127.0.0.1:99999"])
def test_an_address_that_is_none(stage: Stage, url: str) -> None:
    """Is a message and 2, not a traceback."""
    result = run(stage, "list", "--url", url)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_an_id_that_is_none(stage: Stage) -> None:
    """An unknown one: 1. One that would be another path: 2, and nothing is asked."""
    assert run(stage, "show", "apr_0000").exit_code == 1
    assert run(stage, "show", "../sessions").exit_code == 2
    assert run(stage, "show", "a%2fb").exit_code == 2


def test_a_terminal_is_not_moved(stage: Stage) -> None:
    """Escape sequences in a statement or a name show as text."""
    evil = snapshot("DELETE FROM t -- \x1b[2J\x1b]0;owned\x07", application="\x1b[31mred")
    asked = stage.submit(evil, seen=preview(notes=("\x1b[2Jnote",)))
    for output in (run(stage, "list").output, run(stage, "show", asked.id).output):
        assert "\x1b" not in output
        assert "\x07" not in output
    assert "\\x1b[2J" in run(stage, "show", asked.id).output


def test_undo_prints_and_applies(stage: Stage) -> None:
    """The SQL first; with --apply it is run once the person has said yes."""
    asked = stage.submit(seen=preview())
    run(stage, "approve", asked.id, "--yes")
    stage.release(asked, undo_rows=1)
    assert run(stage, "undo", asked.id).output == "INSERT INTO public.orders VALUES (1, 'shipped', NULL);\n"
    assert run(stage, "undo", asked.id, "--apply", typed="n\n").exit_code == 1
    assert stage.undone == []
    applied = run(stage, "undo", asked.id, "--apply", "--yes")
    assert "Restored 1 rows." in applied.output
    assert stage.undone == [f"{asked.id} by alice"]


def test_settle_says_what_became_of_it(stage: Stage) -> None:
    """What is unknown becomes done or approved by a person's word; what is not unknown can't be settled."""
    asked = stage.submit(options=Options(preview="none"))
    assert run(stage, "settle", asked.id, "--ran", "--reason", "looked").exit_code == 1
    run(stage, "approve", asked.id, "--yes")
    stage.release(asked, State.UNKNOWN)
    assert run(stage, "settle", asked.id, "--reason", "looked").exit_code == 2
    assert run(stage, "settle", asked.id, "--not-ran", "--reason", "looked").exit_code == 0
    assert stage.get(asked.id).state is State.APPROVED


def test_watch_shows_requests_as_they_come(stage: Stage) -> None:
    """A line each, as JSON for scripts, until the firewall ends."""
    environment = {**os.environ, "DBFIREWALL_URL": stage.url, "DBFIREWALL_TOKEN": ALICE}
    command = [sys.executable, "-u", "-m", "dbfirewall", "approvals", "watch", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stop = threading.Event()

        def ask() -> None:
            # Until the stream is open, what happens is not seen: ask anew until something came.
            number = 0
            while not stop.wait(0.5):
                number += 1
                stage.submit(snapshot(f"DELETE FROM t{number}"))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            first = json.loads(process.stdout.readline())
        finally:
            stop.set()
            asking.join()
            process.terminate()
    assert (first["state"], first["agent"]) == ("pending", "robot")
