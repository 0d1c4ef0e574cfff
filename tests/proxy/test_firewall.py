"""What sessions share: judges, readings in workers, cancel requests, health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Never

import pytest

from dbfirewall.errors import AuditError, ConfigError
from dbfirewall.proxy import firewall as firewall_module
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.firewall import Firewall
from dbfirewall.sql.reading import Reading
from tests.proxy.conftest import SetStage
from tests.proxy.stage import RULES, Stage


@pytest.fixture
def stage(set_stage: SetStage) -> Stage:
    return set_stage()


def run(stage: Stage, work: Callable[[], Awaitable[None]]) -> None:
    """On a loop, with the firewall's tasks."""

    async def main() -> None:
        async with asyncio.timeout(20):
            await work()
            await stage.firewall.tasks.close()

    asyncio.run(main())


# -- judges ---------------------------------------------------------------------------------------------------


def test_sessions_of_the_same_kind_share_a_judge(stage: Stage) -> None:
    """Role, database, path and what kind of client it is; not its name."""
    firewall = stage.firewall
    role = firewall.rules.roles["writer"]
    first = firewall.judge(role, "shop", "psql", ("public",))
    assert firewall.judge(role, "shop", "other", ("public",)) is first
    assert firewall.judge(role, "shop", "pg_dump", ("public",)) is not first
    assert firewall.judge(role, "shop", "psql", None) is not first


def test_nobody_is_judged_by_rules_that_are_gone(stage: Stage) -> None:
    """A role of the rules before a reload has no judge any more, and can't leave one behind."""
    old = stage.firewall.rules.roles["writer"]
    stage.reload(RULES)
    assert stage.firewall.judge(old, "shop", "", ("public",)) is None
    new = stage.firewall.rules.roles["writer"]
    judge = stage.firewall.judge(new, "shop", "", ("public",))
    assert judge is not None
    assert judge.role is new


def test_a_new_catalog_makes_new_judges_for_its_database(stage: Stage) -> None:
    """Every session of it gets one; those of another database keep theirs."""
    before = stage.session.judge
    stage.firewall._catalog_loaded("elsewhere")
    assert stage.session.judge is before
    stage.firewall._catalog_loaded("shop")
    assert stage.session.judge is not before


def test_a_database_without_a_catalog_has_no_judge(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a session in it no footing."""
    monkeypatch.setattr(stage.firewall.catalogs, "current", lambda _name: None)
    role = stage.firewall.rules.roles["writer"]
    assert stage.firewall.judge(role, "shop", "", None) is None
    assert stage.firewall.footing(role, "shop") is None


# -- readings -------------------------------------------------------------------------------------------------


def test_a_session_goes_on_with_a_workers_reading(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real task: read, judged, taken, resumed."""

    async def work() -> None:
        async def read(_sql: bytes) -> Reading:
            return Reading()

        monkeypatch.setattr(stage.firewall.pool, "read", read)
        stage.agent("Q LONG SELECT x FROM orders")
        [(session, sql, resume)] = stage.firewall.to_read
        resumed = asyncio.Event()

        def go_on() -> None:
            resume()
            resumed.set()

        Firewall.read_in_worker(stage.firewall, session, sql, go_on)
        await resumed.wait()

    run(stage, work)
    stage.server_gets("Q LONG SELECT x FROM orders")
    assert sum(stage.firewall.metrics.parse._counts) == 1


@pytest.mark.parametrize("where", ["read", "judge"])
def test_a_text_that_cannot_be_judged_ends_its_session(
    stage: Stage, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not wait for ever; the agent hears XX000."""

    async def work() -> None:
        def fail(*_arguments: Any) -> Never:
            raise ZeroDivisionError("a secret detail")

        async def read(_sql: bytes) -> Reading:
            return fail() if where == "read" else Reading()

        monkeypatch.setattr(stage.firewall.pool, "read", read)
        monkeypatch.setattr(stage.session.judge, "judge_reading", fail)
        stage.agent("Q LONG SELECT x FROM orders")
        [(session, sql, resume)] = stage.firewall.to_read
        await stage.firewall._read_in_worker(session, sql, resume)

    run(stage, work)
    stage._pump()
    stage.agent_gets("FATAL XX000").server_gets()
    assert stage.over
    assert "a secret detail" in caplog.text


# -- cancel ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("works", [True, False])
def test_a_cancel_goes_to_the_sessions_own_server(
    stage: Stage, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the rules say that the database is by now; whoever waits for it goes on, also when it failed."""
    sent: list[tuple[Target, int, bytes]] = []
    done: list[bool] = []

    async def send(*arguments: Any) -> None:
        sent.append(arguments)
        if not works:
            raise OSError("no network")

    monkeypatch.setattr(firewall_module, "send_cancel", send)
    stage.firewall.targets.clear()

    async def work() -> None:
        Firewall.cancel_upstream(stage.firewall, stage.session, lambda: done.append(True))
        Firewall.cancel_upstream(stage.firewall, stage.session)
        while len(sent) < 2 or not done:  # noqa: ASYNC110  it is no event
            await asyncio.sleep(0.001)

    run(stage, work)
    assert sent == [(stage.session.footing.target, 42, b"key!")] * 2
    assert done == [True]


def test_only_the_right_key_cancels(stage: Stage) -> None:
    """A wrong key or process id is ignored, and whoever asked goes on at once."""
    [key] = stage.firewall._cancel
    went: list[int] = []
    for number, (pid, secret) in enumerate([(key.pid, b"no"), (key.pid + 1, key.key), (key.pid, key.key)]):
        stage.firewall.cancel(pid, secret, partial(went.append, number))
    assert went == [0, 1]
    assert len(stage.firewall.cancelled) == 1
    stage.firewall.audit.flush()
    assert len(stage.audit("cancel")) == 1


# -- health ---------------------------------------------------------------------------------------------------


def test_a_record_that_cannot_be_written_is_unhealthy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, for /healthz and /readyz; each failed attempt counts."""
    firewall = stage.firewall
    assert (firewall.health(), firewall.readiness()) == ([], [])

    def fail() -> Never:
        raise AuditError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(firewall.audit, "flush", fail)
        firewall.flush_audit()
        [sentence] = firewall.health()
        assert "the disk is full" in sentence
    assert firewall.metrics.audit_failures.cell().value == 1
    firewall.draining = True
    assert firewall.readiness() == ["the firewall is shutting down"]


def test_a_record_that_stays_unwritable_is_told_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Several flushes a second fail; the log says so when it begins and when it is over."""

    def fail() -> None:
        raise AuditError("the disk is full")

    with caplog.at_level("INFO", "dbfirewall.proxy.firewall"):
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(stage.firewall.audit, "flush", fail)
                for _ in range(3):
                    stage.firewall.flush_audit()
            for _ in range(3):
                stage.firewall.flush_audit()
    assert [record.getMessage() for record in caplog.records] == [
        "the disk is full", "the audit record is written again",
    ] * 2  # fmt: skip


def test_the_metrics_know_how_many_are_connected(stage: Stage) -> None:
    """Sessions, and connections that have not logged in."""
    stage.firewall.connections.accept()
    text = stage.firewall.metrics_text().decode()
    assert 'dbfirewall_connections{state="startup"} 1.0' in text
    assert 'dbfirewall_connections{state="session"} 1.0' in text
    assert 'dbfirewall_sessions{role="writer"} 1.0' in text
    stage.firewall.connections.closed(None)


def test_strangers_can_fill_no_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many records, and then one that says how many were left out."""
    firewall = stage.firewall
    budget = [True, False, False, True]
    monkeypatch.setattr(firewall._strangers, "take", lambda: budget.pop(0))
    monkeypatch.setattr(firewall._strangers, "dropped", lambda: 2 if not budget else 0)
    for _ in range(4):
        firewall.record_stranger("auth_failure", agent="x")
    firewall.audit.flush()
    assert len(stage.audit("auth_failure")) == 2
    assert [record["rows"] for record in stage.audit("refused_connection")] == [2]


def test_an_agent_that_needs_a_certificate_needs_a_ca(stage: Stage) -> None:
    """Rules that could let nobody in are refused, and the ones in force stay."""
    rules = RULES.replace('password: "VERIFIER"', 'password: "VERIFIER", certificate: "CN=bot"')
    before = stage.firewall.rules
    with pytest.raises(ConfigError, match="client_ca"):
        stage.reload(rules)
    assert stage.firewall.rules is before
