"""Sessions that do anything in any order: what an approval says it did is what the server has."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from dbfirewall.approvals.model import State
from tests.gates.test_edges import FLUSH, close_portal, raw, some
from tests.gates.test_tickets import refused
from tests.gates.world import World
from tests.support.raw import SYNC, RawClient, bind, parse, query

SEEDS = 14
STEPS = 30


def asked(world: World, number: int) -> str:
    """The request for the statement of this number."""
    with world.connect() as agent:
        return refused(agent, lambda one: one.execute(statement(number)))


def statement(number: int) -> str:
    """Not the same twice: a second run adds a second row."""
    return f"INSERT INTO once VALUES ({number}) RETURNING ran"


class Player:
    """Sends what a seed says. Every pipeline it begins it ends with a Sync, or by leaving."""

    def __init__(self, client: RawClient, source: random.Random, numbers: list[int]) -> None:
        self._client = client
        self._source = source
        self._numbers = numbers
        self._open = False
        self.transcript: list[str] = []

    def step(self) -> None:
        """One of the things that agents do."""
        moves: list[Callable[[], bytes]] = [
            self._gated, self._gated, self._gated, self._half, self._allowed, self._capped, self._failing,
            self._control, self._flush, self._sync, self._sync, self._simple, self._simple_control,
        ]  # fmt: skip
        move = self._source.choice(moves)
        self.transcript.append(move.__name__)
        self._client.send(move())

    def _extended(self, sql: str, rows: int = 0) -> bytes:
        self._open = True
        name = self._source.choice([b"", b"a"])
        close = close_portal(name) if self._source.random() < 0.2 else b""
        again = parse("", b"") if not name and self._source.random() < 0.1 else b""
        return (
            parse(sql)
            + bind(name)
            + some(rows, name)
            + (close or (close_portal(name) if name else b""))
            + again
        )

    def _gated(self) -> bytes:
        return self._extended(statement(self._source.choice(self._numbers)))

    def _half(self) -> bytes:
        self._open = True
        return (
            parse(statement(self._source.choice(self._numbers))) + bind() + some(self._source.choice([0, 1]))
        )

    def _allowed(self) -> bytes:
        return self._extended("INSERT INTO log (word) VALUES ('x')")

    def _capped(self) -> bytes:
        return self._extended(f"UPDATE orders SET price = 2 WHERE id <= {self._source.choice([1, 2, 9])}")

    def _failing(self) -> bytes:
        return self._extended("SELECT 1/0")

    def _control(self) -> bytes:
        return self._extended(self._source.choice(["BEGIN", "COMMIT", "ROLLBACK"]))

    def _flush(self) -> bytes:
        return FLUSH

    def _sync(self) -> bytes:
        self._open = False
        return SYNC

    def _simple(self) -> bytes:
        return self._end() + query(
            self._source.choice([
                statement(self._source.choice(self._numbers)),
                f"INSERT INTO log (word) VALUES ('y'); {statement(self._source.choice(self._numbers))}",
                "UPDATE orders SET price = 3 WHERE id <= 2",
                "SELECT 1",
            ])
        )  # fmt: skip

    def _simple_control(self) -> bytes:
        return self._end() + query(self._source.choice(["BEGIN", "COMMIT", "ROLLBACK"]))

    def _end(self) -> bytes:
        return self._sync() if self._open and self._source.random() < 0.9 else b""

    def finish(self) -> None:
        """Leave in the middle, or go on until the session answers as it should."""
        if self._source.random() < 0.3:
            return
        self._client.send(SYNC + query("ROLLBACK") + query("SELECT 'the end'"))
        while answers := self._client.until(b"Z"):
            if any(b"the end" in one.body for one in answers):
                return
        raise AssertionError(f"the session ended by itself: {self.transcript}")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_agents_do(tickets: World, seed: int) -> None:
    """What is done has run once, what is approved has not, and nothing has that nobody approved."""
    numbers = [seed * 10 + offset for offset in range(4)]
    requests = {number: asked(tickets, number) for number in numbers}
    for number in numbers[:3]:
        tickets.vote(requests[number], envelope=None)
    source = random.Random(seed)
    with raw(tickets) as client:
        player = Player(client, source, numbers)
        for _ in range(STEPS):
            player.step()
        player.finish()
    for number, request in requests.items():
        ran = [row for row in tickets.sql("SELECT ran FROM once") if row == (number,)]
        final = tickets.until(request, State.DONE, State.APPROVED, State.PENDING)
        ran = [row for row in tickets.sql("SELECT ran FROM once") if row == (number,)]
        expected = {State.DONE: 1, State.APPROVED: 0, State.PENDING: 0}[final.state]
        assert len(ran) == expected, (final, player.transcript)
        assert final.state is not State.PENDING or number == numbers[3]
    with psycopg.connect(tickets.dsn()) as agent:
        assert agent.execute("SELECT 1").fetchone() == (1,)
