"""Random sessions against a server that is a model: through the firewall they read as if the server itself refused.

`DBFIREWALL_FUZZ_SECONDS` lets each test go on that long; unset, each plays a fixed number of seeds.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.sql.reading import Reading
from tests.fuzz.wire_play import Author, Play, final_question, mangled
from tests.fuzz.wire_server import POISON, Refuses, WireServer
from tests.proxy.notation import agent_bytes, server_bytes, server_texts
from tests.proxy.stage import RULES, Stage

SECONDS = float(os.environ.get("DBFIREWALL_FUZZ_SECONDS", "0"))
ROUNDS = 100
NONCE = 999_999_999
SECRET = re.compile(r"\b(?:SELECT .*FROM|INSERT INTO) secret\b")

OpenStage = Callable[..., Stage]


@pytest.fixture
def open_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStage]:
    """A new stage; the one before is closed."""
    stages: list[Stage] = []

    def make(**options: Any) -> Stage:
        if stages:
            stages.pop().close()
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        stages.append(Stage(folder, monkeypatch, **options))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


def seeds() -> Iterator[int]:
    """The seeds of one run: a fixed number of them, or as many as the time allows."""
    end = time.monotonic() + SECONDS
    seed = 0
    while seed < ROUNDS or time.monotonic() < end:
        yield seed
        seed += 1
    print(f"{seed} seeds")


def as_decided(stage: Stage) -> Refuses:
    """The firewall's decisions as a server's own. A gate acts at Bind, so a Parse of it goes on."""
    judge, facts = stage.session.judge, stage.session.facts

    def refuses(sql: str, parsed_only: bool) -> str | None:
        if sql == "FunctionCall":
            return "0A000"
        verdict = judge.judge_reading(sql.encode(), Reading(), facts)
        if verdict.outcome == "allow" or (parsed_only and verdict.outcome == "gate"):
            return None
        assert verdict.error is not None
        return str(verdict.error.sqlstate)

    return refuses


def assert_recorded(stage: Stage, ran: list[str], *context: object) -> None:
    """Each statement that the server ran has an allow record of its own."""
    allowed = Counter(sql for sql, decision in stage.decisions() if decision == "allow")
    missing = Counter(ran) - allowed
    assert not missing, f"ran without a record: {missing} {context}"
    assert not any(SECRET.search(sql) or POISON.search(sql) for sql in ran), context


def whole_texts(stage: Stage) -> list[str]:
    """What the agent got. A session that is over may end inside a message, of which nothing is told."""
    data = stage.new_agent_bytes()
    whole = 0
    while len(data) - whole >= 5 and (end := whole + 1 + int.from_bytes(data[whole + 1 : whole + 5])) <= len(
        data
    ):
        whole = end
    assert whole == len(data) or stage.over, data
    return server_texts(data[:whole])


def assert_in_step(stage: Stage, answered: bytes) -> None:
    """The last question got its own answer, or the session is over."""
    if not stage.over:
        texts = server_texts(answered)
        assert texts[-6:] == ["T", *[f"D {NONCE}"] * 3, "C SELECT 3", "Z I"], texts


def internal_errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_session_reads_as_if_the_server_refused(
    open_stage: OpenStage, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever an agent sends, however it is cut and answered: answers are those of a server with our rules in it."""
    for seed in seeds():
        source = random.Random(seed)
        script = Author(source).script(source.randrange(1, 9))
        data = agent_bytes(*script) + final_question(NONCE)
        stage = open_stage()
        direct = WireServer(as_decided(stage))
        expected = server_texts(direct.feed(data))
        play = Play(stage, source)
        play.agent(data)
        play.settle()
        got = whole_texts(stage)
        assert not internal_errors(caplog), (seed, script)
        assert_recorded(stage, play.server.ran, seed, script)
        assert not play.server.hurt, (seed, script)
        if direct.closed:
            assert stage.over, (seed, script)
            said = [text for text in got if not text.startswith("FATAL")]
            assert said == expected[: len(said)], (seed, script)
        else:
            assert got == expected, (seed, script)
            assert play.server.ran == direct.ran, (seed, script)


def test_names_never_reach_what_is_forbidden(open_stage: OpenStage, caplog: pytest.LogCaptureFixture) -> None:
    """PREPARE, EXECUTE and DEALLOCATE mixed with the protocol's own names, rules reloaded at any moment: what runs
    was allowed, each time that it ran.
    """
    stricter = RULES.replace("[select, insert, delete]", "[select, insert, delete, prepare]")
    for seed in seeds():
        source = random.Random(f"names {seed}")
        author = Author(source, by_name=True)
        stage = open_stage()
        play = Play(stage, source)
        for _ in range(source.randrange(1, 8)):
            play.agent(agent_bytes(*author.unit()))
            if source.random() < 0.2:
                stage.reload(source.choice((RULES, stricter)))
        play.agent(final_question(NONCE))
        play.settle()
        assert not internal_errors(caplog), seed
        assert_recorded(stage, play.server.ran, seed)
        assert not play.server.hurt, seed
        assert not any(SECRET.search(sql) for sql in play.server.by_name), seed
        assert_in_step(stage, b"" if stage.over else stage.new_agent_bytes())


def test_mangled_agents(open_stage: OpenStage, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes of an agent changed, lost, doubled or moved: what runs has its record, and nothing fails inside."""
    for seed in seeds():
        source = random.Random(f"agent {seed}")
        data = mangled(source, agent_bytes(*Author(source, by_name=True).script(source.randrange(1, 6))))
        stage = open_stage()
        play = Play(stage, source)
        play.agent(data)
        play.settle()
        assert not internal_errors(caplog), seed
        assert_recorded(stage, play.server.ran, seed)
        assert not play.server.hurt, seed
        assert not any(SECRET.search(sql) for sql in play.server.by_name), seed
        whole_texts(stage)


def test_mangled_servers(open_stage: OpenStage, caplog: pytest.LogCaptureFixture) -> None:
    """A server's answers changed, lost, doubled or moved, at any moment: the session ends, or goes on in step."""
    for seed in seeds():
        source = random.Random(f"server {seed}")
        author = Author(source)
        stage = open_stage()
        play = Play(stage, source)
        for _ in range(source.randrange(1, 6)):
            play.agent(agent_bytes(*author.unit()))
            answer = server_bytes(*source.choices(SERVER_MESSAGES, k=source.randrange(1, 4)))
            play.say(mangled(source, answer) if source.random() < 0.5 else answer)
        play.agent(final_question(NONCE))
        play.settle()
        assert not internal_errors(caplog), seed
        assert_recorded(stage, play.server.ran, seed)


SERVER_MESSAGES = ("1", "2", "3", "n", "I", "s", "t", "T", "D stray", "C SELECT 1", "Z I", "Z T", "Z E", "E 42601 no",
                   "FATAL 57P01 bye", "N hello", "S TimeZone=UTC", "S client_encoding=SJIS", "S search_path=x", "G",
                   "H", "d row", "c", "A chat")  # fmt: skip
