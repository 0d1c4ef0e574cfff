"""The writer of the audit record: one per state folder, append-only, hash-chained, rotated by size.

Rules of this file:

- `append` (by way of `statement`, `outcome`, `event`) only adds to a buffer in memory; `flush` writes all of
  it. Nothing may be forwarded before the `flush` that follows its `statement` has returned.
- A record is hashed when it is appended, so the buffer is part of the chain and is never dropped: where a
  write fails or is short, the next attempt writes exactly the bytes that are missing.
- After a failure every call tries to write those bytes first, and raises AuditError as long as that fails.
  A failed fsync, or a file that somebody else changed or moved, is final: only a restart helps.
- One thread calls all methods. The fsync thread touches only its own descriptors.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import sha256
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Final, Literal, Never

from dbfirewall.audit.files import CURRENT, Tail, acquire_lock, next_rotated, open_for_append, read_tail
from dbfirewall.audit.record import MEMBERS, Event, Scalar, member, sql_member
from dbfirewall.audit.syncer import Syncer
from dbfirewall.errors import AuditError

Fsync = Literal["off", "interval", "always"]

DEFAULT_MAX_BYTES: Final = 256 * 1024 * 1024
MAX_BUFFERED: Final = 1_000
"""Records that may wait in memory; one more writes them all."""

_IDENTITY: Final = ("session", "agent", "role", "database", "peer", "application")
_FREE_MEMBERS: Final = frozenset(MEMBERS) - {"v", "ts", "id", "prev", "event", "hash", "effects"}


class AuditLog:
    """The audit record in `folder` (made if missing, mode 0700). Raises AuditError where it cannot be kept.

    `fsync`: `off` (records survive the process, not the machine), `interval` (the machine, less the last
    `sync_interval` seconds), `always` (the machine; each flush waits for the disk).
    `max_bytes`: a file that would grow beyond this is put aside as `audit-NNNNNN.jsonl`.
    `sql`: `full` text, or only its `fingerprint`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: Fsync = "interval",
        max_bytes: int = DEFAULT_MAX_BYTES,
        sql: Literal["full", "fingerprint"] = "full",
        application: str = "dbfirewall",
        sync_interval: float = 1.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.folder = folder
        self._path = folder / CURRENT
        self._max_bytes = max_bytes
        self._sql_mode: Literal["full", "fingerprint"] = sql
        self._clock = clock
        self._second = -1
        self._second_text = ""
        self._buffer: list[str] = []
        self._rest = b""
        self._failed: str | None = None
        self._final = False
        self._lock = acquire_lock(folder)
        try:
            tail = read_tail(folder)
            self._fd = open_for_append(self._path)
            self._size = os.fstat(self._fd).st_size
        except AuditError:
            os.close(self._lock)
            raise
        except OSError as error:
            os.close(self._lock)
            msg = f"cannot write {self._path}: {error.strerror}"
            raise AuditError(msg) from error
        self._head = tail.hash
        epoch_ms = max(clock() // 1_000_000, tail.epoch + 1)
        self._epoch = f"{epoch_ms:x}"
        self._number = 0
        self._always = fsync == "always"
        self._syncer = Syncer(self._fd, sync_interval) if fsync == "interval" else None
        self._begin(tail, application)

    def _begin(self, tail: Tail, application: str) -> None:
        if tail.unclean:
            reason = (
                "the last line was torn" if tail.torn else "the run before did not end with a stop record"
            )
            self.event("resume", bytes=tail.torn, error=reason)
        self.event("start", application=application)
        try:
            self.flush()
        except AuditError:
            self._release()
            raise

    def session(
        self,
        *,
        session_id: str,
        agent: str | None = None,
        role: str | None = None,
        database: str | None = None,
        peer: str | None = None,
        application: str | None = None,
    ) -> AuditSession:
        """A handle that writes records of one session; its identity is serialised once, here."""
        values = (session_id, agent, role, database, peer, application)
        return AuditSession(self, "".join(map(member, _IDENTITY, values)))

    def event(self, event: Event, **members: Scalar) -> str:
        """Append a record that belongs to no session; returns its id. Not written before `flush`."""
        return self.append_event(event, "", members)

    def sql_member(self, sql: bytes) -> str:
        """`sql` as AuditSession.statement wants it; cache it where the same text comes often."""
        return sql_member(sql, self._sql_mode)

    @property
    def pending(self) -> bool:
        """Whether records wait for a flush."""
        return bool(self._buffer or self._rest)

    @property
    def head(self) -> str:
        """The newest record's hash: write it down elsewhere, and nobody can cut the record's end unseen."""
        return self._head

    def flush(self) -> None:
        """Write all that was appended: in full, or AuditError. With `fsync="always"`, to the disk."""
        if self._failed is not None:
            self._recover()
        elif self._buffer:
            self._write_buffer()

    def check(self) -> str | None:
        """What is wrong with the record right now, or None; tries to repair it, and never raises."""
        try:
            if self._failed is None:
                self._check_file()
                if self._syncer is not None:
                    self._check_syncer(self._syncer)
            self.flush()
        except AuditError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Append `stop`, write and sync everything, and let go of the folder. AuditError if that fails."""
        try:
            self.event("stop")
            self.flush()
            self._sync()
        finally:
            self._release()

    def _release(self) -> None:
        if self._syncer is not None:
            self._syncer.stop()
        os.close(self._fd)
        os.close(self._lock)

    def append_event(self, event: Event, identity: str, members: dict[str, Scalar]) -> str:
        """Append a record about whom `identity` names (JSON members, or nothing); returns its id."""
        unknown = members.keys() - _FREE_MEMBERS
        if unknown:
            msg = f"no such audit member: {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        record_id = self.next_id()
        self.append(
            record_id, f',"event":"{event}"{identity}' + "".join(map(member, members, members.values()))
        )
        return record_id

    def next_id(self) -> str:
        """A record id: the run's start in milliseconds (hex), and a number counted up from 1."""
        self._number = number = self._number + 1
        return f"{self._epoch}-{number}"

    def append(self, record_id: str, rest: str) -> None:
        """Chain one record to the last; `rest`: its members after `prev`, as JSON text. Hot: keep short."""
        if self._failed is not None:
            self._recover()
        second, micros = divmod(self._clock() // 1000, 1_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        text = (
            f'{{"v":1,"ts":"{self._second_text}{micros:06d}Z","id":"{record_id}","prev":"{self._head}"{rest}'
        )
        self._head = digest = sha256(f"{text}}}".encode()).hexdigest()
        buffer = self._buffer
        buffer.append(f'{text},"hash":"{digest}"}}\n')
        if len(buffer) > MAX_BUFFERED:
            self.flush()

    def _write_buffer(self) -> None:
        self._rest = "".join(self._buffer).encode("ascii")
        self._buffer.clear()
        if self._size and self._size + len(self._rest) > self._max_bytes:
            self._rotate()
        self._write_rest()

    def _write_rest(self) -> None:
        """Write `_rest`; what could not be written stays there for the next attempt."""
        try:
            while self._rest:
                written = os.write(self._fd, self._rest)
                self._rest = self._rest[written:]
                self._size += written
                if not written:
                    self._fail("the file takes no more bytes")
        except OSError as error:
            self._fail(f"cannot write {self._path}: {error.strerror}", error)
        if self._always:
            self._sync()
        elif self._syncer is not None:
            self._syncer.wanted = True
            self._check_syncer(self._syncer)

    def _check_syncer(self, syncer: Syncer) -> None:
        if syncer.error is not None:
            self._fail_for_good(f"cannot sync {self._path}: {syncer.error}")

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # The kernel reports lost pages once: a second fsync that succeeds proves nothing.
            self._fail_for_good(f"cannot sync {self._path}: {error.strerror}", error)

    def _rotate(self) -> None:
        try:
            fd = self._put_aside()
        except OSError as error:
            self._fail(f"cannot rotate {self._path}: {error.strerror}", error)
        if self._syncer is not None:
            self._syncer.follow(fd)
        elif self._always:
            self._sync()
        os.close(self._fd)
        self._fd, self._size = fd, 0

    def _put_aside(self) -> int:
        full = next_rotated(self.folder)
        self._path.rename(full)
        try:
            return open_for_append(self._path)
        except OSError:
            full.rename(self._path)
            raise

    def _recover(self) -> None:
        """Write what an earlier attempt left, then say in a `resume` record what had happened."""
        if self._final:
            raise AuditError(self._failed)
        self._check_file()
        reason = self._failed
        self._write_rest()
        self._failed = None
        self.event("resume", bytes=0, error=reason)
        self._write_buffer()

    def _check_file(self) -> None:
        """The file must be the one that we opened, and exactly as long as we left it."""
        try:
            here, named = os.fstat(self._fd), self._path.stat()
        except OSError as error:
            self._fail_for_good(f"{self._path} is gone: {error.strerror}", error)
        if (here.st_dev, here.st_ino) != (named.st_dev, named.st_ino):
            self._fail_for_good(f"{self._path} was replaced by another file")
        if here.st_size != self._size:
            self._fail_for_good(
                f"{self._path} was changed by somebody else: {here.st_size} bytes, not {self._size}"
            )

    def _fail(self, reason: str, cause: OSError | None = None) -> Never:
        self._failed = reason
        raise AuditError(reason) from cause

    def _fail_for_good(self, reason: str, cause: OSError | None = None) -> Never:
        self._final = True
        self._fail(f"{reason}; restart the firewall when that is repaired", cause)


class AuditSession:
    """Writes the records of one session. Made by `AuditLog.session`."""

    __slots__ = ("_identity", "_log", "_outcome", "_statement")

    def __init__(self, log: AuditLog, identity: str) -> None:
        self._log = log
        self._identity = identity
        self._statement = f',"event":"statement"{identity}'
        self._outcome = f',"event":"outcome"{identity}'

    def statement(
        self, sql: str, decision: str, params: bytes | memoryview | None = None, approval: str | None = None
    ) -> str:
        """Append the record of one statement; returns its id. `flush` before anything of it is forwarded.

        `sql`: from `AuditLog.sql_member`; `decision`: from `record.decision_members`; `params`: the bytes of
        the Bind message's parameters, exactly as received, None where there are none.
        """
        log = self._log
        record_id = log.next_id()
        digest = "null" if params is None else f'"{sha256(params).hexdigest()}"'
        rest = f'{self._statement}{sql},"params_sha256":{digest}{decision}'
        log.append(record_id, rest if approval is None else rest + member("approval", approval))
        return record_id

    def outcome(
        self, record_id: str, rows: int | None, nbytes: int, duration_ms: float, error: str | None = None
    ) -> None:
        """Append what became of statement `record_id`: rows and bytes sent to the client, and the SQLSTATE.

        Rides along with the next flush.
        """
        self._log.append(
            record_id,
            f'{self._outcome},"rows":{"null" if rows is None else rows},"bytes":{nbytes}'
            f',"duration_ms":{round(duration_ms, 3)},"error":{"null" if error is None else quote(error)}',
        )

    def event(self, event: Event, **members: Scalar) -> str:
        """Append another record of this session (`session_end`, `tripwire`, …); returns its id."""
        return self._log.append_event(event, self._identity, members)
