"""What an approval is bound to: anything different is not released."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbfirewall.approvals.model import Envelope, State
from dbfirewall.proxy.release import Step
from tests.gates.test_tickets import refused, ticket
from tests.gates.world import DATABASE, OTHER, PATIENCE, World, rules, start
from tests.support.postgres import Postgres

Agent = psycopg.Connection[Any]


def by_value(number: int) -> Callable[[Agent], Any]:
    """One DELETE with a parameter."""
    return lambda agent: agent.execute("DELETE FROM orders WHERE id = %s", [number])


def by_literal(number: int) -> Callable[[Agent], Any]:
    """One DELETE with a literal."""
    return lambda agent: agent.execute(f"DELETE FROM orders WHERE id = {number}")


@pytest.mark.parametrize("by", [by_value, by_literal])
def test_other_value(tickets: World, by: Callable[[int], Callable[[Agent], Any]]) -> None:
    """Another literal, or another parameter, is another request; the approved one still runs."""
    with tickets.connect() as agent:
        request = refused(agent, by(1))
        tickets.vote(request)
        assert refused(agent, by(2)) != request
        assert tickets.request(request).state is State.APPROVED
        assert by(1)(agent).rowcount == 1
    assert tickets.sql("SELECT min(id) FROM orders") == [(2,)]


def test_other_bytes(tickets: World) -> None:
    """A blank more is another statement."""
    with tickets.connect() as agent:
        request = refused(agent, by_literal(3))
        tickets.vote(request)
        assert refused(agent, lambda one: one.execute("DELETE FROM orders WHERE id =  3")) != request


def test_other_agent(tickets: World) -> None:
    """Another agent of the same role has to ask for itself."""
    with tickets.connect() as agent, tickets.connect("twin") as twin:
        request = refused(agent, by_value(4))
        tickets.vote(request)
        assert refused(twin, by_value(4)) != request
    assert tickets.count() == 20


def test_other_database(tickets: World) -> None:
    """So has the same agent in another database."""
    with tickets.connect() as agent, tickets.connect(database=OTHER) as there:
        request = refused(agent, by_value(5))
        tickets.vote(request)
        assert refused(there, by_value(5)) != request
    assert tickets.sql("SELECT count(*) FROM orders", OTHER) == [(20,)]


@pytest.mark.parametrize(
    ("number", "setting"), [(15, "search_path = elsewhere"), (16, "timezone = 'Asia/Tokyo'")]
)
def test_other_setting(tickets: World, number: int, setting: str) -> None:
    """So has a session in which the same text could mean something else."""
    with tickets.connect() as agent:
        request = refused(agent, by_literal(number))
        tickets.vote(request)
        agent.execute(f"SET {setting}")
        other = refused(agent, by_literal(number))
        assert other != request
    with tickets.connect() as agent:
        assert by_literal(number)(agent).rowcount == 1
    assert tickets.sql("SELECT count(*) FROM elsewhere.orders") == [(20,)]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders ADD COLUMN extra int",
        "CREATE TRIGGER t BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE r AS ON DELETE TO orders DO ALSO DELETE FROM elsewhere.orders",
        "CREATE TABLE child (o int REFERENCES orders ON DELETE CASCADE)",
    ],
)
def test_other_definition(tickets: World, change: str) -> None:
    """What was redefined since the person looked has to be asked for again."""
    with tickets.connect() as agent:
        request = refused(agent, by_value(7))
        tickets.vote(request)
        tickets.sql(change)
        try:
            assert refused(agent, by_value(7), "ZG003") == request
            assert tickets.request(request).state is State.WITHDRAWN
            assert refused(agent, by_value(7)) != request
        finally:
            tickets.sql(
                "ALTER TABLE orders DROP COLUMN IF EXISTS extra; DROP TRIGGER IF EXISTS t ON orders;"
                "DROP RULE IF EXISTS r ON orders; DROP TABLE IF EXISTS child"
            )
    assert tickets.count() == 20


@pytest.mark.parametrize("by", [by_value, by_literal])
def test_envelope(tickets: World, by: Callable[[int], Callable[[Agent], Any]]) -> None:
    """Rows that came between approval and redemption push it out of it: nothing is changed, and it is spent."""
    text = "DELETE FROM log WHERE word = {} RETURNING id".format("%s" if by is by_value else "'x'")
    values = ["x"] if by is by_value else None
    tickets.sql("INSERT INTO log (word) SELECT 'x' FROM generate_series(1, 3)")
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute(text, values))
        tickets.vote(request)
        tickets.sql("INSERT INTO log (word) VALUES ('x')")
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(text, values)
        assert ticket(caught.value, "ZG003") == request
        detail = json.loads(caught.value.diag.message_detail or "")
        assert (detail["approved"], detail["affected"]) == ([3], [4])
        assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        done = tickets.request(request)
        assert (done.state, done.affected) == (State.OUTSIDE, (4,))
        assert refused(agent, lambda one: one.execute(text, values)) != request
    assert tickets.count("log") == 4


@pytest.mark.parametrize("values", [None, ["x"]], ids=["simple", "extended"])
def test_envelope_in_the_agents_transaction(tickets: World, values: list[str] | None) -> None:
    """There the transaction is made to fail, so that nothing of it can be committed."""
    text = f"DELETE FROM log WHERE word = {'%s' if values else repr('x')}"
    tickets.sql("INSERT INTO log (word) SELECT 'x' FROM generate_series(1, 3)")
    with tickets.connect(autocommit=False) as agent:
        request = refused(agent, lambda one: one.execute(text, values))
        agent.rollback()
        tickets.vote(request)
        agent.execute("INSERT INTO log (word) VALUES ('x')")
        assert refused(agent, lambda one: one.execute(text, values), "ZG003") == request
        assert agent.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        agent.commit()
    assert tickets.request(request).state is State.OUTSIDE
    assert tickets.count("log") == 3


def test_envelope_with_tolerance_and_without(tickets: World) -> None:
    """The approver may allow for some more, or for any number."""
    tickets.sql("INSERT INTO log (word) SELECT 'x' FROM generate_series(1, 10)")
    for envelope in (Envelope((10,), 0.2), None):
        with tickets.connect() as agent:
            request = refused(agent, lambda one: one.execute("DELETE FROM log"))
            tickets.vote(request, envelope=envelope)
            tickets.sql("INSERT INTO log (word) SELECT 'x' FROM generate_series(1, 2)")
            assert agent.execute("DELETE FROM log").rowcount == 12
        tickets.sql("INSERT INTO log (word) SELECT 'x' FROM generate_series(1, 10)")


@pytest.mark.parametrize("values", [[3], None], ids=["extended", "simple"])
def test_cap_on_what_is_allowed(tickets: World, values: list[int] | None) -> None:
    """`max_rows_affected` needs no approval: up to it an UPDATE runs, beyond it is undone with 53400."""
    text = f"UPDATE orders SET price = 2 WHERE id <= {'%s' if values else '3'}"
    with tickets.connect() as agent:
        assert agent.execute(text, values).rowcount == 3
        assert tickets.sql("SELECT count(*) FROM orders WHERE price = 2") == [(3,)]
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(text.replace("<=", ">="), values)
        assert caught.value.sqlstate == "53400"
        assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert agent.execute("SELECT count(*) FROM orders WHERE price = 2").fetchall() == [(3,)]
        with agent.transaction():
            agent.execute("INSERT INTO log (word) VALUES ('kept')")
            assert agent.execute(text, values).rowcount == 3
        with pytest.raises(psycopg.Error), agent.transaction():
            agent.execute("INSERT INTO log (word) VALUES ('lost')")
            agent.execute(text.replace("<=", ">="), values)
    assert tickets.sql("SELECT word FROM log") == [("kept",)]


def test_changed_rules(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rules that now deny it, allow it, or want somebody else: what counts is what they say when it is redeemed."""
    text = rules(shop)
    with start(shop, tmp_path_factory.mktemp("changed"), text) as firewall:
        world = World(shop, firewall)

        def now(changed: str) -> None:
            before = firewall.get("/metrics")[1].count('dbfirewall_rules_loads_total{outcome="ok"}')
            assert before == 1
            loads = len([one for one in firewall.audit() if one["event"] == "rules_loaded"])
            firewall.rules.write_text(changed)
            assert firewall.process is not None
            firewall.process.send_signal(1)
            firewall.audit_until(
                lambda records: len([one for one in records if one["event"] == "rules_loaded"]) > loads
            )

        with world.connect() as agent:
            request = refused(agent, by_value(8))
            world.vote(request)
            now(
                text.replace(
                    "gate: [delete,", "deny: [truncate, delete]\n        on: public.*\n      - gate: [delete,"
                )
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                by_value(8)(agent)
            now(
                text.replace("approvers: [dba]", "approvers: [owners]").replace(
                    "[dba], token", "[owners], token"
                )
            )
            assert refused(agent, by_value(8), "ZG003") == request
            assert world.request(request).state is State.WITHDRAWN
            assert world.count() == 20
            now(
                text.replace("gate: [delete,", "gate: [merge,").replace(
                    "allow: [select,", "allow: [delete, select,"
                )
            )
            assert by_value(8)(agent).rowcount == 1


def test_expired(shop: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An approval that was not redeemed in time: ZG003 once, then it is asked for anew."""
    text = rules(shop, hold="hold: 0s\nexpires: 3s")
    with start(shop, tmp_path_factory.mktemp("expires"), text) as firewall:
        world = World(shop, firewall)
        with world.connect() as agent:
            request = refused(agent, by_value(9))
            world.vote(request)
            world.until(request, State.EXPIRED)
            assert refused(agent, by_value(9), "ZG003") == request
            assert refused(agent, by_value(9)) != request
    assert world.count() == 20


def test_race(tickets: World) -> None:
    """Twenty sessions redeem one approval at the same moment: exactly one runs."""
    statement = "INSERT INTO once VALUES (20)"
    with tickets.connect() as agent:
        request = refused(agent, lambda one: one.execute(statement))
    tickets.vote(request)
    gate = threading.Barrier(20)

    def redeem(_number: int) -> str:
        with tickets.connect() as agent:
            gate.wait(PATIENCE)
            try:
                agent.execute(statement)
            except psycopg.Error as error:
                return error.sqlstate or ""
            return "ran"

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(redeem, range(20)))
    assert answers.count("ran") == 1
    assert set(answers) == {"ran", "ZG001"}
    assert tickets.count("once") == 1
    assert tickets.request(request).state is State.DONE


@pytest.mark.parametrize("undo", ["", "\nundo: rows"], ids=["", "undo"])
@pytest.mark.parametrize("values", [None, [17]], ids=["simple", "extended"])
def test_redefined_in_the_last_moment(
    shop: Postgres, tmp_path: Path, values: list[int] | None, undo: str
) -> None:
    """Redefined between the last look at it and its own locks: it is undone, whatever its isolation level sees."""
    text = f"DELETE FROM orders WHERE id = {'%s' if values else 17}"
    program = [str(Path(__file__).with_name("change_at.py"))]
    doomed = start(shop, tmp_path, rules(shop, hold=f"hold: 0s{undo}"), program=program)
    doomed.environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "CHANGE_AT": ""}
    with doomed as firewall:
        world = World(shop, firewall)
        with world.connect() as agent:
            request = refused(agent, lambda one: one.execute(text, values))
            world.vote(request)
        firewall.kill()
        firewall.environment |= {
            "DSN": shop.dsn(DATABASE),
            "CHANGE_AT": Step.MARKED.value,
            "CHANGE": "CREATE RULE r AS ON DELETE TO orders DO ALSO DELETE FROM elsewhere.orders",
        }
        firewall.start()
        try:
            with world.connect() as agent:
                assert refused(agent, lambda one: one.execute(text, values), "ZG003") == request
                assert agent.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            assert world.request(request).state is State.WITHDRAWN
        finally:
            shop.sql("DROP RULE IF EXISTS r ON orders", DATABASE)
        assert (world.count(), world.count("elsewhere.orders")) == (20, 20)
