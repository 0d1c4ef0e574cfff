"""Server-sent events, read from a real socket."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dbfirewall.approvals.model import Request
from dbfirewall.audit.record import decision_members, sql_member
from dbfirewall.web.events import MAX_STREAMS_EACH
from tests.web.stage import ALICE, BOB, RULES, Stage, preview, snapshot


class Stream:
    """An open stream of events."""

    def __init__(self, stage: Stage, query: str = "", token: str = ALICE) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=20)
        headers = {"Authorization": f"Bearer {token}"}
        self._connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.headers = dict(self._answer.getheaders())
        if self.status == 200:
            assert self.block() == ["retry: 2000"]

    def block(self) -> list[str]:
        """The lines up to the next empty one; none at the end of the stream."""
        lines = []
        while line := self._answer.readline().decode().rstrip("\n"):
            lines.append(line)
        return lines

    def event(self) -> tuple[str, Any]:
        """The next event; comments are skipped. ("", None) at the end."""
        while lines := self.block():
            if not lines[0].startswith(":"):
                return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))
        return "", None

    def close(self) -> None:
        self._connection.close()


@contextmanager
def stream(stage: Stage, query: str = "", token: str = ALICE) -> Iterator[Stream]:
    """A stream that is closed in the end."""
    opened = Stream(stage, query, token)
    yield opened
    opened.close()


def about(stage: Stage, one: Stream, request: Request) -> Any:
    """The next event, which is about that request."""
    name, data = one.event()
    assert (name, data["id"]) == ("approval", request.id)
    return data


def test_a_request_as_it_changes(stage: Stage) -> None:
    """A request is told of when it is made, previewed and decided, as its reader sees it."""
    with stream(stage, "?only=approval") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        request = stage.submit()
        assert about(stage, events, request)["may_decide"] is True
        stage.run(stage.approvals.attach_preview(request.id, preview()))
        assert about(stage, events, request)["preview"]["rows"] == [2]
        stage.api(f"/approvals/{request.id}/deny", {"reason": "no"}, token=BOB)
        assert about(stage, events, request)["state"] == "denied"


def test_what_is_in_a_statement_ends_no_event(stage: Stage) -> None:
    """Line ends in a statement do not end its event."""
    with stream(stage, "?only=approval") as events:
        request = stage.submit(snapshot("DELETE\n\nFROM t\r\n\nevent: approval\ndata: {}\n\n"))
        assert about(stage, events, request)["sql"].endswith("data: {}\n\n")


def test_decisions(stage: Stage) -> None:
    """Statements are told of as they are decided."""
    with stream(stage, "?only=decision") as events:
        session = stage.audit.session(session_id="5e55", agent="robot", role="maintainer", database="shop")
        session.statement(sql_member(b"DROP TABLE t"), decision_members((), "deny", "no rule", "42501"))
        stage.audit.flush()
        name, data = events.event()
        assert (name, data["sql"], data["decision"], data["sqlstate"]) == (
            "decision",
            "DROP TABLE t",
            "deny",
            "42501",
        )


def test_both(stage: Stage) -> None:
    """Without saying which, both come."""
    with stream(stage) as events:
        request = stage.submit()
        about(stage, events, request)


def test_a_stream_ends_with_its_reader(stage: Stage) -> None:
    """Who leaves the rules hears no more."""
    with stream(stage) as events:
        stage.write_rules(RULES.replace("  alice:", "  alicia:"))
        assert events.event() == ("", None)


def test_a_stream_ends_with_its_session(stage: Stage) -> None:
    """Who signs out hears no more."""
    person = stage.browser()
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=20)
    name, value = next(iter(person.cookies.items()))
    connection.request("GET", "/api/v1/events", headers={"Cookie": f"{name}={value}"})
    answer = connection.getresponse()
    person.post("/logout", csrf=person.csrf())
    assert answer.read().startswith(b"retry: 2000")
    connection.close()


def test_shutdown_ends_streams(stage: Stage) -> None:
    """At shutdown a stream ends by itself: nobody has to be cut off."""
    with stream(stage) as events:
        stage.end_streams()
        assert events.event() == ("", None)


def test_too_many(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One approver can open so many streams; another one still gets theirs; a closed one makes room."""
    monkeypatch.setattr("dbfirewall.web.events.HEARTBEAT", 1)
    streams = [Stream(stage) for _ in range(MAX_STREAMS_EACH)]
    with stream(stage) as refused, stream(stage, token=BOB) as other:
        assert (refused.status, other.status) == (503, 200)
    for one in streams:
        one.close()
    deadline = time.monotonic() + 20
    while not room(stage):
        assert time.monotonic() < deadline


def room(stage: Stage) -> bool:
    """Whether one more stream can be opened."""
    with stream(stage) as one:
        return one.status == 200


def test_a_slow_reader_is_told_to_look_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where changes were missed the reader is told so, and hears what comes after."""
    monkeypatch.setattr("dbfirewall.approvals.listening.MAX_QUEUED", 0)
    with stream(stage, "?only=approval") as events:
        stage.submit()
        assert events.event()[0] == "again"


@pytest.mark.parametrize("query", ["?only=x", "?colour=red"])
def test_streams_that_are_none(stage: Stage, query: str) -> None:
    """A mistake in the query is a 400."""
    with stream(stage, query) as refused:
        assert refused.status == 400
