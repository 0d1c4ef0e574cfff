"""The firewall's own passwords: where they come from, and that no mistake shows one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.policy.models import Rules
from dbfirewall.policy.parties import Database, Login, SecretSource
from dbfirewall.proxy import secrets
from dbfirewall.proxy.secrets import read_channels, read_credentials


def rules(**source: Any) -> Rules:
    password = SecretSource(**source) if source else None
    login = Login(user="w", password=password)
    return Rules(
        version=1, databases={"shop": Database(dsn="postgresql://db/shop", logins={"writer": login})}
    )


def password(**source: Any) -> str | None:
    return read_credentials(rules(**source))["shop", "writer"].password


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_login_may_have_no_password() -> None:
    """Then only a server that asks for none lets it in."""
    credentials = read_credentials(rules())["shop", "writer"]
    assert (credentials.user, credentials.password) == ("w", None)


def test_a_password_comes_from_environment_file_or_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line's end is no part of it, other spaces are."""
    monkeypatch.setenv("SHOP_PASSWORD", "  one ")
    (tmp_path / "two").write_text(" two \r\n")
    assert password(env="SHOP_PASSWORD") == "  one "
    assert password(file=str(tmp_path / "two")) == " two "
    assert password(command=python("print(' three ')")) == " three "


@pytest.mark.parametrize(
    "source",
    [
        {"env": "NO_SUCH_VARIABLE"},
        {"file": "/nowhere"},
        {"command": ("/nowhere",)},
        {"command": python("print('hidden'); raise SystemExit(1)")},
        {"command": python("import sys; sys.stdout.buffer.write(b'hidden\\xff')")},
        {"command": python("")},
    ],
    ids=["env", "file", "no command", "exit status", "encoding", "empty"],
)
def test_a_password_that_cannot_be_had_stops_the_rules(source: dict[str, Any]) -> None:
    """The message says whose it is, and nothing of what was read or run."""
    with pytest.raises(ConfigError) as error:
        password(**source)
    assert "databases.shop.logins.writer" in str(error.value)
    assert "hidden" not in str(error.value)


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload must not wait for ever."""
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT", 0.05)
    with pytest.raises(ConfigError, match="TimeoutExpired"):
        password(command=python("import time; time.sleep(60)"))


def with_channel(**notify: object) -> Rules:
    """Rules with one notification channel."""
    return Rules.model_validate({"version": 1, "notify": {"oncall": notify}}, strict=False)


def test_channels_come_with_address_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook's address and signing key are read; a Slack channel may go without a key."""
    monkeypatch.setenv("URL", "https://hooks.internal/x")
    monkeypatch.setenv("KEY", "whsec_abc")
    (webhook,) = read_channels(with_channel(webhook={"env": "URL"}, secret={"env": "KEY"}, redact="literals"))
    (slack,) = read_channels(with_channel(slack={"env": "URL"}, groups=("dba",)))
    assert (webhook.kind, webhook.url, webhook.secret, webhook.redact) == (
        "webhook", "https://hooks.internal/x", "whsec_abc", True,
    )  # fmt: skip
    assert (slack.kind, slack.secret, slack.groups, slack.redact) == ("slack", None, ("dba",), False)


def test_an_address_that_is_none_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the channel, not what the variable holds."""
    monkeypatch.setenv("URL", "hooks.internal/secret-path")
    with pytest.raises(ConfigError, match=r"notify\.oncall: the address is no URL") as error:
        read_channels(with_channel(slack={"env": "URL"}))
    assert "secret-path" not in str(error.value)


def test_a_command_sees_no_secret_of_a_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that hold any secret of the rules are not in the environment of a command."""
    monkeypatch.setenv("KEY", "planted")
    show = ("sh", "-c", 'echo "https://host/${KEY-unset}"')
    (channel,) = read_channels(with_channel(slack={"command": show}, secret={"env": "KEY"}))
    assert channel.url == "https://host/unset"
