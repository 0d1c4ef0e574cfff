"""Slack's buttons on the real service: they decide by the same rules as everything else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from dbfirewall.approvals.document import document
from dbfirewall.approvals.message import APPROVE, DENY, Channel
from dbfirewall.approvals.model import Options, Request, State
from dbfirewall.approvals.service import Approvals
from dbfirewall.approvals.slack import SlackButtons
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.metrics import Metrics
from dbfirewall.policy.models import Rules
from tests.approvals.example import PREVIEW, SNAPSHOT, request
from tests.approvals.receiver import Receiver, receiver

SIGNING = "slack-signing-secret"
RULES = Rules.model_validate(
    {
        "version": 1,
        "approvers": {
            "alice": {"groups": ["dba"], "slack": "U0ALICE", "token": "sha256:" + "a" * 64},
            "bob": {"groups": ["support"], "slack": "U0BOB", "token": "sha256:" + "b" * 64},
            "carol": {"groups": ["dba"], "slack": "U0TWO", "token": "sha256:" + "c" * 64},
            "carla": {"groups": ["dba"], "slack": "U0TWO", "token": "sha256:" + "d" * 64},
        },
    },
    strict=False,
)


class Slack:
    """What Slack sends: `press` a button as a member; what came of it, and what the person was told."""

    def __init__(self, approvals: Approvals, told: Receiver) -> None:
        self.approvals = approvals
        self.told = told
        channel = Channel("chat", "slack", told.url, SIGNING)
        self.buttons = SlackButtons(approvals, lambda: [channel], lambda: RULES, time.time)

    async def press(self, one: Request, user: str, action: str, **changes: Any) -> int:
        """The status that Slack gets. `changes`: of the payload, the value or the secret."""
        value = {"id": one.id, "seen": changes.get("seen", document(one)["seen"])}
        payload = {
            "type": "block_actions",
            "user": {"id": user, "name": "x"},
            "actions": [{"action_id": action, "value": json.dumps(value)}],
            "response_url": changes.get("response_url", self.told.url),
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = str(int(time.time()))
        secret = changes.get("secret", SIGNING)
        signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": "v0=" + signature}
        status, _ = await self.buttons(body, headers)
        return status


def play(folder: Path, scenario: Any) -> None:
    """Run `scenario(slack, request)` on a pending request of a new store."""

    async def run(told: Receiver) -> None:
        tasks: list[asyncio.Task[Any]] = []

        def spawn(name: str, work: Any) -> asyncio.Task[Any]:
            tasks.append(asyncio.get_running_loop().create_task(work, name=name))
            return tasks[-1]

        def record(event: Event, **members: Scalar) -> None:
            """The audit record is another test's."""

        approvals = Approvals(SqliteStore(folder / "a.sqlite3"), Metrics(), record)
        await approvals.start(spawn)
        try:
            made, _ = await approvals.submit(SNAPSHOT, request().terms, Options())
            shown = await approvals.attach_preview(made.id, PREVIEW)
            assert shown is not None
            await scenario(Slack(approvals, told), shown)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await approvals.close()

    with receiver() as told:
        asyncio.run(run(told))


def test_an_approver_approves_and_another_request_is_denied(tmp_path: Path) -> None:
    """The button of a member that the rules know decides, in that approver's name."""

    async def scenario(slack: Slack, one: Request) -> None:
        assert await slack.press(one, "U0ALICE", APPROVE) == 200
        done = await slack.approvals.get(one.id)
        assert (done.state, done.votes[0].approver, done.votes[0].origin) == (
            State.APPROVED,
            "alice",
            "slack",
        )
        assert slack.told.posts == []

    play(tmp_path, scenario)


def test_a_denial_needs_no_fresh_message(tmp_path: Path) -> None:
    """What has changed since the message keeps nobody from saying no, but from saying yes."""

    async def scenario(slack: Slack, one: Request) -> None:
        await slack.press(one, "U0ALICE", APPROVE, seen="0123456789abcdef")
        assert (await slack.approvals.get(one.id)).state is State.PENDING
        (told,) = await asyncio.to_thread(slack.told.wait, 1)
        assert "changed" in told["text"]
        assert told["response_type"] == "ephemeral"
        await slack.press(one, "U0ALICE", DENY, seen="0123456789abcdef")
        assert (await slack.approvals.get(one.id)).state is State.DENIED

    play(tmp_path, scenario)


def test_who_may_not_decide_is_told_so(tmp_path: Path) -> None:
    """Strangers, members of other groups, and an id that two approvers claim decide nothing."""

    async def scenario(slack: Slack, one: Request) -> None:
        for user in ("U0STRANGER", "U0BOB", "U0TWO"):
            assert await slack.press(one, user, APPROVE) == 200
        assert (await slack.approvals.get(one.id)).state is State.PENDING
        texts = [told["text"] for told in await asyncio.to_thread(slack.told.wait, 3)]
        assert "You are no approver" in texts[0]
        assert "only dba may decide this" in texts[1]
        assert "You are no approver" in texts[2]

    play(tmp_path, scenario)


def test_what_slack_did_not_sign_is_refused(tmp_path: Path) -> None:
    """Another secret: 401, and nothing is decided."""

    async def scenario(slack: Slack, one: Request) -> None:
        assert await slack.press(one, "U0ALICE", APPROVE, secret="guess") == 401
        assert (await slack.approvals.get(one.id)).state is State.PENDING

    play(tmp_path, scenario)


def test_answers_go_where_slack_is(tmp_path: Path) -> None:
    """A response_url on another host than the channel's own is not posted to."""

    async def scenario(slack: Slack, one: Request) -> None:
        await slack.press(one, "U0STRANGER", APPROVE, response_url="http://127.0.0.1:9/elsewhere")
        await slack.press(one, "U0STRANGER", APPROVE)
        assert len(await asyncio.to_thread(slack.told.wait, 1)) == 1

    play(tmp_path, scenario)
