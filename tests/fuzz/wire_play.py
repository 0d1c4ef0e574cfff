"""Random agents: what they send, how the network cuts it, and how late the server answers. All from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.fuzz.wire_server import WireServer
from tests.proxy.notation import agent_bytes
from tests.proxy.stage import Stage

NAMES = ("", "", "", "a", "b")
PLAIN = ("SELECT {n}", "SELECT {n}", "SELECT x{n} FROM orders", "INSERT INTO t{n}", "SELECT {n} FROM missing",
         "BEGIN", "COMMIT", "ROLLBACK", "LONG SELECT {n}", "INSERT INTO t{n}; SELECT {n}", "", "CREATE TABLE t{n}",
         "COPY t{n} FROM STDIN", "LONG INSERT INTO t{n}")  # fmt: skip
REFUSED = ("SELECT {n} FROM secret", "INSERT INTO secret", "DELETE FROM orders", "what {n}",
           "SELECT {n}; INSERT INTO secret", "LONG SELECT {n} FROM secret")  # fmt: skip
BY_NAME = ("PREPARE a AS SELECT {n}", "PREPARE b AS INSERT INTO t{n}", "EXECUTE a", "EXECUTE b", "DEALLOCATE a",
           "DEALLOCATE b", "DEALLOCATE ALL", "PREPARE a AS SELECT {n} FROM secret", "DISCARD ALL")  # fmt: skip


class Author:
    """Writes an agent's messages. `by_name`: with PREPARE, EXECUTE and DEALLOCATE, which live on names too."""

    def __init__(self, source: random.Random, *, by_name: bool = False) -> None:
        self._source = source
        self._texts = PLAIN + PLAIN + REFUSED + (BY_NAME * 2 if by_name else ())
        self._numbers = iter(range(1, 1_000_000))

    def text(self) -> str:
        """A statement, unlike any before."""
        return self._source.choice(self._texts).format(n=next(self._numbers))

    def unit(self) -> list[str]:
        """Messages that belong together, mostly in an order that makes sense."""
        pick = self._source.choice
        name, portal = pick(NAMES), pick(NAMES)
        make = pick(
            (
                self._simple,
                self._simple,
                self._prepared,
                self._prepared,
                self._copied,
                self._abandoned,
                self._any,
            )
        )
        unit = make(name, portal)
        if self._source.random() < 0.15:
            self._source.shuffle(unit)
        if self._source.random() < 0.15:
            unit.insert(self._source.randrange(len(unit) + 1), pick(unit))
        if self._source.random() < 0.1:
            unit.pop(self._source.randrange(len(unit)))
        return unit

    def _simple(self, _name: str, _portal: str) -> list[str]:
        return [f"Q {self.text()}"]

    def _prepared(self, name: str, portal: str) -> list[str]:
        pick = self._source.choice
        rows = pick(("", "", "/1", "/2"))
        unit = [f"P {name}: {self.text()}", f"B {portal}={name}", f"E {portal}{rows}", "S"]
        if pick((True, False)):
            unit.insert(pick((1, 2)), pick((f"D S {name}", f"D P {portal}")))
        if rows:
            unit.insert(-1, f"E {portal}")
        if pick((True, False)):
            unit[-1:] = pick((["H"], [f"C S {name}", "S"], [f"C P {portal}", "S"], [], ["S", "S"]))
        return unit

    def _copied(self, name: str, portal: str) -> list[str]:
        pick = self._source.choice
        text = f"COPY t{next(self._numbers)} FROM STDIN"
        begin = pick(([f"Q {text}"], [f"P {name}: {text}", f"B {portal}={name}", f"E {portal}"]))
        data = [f"d {at}" for at in range(self._source.randrange(4))]
        return [*begin, *data, *pick((["c"], ["c"], ["f stop"], ["H", "c"], ["S", "c"])), "S"]

    def _abandoned(self, name: str, portal: str) -> list[str]:
        """A portal in a transaction block, a Query that fails there, and what becomes of the portal then."""
        pick = self._source.choice
        bound = [f"P {name}: SELECT {next(self._numbers)}", f"B {portal}={name}", "S"]
        failed = [f"Q SELECT {next(self._numbers)} FROM missing"]
        ask = [f"E {portal}", "S"]
        return ["Q BEGIN", *pick((bound + failed, failed + bound, bound + failed + ask)), *ask]

    def _any(self, name: str, portal: str) -> list[str]:
        pick = self._source.choice
        return [pick(("S", "H", "d x", "c", "f no", "F", f"C S {name}", f"C P {portal}", f"E {portal}",
                      f"B {portal}={name}", f"D S {name}", f"D P {portal}", f"P {name}: {self.text()}"))]  # fmt: skip

    def script(self, units: int) -> list[str]:
        """Several units."""
        return [message for _ in range(units) for message in self.unit()]


def mangled(source: random.Random, data: bytes) -> bytes:
    """`data` with bytes changed, cut out, doubled, moved or made up."""
    for _ in range(source.randrange(1, 4)):
        at, to = sorted((source.randrange(len(data) + 1), source.randrange(len(data) + 1)))
        change = source.randrange(7)
        if change == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([source.randrange(256)]) + data[at + 1 :]
        elif change == 1:
            data = data[:at] + data[min(to, at + source.randrange(12)) :]
        elif change == 2:
            data = data[:to] + data[at:to] + data[to:]
        elif change == 3:
            data = data[:at]
        elif change == 4:
            data = data[:at] + source.randbytes(source.randrange(9)) + data[at:]
        elif change == 5:
            data = data[to:] + data[:at]
        elif data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << source.randrange(8))]) + data[at + 1 :]
    return data


def cut(source: random.Random, data: bytes) -> Iterator[bytes]:
    """`data` as a network may deliver it."""
    while data:
        size = source.choice((len(data), source.randrange(1, 40), source.randrange(1, 6)))
        yield data[:size]
        data = data[size:]


class Play:
    """One session on a stage, with a server that answers as late as chance has it."""

    def __init__(self, stage: Stage, source: random.Random) -> None:
        self.stage = stage
        self.server = WireServer()
        self._source = source
        self._read = 0
        self._answer = b""

    def agent(self, data: bytes) -> None:
        """The agent sends `data`, piece by piece; in between the server does some of its work."""
        for piece in cut(self._source, data):
            self.stage.agent_raw(piece)
            while self._source.random() < 0.5:
                self._step()

    def settle(self) -> None:
        """Everybody does what is left to do."""
        while self._step(everything=True):
            continue

    def say(self, data: bytes) -> None:
        """The server says this next, whatever the protocol has to say about that."""
        self._answer += data

    def _step(self, *, everything: bool = False) -> bool:
        """One of: a worker is done, the server reads, the server writes. Whether there was anything to do."""
        stage = self.stage
        if stage.firewall.to_read and (everything or self._source.random() < 0.5):
            stage.worker_reads()
            return True
        new = bytes(stage.server_transport.sent[self._read :])
        if new and (everything or self._source.random() < 0.7):
            self._read += len(new)
            self._answer += self.server.feed(new)
        if not self._answer or stage.server_transport.closed:
            return bool(new) and not everything
        size = self._source.choice((len(self._answer), self._source.randrange(1, 30)))
        piece, self._answer = self._answer[:size], self._answer[size:]
        stage.server_raw(piece)
        return True


def final_question(nonce: int) -> bytes:
    """What brings any session that is in step to answer `nonce`: out of COPY, out of skipping, out of a failure."""
    return agent_bytes("f done", "S", "Q ROLLBACK", "S", f"Q SELECT {nonce}")
