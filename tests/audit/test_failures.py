"""When the record can't be written: nothing is lost, nothing runs, and it heals by itself where it can."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbfirewall.audit import decision_members
from dbfirewall.audit import files as audit_files
from dbfirewall.audit.reader import read_records, verify
from dbfirewall.errors import AuditError
from tests.audit.conftest import OpenLog

Write = Callable[[int, bytes], int]
REAL_WRITE: Write = os.write


class Disk:
    """Stands in for os.write: takes `room` bytes more, then fails as a full disk does."""

    def __init__(self) -> None:
        self.room: int | None = None

    def write(self, fd: int, data: bytes) -> int:
        if self.room is None:
            return REAL_WRITE(fd, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = REAL_WRITE(fd, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that a test can fill."""
    disk = Disk()
    monkeypatch.setattr(os, "write", disk.write)
    yield disk
    disk.room = None


def events(folder: Path) -> list[str]:
    return [record["event"] for record in read_records(folder)]


@pytest.mark.parametrize("room", [0, 1, 50, 300])
def test_a_full_disk_heals_with_the_chain_intact(
    folder: Path, open_log: OpenLog, disk: Disk, room: int
) -> None:
    """Whatever part of a line got through, the rest follows when there is room, and a resume record says why."""
    log = open_log()
    log.event("rules_loaded")
    disk.room = room
    if room < 200:
        with pytest.raises(AuditError, match="No space left on device"):
            log.flush()
    else:
        log.flush()
        log.event("cancel")
        with pytest.raises(AuditError):
            log.flush()
    disk.room = None
    log.event("kill")
    log.flush()
    log.close()
    report = verify(folder)
    assert report.ok
    assert "rules_loaded" in events(folder)
    assert events(folder)[-3:] == ["resume", "kill", "stop"]
    [resume] = [record for record in read_records(folder) if record["event"] == "resume"]
    assert "No space left on device" in resume["error"]


def test_every_call_fails_while_the_log_is_failed(open_log: OpenLog, disk: Disk) -> None:
    """After a failed write statements, outcomes, events and flushes raise until a write succeeds."""
    log = open_log()
    session = log.session(session_id="1")
    decision = decision_members([], "allow", "r", None)
    record_id = session.statement(log.sql_member(b"SELECT 1"), decision)
    disk.room = 10
    with pytest.raises(AuditError):
        log.flush()
    for call in (
        log.flush,
        lambda: session.statement(log.sql_member(b"SELECT 2"), decision),
        lambda: session.outcome(record_id, 1, 1, 1.0),
        lambda: session.event("session_end"),
        lambda: log.event("kill"),
    ):
        with pytest.raises(AuditError):
            call()
    assert log.check() is not None
    disk.room = None
    assert log.check() is None
    session.outcome(record_id, 1, 1, 1.0)


def test_a_write_that_writes_nothing_is_a_failure(open_log: OpenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that returns 0 does not spin."""
    log = open_log()
    log.event("cancel")
    monkeypatch.setattr(os, "write", lambda _fd, _data: 0)
    with pytest.raises(AuditError, match="takes no more bytes"):
        log.flush()
    monkeypatch.undo()


def test_a_file_size_limit_of_the_system(folder: Path, open_log: OpenLog) -> None:
    """A real refusal of the kernel (RLIMIT_FSIZE) is an AuditError, and the record is whole once it is lifted."""
    log = open_log()
    log.event("rules_loaded")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "audit.jsonl").stat().st_size + 100, hard))
    try:
        with pytest.raises(AuditError, match="File too large"):
            log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    log.close()
    assert verify(folder).ok
    assert events(folder) == ["start", "rules_loaded", "resume", "stop"]


def test_a_crash_while_failed_leaves_a_torn_line(folder: Path, open_log: OpenLog, disk: Disk) -> None:
    """Where the process ends before there is room again, the next run cuts the half line and says so."""
    log = open_log()
    log.event("rules_loaded")
    disk.room = 20
    with pytest.raises(AuditError):
        log.close()
    disk.room = None
    open_log()
    report = verify(folder)
    assert report.ok
    assert [finding.text for finding in report.warnings] == ["the last line was torn; 20 bytes were cut off"]


def test_no_start_without_a_start_record(folder: Path, open_log: OpenLog, disk: Disk) -> None:
    """Where not even the start record can be written, the log is not there, and its lock is free again."""
    disk.room = 0
    with pytest.raises(AuditError):
        open_log()
    disk.room = None
    open_log()
    assert verify(folder).ok


def test_a_failed_sync_is_final(open_log: OpenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """After fsync failed nothing is believed any more, though a second fsync would succeed."""

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    log = open_log(fsync="always")
    monkeypatch.setattr(os, "fdatasync", fail)
    log.event("cancel")
    with pytest.raises(AuditError, match="Input/output error"):
        log.flush()
    monkeypatch.undo()
    with pytest.raises(AuditError, match="restart the firewall"):
        log.event("cancel")


def test_a_sync_that_fails_in_the_background_stops_the_log(
    open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `fsync="interval"` the thread's failure reaches the next check."""

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    log = open_log(fsync="interval", sync_interval=3600)
    monkeypatch.setattr(os, "fdatasync", fail)
    assert log._syncer is not None
    log._syncer.sync()
    assert "Input/output error" in str(log.check())
    monkeypatch.undo()
    with pytest.raises(AuditError):
        log.event("cancel")


def test_a_file_moved_away_is_noticed(folder: Path, open_log: OpenLog) -> None:
    """Records must not go on into a file that nobody finds: a check fails for good."""
    log = open_log()
    (folder / "audit.jsonl").rename(folder / "gone")
    assert "is gone" in str(log.check())
    (folder / "gone").rename(folder / "audit.jsonl")
    with pytest.raises(AuditError):
        log.flush()


def test_a_file_replaced_is_noticed(folder: Path, open_log: OpenLog) -> None:
    """Another file under the same name is not ours."""
    log = open_log()
    (folder / "audit.jsonl").rename(folder / "gone")
    (folder / "audit.jsonl").write_bytes((folder / "gone").read_bytes())
    assert "was replaced" in str(log.check())


@pytest.mark.parametrize("change", [b"", b"{}\n"])
def test_a_file_changed_by_others_is_noticed(folder: Path, open_log: OpenLog, change: bytes) -> None:
    """A file that is shorter or longer than what was written is not trusted."""
    log = open_log()
    path = folder / "audit.jsonl"
    if change:
        with path.open("ab") as file:
            file.write(change)
    else:
        os.truncate(path, 10)
    assert "was changed by somebody else" in str(log.check())


def test_check_is_silent_when_all_is_well(open_log: OpenLog) -> None:
    """A check writes what waits and finds nothing."""
    log = open_log()
    log.event("cancel")
    assert log.check() is None
    assert not log.pending


def test_a_rotation_that_fails_is_undone(
    folder: Path, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no new file can be made, the full one goes on being used until one can."""

    def fail(path: Path) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    log = open_log(max_bytes=300)
    log.event("cancel")
    monkeypatch.setattr("dbfirewall.audit.log.open_for_append", fail)
    with pytest.raises(AuditError, match="cannot rotate"):
        log.flush()
    monkeypatch.undo()
    log.event("kill")
    log.close()
    assert verify(folder).ok
    assert events(folder) == ["start", "cancel", "resume", "kill", "stop"]


def test_an_unreadable_folder_is_an_audit_error(
    folder: Path, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the system while the chain's end is looked for is an AuditError, and frees the lock."""
    open_log().close()

    def fail(_path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(audit_files, "_last_line", fail)
    with pytest.raises(AuditError, match="cannot read the audit record"):
        open_log()
    monkeypatch.undo()
    open_log()
