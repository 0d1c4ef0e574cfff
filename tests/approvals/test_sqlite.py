"""The file: who may read it, and what happens where it can't be written, is damaged, replaced, or in use."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.approvals.model import Parameter, State
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.approvals.sqlite_file import SqliteFile
from dbfirewall.errors import StoreError
from tests.approvals.office import Office, eventually, working
from tests.approvals.places import (
    ASKED,
    NOW,
    OPTIONS,
    TERMS,
    AnyStore,
    SqlitePlace,
    approved,
    asked,
    state_of,
    using,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> SqlitePlace:
    """A file, not there yet."""
    return SqlitePlace(tmp_path / "approvals.sqlite3")


async def nothing(_store: AnyStore) -> None:
    """Only open it."""


def complaint(place: SqlitePlace) -> str:
    """Why the file can't be opened."""
    with pytest.raises(StoreError) as caught:
        using(place, nothing)
    return str(caught.value)


def test_nobody_else_may_read_it(place: SqlitePlace) -> None:
    """The file and its log are 0600, whatever the umask; one that is open to others is closed to them."""
    before = os.umask(0)
    try:

        async def work(store: AnyStore) -> None:
            await approved(store, sql=str(place.path.stat()).encode())
            files = list(place.path.parent.iterdir())
            assert len(files) >= 2
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

        using(place, work)
        place.path.chmod(0o644)
        using(place, work)
    finally:
        os.umask(before)


def test_what_is_written_is_on_disk(place: SqlitePlace) -> None:
    """With a write-ahead log, and a sync at every commit."""

    async def work(store: AnyStore) -> None:
        assert isinstance(store, SqliteStore)
        connection = store._file._connection
        assert connection is not None
        asked: dict[str, Any] = {}

        def ask() -> None:
            for pragma in ("journal_mode", "synchronous", "auto_vacuum", "trusted_schema"):
                asked[pragma] = connection.execute(f"PRAGMA {pragma}").fetchone()[0]

        await store._ask(ask)
        assert asked == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2, "trusted_schema": 0}

    using(place, work)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"this is no database" * 100, "file is not a database"),
        (b"SQLite format 3\0" + b"\xff" * 4096, "file is not a database|malformed|unsupported file format"),
    ],
    ids=["text", "torn"],
)
def test_a_file_that_is_no_database(place: SqlitePlace, content: bytes, said: str) -> None:
    """It is refused by name, and left as it is."""
    place.path.write_bytes(content)
    assert (found := complaint(place)).startswith(str(place.path))
    assert any(part in found for part in said.split("|")), found
    assert place.path.read_bytes() == content


def test_a_database_of_something_else(place: SqlitePlace) -> None:
    """It is refused, and nothing is made in it."""
    with sqlite3.connect(place.path) as connection:
        connection.execute("CREATE TABLE orders (id)")
    connection.close()
    assert "is a database of something else" in complaint(place)
    with sqlite3.connect(place.path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]
    connection.close()


def test_a_damaged_page_is_found_at_the_start(place: SqlitePlace) -> None:
    """Every page is looked at; a damaged file is refused, also when opening is tried again."""

    async def fill(store: AnyStore) -> None:
        for n in range(50):
            await approved(store, sql=b"%d" % n, parameters=(Parameter(25, 0, b"x" * 3000),))

    using(place, fill)
    pages = bytearray(place.path.read_bytes())
    for page in range(8, len(pages) // 4096, 2):
        pages[page * 4096 : page * 4096 + 200] = b"\x0d" + b"\xee" * 199
    place.path.write_bytes(pages)
    for _ in range(2):
        assert "damaged" in (found := complaint(place)) or "malformed" in found


def test_damage_while_it_runs_ends_its_use(place: SqlitePlace) -> None:
    """What a damaged file says is not trusted any more, for reading or writing; and the operator is told."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        assert isinstance(store, SqliteStore)

        def damaged(*_: object) -> Any:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

        drive = store._file._drive
        store._file._drive = damaged  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreError, match="malformed"):
            await store.get(request_id)
        store._file._drive = drive  # type: ignore[method-assign]
        for attempt in (store.get(request_id), store.begin_release(request_id, "a/1", "", NOW)):
            with pytest.raises(StoreError, match="malformed; it is not used until"):
                await attempt
        assert "not used" in await store.check()

    using(place, work)
    using(place, nothing)  # the next start looks at it again


def test_a_file_that_was_replaced_is_not_written_to(place: SqlitePlace) -> None:
    """What is approved there would be gone at the next start: a StoreError, also where it was only removed."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        other = place.path.with_name("other")
        place.path.rename(other)
        other.rename(place.path)
        assert await store.check() == ""
        place.path.rename(other)
        place.path.write_bytes(b"")
        for said in ("was replaced by another file", "is not used until"):
            with pytest.raises(StoreError, match=said):
                await store.begin_release(request_id, "a/1", "", NOW)
        assert place.path.read_bytes() == b""

    using(place, work)


def test_a_symbolic_link_is_not_followed(place: SqlitePlace) -> None:
    """Nor is anything else opened that is no regular file."""
    place.path.symlink_to(place.path.with_name("elsewhere"))
    assert "not a regular file" in complaint(place)
    place.path.unlink()
    place.path.mkdir()
    assert "not a regular file" in complaint(place)


def test_a_folder_that_is_not_there() -> None:
    """The file's name is in the complaint."""
    assert complaint(SqlitePlace(Path("/nowhere/approvals.sqlite3"))).startswith(
        "/nowhere/approvals.sqlite3: No such"
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which every user may make files, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def run_forked(work: Callable[[], None], *, ordinary_user: bool = False) -> None:
    """In a process of its own, whose limits are nobody else's; `ordinary_user`: without root's rights."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if ordinary_user and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            work()
            code = 0
        except BaseException:  # noqa: BLE001  whatever it was, this process ends here
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_read_only_file(open_folder: Path) -> None:
    """It can be looked at, but nothing is decided or released; once it can be written again, all goes on."""

    def work() -> None:
        folder = open_folder / "state"
        folder.mkdir()
        place = SqlitePlace(folder / "approvals.sqlite3")

        async def main(store: AnyStore) -> None:
            request_id = await approved(store)
            assert isinstance(store, SqliteStore)
            await store._ask(store._file._drop)
            place.path.chmod(0o400)
            folder.chmod(0o500)
            with pytest.raises(StoreError, match=f"^{place.path}: "):
                await store.begin_release(request_id, "a/1", "", NOW)
            assert await store.check() != ""
            with pytest.raises(StoreError):
                await store.submit(asked(agent="new"), TERMS, OPTIONS, NOW)
            folder.chmod(0o700)
            place.path.chmod(0o600)
            assert await store.begin_release(request_id, "a/1", "", NOW) is not None

        using(place, main)

    run_forked(work, ordinary_user=True)


def test_a_full_disk(tmp_path: Path) -> None:
    """Nothing new is kept and nothing released, with an error that says why; reading goes on; then all goes on."""

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        place = SqlitePlace(tmp_path / "approvals.sqlite3")

        async def main(store: AnyStore) -> None:
            request_id = await approved(store)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
            with pytest.raises(StoreError, match=r"full|I/O error"):
                for n in range(100):
                    await store.submit(asked(sql=b"%d" % n + b"x" * 20_000), TERMS, OPTIONS, NOW)
            with pytest.raises(StoreError, match=r"full|I/O error"):
                await store.submit(asked(sql=b"x" * 500_000), TERMS, OPTIONS, NOW)
            kept = (await store.count())[State.PENDING]
            assert await state_of(store, request_id) is State.APPROVED
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            assert (await store.submit(asked(sql=b"x" * 500_000), TERMS, OPTIONS, NOW))[1]
            assert (await store.count())[State.PENDING] == kept + 1
            assert await store.begin_release(request_id, "a/1", "", NOW) is not None

        using(place, main)

    run_forked(work)


def test_another_process_that_writes_for_long(place: SqlitePlace) -> None:
    """A caller waits for a while and is told that the file is locked; afterwards all goes on."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        other = sqlite3.connect(place.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.begin_release(request_id, "a/1", "", NOW)
        assert await state_of(store, request_id) is State.APPROVED  # reading does not wait
        other.execute("ROLLBACK")
        other.close()
        assert await store.begin_release(request_id, "a/1", "", NOW) is not None

    using(place, work)


def test_a_disk_that_hangs_does_not_hang_the_loop(
    place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits is told in time, later callers at once; what nobody waits for any more is not done."""
    go_on = threading.Event()

    async def work(store: AnyStore) -> None:
        assert isinstance(store, SqliteStore)
        store._answer_seconds = 0.2
        request_id = await approved(store)
        run = SqliteFile.run

        def hanging(file: SqliteFile, *arguments: Any, **keywords: Any) -> Any:
            go_on.wait(30)
            return run(file, *arguments, **keywords)

        monkeypatch.setattr(SqliteFile, "run", hanging)
        first = store.begin_release(request_id, "a/1", "", NOW)
        second = store.submit(asked(agent="new"), TERMS, OPTIONS, NOW)
        answers = await asyncio.gather(first, second, return_exceptions=True)
        assert ["did not answer within 0.2 s" in str(answer) for answer in answers] == [True, True]
        with pytest.raises(StoreError, match="does not answer"):
            await store.get(request_id)
        monkeypatch.setattr(SqliteFile, "run", run)
        go_on.set()
        while True:
            if await store.check() == "":
                break
            await asyncio.sleep(0.05)
        assert await state_of(store, request_id) is State.APPROVED
        assert await store.count() == {State.APPROVED: 1}

    try:
        using(place, work)
    finally:
        go_on.set()


def test_the_service_recovers_with_its_file(place: SqlitePlace) -> None:
    """A file that can't be used at the start is tried again; meanwhile `available` says why, and nothing runs."""
    place.path.mkdir()

    async def work(office: Office) -> None:
        assert "not a regular file" in office.approvals.available
        with pytest.raises(StoreError):
            await office.submit()
        place.path.rmdir()
        await eventually(lambda: not office.approvals.available)
        assert (await office.submit()).state is State.PENDING

    working(place, work)


def test_the_file_shrinks_with_what_is_forgotten(place: SqlitePlace) -> None:
    """Pages that became free are given back."""

    async def work(store: AnyStore) -> None:
        for n in range(30):
            request, _ = await store.submit(asked(sql=b"%d" % n + b"x" * 50_000), TERMS, OPTIONS, NOW)
            await store.withdraw(request.id, "", NOW)
        assert await store.prune(NOW + 1e6) == 30

    using(place, work)
    assert place.path.stat().st_size < 200_000


def test_a_thread_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    """The process ends though its store never answers."""
    program = """
        import asyncio, sys, threading
        from pathlib import Path
        from dbfirewall.approvals.sqlite import SqliteStore
        from dbfirewall.errors import StoreError

        async def main():
            store = SqliteStore(Path(sys.argv[1]), answer_seconds=0.1)
            await store.open()
            try:
                await store._ask(threading.Event().wait)
            except StoreError as error:
                print(error)
            await store.close()

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a.sqlite3")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "did not answer within 0.1 s" in done.stdout


def test_opening_tells_what_it_waits_for(place: SqlitePlace) -> None:
    """ASKED is there after a restart, in its exact bytes."""

    async def put(store: AnyStore) -> str:
        return (await store.submit(ASKED, TERMS, OPTIONS, NOW))[0].id

    first = using(place, put)
    assert using(place, put) == first
