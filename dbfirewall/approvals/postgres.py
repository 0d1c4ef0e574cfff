"""A store in a Postgres database, for several firewalls that share it (docs/approvals.md).

Rules:

- Each method is one READ COMMITTED transaction, with synchronous_commit at least `on`; its tables are in the schema
  `dbfirewall`, which is made at the first start.
- A caller waits for at most ANSWER_SECONDS. Where the connection broke before COMMIT was sent, nothing can have
  happened, and the method is tried once more; where it broke after, nobody knows, and the caller is told so.
- NOTIFY wakes the other firewalls. Whenever the listening connection was lost, anything may have changed.
- A firewall that vanished in mid-transaction holds its locks no longer than the server's
  idle_in_transaction_session_timeout, which each session sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar, cast

import asyncpg

from dbfirewall.approvals import store_sql
from dbfirewall.approvals.codec import Row
from dbfirewall.approvals.stepped import SteppedStore
from dbfirewall.approvals.store_sql import NOTIFY, Steps
from dbfirewall.errors import StoreError

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 5.0
"""Security limit: how long anybody waits for the store."""

MAX_CONNECTIONS: Final = 4
"""Security limit: of one firewall to its store, the listening one not counted."""

CHANNEL: Final = "dbfirewall_approvals"
TRIES: Final = 3

ALIVE_EVERY: Final = 10.0
"""Seconds between signs of life that are asked of the listening connection."""

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 10.0
"""Seconds between attempts to listen again."""

SCHEMA_LOCK: Final = 0x64626677616C6C
"""The advisory lock of whoever makes the schema."""

_T = TypeVar("_T")
_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, EOFError, ValueError)
_ABORTED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""The server says that nothing of it happened, whenever it says so."""


class PostgresStore(SteppedStore):
    """The store in the database that `dsn` names. `password`: where the DSN has none."""

    def __init__(
        self, dsn: str, *, password: str | None = None, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        super().__init__()
        self._answer_seconds = answer_seconds
        milliseconds = str(int(answer_seconds * 1000))
        self._how: dict[str, Any] = {
            "dsn": dsn,
            "timeout": answer_seconds,
            "server_settings": {
                "application_name": "dbfirewall approvals",
                "search_path": "dbfirewall, pg_temp",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
                "default_transaction_isolation": "read committed",
            },
        }
        if password is not None:
            self._how["password"] = password
        self._pool: asyncpg.Pool | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See Store. Raises StoreError where the server can't be used; it can be called again."""
        if self._pool is None:
            with _as_store_errors():
                self._pool = await asyncpg.create_pool(
                    **self._how, min_size=0, max_size=MAX_CONNECTIONS, init=_prepare, reset=_leave_as_is
                )
        await self.run(_make_schema)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(
                self._listen(), name="approvals: changes in Postgres"
            )

    async def close(self) -> None:
        """See Store."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def check(self) -> str:
        """See Store."""
        try:
            await self.run(_demand_writable, write=False)
        except StoreError as error:
            return str(error)
        return ""

    async def run(self, steps: Callable[[], Steps[_T]], *, write: bool = True) -> _T:
        """See SteppedStore."""
        changed: list[str] = []
        try:
            async with asyncio.timeout(self._answer_seconds):
                result = await self._run(steps, changed)
        except TimeoutError:
            raise StoreError(
                f"the store's database did not answer within {self._answer_seconds:g} s"
            ) from None
        for request_id in changed:
            self._tell(request_id)
        return result

    async def _run(self, steps: Callable[[], Steps[_T]], changed: list[str]) -> _T:
        for tries_left in reversed(range(TRIES)):
            changed.clear()
            transaction = _Transaction(changed)
            try:
                async with self._connection() as connection:
                    return await transaction.run(connection, steps())
            except _ERRORS as error:
                if tries_left and transaction.surely_undone(error):
                    await self._forget_stale_connections()
                    continue
                raise StoreError(_words(error)) from error
        raise AssertionError("the last try returns or raises")

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        pool = self._pool
        if pool is None:
            raise StoreError("the store of approvals is closed")
        connection = await pool.acquire()
        broken = True
        try:
            yield connection
            broken = False
        except StoreError:  # the steps say no; the transaction has ended in order
            broken = False
            raise
        finally:
            # What happened has happened: an error here must hide neither a COMMIT nor a cancellation.
            with contextlib.suppress(*_ERRORS):
                if (
                    broken
                ):  # in whatever state: a new one costs less, and the locks of this one are free at once
                    connection.terminate()
            with contextlib.suppress(*_ERRORS):
                await pool.release(connection)

    async def _forget_stale_connections(self) -> None:
        if self._pool is not None:
            await self._pool.expire_connections()

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await asyncpg.connect(**self._how)
                try:
                    await connection.add_listener(CHANNEL, self._notified)
                    self._tell("")
                    pause = FIRST_PAUSE
                    await self._keep_alive(connection)
                finally:
                    connection.terminate()
            except (*_ERRORS, TimeoutError) as error:
                log.warning("approvals: not told of changes: %s", _words(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _keep_alive(self, connection: asyncpg.Connection) -> None:
        """Until the connection is lost."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_EVERY):
                    await lost.wait()
            await connection.execute("SELECT 1", timeout=self._answer_seconds)

    def _notified(self, _connection: object, _pid: int, _channel: str, request_id: object) -> None:
        self._tell(str(request_id))


class _Transaction:
    """One attempt at the steps of a method."""

    def __init__(self, changed: list[str]) -> None:
        self._changed = changed
        self._committing = False

    def surely_undone(self, error: BaseException) -> bool:
        """Whether nothing of it can have happened, and another attempt may fare better."""
        if isinstance(error, _ABORTED):
            return True
        lost = isinstance(
            error, OSError | EOFError | asyncpg.InterfaceError | asyncpg.PostgresConnectionError
        )
        ended = isinstance(error, asyncpg.AdminShutdownError | asyncpg.CrashShutdownError)
        return (lost or ended) and not self._committing

    async def run(self, connection: asyncpg.Connection, steps: Steps[_T]) -> _T:
        """Run them all, and COMMIT."""
        transaction = connection.transaction(isolation="read_committed")
        await transaction.start()
        try:
            result = await self._drive(connection, steps)
        except StoreError:
            await transaction.rollback()
            raise
        self._committing = True
        await transaction.commit()
        return result

    async def _drive(self, connection: asyncpg.Connection, steps: Steps[_T]) -> _T:
        rows: Sequence[Row] | None = None
        while True:
            try:
                statement, values = next(steps) if rows is None else steps.send(rows)
            except StopIteration as stop:
                return cast("_T", stop.value)
            if statement == NOTIFY:
                self._changed.append(values[0])
                statement, values = "SELECT pg_notify($1, $2)", (CHANNEL, *values)
            rows = await connection.fetch(statement, *values)


def _make_schema() -> Steps[None]:
    yield "SELECT pg_advisory_xact_lock($1)", (SCHEMA_LOCK,)
    no_schema, empty = "to_regnamespace('dbfirewall') IS NULL", "to_regclass('dbfirewall.meta') IS NULL"
    encoding = "current_setting('server_encoding')"
    rows = yield f"SELECT {no_schema} AS no_schema, {empty} AS empty, {encoding} AS encoding", ()
    if rows[0]["encoding"] != "UTF8":
        raise StoreError(f"the store's database has the encoding {rows[0]['encoding']}; UTF8 is needed")
    if rows[0]["no_schema"]:
        yield "CREATE SCHEMA dbfirewall", ()
    if rows[0]["empty"]:
        for statement in store_sql.SCHEMA:
            yield statement, ()
    yield from store_sql.check_version()


def _demand_writable() -> Steps[None]:
    rows = yield "SELECT current_setting('transaction_read_only') AS read_only", ()
    if rows[0]["read_only"] == "on":
        raise StoreError("the store's database is read-only: it is a standby, or was set to be")


async def _prepare(connection: asyncpg.Connection) -> None:
    """Of a new connection: what was committed is on disk."""
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


async def _leave_as_is(_connection: asyncpg.Connection) -> None:
    """Of a connection that goes back: its transaction has ended, and nothing else was changed."""


@contextlib.contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        raise StoreError(_words(error)) from error


def _words(error: BaseException) -> str:
    if isinstance(error, ValueError):  # asyncpg's words may quote the DSN
        return "the store's DSN is malformed"
    return f"the store's database: {str(error) or type(error).__name__}"
