"""Which store the settings mean, and what this firewall is called in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from dbfirewall.approvals.postgres import PostgresStore
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.errors import ConfigError
from dbfirewall.settings import ApprovalSettings, is_dsn

FILE: Final = "approvals.sqlite3"
INSTANCE: Final = "instance"


def make_store(settings: ApprovalSettings, state: Path) -> SqliteStore | PostgresStore:
    """The store, not opened yet. Raises ConfigError where its password can't be read."""
    if not is_dsn(settings.store):
        return SqliteStore(Path(settings.store).expanduser() if settings.store else state / FILE)
    password = None
    if settings.store_password_file is not None:
        try:
            password = settings.store_password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            words = f"the store's password cannot be read ({type(error).__name__})"
            raise ConfigError(words, file=str(settings.store_password_file)) from None
    return PostgresStore(settings.store, password=password)


def instance(state: Path) -> str:
    """A name that is the same whenever a firewall runs on this state folder, and that no other one has.

    Raises ConfigError where it can be neither read nor written.
    """
    path = state / INSTANCE
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+", encoding="ascii") as file:
            name = file.read().strip()
            if not name:
                name = secrets.token_hex(8)
                file.write(name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be used ({type(error).__name__})", file=str(path)) from None
    return name
