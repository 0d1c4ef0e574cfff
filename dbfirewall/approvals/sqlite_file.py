"""One SQLite file with the tables of a store, used from one thread (dbfirewall.approvals.worker).

Rules:

- A method's steps run in one BEGIN IMMEDIATE … COMMIT, with synchronous=FULL: when `run` returns, they are on disk.
- After any error of SQLite the connection is dropped, and the next method opens the file anew.
- A damaged file is not used any more, not even where it still could be: until the next start.
- A file that was moved or replaced under us is not written to: what is approved there would not
  be there at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from dbfirewall.approvals import store_sql
from dbfirewall.approvals.codec import Row
from dbfirewall.approvals.store_sql import NOTIFY, Steps
from dbfirewall.errors import StoreError

BUSY_SECONDS: Final = 3.0
"""How long to wait while another process writes to the file."""

KEPT_WAL: Final = 16 << 20
"""Bytes of the write-ahead log that are kept on disk once it was longer."""

_OLDEST: Final = (3, 35, 0)
"""The first SQLite with RETURNING."""

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_T = TypeVar("_T")


class SqliteFile:
    """The file `path`. `tell`: called with the id of each request that was changed, and with "" for any of them."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self.path = path
        self.unwanted = False
        """Set from outside: nobody waits for the answer any more, so nothing more is to be begun or committed."""
        self._tell = tell
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._seen_version = 0
        self._damaged = ""

    def check_whole(self) -> None:
        """Open the file, make what is missing, and read all of it. Raises StoreError."""
        self._damaged = ""
        self._inode = None
        self._drop()
        connection = self._open()
        with self._errors():
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            self._damaged = f"{self.path} is damaged: {verdict}"
            raise StoreError(self._damaged)

    def check_writable(self) -> None:
        """Raises StoreError where a write would fail for a reason that can be found out without writing."""
        connection = self._open()
        with self._errors():
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE meta SET value = value WHERE name = 'version'")
            connection.execute("COMMIT")

    def run(self, steps: Steps[_T], *, write: bool) -> _T:
        """Run all steps in one transaction. Raises StoreError; then nothing was changed, or nobody can know."""
        connection = self._open()
        changed: list[str] = []
        with self._errors():
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            result = self._drive(connection, steps, changed)
            self._demand_wanted()
            connection.execute("COMMIT")
        for request_id in changed:
            self._tell(request_id)
        return result

    def poll(self) -> None:
        """Tell where another process changed something since the last poll."""
        if self._connection is None:
            return
        with contextlib.suppress(StoreError), self._errors():
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen_version:
                self._seen_version = version
                self._tell("")

    def shrink(self) -> None:
        """Give free pages back to the file system."""
        connection = self._open()
        with self._errors():
            # Not `execute`: that takes one step of a statement without columns, and each step is one page.
            connection.executescript("PRAGMA incremental_vacuum")

    def interrupt(self) -> None:
        """End what runs, from another thread."""
        self.unwanted = True
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
                connection.interrupt()

    def close(self) -> None:
        """Let go of the file."""
        self._drop()

    def _drive(self, connection: sqlite3.Connection, steps: Steps[_T], changed: list[str]) -> _T:
        rows: Sequence[Row] | None = None
        while True:
            try:
                statement, values = next(steps) if rows is None else steps.send(rows)
            except StopIteration as stop:
                return cast("_T", stop.value)
            if statement == NOTIFY:
                changed.append(values[0])
                rows = ()
            else:
                self._demand_wanted()
                rows = self._execute(connection, statement, values)

    @staticmethod
    def _execute(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> Sequence[Row]:
        named = {str(number): value for number, value in enumerate(values, 1)}
        return cast("Sequence[Row]", connection.execute(statement, named).fetchall())

    def _demand_wanted(self) -> None:
        if self.unwanted:
            raise StoreError(f"{self.path} did not answer in time")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Roll back and drop the connection where the block fails; SQLite's errors become StoreErrors."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code != sqlite3.SQLITE_BUSY or not self._rolled_back():
                self._drop()
            text = f"{self.path}: {error}"
            if code in _DAMAGED:
                self._damaged = text
            raise StoreError(text) from error
        except BaseException:
            self._drop()
            raise

    def _open(self) -> sqlite3.Connection:
        if self._damaged:
            raise StoreError(f"{self._damaged}; it is not used until the firewall is started again")
        if self._inode is not None:
            self._demand_same_file(self._inode)
        if self._connection is not None:
            return self._connection
        if sqlite3.sqlite_version_info < _OLDEST:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
        try:
            self._inode = _touch(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        with self._errors():
            connection = self._connection = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_SECONDS
            )
            connection.row_factory = sqlite3.Row
            self._prepare(connection)
            self._seen_version = connection.execute("PRAGMA data_version").fetchone()[0]
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded only while the file is empty
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{self.path}: no write-ahead log can be kept there (journal_mode {mode})")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {KEPT_WAL:d}")
        if not _tables(connection):
            connection.execute("BEGIN IMMEDIATE")
            if not _tables(connection):  # another process was faster
                for statement in store_sql.SCHEMA:
                    connection.execute(statement)
            connection.execute("COMMIT")
        if "meta" not in _tables(connection):
            raise StoreError(f"{self.path} is a database of something else")
        self._drive(connection, store_sql.check_version(), [])

    def _demand_same_file(self, inode: tuple[int, int]) -> None:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._damaged = f"{self.path} was removed"
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        else:
            if (found.st_dev, found.st_ino) != inode:
                self._damaged = f"{self.path} was replaced by another file"
        if self._damaged:
            self._drop()
            raise StoreError(self._damaged)

    def _rolled_back(self) -> bool:
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return self._connection is not None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()  # rolls back


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}


def _touch(path: Path) -> tuple[int, int]:
    """Make the file where there is none, for nobody else to read, never through a symbolic link; its identity.

    One that is there is not opened: closing it would drop the locks that SQLite holds on it in this process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file")
    if found.st_mode & 0o077:
        path.chmod(0o600)
    return found.st_dev, found.st_ino
