"""Reading the audit record: records in order, the verification of the chain, and searching.

All of it works on a folder in which a firewall is writing at the same time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from dbfirewall.audit.files import CURRENT, rotated
from dbfirewall.audit.record import FIRST_PREV, VERSION, line_hash
from dbfirewall.errors import AuditError

MAX_PROBLEMS: Final = 100
"""A report lists at most this many broken places."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is in the file: `number` counts from 1, `raw` keeps its newline if it has one."""

    file: Path
    number: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that verification noticed at one line. `str()` is `file:line: what`."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(slots=True)
class VerifyReport:
    """What `verify` found. `head`: the newest record's hash."""

    files: int = 0
    records: int = 0
    head: str = FIRST_PREV
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was changed, removed, inserted or moved."""
        return not self.problems


def read_lines(folder: Path) -> Iterator[Line]:
    """Every line of every audit file of `folder`, oldest first. AuditError where there is none to read."""
    with ExitStack() as stack:
        for path, file in _open_all(folder, stack):
            for number, raw in enumerate(file, 1):
                yield Line(path, number, raw)


def read_records(folder: Path) -> Iterator[Record]:
    """Every record, oldest first; lines that are no JSON object are left out (`verify` reports them)."""
    for line in read_lines(folder):
        record = parse(line.raw)
        if record is not None:
            yield record


def parse(raw: bytes) -> Record | None:
    """The JSON object of one line, None where there is none."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _open_all(folder: Path, stack: ExitStack) -> list[tuple[Path, BinaryIO]]:
    """Open all files at one moment: if the writer rotated in between, try again."""
    files: list[tuple[Path, BinaryIO]] = []
    try:
        while True:
            before = rotated(folder)
            current = [folder / CURRENT] if (folder / CURRENT).exists() else []
            files = [(path, stack.enter_context(path.open("rb"))) for path in [*before, *current]]
            if rotated(folder) == before:
                break
    except OSError as error:
        msg = f"cannot read the audit record in {folder}: {error.strerror}"
        raise AuditError(msg) from error
    if not files:
        msg = f"there is no audit record in {folder}"
        raise AuditError(msg)
    return files


def verify(folder: Path, *, start: str = FIRST_PREV, contains: str | None = None) -> VerifyReport:
    """Check every record and its place in the chain.

    `start`: the hash that the oldest record must follow (the last hash of a file archived elsewhere).
    `contains`: a hash noted down earlier, which must still be in the chain: the only way to see that the
    newest records were cut off.
    """
    check = _Verification(start)
    last: Line | None = None
    paths = set()
    for last in read_lines(folder):
        paths.add(last.file)
        check.line(last)
        if contains is not None and check.report.head == contains:
            contains = None
    report = check.report
    report.files = len(paths)
    if contains is not None:
        where = (last.file, last.number) if last else (folder / CURRENT, 0)
        report.problems.append(Finding(*where, f"no record has the hash {contains}: records were removed"))
    return report


class _Verification:
    """Walks the lines in order and keeps the report. `_expected`: what the next record's `prev` must be."""

    def __init__(self, start: str) -> None:
        self.report = VerifyReport()
        self._expected = start
        self._first = True

    def line(self, line: Line) -> None:
        record = parse(line.raw)
        if record is None or not line.raw.endswith(b"\n"):
            self._no_record(line, record)
            return
        self.report.records += 1
        claimed = record.get("hash")
        if claimed != line_hash(line.raw[:-1]):
            self._problem(line, f"record {record.get('id')} was changed: its hash does not match")
        if record.get("prev") != self._expected:
            self._problem(line, self._displaced(record))
        if record.get("v") != VERSION:
            self._problem(line, f"record version {record.get('v')!r} is not known")
        if record.get("event") == "resume":
            text = f"{record.get('error')}; {record.get('bytes')} bytes were cut off"
            self.report.warnings.append(Finding(line.file, line.number, text))
        self._expected = self.report.head = str(claimed)
        self._first = False

    def _displaced(self, record: Record) -> str:
        if self._first:
            return f"the record begins in the middle: the records before {record.get('id')} are missing"
        return (
            f"record {record.get('id')} does not follow the record before it: "
            "one was removed, inserted, moved or changed here"
        )

    def _no_record(self, line: Line, record: Record | None) -> None:
        if line.raw.endswith(b"\n") or line.file.name != CURRENT:
            self._problem(line, "this line is no audit record")
            return
        what = "has no end" if record else "is torn"
        text = f"the last line {what}: a write was going on, or a crash interrupted it"
        self.report.warnings.append(Finding(line.file, line.number, text))

    def _problem(self, line: Line, text: str) -> None:
        if len(self.report.problems) < MAX_PROBLEMS:
            self.report.problems.append(Finding(line.file, line.number, text))


def last_lines(folder: Path, count: int) -> list[bytes]:
    """The newest `count` lines, oldest first, without reading more of the files than that needs."""
    lines: list[bytes] = []
    with ExitStack() as stack:
        for _, file in reversed(_open_all(folder, stack)):
            if len(lines) < count:
                lines[:0] = _end_of(file, count - len(lines))
    return lines


def _end_of(file: BinaryIO, count: int) -> list[bytes]:
    size = file.seek(0, os.SEEK_END)
    take = 4_096 * count
    while True:
        start = max(size - take, 0)
        file.seek(start)
        lines = file.read(size - start).splitlines(keepends=True)
        if start == 0 or len(lines) > count:
            return lines[-count:]
        take *= 4


class Follower:
    """Reads what is appended to the record from now on, through rotations."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CURRENT
        self._partial = b""
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            msg = f"cannot read the audit record in {folder}: {error.strerror}"
            raise AuditError(msg) from error
        self._file.seek(0, os.SEEK_END)

    def poll(self) -> list[bytes]:
        """The whole lines that were added since the last call."""
        lines = self._read()
        with suppress(FileNotFoundError):  # between the two steps of a rotation
            if self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino:
                lines += self._read()
                self._file.close()
                self._file = self._path.open("rb")
                lines += self._read()
        return lines

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> list[bytes]:
        *lines, self._partial = (self._partial + self._file.read()).split(b"\n")
        return [line + b"\n" for line in lines]
