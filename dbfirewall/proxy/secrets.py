"""The firewall's own secrets, read once from environment, file or command, kept in memory, never shown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dbfirewall.approvals.message import Channel
from dbfirewall.errors import ConfigError
from dbfirewall.policy.models import Rules
from dbfirewall.policy.parties import SecretSource
from dbfirewall.proxy.upstream import Credentials

COMMAND_TIMEOUT = 30.0
"""Seconds that a password command may take."""

LoginKey = tuple[str, str]
"""(database, role) of the rules file."""


def read_credentials(rules: Rules) -> dict[LoginKey, Credentials]:
    """Every login of the rules with its password. Raises ConfigError where one can't be had."""
    others = _without_secrets(rules)
    return {
        (database, role): Credentials(
            login.user, _secret(login.password, f"databases.{database}.logins.{role}", "password", others)
        )
        for database, settings in rules.databases.items()
        for role, login in settings.logins.items()
    }


def read_channels(rules: Rules) -> tuple[Channel, ...]:
    """Where notifications go, with their addresses and keys. Raises ConfigError where one can't be had."""
    others = _without_secrets(rules)
    channels = []
    for name, notify in rules.notify.items():
        where = f"notify.{name}"
        url = _secret(notify.webhook or notify.slack, where, "address", others) or ""
        if not url.startswith(("https://", "http://")):
            raise ConfigError(f"{where}: the address is no URL")
        channels.append(Channel(
            name, "slack" if notify.slack is not None else "webhook", url,
            _secret(notify.secret, where, "secret", others), notify.groups, notify.redact == "literals",
        ))  # fmt: skip
    return tuple(channels)


def _without_secrets(rules: Rules) -> dict[str, str]:
    """The environment without the variables that hold secrets: all that a command gets to see."""
    logins = [login.password for settings in rules.databases.values() for login in settings.logins.values()]
    notify = [source for one in rules.notify.values() for source in (one.webhook, one.slack, one.secret)]
    secret = {source.env for source in (*logins, *notify) if source is not None}
    return {name: value for name, value in os.environ.items() if name not in secret}


def _secret(source: SecretSource | None, where: str, what: str, others: Mapping[str, str]) -> str | None:
    """`others`: the environment that commands get. None where there is no source."""
    if source is None:
        return None
    value = _read(source, where, what, others)
    if not value:
        raise ConfigError(f"{where}: the {what} is empty")
    return value


def _read(source: SecretSource, where: str, what: str, others: Mapping[str, str]) -> str:
    if source.env is not None:
        if source.env not in os.environ:
            raise ConfigError(f"{where}: the environment variable {source.env} is not set")
        return os.environ[source.env]
    try:
        if source.file is not None:
            return Path(source.file).read_text(encoding="utf-8").rstrip("\r\n")
        done = subprocess.run(  # noqa: S603  the operator's own command, without a shell
            list(source.command or ()), capture_output=True, check=True, timeout=COMMAND_TIMEOUT, text=True,
            stdin=subprocess.DEVNULL, env=others,
        )  # fmt: skip
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        # Neither the output nor the arguments: either could hold the secret.
        raise ConfigError(f"{where}: the {what} cannot be read ({type(error).__name__})") from None
    return done.stdout.rstrip("\r\n")
