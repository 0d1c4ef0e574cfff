"""Approvers, databases and notification channels: what may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.policy.loader import parse_rules

HEAD = "version: 1\nroles:\n  r: {rules: [{allow: select}]}\nnotify:\n  oncall: "


def test_a_channel_is_a_webhook_or_slack() -> None:
    """Each with its own sources; what is not said is unset."""
    rules = parse_rules({Path("r.yaml"): (
        HEAD + "{webhook: {env: URL}, secret: {file: key}, groups: [dba], redact: literals}\n"
        "  chat: {slack: {command: [pass, slack]}}\n"
    ).encode()})  # fmt: skip
    oncall, chat = rules.notify["oncall"], rules.notify["chat"]
    assert oncall.webhook is not None
    assert (oncall.webhook.env, oncall.groups, oncall.redact) == ("URL", ("dba",), "literals")
    assert (chat.webhook, chat.secret, chat.redact) == (None, None, "nothing")


@pytest.mark.parametrize(
    ("channel", "why"),
    [
        ("{groups: [dba]}", "name exactly one"),
        ("{webhook: {env: A}, slack: {env: B}}", "name exactly one"),
        ("{webhook: {env: A}}", "a webhook is signed: name its `secret`"),
        ("{slack: https://hooks.slack.com/services/T/B/X}", "a secret is never written into the rules"),
        ("{slack: {env: A}, redact: all}", "nothing, literals"),
        ("{slack: {env: A}, sign: yes}", "unknown key 'sign'"),
    ],
)
def test_what_is_wrong_with_a_channel_is_said(channel: str, why: str) -> None:
    """No address or no key where one is needed, a secret in the file, an unknown key."""
    with pytest.raises(ConfigError, match=why.replace("(", r"\(")):
        parse_rules({Path("r.yaml"): (HEAD + channel + "\n").encode()})
