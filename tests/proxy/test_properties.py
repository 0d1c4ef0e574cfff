"""Whatever an agent sends, in whatever order, and however the network cuts it: only what was allowed runs.

The server is `FakeServer`. It tells what it runs, and every such text must have been allowed by the rules that were
in force when it was sent on, and be in the audit file by then.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dbfirewall.policy.decision import Context, decide
from dbfirewall.policy.models import Role
from dbfirewall.wire import messages as m
from tests.proxy.fake_server import FakeServer
from tests.proxy.notation import TOKEN, agent_bytes, split
from tests.proxy.stage import RULES, Stage, toy_facts

TEXTS = (
    "SELECT 1", "SELECT x FROM orders", "SELECT x FROM missing", "SELECT fail", "INSERT INTO orders",
    "DELETE FROM orders", "DELETE FROM secret", "BEGIN", "COMMIT", "ROLLBACK", "LONG SELECT 1", "nonsense", "",
    "PREPARE a AS SELECT 1", "PREPARE a AS INSERT INTO orders", "PREPARE b AS DELETE FROM orders",
    "EXECUTE a", "EXECUTE b", "LONG EXECUTE a", "DEALLOCATE a", "DEALLOCATE ALL", "DISCARD ALL",
)  # fmt: skip
COPIES = (
    "COPY orders FROM STDIN",
    "SELECT 1; COPY orders FROM STDIN; COPY orders FROM STDIN; INSERT INTO orders",
)
SIMPLE = (*TEXTS, *COPIES, "SELECT 1; INSERT INTO orders", "SELECT 1; DELETE FROM orders", "BEGIN; SELECT fail",
          "PREPARE a AS SELECT 1; EXECUTE a", "DEALLOCATE a; PREPARE a AS SELECT 1; EXECUTE a")  # fmt: skip

NAME = "n" * 63
names = st.sampled_from(["", "a", "b", NAME + "1", NAME + "2"])
portals = st.sampled_from(["", "", "p"])
messages = st.one_of(
    st.sampled_from(SIMPLE).map(lambda text: f"Q {text}"),
    st.builds("P {}: {}".format, names, st.sampled_from((*TEXTS, COPIES[0]))),
    st.builds("B {}={}".format, portals, names),
    st.builds("E {}".format, portals),
    st.builds("{} S {}".format, st.sampled_from("DC"), names),
    st.builds("{} P {}".format, st.sampled_from("DC"), portals),
    st.sampled_from(["S", "S", "S", "H", "F", "d x", "d bad", "c", "f why"]),
    # What drivers send as one: so that something runs often enough.
    st.builds("P {0}: {1}|B ={0}|D P |E|S".format, names, st.sampled_from(TEXTS)),
    st.builds("B ={0}|E|S".format, names),
)
scripts = st.lists(messages, min_size=1, max_size=8).map(
    lambda parts: [message for part in parts for message in part.split("|")]
)
VERSIONS = (RULES, RULES.replace("allow: [select, insert,", "allow: [select,"))


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces, at the given places in thousandths of its length."""
    places = [0, *sorted(place * len(data) // 1000 for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start < end]


class World:
    """A stage whose server is a `FakeServer` that reads when it is told to, and checks what it runs."""

    def __init__(self, **options: Any) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._patch = pytest.MonkeyPatch()
        self.stage = Stage(Path(self._folder.name), self._patch, **options)
        self.server = FakeServer(self._ran)
        self._roles: dict[int, Role] = {}
        self._version = 0
        self._inbox: list[tuple[int, bytes, int]] = []
        self._torn = b""
        self._running_under = 0
        self._forwarded = 0
        self.to_agent = b""
        self.to_server = b""

    def close(self) -> None:
        self.stage.close()
        self._patch.undo()
        self._folder.cleanup()

    def agent(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.stage.agent_raw(piece)
            self.collect()

    def reload(self, version: int) -> None:
        self.stage.reload(VERSIONS[version])
        self._version = version
        self.collect()

    def collect(self) -> None:
        """Take what was written to both sides; every statement in it must be on record by now."""
        self.to_agent += self.stage.new_agent_bytes()
        new = self.stage.new_server_bytes()
        self.to_server += new
        data, self._torn = self._torn + new, b""
        while len(data) >= 5 and len(data) >= (size := 1 + int.from_bytes(data[1:5], "big")):
            [(kind, body, _)] = split(data[:size])
            self._inbox.append((kind, body, self._version))
            self._forwarded += kind == m.BIND or (kind == m.QUERY and not self._added(body))
            data = data[size:]
        self._torn = data
        if new:
            allowed = [record for record in self.stage.audit() if record["decision"] == "allow"]
            assert len(allowed) >= self._forwarded
            self._roles[self._version] = self.stage.session.role

    def _added(self, body: bytes) -> bool:
        """Whether a Query is the firewall's own: a poison, or one of those around a strict role's statements."""
        own = self.stage.session.role.pin == "strict" and body.startswith((b"BEGIN READ ONLY", b"COMMIT"))
        return own or TOKEN.search(body) is not None

    def serve(self, count: int, cuts: list[int]) -> None:
        """The server reads up to `count` messages, and its answer arrives in pieces."""
        answer = b""
        for kind, body, version in self._inbox[:count]:
            self._running_under = version
            if not self.server.closed:
                answer += self.server.take(kind, body)
        del self._inbox[:count]
        for piece in cut(answer, cuts):
            self.stage.server_raw(piece)
            self.collect()
        if self.server.closed:
            self.stage.server_leaves()
            self.collect()

    def settle(self) -> None:
        """Until nothing moves any more."""
        while self._inbox or self.stage.firewall.to_read:
            self.read_all()
            self.serve(len(self._inbox), [])

    def read_all(self) -> None:
        """The worker reads all that it was given."""
        while self.stage.firewall.to_read:
            self.stage.worker_reads()
            self.collect()

    def _ran(self, message: str, text: str) -> None:
        """The server is about to run `text`, which came in the text of `message`."""
        if self._added(message.encode()):
            return
        role = self._roles[self._running_under]
        outcome = decide(toy_facts(text), role, Context(protocol_prepared=True)).outcome
        assert outcome == "allow" or text.startswith(("EXECUTE", "LONG EXECUTE")), f"{text!r} ran: {outcome}"
        on_record = {record["sql"] for record in self.stage.audit() if record["decision"] == "allow"}
        assert message in on_record, f"{message!r} ran and is not on record"


class Sessions(RuleBasedStateMachine):
    """One session; agent, server, worker and operator act in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def teardown(self) -> None:
        try:
            if not self.world.stage.session.ended:
                self._finish()
        finally:
            self.world.close()

    def _finish(self) -> None:
        """Whatever went on before: after the end of a COPY, if one runs, and a Sync, the session is in step."""
        world = self.world
        world.settle()
        for _ in range(3):
            world.agent([agent_bytes("c")])
            world.settle()
        if not world.stage.session.ended:
            world.agent([agent_bytes("S")])
            world.settle()
            world.agent([agent_bytes("Q SELECT 1")])
            world.settle()
        if not world.stage.session.ended:
            assert not world.stage.session.pending
            assert not world.stage.session.skipping
            assert world.stage.agent_transport.is_reading()

    @rule(script=scripts, cuts=st.lists(st.integers(0, 1000), max_size=6))
    def agent_sends(self, script: list[str], cuts: list[int]) -> None:
        self.world.agent(cut(agent_bytes(*script), cuts))

    @rule(count=st.integers(1, 20), cuts=st.lists(st.integers(0, 1000), max_size=6))
    def server_answers(self, count: int, cuts: list[int]) -> None:
        self.world.serve(count, cuts)

    @precondition(lambda self: self.world.stage.firewall.to_read)
    @rule()
    def worker_reads(self) -> None:
        self.world.stage.worker_reads()
        self.world.collect()

    @rule(version=st.integers(0, 1))
    def rules_change(self, version: int) -> None:
        self.world.reload(version)

    @invariant()
    def in_step(self) -> None:
        """A session may end because an agent broke the protocol, never because we lost count or failed."""
        told = self.world.to_agent
        assert b"lost step" not in told
        assert b"XX000" not in told


Sessions.TestCase.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
TestSessions = Sessions.TestCase


@settings(max_examples=40, deadline=None)
@given(
    script=scripts,
    cuts=st.lists(st.integers(0, 1000), max_size=12),
    server_cuts=st.lists(st.integers(0, 1000)),
)
@pytest.mark.parametrize("role", ["writer", "strict"])
def test_how_the_network_cuts_the_bytes_changes_nothing(
    role: str, script: list[str], cuts: list[int], server_cuts: list[int]
) -> None:
    """The same bytes reach the server and the agent, whole or in pieces; poisons have other tokens."""
    transcripts = []
    for agent_cuts, answer_cuts in (([], []), (cuts, server_cuts)):
        world = World(role=role)
        try:
            world.agent(cut(agent_bytes(*script, "S"), agent_cuts))
            while world._inbox or world.stage.firewall.to_read:
                world.serve(len(world._inbox), answer_cuts)
                world.read_all()
            transcripts.append((TOKEN.sub(b"!", world.to_server), world.to_agent))
        finally:
            world.close()
    assert transcripts[0] == transcripts[1]
