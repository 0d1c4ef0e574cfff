"""The whole way, as people go it: notifications, the command line, Slack's buttons, the API, after a crash too."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from dbfirewall.approvals.model import State
from tests.approvals.receiver import Receiver, receiver
from tests.gates.world import LOGIN_PASSWORD, TOKEN, World, rules
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

SIGNING = "slack signing secret"
NOTIFY = """
notify:
  oncall: {webhook: {env: HOOK}, secret: {env: HOOK_SECRET}}
  chat: {slack: {env: CHAT}, secret: {env: CHAT_SECRET}, groups: [dba], redact: literals}
"""


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    """What listens for webhooks."""
    with receiver() as one:
        yield one


@pytest.fixture(scope="module")
def chat() -> Iterator[Receiver]:
    """What is Slack to this firewall."""
    with receiver() as one:
        yield one


@pytest.fixture(scope="module")
def world(
    shop: Postgres, tmp_path_factory: pytest.TempPathFactory, hook: Receiver, chat: Receiver
) -> Iterator[World]:
    """A firewall that notifies, and whose gates hold for as long as any test takes."""
    text = rules(shop, hold="hold: 60s").replace(
        "alice: {groups: [dba],", "alice: {groups: [dba], slack: U0ALICE,"
    )
    environment = {
        "GATES_PASSWORD": LOGIN_PASSWORD, "HOOK": hook.url, "HOOK_SECRET": "whsec_c2lnbmVk", "CHAT": chat.url,
        "CHAT_SECRET": SIGNING,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("people")
    with Firewall(text + NOTIFY, folder, environment=environment) as firewall:
        yield World(shop, firewall)


class Agent:
    """An agent whose statement waits; `result()`: its row count, or the error that it got."""

    def __init__(self, world: World, statement: str) -> None:
        self._outcome: int | psycopg.Error | None = None
        self._world = world
        self._statement = statement
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._world.connect() as connection:
                self._outcome = connection.execute(self._statement.encode()).rowcount
        except psycopg.Error as error:
            self._outcome = error

    def result(self) -> int | psycopg.Error:
        """What came of it."""
        self._thread.join(60)
        assert self._outcome is not None, "the statement still waits"
        return self._outcome


def command(world: World, *arguments: str) -> str:
    """`dbfirewall approvals …` as alice; what it printed."""
    world.firewall.environment["DBFIREWALL_TOKEN"] = TOKEN
    world.firewall.environment["DBFIREWALL_URL"] = world.firewall.admin_url
    done = world.firewall.command("approvals", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def press(world: World, chat: Receiver, element: dict[str, str]) -> None:
    """Slack tells the firewall that alice pressed a button."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U0ALICE", "name": "alice"},
        "actions": [{"action_id": element["action_id"], "value": element["value"]}],
        "response_url": chat.url,
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(SIGNING.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        f"{world.firewall.admin_url}/slack/interactive", data=body,
        headers={
            "Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": "v0=" + signature,
        },
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def message_about(at: Receiver, request_id: str) -> dict[str, Any]:
    """The first message that names this request."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for _, body in list(at.posts):
            if request_id.encode() in body:
                found: dict[str, Any] = json.loads(body)
                return found
        time.sleep(0.05)
    raise AssertionError("nobody was notified")


def test_the_command_line_approves_what_waits(world: World, hook: Receiver) -> None:
    """The agent sees latency alone; the webhook said which rows, and where to look."""
    agent = Agent(world, "DELETE FROM orders WHERE id <= 4")
    asked = world.pending()
    told = message_about(hook, asked.id)
    assert told["approval"]["preview"]["rows"] == [4]
    assert told["link"] == f"{world.firewall.admin_url}/approvals/{asked.id}"
    assert asked.id in command(world, "list")
    assert "It would change 4 rows." in command(world, "show", asked.id)
    command(world, "approve", asked.id, "--yes")
    assert agent.result() == 4
    assert world.until(asked.id, State.DONE).affected == (4,)
    records = world.firewall.audit_until(
        lambda found: any(one["event"] == "outcome" and one["rows"] == 4 for one in found)
    )
    story = [one["event"] for one in records if one.get("approval") == asked.id]
    assert story == ["approval_requested", "approval_granted", "approval_redeemed", "statement"]
    (ran,) = [one for one in records if one["event"] == "statement" and one.get("approval") == asked.id]
    assert (ran["decision"], ran["sqlstate"]) == ("gate", "")


def test_the_command_line_denies_with_a_reason(world: World) -> None:
    """ZG002 with the person's words, for the statement that waits and when it is sent again."""
    statement = "DELETE FROM orders WHERE id = 5"
    agent = Agent(world, statement)
    asked = world.pending()
    command(world, "deny", asked.id, "--reason", "Order 5 is disputed.")
    for refused in (agent.result(), Agent(world, statement).result()):
        assert isinstance(refused, psycopg.Error)
        assert refused.sqlstate == "ZG002"
        assert "Order 5 is disputed." in f"{refused.diag.message_primary} {refused.diag.message_hint}"
    assert world.count() == 20


def test_a_button_in_slack_approves(world: World, chat: Receiver) -> None:
    """The message holds no literal; its button lets the statement run."""
    agent = Agent(world, "DELETE FROM orders WHERE item = 'item 7'")
    asked = world.pending()
    message = message_about(chat, asked.id)
    assert "item 7" not in json.dumps(message)
    approve = next(one for one in message["blocks"][-1]["elements"] if one["action_id"].endswith("approve"))
    press(world, chat, approve)
    assert agent.result() == 1


def test_nobody_else_presses_buttons(world: World) -> None:
    """Without Slack's signature: 401."""
    request = urllib.request.Request(
        f"{world.firewall.admin_url}/slack/interactive", data=b"payload=%7B%7D",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    refused.value.close()


def test_a_crash_loses_no_request(shop: Postgres, tmp_path: Path) -> None:
    """Not approved in time: ZG001. Killed, started again, approved by the command line, sent again: it runs once."""
    statement = "DELETE FROM orders WHERE id <= 2"
    firewall = Firewall(
        rules(shop, hold="hold: 300ms"), tmp_path, environment={"GATES_PASSWORD": LOGIN_PASSWORD}
    )
    with firewall:
        world = World(shop, firewall)
        refused = Agent(world, statement).result()
        assert isinstance(refused, psycopg.Error)
        assert refused.sqlstate == "ZG001"
        asked = world.pending()
        firewall.kill()
        firewall.start()
        command(world, "approve", asked.id, "--yes")
        assert Agent(world, statement).result() == 2
        again = Agent(world, statement).result()
        assert isinstance(again, psycopg.Error)
        assert asked.id not in str(again.diag.message_detail)
    assert world.count() == 18
