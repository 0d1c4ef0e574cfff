"""Random and mangled sessions, many at once, through a real firewall to a real server that logs what it runs.

`DBFIREWALL_FUZZ_SECONDS` lets it go on that long; unset, it plays a fixed number of rounds.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.world import build, firewall_before, resident, wait_for_no_backends
from tests.fuzz.wire_play import cut, mangled
from tests.proxy.notation import agent_bytes
from tests.support.embedded import FAST, EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.raw import RawClient

SECONDS = float(os.environ.get("DBFIREWALL_FUZZ_SECONDS", "0"))
ROUNDS = 40
SESSIONS = 4
ENTRY = re.compile(
    r"^@@(?P<at>\S+ \S+) UTC\|chaos_agent\|(?P<pid>\d+)\|(?P<state>\w+)\|"
    r"(?P<kind>LOG|ERROR):  (?P<text>.*?)(?=^@@|\Z)",
    re.MULTILINE | re.DOTALL,
)
BEGUN = re.compile(r"(?:statement|execute (?!fetch from)[^:]*): (.*)", re.DOTALL)
PORTAL_IS_DONE = "55000"
TRANSACTION_HAS_FAILED = "25P02"

TEXTS = (
    "SELECT '{n}'", "INSERT INTO written VALUES ('{n}')", "SELECT '{n}' FROM forbidden", "BEGIN /* {n} */",
    "INSERT INTO forbidden VALUES ('{n}')", "COMMIT /* {n} */", "SELECT '{n}'; INSERT INTO written VALUES ('{n}')",
    "SELECT '{n}'; INSERT INTO forbidden VALUES ('{n}')", "COPY written (nonce) FROM STDIN /* {n} */",
    "DROP TABLE written /* {n} */", "SELECT '{n}' FROM missing", "SELECT {n} broken", "ROLLBACK /* {n} */",
    "SELECT '{n}', a FROM generate_series(1, 50) AS a", "UPDATE written SET nonce = '{n}'",
)  # fmt: skip

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(SECONDS + 180)]


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server that logs each statement that it runs, and whose. It must not crash."""
    settings = {**FAST, "log_statement": "all", "log_line_prefix": "@@%m|%u|%p|%e|", "log_timezone": "UTC"}
    with EmbeddedPostgres(settings=settings) as server:
        yield server
        log = (server._folder / "log").read_text(errors="replace")
        crashes = re.findall(r".*terminated by signal.*(?:\n.*DETAIL.*)?", log)
        assert not crashes, f"in the middle of a round: {crashes}"


class Agent:
    """One session with numbers of its own: what it must never see is another's."""

    def __init__(self, firewall: Firewall, number: int, source: random.Random) -> None:
        self._source = source
        self._number = number
        self._count = 0
        self._mangles = source.random() < 0.4
        self._mangled = False
        self.answered = False
        self.client = RawClient(firewall.host, firewall.port)
        answer = self.client.log_in("one", "chaos-agent", database="chaos")[-1]
        assert answer.type == b"Z", f"{answer.body!r}\n{firewall.errors()}"

    def nonce(self) -> str:
        self._count += 1
        return f"n{self._number}x{self._count}e"

    def send_something(self) -> None:
        """A few messages, mangled now and then, cut anyhow."""
        data = b"".join(agent_bytes(*self._unit()) for _ in range(self._source.randrange(1, 5)))
        if self._mangles and self._source.random() < 0.5:
            data = mangled(self._source, data)
            self._mangled = True
        for piece in cut(self._source, data):
            self.client.send(piece)

    def _unit(self) -> list[str]:
        pick = self._source.choice
        text, name, portal = pick(TEXTS).format(n=self.nonce()), pick(("", "", "a", "b")), pick(("", "", "p"))
        units = (
            [f"Q {text}"],
            [f"P {name}: {text}", f"B {portal}={name}", f"E {portal}", "S"],
            [f"P {name}: {text}", "S", f"B {portal}={name}", f"D P {portal}", f"E {portal}", "S"],
            [f"B {portal}={name}", f"E {portal}/1", f"E {portal}", "S"],
            [f"D S {name}", f"P {name}: {text}", "S", f"B ={name}", "E", "S"],
            ["d row", "c"], ["f no"], ["S"], ["H"], [f"C S {name}", "S"], ["F"],
        )  # fmt: skip
        unit = pick(units)
        if self._source.random() < 0.15:
            self._source.shuffle(unit)
        return unit

    def assert_in_step(self) -> None:
        """Out of whatever state it is in, a question gets its own answer, or the connection is closed."""
        question = self.nonce()
        self.client.send(agent_bytes("f end", "S", "Q ROLLBACK", "S", f"Q SELECT '{question}' /* end */"))
        if self._mangled:
            self.client.socket.settimeout(0.5)
        bodies: list[bytes] = []
        try:
            while (one := self.client.read()) is not None:
                bodies.append(one.type + one.body)
                if one.type == b"Z" and question.encode() in b"".join(bodies[-4:]):
                    self.answered = True
                    break
        except TimeoutError:
            # Both sides wait where a message announces more than was sent: the agent's own doing, or a hang.
            assert self._mangled, f"no answer to session {self._number}"
        seen = b"".join(bodies)
        others = {number for number in re.findall(rb"n(\d+)x\d+e", seen) if int(number) != self._number}
        assert not others, f"session {self._number} was told of {others}"
        assert b"Internal error" not in seen
        self.client.socket.close()


def executed(log: Path) -> list[tuple[datetime, str]]:
    """(when, text) of each statement of the agents that the server ran.

    It also logs what it is about to refuse because the portal is done, or the transaction has failed.
    """
    found: dict[int, tuple[datetime, str]] = {}
    last: dict[str, int] = {}
    for number, entry in enumerate(ENTRY.finditer(log.read_text(errors="replace"))):
        begun = BEGUN.fullmatch(entry["text"])
        if entry["kind"] == "LOG" and begun is not None:
            at = datetime.strptime(entry["at"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            found[number] = at, begun[1].removesuffix("\n").replace("\n\t", "\n")
            last[entry["pid"]] = number
        elif entry["kind"] == "ERROR":
            begun_at = last.pop(entry["pid"], None)
            done = entry["state"] == PORTAL_IS_DONE and "cannot be run" in entry["text"]
            if begun_at is not None and (done or entry["state"] == TRANSACTION_HAS_FAILED):
                del found[begun_at]
    return list(found.values())


def test_nothing_runs_without_its_record(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Each statement in the server's log has an allow record from before; sessions stay in step and apart."""
    postgres = build(server)
    rounds = sessions = answered = 0
    with firewall_before(server.port, tmp_path) as firewall:
        end = time.monotonic() + SECONDS
        while rounds < ROUNDS or time.monotonic() < end:
            source = random.Random(f"real {rounds}")
            agents = [Agent(firewall, sessions + number, source) for number in range(SESSIONS)]
            for _ in range(source.randrange(4, 20)):
                source.choice(agents).send_something()
            for agent in agents:
                agent.assert_in_step()
            answered += sum(agent.answered for agent in agents)
            rounds += 1
            sessions += SESSIONS
        wait_for_no_backends(postgres)
        assert firewall.process is not None
        assert resident(firewall.process.pid) < 300 * 2**20
        assert "Traceback" not in firewall.errors()
    allowed: dict[str, list[datetime]] = {}
    for record in firewall.audit():
        if record["event"] == "statement" and record["decision"] == "allow":
            allowed.setdefault(record["sql"], []).append(datetime.fromisoformat(record["ts"]))
    ran = [(at, text) for at, text in executed(server._folder / "log") if re.search(r"n\d+x\d+e", text)]
    for at, text in ran:
        records = allowed.get(text)
        assert records, f"ran without a record: {text!r}"
        assert records.pop(0) <= at + timedelta(milliseconds=1), text
    print(
        f"\n{rounds} rounds, {sessions} sessions, {answered} answered to the end, {len(ran)} statements ran"
    )
    assert len(ran) > sessions
    assert answered > sessions // 4
    assert postgres.sql("SELECT count(*) FROM forbidden", "chaos") == [(0,)]
