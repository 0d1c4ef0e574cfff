"""The firewall killed at every step of a release, by SIGKILL: the statement runs once, and the request knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbfirewall.approvals.model import State
from dbfirewall.proxy.release import Step
from tests.gates.test_tickets import refused
from tests.gates.world import World, rules, start
from tests.support.postgres import Postgres

INSIDE = (Step.OPENED, Step.NAMED, Step.MARKED, Step.SENT, Step.COUNTED, Step.COMMITTED, Step.SETTLED)
UNDO = "undo: rows"

KILLED = Path(__file__).with_name("kill_at.py")
SIGKILLED = -9


def simple(agent: psycopg.Connection[Any]) -> int:
    """Not the same twice: a second run adds a second row."""
    return agent.execute("INSERT INTO once VALUES (1)").rowcount


def extended(agent: psycopg.Connection[Any]) -> int:
    """The same with a parameter."""
    return agent.execute("INSERT INTO once VALUES (%s)", [1]).rowcount


def deleting(agent: psycopg.Connection[Any]) -> int:
    """One whose rows are kept for undo."""
    return agent.execute("DELETE FROM orders WHERE id <= 2").rowcount


def one_folder(shop: Postgres, folder: Path, hold: str = "hold: 0s") -> tuple[World, Any]:
    """A firewall, and how to make one that is going to die, on the same ports and state."""
    text = rules(shop, hold=hold)
    first = start(shop, folder, text)

    def doomed(step: Step) -> World:
        firewall = start(
            shop, folder, text, port=first.port, admin_port=first.admin_port, program=[str(KILLED)]
        )
        firewall.environment["KILL_AT"] = step.value
        firewall.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        return World(shop, firewall)

    return World(shop, first), doomed


def dies(world: World, send: Any, *, commit: bool = False) -> None:
    """The firewall starts, an agent sends its statement, and the firewall is killed by it."""
    world.firewall.start()
    agent = world.connect(autocommit=not commit)
    with pytest.raises(psycopg.OperationalError):
        send(agent)
        if commit:
            agent.commit()
    process = world.firewall.process
    assert process is not None
    assert process.wait(10) == SIGKILLED


@pytest.mark.parametrize("send", [simple, extended])
@pytest.mark.parametrize("step", [Step.APPROVED, *INSIDE], ids=str)
def test_killed_in_a_release(shop: Postgres, tmp_path: Path, step: Step, send: Any) -> None:
    """The server is asked what became of it: it is done if it ran, else it is approved still, and then runs."""
    world, doomed = one_folder(shop, tmp_path)
    with world.firewall as firewall:
        with world.connect() as agent:
            request = refused(agent, send)
        world.vote(request)
        firewall.kill()
        dies(doomed(step), send)
        firewall.start()
        state = world.until(request, State.APPROVED, State.DONE).state
        assert world.count("once") == (1 if state is State.DONE else 0)
        assert (state is State.DONE) == (step in (Step.COMMITTED, Step.SETTLED))
        with world.connect() as agent:
            if state is State.APPROVED:
                assert send(agent) == 1
            assert world.request(request).state is State.DONE
            assert refused(agent, send) != request
    assert world.count("once") == 1


@pytest.mark.parametrize("send", [simple, extended])
@pytest.mark.parametrize("step", [Step.NAMED, Step.MARKED, Step.SENT, Step.COUNTED], ids=str)
def test_killed_in_the_agents_transaction(shop: Postgres, tmp_path: Path, step: Step, send: Any) -> None:
    """What the agent had not committed is gone with the firewall, and the approval is there again."""
    world, doomed = one_folder(shop, tmp_path)
    with world.firewall as firewall:
        with world.connect() as agent:
            request = refused(agent, send)
        world.vote(request)
        firewall.kill()
        dies(doomed(step), send, commit=True)
        firewall.start()
        world.until(request, State.APPROVED)
        assert world.count("once") == 0
        with world.connect(autocommit=False) as agent:
            assert send(agent) == 1
            agent.commit()
        world.until(request, State.DONE)
    assert world.count("once") == 1


@pytest.mark.parametrize("step", [Step.SUBMITTED, Step.TOLD], ids=str)
def test_killed_while_asking(shop: Postgres, tmp_path: Path, step: Step) -> None:
    """Killed as soon as the request is stored: it is found again, approved and redeemed."""
    world, doomed = one_folder(shop, tmp_path, hold="hold: 500ms")
    dies(doomed(step), simple)
    with world.firewall:
        request = world.pending().id
        with world.connect() as agent:
            assert refused(agent, simple) == request
            world.vote(request, envelope=None)
            assert simple(agent) == 1
    assert world.count("once") == 1


@pytest.mark.parametrize("step", [Step.MARKED, Step.KEPT, Step.SENT, Step.COUNTED, Step.COMMITTED], ids=str)
def test_killed_with_undo(shop: Postgres, tmp_path: Path, step: Step) -> None:
    """Where rows are kept for undo, they are there if it ran, and those of an attempt that did not are forgotten."""
    world, doomed = one_folder(shop, tmp_path, hold="hold: 0s\nundo: rows")
    with world.firewall as firewall:
        with world.connect() as agent:
            request = refused(agent, deleting)
        world.vote(request)
        firewall.kill()
        dies(doomed(step), deleting)
        firewall.start()
        state = world.until(request, State.APPROVED, State.DONE).state
        if state is State.APPROVED:
            with world.connect() as agent:
                assert deleting(agent) == 2
        done = world.request(request)
        assert (done.state, done.undo_rows) == (State.DONE, 2)
    assert world.count() == 18


def test_killed_without_a_transaction(shop: Postgres, tmp_path: Path) -> None:
    """What ran in no transaction can't be asked about: the request says so, and a person has to settle it."""
    world, doomed = one_folder(shop, tmp_path)
    with world.firewall as firewall:
        with world.connect() as agent:
            request = refused(agent, lambda one: one.execute("VACUUM orders"))
        world.vote(request)
        firewall.kill()
        dies(doomed(Step.SENT), lambda one: one.execute("VACUUM orders"))
        firewall.start()
        unknown = world.until(request, State.UNKNOWN)
        assert "no transaction" in unknown.note
