"""Running the firewall on a real loop: the listener, idle sessions, drain, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.errors import AuditError, ConfigError
from dbfirewall.proxy import firewall as firewall_module
from dbfirewall.proxy import server, upstream
from dbfirewall.proxy.server import IdleWatch
from tests.proxy.conftest import SetStage
from tests.proxy.notation import server_texts
from tests.proxy.running import KEY, Backend, Running, no_catalogs
from tests.proxy.stage import Stage
from tests.support.raw import RawClient, query, startup

# -- idle sessions --------------------------------------------------------------------------------------------


@pytest.fixture
def stage(set_stage: SetStage) -> Stage:
    return set_stage()


def test_a_session_that_is_silent_for_too_long_is_idle(stage: Stage) -> None:
    """Counted from the first look, and not a moment earlier."""
    watch, sessions = IdleWatch(10), [stage.session]
    assert watch.look(sessions, 100) == []
    assert watch.look(sessions, 109) == []
    assert watch.look(sessions, 110) == sessions


def test_whatever_is_answered_begins_the_time_anew(stage: Stage) -> None:
    """A refusal, too."""
    watch, sessions = IdleWatch(10), [stage.session]
    watch.look(sessions, 100)
    stage.agent("Q DELETE FROM secret").server_gets("Q !").server("E !", "Z I")
    assert watch.look(sessions, 110) == []
    assert watch.look(sessions, 119) == []
    assert watch.look(sessions, 120) == sessions


def test_a_session_that_waits_for_the_server_is_not_idle(stage: Stage) -> None:
    """A long statement is the business of statement_timeout."""
    watch, sessions = IdleWatch(10), [stage.session]
    watch.look(sessions, 100)
    stage.agent("Q SELECT 1")
    assert watch.look(sessions, 200) == []
    stage.server("C SELECT 1", "Z I")
    assert watch.look(sessions, 300) == []
    assert watch.look(sessions, 310) == sessions


def test_a_half_sent_message_does_not_count(stage: Stage) -> None:
    """Nor does a transaction that is left open."""
    watch, sessions = IdleWatch(10), [stage.session]
    stage.agent("Q BEGIN").server("C BEGIN", "Z T")
    watch.look(sessions, 100)
    stage.agent_raw(b"Q\0\0")
    assert watch.look(sessions, 110) == sessions


def test_idle_sessions_are_ended(stage: Stage) -> None:
    """With an error that says why, and a record of it."""

    async def main() -> None:
        async with asyncio.timeout(20):
            task = asyncio.ensure_future(server._end_idle_forever(stage.firewall, 0.01))  # noqa: TID251
            while stage.firewall.sessions:  # noqa: ASYNC110  it is no event
                await asyncio.sleep(0.001)
            task.cancel()

    asyncio.run(main())
    stage._pump()
    stage.agent_gets("FATAL 57P01").server_gets("X")
    assert stage.over
    stage.firewall.audit.flush()
    assert stage.audit("session_end")[0]["error"] == "idle"


# -- the process ----------------------------------------------------------------------------------------------


async def nothing(_running: Running) -> None:
    """It only runs."""


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """SIGTERM ends it with status 0, and the audit record with a stop."""
    assert Running(tmp_path).play(nothing) == 0
    assert b'"event":"stop"' in (tmp_path / "audit.jsonl").read_bytes()


def test_sighup_reloads_the_rules(tmp_path: Path) -> None:
    """Good ones come into force; wrong ones do not, and both are counted."""

    async def work(running: Running) -> None:
        firewall = running.firewall
        assert firewall is not None
        before = firewall.rules
        loads = firewall.metrics.rules_loads
        for text, outcome, count in ((running.rules.read_text(), "ok", 2), ("nonsense: [", "rejected", 1)):
            running.rules.write_text(text)
            os.kill(os.getpid(), signal.SIGHUP)
            while loads.cell(outcome).value < count:  # noqa: ASYNC110  it is no event
                await asyncio.sleep(0.001)
        assert firewall.rules is not before
        assert firewall.rules.agents

    assert Running(tmp_path).play(work) == 0


WAITS = "import sys, pathlib; pathlib.Path(sys.argv[1]).read_text(); print('secret')"


def test_sessions_go_on_while_a_password_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload may take long: until it is done the old rules hold, and more signals make one more reload of it."""
    no_catalogs(monkeypatch)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = f"password: {{command: [{sys.executable}, -c, {json.dumps(WAITS)}, {gate}]}}"

    async def work(running: Running) -> None:
        firewall = running.firewall
        assert firewall is not None
        loads = firewall.metrics.rules_loads.cell("ok")
        running.rules.write_text(running.rules.read_text().replace("{user: w}", f"{{user: w, {command}}}"))
        os.kill(os.getpid(), signal.SIGHUP)
        with running.client() as client:
            assert (await running.log_in(client))[-1].type == b"Z"
            client.send(query("SELECT 1"))
            assert (await asyncio.to_thread(client.until, b"Z"))[-1].type == b"Z"
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGHUP)
                await asyncio.sleep(0)
            assert loads.value == 1
            for count in (2, 3):
                await asyncio.to_thread(gate.write_bytes, b"")
                while loads.value < count:  # noqa: ASYNC110  it is no event
                    await asyncio.sleep(0.001)
        assert firewall.credentials["shop", "writer"].password == "secret"

    assert Running(tmp_path).play(work, Backend()) == 0


def test_a_reload_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """SIGTERM is obeyed though a password command hangs."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = f"password: {{command: [{sys.executable}, -c, {json.dumps(WAITS)}, {gate}]}}"

    async def work(running: Running) -> None:
        running.rules.write_text(running.rules.read_text().replace("{user: w}", f"{{user: w, {command}}}"))
        os.kill(os.getpid(), signal.SIGHUP)
        held.append(await asyncio.to_thread(os.open, gate, os.O_WRONLY))

    held: list[int] = []
    assert Running(tmp_path).play(work) == 0
    os.close(held[0])


def test_the_server_hears_what_need_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs when the time to drain is over is cancelled, however long the way to the server is."""
    no_catalogs(monkeypatch)
    backend = Backend()

    async def slow(*arguments: Any) -> None:
        await asyncio.sleep(0.3)
        await upstream.send_cancel(*arguments)

    monkeypatch.setattr(firewall_module, "send_cancel", slow)

    async def work(running: Running) -> None:
        clients.append(client := running.client())
        assert (await running.log_in(client))[-1].type == b"Z"
        client.send(query("COPY orders FROM STDIN"))
        assert (await asyncio.to_thread(client.until, b"G", b"E"))[-1].type == b"G"

    clients: list[RawClient] = []
    assert Running(tmp_path, drain_timeout="50ms").play(work, backend) == 0
    clients[0].socket.close()
    assert backend.cancels == [KEY[5:]]


def test_a_reload_that_cannot_be_recorded_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or nothing: rules that nobody could account for do not come into force."""

    async def work(running: Running) -> None:
        firewall = running.firewall
        assert firewall is not None
        before = firewall.rules

        def fail(*_arguments: object) -> None:
            raise AuditError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(firewall.audit, "flush", fail)
            await firewall.reload()
        assert firewall.rules is before
        assert firewall.metrics.rules_loads.cell("rejected").value == 1

    assert Running(tmp_path).play(work) == 0


def test_rules_without_agents_are_refused(tmp_path: Path) -> None:
    """Nobody could connect: it does not even start."""
    running = Running(tmp_path)
    text = running.rules.read_text()
    running.rules.write_text(text[: text.index("agents:")] + text[text.index("\napprovers:") + 1 :])
    with pytest.raises(ConfigError, match="no agents"):
        running.play(nothing)


def test_what_waits_in_the_audit_buffer_is_written_soon(tmp_path: Path) -> None:
    """Also when no statement follows."""

    async def work(running: Running) -> None:
        await running.talk(b"\xff" * 8)
        while b"refused_connection" not in (tmp_path / "audit.jsonl").read_bytes():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert Running(tmp_path).play(work) == 0


def test_a_newcomer_at_the_limit_is_told(tmp_path: Path) -> None:
    """53300 for whoever finds all places taken by connections that have logged in."""

    async def work(running: Running) -> None:
        firewall = running.firewall
        assert firewall is not None
        assert firewall.connections.accept()
        assert firewall.connections.authenticated("bot", 5)
        assert server_texts(await running.talk()) == ["FATAL 53300"]
        firewall.connections.closed("bot")
        assert firewall.connections.total == 0

    assert Running(tmp_path, connections=1).play(work) == 0


def test_strangers_are_turned_away_and_counted_out(tmp_path: Path) -> None:
    """Garbage, half a packet, silence, and a server that is not there: no connection stays, no count is left."""

    async def work(running: Running) -> None:
        firewall = running.firewall
        assert firewall is not None
        bot = startup({"user": "bot"})
        assert server_texts(await running.talk(b"\xff" * 8)) == ["FATAL 08P01"]
        assert server_texts(await running.talk(bot[:5])) == ["FATAL 08P01"]
        assert server_texts(await running.talk()) == ["FATAL 08P01"]
        assert (await running.talk(bot + b"!"))[-1:] == b"\0"
        assert (await running.talk(b"\0\0\0\x08\x04\xd2\x16\x2f"))[:1] == b"N"
        while firewall.connections.total or firewall.connections.unauthenticated:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        reasons = {
            reason: firewall.metrics.connections_refused.cell(reason).value
            for reason in ("protocol", "timeout")
        }
        assert reasons == {"protocol": 2, "timeout": 3}

    assert Running(tmp_path, handshake_timeout="200ms").play(work) == 0
