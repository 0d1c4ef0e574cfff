"""Notifications: what they say, what they keep back, and how they prove where they come from."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.approvals.message import (
    APPROVE,
    DENY,
    Channel,
    event_of,
    from_slack,
    payload,
    redacted,
    slack_decision,
    slack_message,
    webhook_headers,
)
from dbfirewall.approvals.model import State, Terms, Vote
from tests.approvals.example import SNAPSHOT, request

LINK = "https://firewall.internal/approvals/apr_0123456789"


def test_a_webhook_carries_the_document_and_a_link() -> None:
    """Statement, effects, row count and the link are in the body."""
    body = payload("requested", request(), LINK, redact=False)
    assert (body["type"], body["link"]) == ("approval.requested", LINK)
    approval = body["approval"]
    assert approval["sql"].startswith("DELETE FROM orders")
    assert approval["effects"][0] == {"action": "delete", "object": "public.orders"}
    assert approval["preview"]["rows"] == [2]


def test_redaction_leaves_no_data() -> None:
    """With `redact`, no literal, comment, parameter, row, plan or note leaves; counts and names do."""
    for text in (
        json.dumps(payload("requested", request(error="secret-error"), LINK, redact=True)),
        json.dumps(slack_message("requested", request(), LINK, redact=True, buttons=True)),
    ):
        assert "secret" not in text
        assert "public.orders" in text
        assert "2" in text


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        (b"SELECT 'a', 1.5, E'\\n', $$x$$ FROM t", "SELECT ?, ?, ?, ? FROM t"),
        (b"SELECT 1 /* data */ + 2", "SELECT ? + ?"),
        (b'UPDATE "T" SET a = $1', 'UPDATE "T" SET a = $1'),
        (b"SELECT 'open", "(a statement that cannot be shown without its literals)"),
        (b"SELECT '\xff'", "(a statement that cannot be shown without its literals)"),
    ],
)
def test_literals_become_question_marks(sql: bytes, shown: str) -> None:
    """Only what is surely no literal is shown."""
    assert redacted(sql) == shown


def test_a_webhook_is_signed_as_the_standard_says() -> None:
    """A receiver that has the secret finds the same HMAC over id, time and body."""
    key = b"0123456789abcdef"
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = webhook_headers("msg_1", secret, b'{"a":1}', 1_767_225_600.9)
    expected = hmac.new(key, b'msg_1.1767225600.{"a":1}', hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1767225600")


def test_a_secret_of_any_form_signs() -> None:
    """A secret that is no base64 after `whsec_` signs with its own bytes."""
    plain = webhook_headers("m", "whsec_not base64!", b"", 1.0)["webhook-signature"]
    digest = hmac.new(b"whsec_not base64!", b"m.1.", hashlib.sha256).digest()
    assert plain == "v1," + base64.b64encode(digest).decode()


def test_slack_shows_everything_literally() -> None:
    """Markup in a statement or a name can't mention people, make links or leave the code block."""
    evil = replace(SNAPSHOT, agent="<!channel>", sql=b"SELECT '``` <https://evil|click> & <!here>'")
    text = json.dumps(
        slack_message("requested", request(snapshot=evil), LINK, redact=False, buttons=True),
        ensure_ascii=False,
    )
    assert "<!channel>" not in text
    assert "<!here>" not in text
    assert "<https://evil" not in text
    assert text.count("```") == 2


def test_slack_has_buttons_only_where_they_can_be_verified() -> None:
    """Without a signing secret there is the link alone; once decided, neither."""
    with_buttons = json.dumps(slack_message("requested", request(), LINK, redact=False, buttons=True))
    without = json.dumps(slack_message("requested", request(), LINK, redact=False, buttons=False))
    decided = request(state=State.DENIED, votes=(Vote("alice", approve=False, at=1.0, reason="no"),))
    after = json.dumps(slack_message("decided", decided, LINK, redact=False, buttons=True))
    assert APPROVE in with_buttons
    assert DENY in with_buttons
    assert APPROVE not in without
    assert LINK in without
    assert APPROVE not in after
    assert "alice" in after
    assert LINK in after


def test_only_slack_can_press_buttons() -> None:
    """Its signature, of these bytes and of the last five minutes, or nothing."""
    body, secret, now = b"payload=%7B%7D", "signing", 1_767_225_600.0

    def signed(at: int, what: bytes = body, with_secret: str = secret) -> str:
        text = b"v0:%d:" % at + what
        return "v0=" + hmac.new(with_secret.encode(), text, hashlib.sha256).hexdigest()

    assert from_slack(secret, "1767225600", signed(1_767_225_600), body, now)
    assert not from_slack(secret, "1767225600", signed(1_767_225_600), body + b"x", now)
    assert not from_slack(secret, "1767225600", signed(1_767_225_600, with_secret="other"), body, now)
    assert not from_slack(secret, "1767225299", signed(1_767_225_299), body, now)
    assert not from_slack(secret, "1767225901", signed(1_767_225_901), body, now)
    assert not from_slack(secret, "", signed(1_767_225_600), body, now)
    assert not from_slack(secret, "1e9", signed(1_767_225_600), body, now)
    assert not from_slack(secret, "1767225600", "", body, now)
    assert not from_slack(secret, "1767225600", "v0=\u00e9", body, now)


def test_a_pressed_button_names_person_request_and_what_was_seen() -> None:
    """What the message's own buttons send comes back as a decision."""
    message = slack_message("requested", request(), LINK, redact=False, buttons=True)
    approve, deny = message["blocks"][-1]["elements"][1:]

    def pressed(button: dict[str, str]) -> str:
        action = {"action_id": button["action_id"], "value": button["value"]}
        return json.dumps({"type": "block_actions", "user": {"id": "U1", "name": "al"}, "actions": [action]})

    yes, no = slack_decision(pressed(approve)), slack_decision(pressed(deny))
    assert yes is not None
    assert no is not None
    assert (yes.user, yes.request_id, yes.approve, no.approve) == ("U1", "apr_0123456789", True, False)
    assert yes.seen == payload("requested", request(), LINK, redact=False)["approval"]["seen"]


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["actions", "user", "id", "value", "action_id", "seen"]), inner)))  # fmt: skip
def test_other_payloads_decide_nothing(value: object) -> None:
    """Whatever else Slack, or somebody, sends is no decision and no exception."""
    assert slack_decision(json.dumps(value)) is None


def test_events_follow_the_state() -> None:
    """Pending is news of a request, a decision of a decision, everything else of an end."""
    events = {state: event_of(request(state=state)) for state in State}
    assert [state for state, event in events.items() if event == "requested"] == [State.PENDING]
    assert {state for state, event in events.items() if event == "decided"} == {
        State.APPROVED, State.DENIED, State.RELEASING,
    }  # fmt: skip


def test_a_channel_gets_its_groups_requests() -> None:
    """A channel with groups hears of requests that these may decide; one without hears of all."""
    dba, security, everybody = (
        Channel("a", "webhook", "https://x", groups=groups) for groups in (("dba",), ("security",), ())
    )
    anybody = request(terms=(Terms("gate ddl"),))
    assert [one.wants(request()) for one in (dba, security, everybody)] == [True, False, True]
    assert [one.wants(anybody) for one in (dba, security, everybody)] == [True, True, True]


def test_addresses_and_secrets_do_not_show() -> None:
    """A channel's repr holds neither."""
    shown = repr(Channel("a", "slack", "https://hooks.slack.test/T0/secret", secret="signing"))
    assert "secret" not in shown.replace("secret-", "")
    assert "signing" not in shown
