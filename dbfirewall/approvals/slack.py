"""Slack's buttons: a signed request of Slack's becomes one approver's decision, by the same rules as any other.

https://api.slack.com/interactivity/handling: the request is acknowledged at once; what could not be done is told to
the person alone, at the payload's `response_url`. What was decided shows by the notification that follows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from dbfirewall.approvals.message import Channel, SlackDecision, from_slack, slack_decision
from dbfirewall.approvals.service import Approvals
from dbfirewall.errors import DbfirewallError
from dbfirewall.policy.models import Rules

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 3.0
OK: Final = 200
UNKNOWN_SENDER: Final = 401


class SlackButtons:
    """Answers Slack's requests. `channels`, `rules`: those in force; `now`: Unix seconds."""

    def __init__(
        self,
        approvals: Approvals,
        channels: Callable[[], Sequence[Channel]],
        rules: Callable[[], Rules],
        now: Callable[[], float],
    ) -> None:
        self._approvals = approvals
        self._channels = channels
        self._rules = rules
        self._now = now

    async def __call__(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON for one request. `headers`: names in lower case."""
        channel = self._signer(body, headers)
        if channel is None:
            return UNKNOWN_SENDER, {"error": {"code": "signature", "message": "This is not signed by Slack."}}
        payload = parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0]
        decision = slack_decision(payload)
        if decision is not None:
            problem = await self._decide(decision)
            if problem:
                await _tell(channel, payload, problem)
        return OK, {}

    def _signer(self, body: bytes, headers: Mapping[str, str]) -> Channel | None:
        """The channel whose Slack app sent this."""
        stamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        signers = [
            channel
            for channel in self._channels()
            if channel.kind == "slack"
            and channel.secret is not None
            and from_slack(channel.secret, stamp, signature, body, self._now())
        ]
        return signers[0] if signers else None

    async def _decide(self, decision: SlackDecision) -> str:
        """Empty where it counted, else why not, for the person who pressed."""
        people = [
            (name, approver)
            for name, approver in self._rules().approvers.items()
            if approver.slack == decision.user
        ]
        if len(people) != 1:
            return "You are no approver: your Slack member id is not in the firewall's rules."
        name, approver = people[0]
        try:
            await self._approvals.vote(
                decision.request_id,
                approver=name,
                groups=approver.groups,
                approve=decision.approve,
                reason="" if decision.approve else "denied in Slack",
                origin="slack",
                seen=decision.seen if decision.approve else "",
            )
        except DbfirewallError as error:
            return str(error)
        return ""


async def _tell(channel: Channel, payload: str, text: str) -> None:
    """Tell the person who pressed, and nobody else; only where Slack itself listens."""
    url = str(json.loads(payload).get("response_url", ""))
    ours, theirs = urlsplit(channel.url), urlsplit(url)
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        return
    answer = {"response_type": "ephemeral", "replace_original": False, "text": text}
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False) as client:
            await client.post(url, json=answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("Slack did not take an answer: %s", type(error).__name__)
