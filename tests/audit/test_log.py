"""The writer: the folder, the buffer, restarts, torn lines, rotation."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dbfirewall.audit import AuditLog
from dbfirewall.audit.files import rotated
from dbfirewall.audit.log import MAX_BUFFERED
from dbfirewall.audit.reader import Record, read_records, verify
from dbfirewall.errors import AuditError
from tests.audit.conftest import OpenLog


def events(folder: Path) -> list[str]:
    return [record["event"] for record in read_records(folder)]


def last(folder: Path) -> Record:
    return list(read_records(folder))[-1]


def test_files_are_private(folder: Path, open_log: OpenLog) -> None:
    """The folder is made 0700 and its files 0600, also where a file was wider before."""
    folder.mkdir(mode=0o700)
    (folder / "audit.jsonl").touch(0o644)
    open_log()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {folder.name: 0o700, "audit.jsonl": 0o600, "audit.lock": 0o600}


def test_one_writer_per_folder(open_log: OpenLog) -> None:
    """A second log on the same folder is refused while the first is open, and works after it was closed."""
    log = open_log()
    with pytest.raises(AuditError, match="another firewall writes"):
        open_log()
    log.close()
    open_log()


def test_a_symbolic_link_is_not_followed(folder: Path, tmp_path: Path, open_log: OpenLog) -> None:
    """A link in the place of the file is refused, and its target stays as it was."""
    folder.mkdir()
    target = tmp_path / "elsewhere"
    target.touch()
    (folder / "audit.jsonl").symlink_to(target)
    with pytest.raises(AuditError, match="cannot write"):
        open_log()
    assert target.read_bytes() == b""


def test_a_file_in_the_place_of_the_folder(folder: Path, open_log: OpenLog) -> None:
    """A state folder that is no folder is an AuditError."""
    folder.touch()
    with pytest.raises(AuditError, match="cannot use the state folder"):
        open_log()


def test_nothing_is_written_before_flush(folder: Path, open_log: OpenLog) -> None:
    """A record waits in memory until flush, which writes all that waits."""
    log = open_log()
    log.event("rules_loaded")
    assert (log.pending, events(folder)) == (True, ["start"])
    log.flush()
    assert (log.pending, events(folder)) == (False, ["start", "rules_loaded"])


def test_the_buffer_is_bounded(folder: Path, open_log: OpenLog) -> None:
    """More than MAX_BUFFERED waiting records are written without being asked."""
    log = open_log()
    for _ in range(MAX_BUFFERED + 1):
        log.event("cancel")
    assert not log.pending
    assert len(events(folder)) == MAX_BUFFERED + 2


def test_restart_continues_the_chain(folder: Path, open_log: OpenLog) -> None:
    """After a clean stop the next run follows on without a resume record, under newer ids."""
    open_log(clock=lambda: 10**18).close()
    open_log(clock=lambda: 10**17).close()
    assert events(folder) == ["start", "stop", "start", "stop"]
    ids = [record["id"].split("-") for record in read_records(folder)]
    numbers = [(int(epoch, 16), int(number)) for epoch, number in ids]
    assert numbers == sorted(set(numbers))
    assert verify(folder).ok


def test_a_run_that_did_not_stop_is_noted(folder: Path, open_log: OpenLog) -> None:
    """Where the last record is no stop, a resume record says so, with no bytes cut."""
    open_log().close()
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    open_log()
    [resume] = [record for record in read_records(folder) if record["event"] == "resume"]
    assert (resume["bytes"], resume["error"]) == (0, "the run before did not end with a stop record")


@pytest.mark.parametrize("missing", [1, 2, 60, 200])
def test_a_torn_line_is_cut_and_counted(folder: Path, open_log: OpenLog, missing: int) -> None:
    """A crash in the middle of a line costs that line: the rest verifies, with a warning that counts the bytes."""
    log = open_log()
    log.session(session_id="1", agent="a" * 200).event("session_start")
    log.flush()
    whole = (folder / "audit.jsonl").read_bytes()
    log.close()
    torn = whole[:-missing]
    (folder / "audit.jsonl").write_bytes(torn)
    assert [finding.text for finding in verify(folder).warnings]
    open_log()
    lost = len(torn) - torn.rfind(b"\n") - 1
    report = verify(folder)
    assert report.ok
    assert [finding.text for finding in report.warnings] == [
        f"the last line was torn; {lost} bytes were cut off"
    ]
    assert events(folder) == ["start", "resume", "start"]


def test_only_a_torn_line(folder: Path, open_log: OpenLog) -> None:
    """A file that holds nothing but half a line is begun anew, with a resume record."""
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(b'{"v":1')
    open_log()
    assert events(folder) == ["resume", "start"]
    assert verify(folder).ok


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"garbage", b"\0\0\0", b'{"id":1,"hash":"0"}', b'{"id":"x-1","hash":"0","event":"stop"}'],
)
def test_a_damaged_last_record_is_not_papered_over(folder: Path, open_log: OpenLog, line: bytes) -> None:
    """A whole last line that is no intact record stops the start, and stays as evidence."""
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(line + b"\n")
    with pytest.raises(AuditError, match="not a valid audit record"):
        open_log()
    assert (folder / "audit.jsonl").read_bytes() == line + b"\n"


def test_an_edited_last_record_stops_the_start(folder: Path, open_log: OpenLog) -> None:
    """Changing the last record between two runs is found at the start of the second, which takes no lock."""
    open_log().close()
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"stop"', b'"kill"'))
    for _ in range(2):
        with pytest.raises(AuditError, match="not a valid audit record"):
            open_log()


def test_rotation_by_size(folder: Path, open_log: OpenLog) -> None:
    """A full file is put aside under the next number, and the chain goes on through all files."""
    log = open_log(max_bytes=1_000)
    for _ in range(12):
        log.event("cancel")
        log.flush()
    log.close()
    names = [path.name for path in rotated(folder)]
    assert names == [f"audit-{number:06d}.jsonl" for number in range(1, len(names) + 1)]
    assert len(names) >= 2
    assert all(path.stat().st_size <= 1_000 for path in rotated(folder))
    report = verify(folder)
    assert (report.ok, report.records, report.files) == (True, 14, len(names) + 1)


def test_restart_between_the_steps_of_a_rotation(folder: Path, open_log: OpenLog) -> None:
    """Where a crash left no current file, the chain is continued from the newest one put aside."""
    open_log().close()
    (folder / "audit.jsonl").rename(folder / "audit-000001.jsonl")
    open_log().close()
    assert events(folder) == ["start", "stop", "start", "stop"]
    assert verify(folder).ok


def test_numbers_go_on_after_old_files_were_archived(folder: Path, open_log: OpenLog) -> None:
    """The next file put aside gets a number above all that are there, also beyond six digits."""
    folder.mkdir()
    (folder / "audit-1000000.jsonl").touch()
    (folder / "audit-000007.jsonl").touch()
    log = open_log(max_bytes=1)
    log.event("cancel")
    log.flush()
    assert [path.name for path in rotated(folder)][-1] == "audit-1000001.jsonl"


def test_head_is_the_newest_hash(folder: Path, open_log: OpenLog) -> None:
    """`head` is what to note down elsewhere: the hash of the newest record."""
    log = open_log()
    log.event("cancel")
    log.flush()
    assert last(folder)["hash"] == log.head


def test_timestamps_follow_the_clock(folder: Path, open_log: OpenLog) -> None:
    """The cached second is renewed whenever the clock is in another one, also an earlier one."""
    times = iter([10**9, 10**9, 2 * 10**9 + 5_000, 2 * 10**9 + 6_000, 10**9 + 999_999_999, 0])
    log = open_log(clock=lambda: next(times, 0))
    for _ in range(4):
        log.event("cancel")
    log.flush()
    assert [record["ts"][17:] for record in read_records(folder)][1:] == [
        "02.000005Z",
        "02.000006Z",
        "01.999999Z",
        "00.000000Z",
    ]


@pytest.mark.parametrize("fsync", ["off", "interval", "always"])
def test_every_fsync_mode_writes_the_same(folder: Path, fsync: str) -> None:
    """The three modes differ in when the disk has it, not in what is written."""
    log = AuditLog(folder, fsync=fsync, max_bytes=400, sync_interval=0.001)  # type: ignore[arg-type]
    for _ in range(5):
        log.event("cancel")
        log.flush()
    log.close()
    assert verify(folder).ok
    assert events(folder) == ["start", *["cancel"] * 5, "stop"]


def test_records_are_one_json_object_a_line(folder: Path, open_log: OpenLog) -> None:
    """Every line of the file is one object, newline-terminated."""
    open_log().close()
    text = (folder / "audit.jsonl").read_text("ascii")
    assert text.endswith("}\n")
    assert [type(json.loads(line)) for line in text.splitlines()] == [dict, dict]
