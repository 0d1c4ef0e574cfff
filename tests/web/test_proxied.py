"""Whose word counts besides an approver's own: the authenticating proxy's, and Slack's. Over real HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dbfirewall.approvals.document import document
from dbfirewall.approvals.message import APPROVE, Channel
from dbfirewall.approvals.model import Request, State
from dbfirewall.approvals.slack import SlackButtons
from dbfirewall.limits import FREE_ATTEMPTS
from dbfirewall.web.options import WebOptions
from tests.web.stage import RULES, Stage, preview

# -- the authenticating proxy ---------------------------------------------------------------------------------

LOCAL = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Stage]:
    """A listener that believes a proxy at a loopback address."""
    stage = Stage(tmp_path, WebOptions(auth_header="x-user", trusted_proxies=LOCAL))
    yield stage
    stage.stop()


def test_the_proxys_word(proxied: Stage) -> None:
    """Whom the proxy names is signed in, with the groups of the rules, and decides by forms with a token in them."""
    request = proxied.submit(seen=preview())
    person = proxied.browser(None, **{"X-User": "alice"})
    assert person.decide(request, "approve", csrf="wrong").status == 403
    assert person.decide(request, "approve").status == 303
    assert proxied.get(request.id).votes[0].approver == "alice"
    assert person.cookies == {}


def test_the_proxy_names_nobody_we_know(proxied: Stage) -> None:
    """A name that the rules do not have, an agent's, or two at once: refused."""
    proxied.write_rules(RULES.replace("  mallory:", "  robot:"))
    for name in ("carol", "robot", "alice, bob", "ALICE"):
        assert proxied.ask("/approvals", headers={"X-User": name}).status == 403
    connection = socket.create_connection(("127.0.0.1", proxied.port), timeout=10)
    connection.sendall(b"GET /approvals HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: alice\r\nX-User: bob\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 403 ")
    connection.close()


def test_the_proxys_word_does_not_decide_by_api(proxied: Stage) -> None:
    """The API's decisions need a bearer token."""
    request = proxied.submit(seen=preview())
    answer = proxied.api(f"/approvals/{request.id}/approve", {}, token=None, **{"X-User": "alice"})
    assert answer.status == 401


def test_somebody_else_who_says_so(tmp_path: Path) -> None:
    """From elsewhere than the trusted proxies the header is refused, also with a token or a session."""
    options = WebOptions(auth_header="x-user", trusted_proxies=(ip_network("192.0.2.0/24"),))
    stage = Stage(tmp_path, options)
    try:
        person = stage.browser()
        assert person.get("/approvals", **{"X-User": "alice"}).status == 403
        assert stage.api("/me", **{"X-User": "alice"}).status == 403
        assert person.get("/approvals").status == 200
        assert "from elsewhere" in stage.refusals[0][1]
    finally:
        stage.stop()


def test_a_header_that_nobody_set_up(stage: Stage) -> None:
    """Without the setting no header names anybody."""
    for name in ("X-User", "X-Forwarded-User", "X-Auth-Request-Email", "Remote-User", "X-Remote-User"):
        assert stage.ask("/approvals", headers={name: "alice"}).status == 303


def test_addresses_behind_a_proxy(proxied: Stage) -> None:
    """From a trusted proxy the client's address is taken: the last that is not itself a proxy's."""
    proxied.api("/me", token="guess", **{"X-Forwarded-For": "198.51.100.7, 203.0.113.9, 127.0.0.2"})
    proxied.api("/me", token="guess", **{"X-Forwarded-For": "<script>"})
    assert [address for address, _ in proxied.refusals] == ["203.0.113.9", "127.0.0.1"]


def test_addresses_that_strangers_claim(stage: Stage) -> None:
    """Without trusted proxies X-Forwarded-For says nothing: guessing can't be spread over made-up addresses."""
    answers = [
        stage.api("/me", token="guess", **{"X-Forwarded-For": f"198.51.100.{number}"}).status
        for number in range(FREE_ATTEMPTS + 1)
    ]
    assert answers[-1] == 429


# -- Slack ----------------------------------------------------------------------------------------------------


def test_slack_is_not_there_unless_set_up(stage: Stage) -> None:
    """Without Slack its endpoint is a 404."""
    assert stage.ask("/slack/interactive", "POST", b"payload={}").status == 404


def test_slack_gets_the_raw_body(stage: Stage) -> None:
    """The handler gets the exact bytes, whose signature it checks, and headers in lower case."""
    heard: list[tuple[bytes, str]] = []

    async def handler(body: bytes, headers: Any) -> tuple[int, dict[str, Any]]:
        heard.append((body, headers["x-slack-signature"]))
        return 401, {"error": "signature"}

    stage.slack = handler
    body = b"payload=%7B%22a%22%3A+1%7D&x=%20"
    headers = {
        "X-Slack-Signature": "v0=00",
        "Host": "fw.example",
        "X-Slack-Request-Timestamp": str(int(time.time())),
    }
    answer = stage.ask("/slack/interactive", "POST", body, headers)
    assert (answer.status, heard) == (401, [(body, "v0=00")])


def press(stage: Stage, one: Request, secret: str, *, age: float = 0.0, member: str = "U0ALICE") -> int:
    """Alice's button in Slack, signed with `secret` that long ago; the status."""
    value = json.dumps({"id": one.id, "seen": document(one)["seen"]})
    payload = {"user": {"id": member}, "actions": [{"action_id": APPROVE, "value": value}]}
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time() - age))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Host": "fw.example", "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Signature": f"v0={signature}", "X-Slack-Request-Timestamp": stamp,
    }  # fmt: skip
    return stage.ask("/slack/interactive", "POST", body, headers).status


def test_buttons_in_slack(stage: Stage) -> None:
    """What Slack signed a moment ago decides for the member whom the rules name; anything else is refused."""
    stage.write_rules(RULES.replace("alice: {groups: [dba]", "alice: {groups: [dba], slack: U0ALICE"))
    channel = Channel("chat", "slack", "https://hooks.example/x", "signing-secret")
    stage.slack = SlackButtons(stage.approvals, lambda: [channel], lambda: stage.rules, time.time)
    one = stage.submit(seen=preview())
    assert press(stage, one, "another secret") == 401
    assert press(stage, one, "signing-secret", age=3600) == 401
    assert press(stage, one, "signing-secret", age=-3600) == 401
    assert press(stage, one, "signing-secret", member="U0MALLORY") == 200
    assert stage.get(one.id).state is State.PENDING
    assert press(stage, one, "signing-secret") == 200
    assert [vote.approver for vote in stage.get(one.id).votes] == ["alice"]
