"""The firewall's own passwords: read once from environment, file or command, kept in memory, never shown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dbfirewall.errors import ConfigError
from dbfirewall.policy.models import Login, PasswordSource, Rules
from dbfirewall.proxy.upstream import Credentials

COMMAND_TIMEOUT = 30.0
"""Seconds that a password command may take."""

LoginKey = tuple[str, str]
"""(database, role) of the rules file."""


def read_credentials(rules: Rules) -> dict[LoginKey, Credentials]:
    """Every login of the rules with its password. Raises ConfigError where one can't be had."""
    logins = {
        (database, role): login
        for database, settings in rules.databases.items()
        for role, login in settings.logins.items()
    }
    secret = {login.password.env for login in logins.values() if login.password is not None}
    others = {name: value for name, value in os.environ.items() if name not in secret}
    return {
        (database, role): Credentials(
            login.user, _password(login, f"databases.{database}.logins.{role}", others)
        )
        for (database, role), login in logins.items()
    }


def _password(login: Login, where: str, others: Mapping[str, str]) -> str | None:
    """`others`: the environment without the variables that hold passwords, for commands."""
    if login.password is None:
        return None
    password = _read(login.password, where, others)
    if not password:
        raise ConfigError(f"{where}: the password is empty")
    return password


def _read(source: PasswordSource, where: str, others: Mapping[str, str]) -> str:
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
        raise ConfigError(f"{where}: the password cannot be read ({type(error).__name__})") from None
    return done.stdout.rstrip("\r\n")
