"""A state folder, and an audit log in it whose clock stands still unless a test moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.audit import AuditLog
from dbfirewall.errors import AuditError

OpenLog = Callable[..., AuditLog]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state folder."""
    return tmp_path / "state"


@pytest.fixture
def open_log(folder: Path) -> Iterator[OpenLog]:
    """`open_log(**options)` opens a log in the folder; what a test leaves open is closed after it."""
    with ExitStack() as opened:

        def start(**options: Any) -> AuditLog:
            log = AuditLog(folder, **{"fsync": "off", **options})
            opened.callback(close_quietly, log)
            return log

        yield start


def close_quietly(log: AuditLog) -> None:
    """Close what may be closed already, or may have failed."""
    with suppress(AuditError, OSError):
        log.close()
