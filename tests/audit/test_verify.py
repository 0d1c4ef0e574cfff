"""An intact record verifies; anything changed, removed, inserted or moved is found, and its place is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbfirewall.audit import AuditLog
from dbfirewall.audit.reader import MAX_PROBLEMS, read_lines, read_records, verify
from dbfirewall.audit.record import HASH_MEMBER_BYTES, line_hash
from dbfirewall.errors import AuditError
from tests.audit.conftest import OpenLog

RECORDS = 6


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of an intact record of RECORDS records."""
    folder = tmp_path_factory.mktemp("intact")
    log = AuditLog(folder, fsync="off")
    session = log.session(session_id="1", agent="nightly")
    for _ in range(RECORDS - 2):
        session.event("session_start", error="é")
    log.close()
    return (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)


def write(folder: Path, lines: list[bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "audit.jsonl").write_bytes(b"".join(lines))
    return folder


def broken_at(folder: Path) -> list[int]:
    return [finding.line for finding in verify(folder).problems]


def resealed(line: bytes) -> bytes:
    """`line` with a hash that fits it."""
    return line[: -HASH_MEMBER_BYTES - 1] + f',"hash":"{line_hash(line[:-1])}"}}\n'.encode()


def test_an_intact_record_passes(folder: Path, intact: list[bytes]) -> None:
    """No problems, no warnings, and the head is the newest hash."""
    report = verify(write(folder, intact))
    assert (report.ok, report.warnings, report.records, report.files) == (True, [], RECORDS, 1)
    assert report.head == json.loads(intact[-1])["hash"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_any_changed_byte_is_found(folder: Path, intact: list[bytes], data: st.DataObject) -> None:
    """Changing one byte anywhere, the last newline aside, breaks the record at that line or the next."""
    whole = b"".join(intact)
    at = data.draw(st.integers(0, len(whole) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    folder.mkdir(exist_ok=True)
    (folder / "audit.jsonl").write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    line = whole[:at].count(b"\n") + 1
    assert broken_at(folder)[0] in (line, line + 1)


@pytest.mark.parametrize("number", range(1, RECORDS))
def test_a_changed_record_names_its_line(folder: Path, intact: list[bytes], number: int) -> None:
    """An edited record is one problem, at its line, whatever follows."""
    lines = [*intact]
    lines[number] = lines[number].replace(b'"v":1', b'"v": 1')
    report = verify(write(folder, lines))
    assert [(finding.line, "was changed" in finding.text) for finding in report.problems] == [
        (number + 1, True)
    ]
    assert str(report.problems[0]).startswith(f"{folder / 'audit.jsonl'}:{number + 1}: record ")


def test_a_changed_record_with_a_new_hash(folder: Path, intact: list[bytes]) -> None:
    """Whoever also computes the hash anew is found at the next record, which names the old one."""
    lines = [*intact]
    lines[2] = resealed(lines[2].replace(b"nightly", b"somebody"))
    assert broken_at(write(folder, lines)) == [4]


@pytest.mark.parametrize("number", range(1, RECORDS - 1))
def test_a_removed_record(folder: Path, intact: list[bytes], number: int) -> None:
    """Where a record is missing, the one after it is named."""
    report = verify(write(folder, intact[:number] + intact[number + 1 :]))
    [finding] = report.problems
    assert finding.line == number + 1
    assert "does not follow" in finding.text


def test_a_removed_beginning(folder: Path, intact: list[bytes]) -> None:
    """A record without its beginning is broken, unless the hash that it follows is given."""
    write(folder, intact[2:])
    [finding] = verify(folder).problems
    assert "begins in the middle" in finding.text
    assert verify(folder, start=json.loads(intact[1])["hash"]).ok


def test_a_removed_end(folder: Path, intact: list[bytes]) -> None:
    """Records cut off the end are found with a hash that was noted down before."""
    head = json.loads(intact[-1])["hash"]
    write(folder, intact)
    assert verify(folder, contains=head).ok
    write(folder, intact[:-2])
    [finding] = verify(folder, contains=head).problems
    assert (finding.line, "were removed" in finding.text) == (RECORDS - 2, True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(RECORDS)).filter(lambda order: list(order) != sorted(order)))
def test_any_other_order_is_found(folder: Path, intact: list[bytes], order: list[int]) -> None:
    """Records in any other order do not verify."""
    assert not verify(write(folder, [intact[number] for number in order])).ok


@pytest.mark.parametrize("number", range(RECORDS))
def test_a_repeated_record(folder: Path, intact: list[bytes], number: int) -> None:
    """A record that is there twice is found."""
    assert broken_at(write(folder, intact[: number + 1] + intact[number:]))[0] == number + 2


def test_an_inserted_record_that_fits_its_place(folder: Path, intact: list[bytes]) -> None:
    """A forged record with a right prev and hash is found at the genuine one after it."""
    record = json.loads(intact[3])
    forged = {**record, "agent": "somebody", "prev": json.loads(intact[2])["hash"]}
    del forged["hash"]
    body = json.dumps(forged, separators=(",", ":"))
    line = body[:-1] + f',"hash":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'
    assert broken_at(write(folder, [*intact[:3], line.encode(), *intact[3:]])) == [5]


@pytest.mark.parametrize("line", [b"\n", b"garbage\n", b"[]\n", b"1\n", b"[" * 100_000 + b"\n", b"\xff\n"])
def test_a_line_that_is_no_record(folder: Path, intact: list[bytes], line: bytes) -> None:
    """A line that is no JSON object is named, and is the only problem."""
    [finding] = verify(write(folder, [*intact[:2], line, *intact[2:]])).problems
    assert (finding.line, finding.text) == (3, "this line is no audit record")


def test_an_unknown_version(folder: Path, intact: list[bytes]) -> None:
    """A record of another version is not taken for understood."""
    line = resealed(intact[0].replace(b'"v":1', b'"v":2'))
    [finding] = verify(write(folder, [line])).problems
    assert finding.text == "record version 2 is not known"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_unfinished_last_line_is_a_warning(folder: Path, intact: list[bytes], data: st.DataObject) -> None:
    """A last line without its end is what a crash leaves: a warning that names the line, no problem."""
    keep = data.draw(st.integers(1, len(intact[-1]) - 1))
    report = verify(write(folder, [*intact[:-1], intact[-1][:keep]]))
    assert report.ok
    [warning] = report.warnings
    assert warning.line == RECORDS


def test_an_unfinished_line_in_an_older_file_is_a_problem(folder: Path, intact: list[bytes]) -> None:
    """Only the file that is written may end in the middle of a line."""
    write(folder, intact[3:])
    (folder / "audit-000001.jsonl").write_bytes(b"".join(intact[:3])[:-1])
    assert not verify(folder).ok


def test_files_in_the_wrong_order(folder: Path, intact: list[bytes]) -> None:
    """Exchanging two files is found, though each is intact in itself."""
    write(folder, intact[4:])
    (folder / "audit-000001.jsonl").write_bytes(b"".join(intact[2:4]))
    (folder / "audit-000002.jsonl").write_bytes(b"".join(intact[:2]))
    assert not verify(folder).ok
    (folder / "audit-000001.jsonl").rename(folder / "audit-000003.jsonl")
    assert verify(folder).ok


def test_problems_are_bounded(folder: Path, intact: list[bytes]) -> None:
    """A report does not grow with the damage."""
    write(folder, [b"x\n"] * (MAX_PROBLEMS + 50) + intact)
    assert len(verify(folder).problems) == MAX_PROBLEMS


def test_no_record_at_all(folder: Path) -> None:
    """A folder that is missing or empty is an AuditError, not an intact record."""
    with pytest.raises(AuditError, match="cannot read"):
        verify(folder)
    folder.mkdir()
    with pytest.raises(AuditError, match="there is no audit record"):
        verify(folder)


def test_an_empty_file_misses_what_was_noted(folder: Path, intact: list[bytes]) -> None:
    """Emptying the file is found with a noted hash too."""
    write(folder, [])
    assert not verify(folder, contains=json.loads(intact[-1])["hash"]).ok


def test_records_leave_out_what_is_none(folder: Path, intact: list[bytes]) -> None:
    """Reading records skips lines that are none; reading lines does not."""
    write(folder, [intact[0], b"garbage\n", intact[1]])
    assert len(list(read_records(folder))) == 2
    assert [line.number for line in read_lines(folder)] == [1, 2, 3]


def test_a_rotation_while_reading_is_noticed(
    folder: Path, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the writer rotates just as the files are opened, they are opened again, so none is missed."""
    log = open_log(max_bytes=1)
    real = Path.exists
    calls: list[Path] = []

    def rotate_first(path: Path) -> bool:
        if not calls:
            calls.append(path)
            log.event("cancel")
            log.flush()
        return real(path)

    monkeypatch.setattr(Path, "exists", rotate_first)
    report = verify(folder)
    assert (report.ok, report.records, report.files) == (True, 2, 2)
