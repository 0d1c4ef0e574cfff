"""The firewall's own passwords: where they come from, and that no mistake shows one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.policy.models import Database, Login, PasswordSource, Rules
from dbfirewall.proxy import secrets
from dbfirewall.proxy.secrets import read_credentials


def rules(**source: Any) -> Rules:
    password = PasswordSource(**source) if source else None
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
