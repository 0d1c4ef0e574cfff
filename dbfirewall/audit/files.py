"""The audit files of a state folder: which there are, in what order, and where the chain ends.

`audit.jsonl` is being written; `audit-000001.jsonl`, `audit-000002.jsonl`, … are older files, put aside when
they were full. The chain runs through all of them. `audit.lock` is held by the firewall that writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dbfirewall.audit.record import FIRST_PREV, line_hash
from dbfirewall.errors import AuditError

CURRENT: Final = "audit.jsonl"
LOCK: Final = "audit.lock"
_ROTATED: Final = re.compile(r"audit-([0-9]{6,})\.jsonl")
_BLOCK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the chain ends. `epoch`: the newest run's number (0: none); `torn`: bytes cut off its end."""

    hash: str = FIRST_PREV
    epoch: int = 0
    torn: int = 0
    unclean: bool = False


def acquire_lock(folder: Path) -> int:
    """Make `folder` and take its lock for this process; returns the descriptor that holds it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        msg = f"cannot use the state folder {folder}: {error.strerror}"
        raise AuditError(msg) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        msg = f"another firewall writes to the state folder {folder} ({LOCK} is held)"
        raise AuditError(msg) from error
    return fd


def open_for_append(path: Path) -> int:
    """Open an audit file for appending, mode 0600, never through a symbolic link."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.fchmod(fd, 0o600)
    return fd


def rotated(folder: Path) -> list[Path]:
    """The files put aside, oldest first."""
    numbered = [
        (int(match[1]), path) for path in folder.iterdir() if (match := _ROTATED.fullmatch(path.name))
    ]
    return [path for _, path in sorted(numbered)]


def next_rotated(folder: Path) -> Path:
    """The name under which the current file is to be put aside."""
    files = rotated(folder)
    number = int(files[-1].stem.removeprefix("audit-")) + 1 if files else 1
    return folder / f"audit-{number:06d}.jsonl"


def read_tail(folder: Path) -> Tail:
    """Find the chain's end, and cut off a line that a crash left unfinished.

    AuditError where the last whole line is no record: that is damage or tampering, not ours to paper over.
    """
    try:
        torn = _cut_torn_line(folder / CURRENT)
        for path in [folder / CURRENT, *reversed(rotated(folder))]:
            if path.exists() and (line := _last_line(path)):
                return _tail_of(path, line, torn)
    except OSError as error:
        msg = f"cannot read the audit record in {folder}: {error.strerror}"
        raise AuditError(msg) from error
    return Tail(torn=torn, unclean=bool(torn))


def _tail_of(path: Path, line: bytes, torn: int) -> Tail:
    try:
        record = json.loads(line)
        epoch = int(record["id"].partition("-")[0], 16)
        intact = record["hash"] == line_hash(line)
        unclean = bool(torn) or record["event"] != "stop"
    except (ValueError, KeyError, TypeError, AttributeError):
        intact = False
    if not intact:
        msg = (
            f"the last line of {path} is not a valid audit record: run `dbfirewall audit verify`; "
            "to start a new record, move the audit files to another folder and keep them"
        )
        raise AuditError(msg)
    return Tail(record["hash"], epoch, torn, unclean)


def _cut_torn_line(path: Path) -> int:
    """Cut what follows the last newline; returns how many bytes that were."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        keep = _find_newline(file.fileno(), size) + 1
        if keep < size:
            file.truncate(keep)
        return size - keep


def _last_line(path: Path) -> bytes:
    """The last line of a file that ends with a newline, without it; empty for an empty file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = _find_newline(file.fileno(), size - 1) + 1
        file.seek(start)
        return file.read(max(size - 1 - start, 0))


def _find_newline(fd: int, end: int) -> int:
    """The offset of the last newline before `end`, -1 if there is none."""
    while end > 0:
        start = max(end - _BLOCK, 0)
        at = os.pread(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at
        end = start
    return -1
