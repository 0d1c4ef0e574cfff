"""What a notification says, and how it proves where it comes from: webhooks and Slack messages, both pure.

Webhooks follow https://www.standardwebhooks.com: `webhook-id` is the idempotency key (the same for every attempt),
`webhook-timestamp` is in Unix seconds, `webhook-signature` is `v1,` and the base64 HMAC-SHA256 of
`id.timestamp.body`. Slack's own requests are verified by
https://api.slack.com/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dbfirewall.approvals.document import document
from dbfirewall.approvals.model import Request, State
from dbfirewall.sql.lexer import LITERALS, LexError, tokenize

Event = Literal["requested", "decided", "ended"]

MAX_SQL: Final = 2500
"""Characters of a statement in a Slack message: its blocks hold 3,000."""

SLACK_SECONDS: Final = 300
"""How old a request from Slack may be: its signature holds for no longer."""

APPROVE: Final = "dbfirewall_approve"
DENY: Final = "dbfirewall_deny"


@dataclass(frozen=True, slots=True)
class Channel:
    """Where notifications go. `kind`: `webhook` or `slack`.

    `secret`: a webhook's signing key, or Slack's signing secret (None: no buttons). `groups`: whose requests;
    all where empty. `redact`: literals, parameters and rows stay here. The repr shows neither `url` nor `secret`,
    since knowing a Slack webhook's address is being allowed to post to it.
    """

    name: str
    kind: Literal["webhook", "slack"]
    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    groups: tuple[str, ...] = ()
    redact: bool = False

    def wants(self, request: Request) -> bool:
        """Whether this channel's groups have a say in `request`."""
        named = {group for terms in request.terms for group in terms.groups}
        return not self.groups or not named or not named.isdisjoint(self.groups)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification that is owed. `since`: when it was first owed (Unix seconds)."""

    request_id: str
    event: Event
    channel: str
    attempts: int
    since: float

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt, by whichever process."""
        return f"{self.request_id}.{self.event}.{self.channel}"


def event_of(request: Request) -> Event:
    """What the request's present state is news of."""
    if request.state is State.PENDING:
        return "requested"
    if request.state in (State.APPROVED, State.DENIED, State.RELEASING):
        return "decided"
    return "ended"


def redacted(sql: bytes) -> str:
    """`sql` with `?` for every literal, and without comments; a few words where its tokens can't be told."""
    try:
        text = sql.decode()
        tokens = tokenize(text)
    except (UnicodeDecodeError, LexError):
        return "(a statement that cannot be shown without its literals)"
    parts: list[str] = []
    end = 0
    for kind, token, start, _folded in tokens:
        gap = text[end:start]
        parts += (gap if not gap.strip() else " ", "?" if kind in LITERALS else token)
        end = start + len(token)
    return "".join(parts).strip()


def payload(event: Event, request: Request, link: str, *, redact: bool) -> dict[str, Any]:
    """A webhook's JSON body: `type`, `link`, and `approval`: the API's document, without data where `redact`."""
    shown = document(request)
    if redact:
        shown["sql"] = redacted(request.snapshot.sql)
        shown["parameters"] = [{**one, "value": None, "redacted": True} for one in shown["parameters"]]
        shown["error"] = ""
        if shown["preview"] is not None:
            shown["preview"] = {**shown["preview"], "tables": [], "plan": "", "notes": []}
    return {"type": f"approval.{event}", "link": link, "approval": shown}


def webhook_headers(delivery: str, secret: str | None, body: bytes, now: float) -> dict[str, str]:
    """The headers of one attempt. `delivery`: the idempotency key; `now`: Unix seconds."""
    stamp = str(int(now))
    headers = {"content-type": "application/json", "webhook-id": delivery, "webhook-timestamp": stamp}
    if secret is not None:
        signed = f"{delivery}.{stamp}.".encode() + body
        digest = hmac.digest(webhook_key(secret), signed, hashlib.sha256)
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers


def webhook_key(secret: str) -> bytes:
    """The key that a secret stands for: base64 after `whsec_`, else its own bytes."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret[6:], validate=True)
        except ValueError:
            pass
    return secret.encode()


def slack_message(
    event: Event, request: Request, link: str, *, redact: bool, buttons: bool
) -> dict[str, Any]:
    """The body for a Slack incoming webhook: https://api.slack.com/reference/block-kit."""
    snapshot = request.snapshot
    sql = redacted(snapshot.sql) if redact else snapshot.sql.decode("utf-8", "backslashreplace")
    heads = {
        "requested": "needs approval",
        "decided": f"was {request.state}",
        "ended": f"ended: {request.state}",
    }
    head = f"A statement of {_plain(snapshot.agent)} on {_plain(snapshot.database)} {heads[event]}"
    effects = ", ".join(f"{action} {name}" for action, name in snapshot.effects[:5])
    facts = [("Effects", effects), ("Rows", _rows(request)), ("Rule", snapshot.rule)]
    facts += [("Decided by", ", ".join(vote.approver for vote in request.votes)), ("Reason", request.reason)]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{head}*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": f"```{_code(sql)}```"}},
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": f"*{name}*\n{_plain(value)[:1900]}"}
                for name, value in facts
                if value
            ],
        },
    ]
    if event == "requested":
        blocks.append({"type": "actions", "elements": _buttons(request, link, buttons=buttons)})
    else:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|{request.id}>"}]})
    return {"text": head, "blocks": blocks}


def _buttons(request: Request, link: str, *, buttons: bool) -> list[dict[str, Any]]:
    look = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Look"},
        "url": link,
        "action_id": "look",
    }
    if not buttons:
        return [look]
    value = json.dumps({"id": request.id, "seen": document(request)["seen"]})
    decisions = (("Approve", APPROVE, "primary"), ("Deny", DENY, "danger"))
    return [look, *({
        "type": "button", "text": {"type": "plain_text", "text": text}, "style": style, "action_id": action,
        "value": value,
    } for text, action, style in decisions)]  # fmt: skip


def _rows(request: Request) -> str:
    counts = request.affected or (request.preview.rows if request.preview is not None else ())
    return " + ".join("?" if count is None else str(count) for count in counts)


def _plain(text: str) -> str:
    """`text` as Slack shows it literally: https://api.slack.com/reference/surfaces/formatting#escaping."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(sql: str) -> str:
    """A statement inside a code block, which it can't end."""
    shown = sql if len(sql) <= MAX_SQL else sql[: MAX_SQL - 1] + "…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "\u02cb")


@dataclass(frozen=True, slots=True)
class SlackDecision:
    """A button that somebody pressed in Slack. `user`: Slack's id of the person."""

    user: str
    user_name: str
    request_id: str
    approve: bool
    seen: str


def from_slack(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether `body` is what Slack signed with `secret` a moment ago."""
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(now - int(timestamp)) > SLACK_SECONDS:
        return False
    signed = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def slack_decision(payload_json: str) -> SlackDecision | None:
    """What a `block_actions` payload decides; None where it is something else, or not ours."""
    try:
        told = json.loads(payload_json)
        action = told["actions"][0]
        value = json.loads(action["value"])
        decision = SlackDecision(
            user=str(told["user"]["id"]),
            user_name=str(told["user"].get("name", "")),
            request_id=str(value["id"]),
            approve=action["action_id"] == APPROVE,
            seen=str(value["seen"]),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return decision if action["action_id"] in (APPROVE, DENY) else None
