"""Running one statement with a deadline, whatever it turns out to be."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

LOST = "lost"
HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The SQLSTATE of an error ("" without one), and the shape of what came: columns and rows of each result.

    LOST or HUNG in the place of a SQLSTATE: the connection ended, or nothing came in time.
    """

    sqlstate: str
    shape: tuple[tuple[str, tuple[tuple[bytes, int], ...], int], ...] = ()
    message: str = ""


def open_session(url: str) -> PGconn:
    """A plain libpq connection. Raises psycopg.OperationalError."""
    connection = pq.PGconn.connect(url.encode())
    if connection.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError(connection.get_error_message())
    connection.notice_handler = None
    connection.nonblocking = 1
    return connection


def run(connection: PGconn, sql: str, seconds: float, data: str = "") -> Outcome:
    """One simple Query and everything that it brings. A COPY FROM STDIN gets `data`."""
    deadline = time.monotonic() + seconds
    shapes: list[tuple[str, tuple[tuple[bytes, int], ...], int]] = []
    sqlstate, message = "", ""
    try:
        connection.send_query(sql.encode())
        while (result := _next(connection, deadline)) is not None:
            status = pq.ExecStatus(result.status)
            if status == pq.ExecStatus.COPY_OUT:
                _copy_out(connection, deadline)
            elif status == pq.ExecStatus.COPY_IN:
                _copy_in(connection, data, deadline)
            elif status == pq.ExecStatus.FATAL_ERROR:
                sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or LOST.encode()).decode()
                message = result.get_error_message()
            columns = tuple((result.fname(i) or b"", result.ftype(i)) for i in range(result.nfields))
            shapes.append((status.name, columns, result.ntuples))
            if connection.status != pq.ConnStatus.OK:
                return Outcome(LOST, tuple(shapes), message)
    except TimeoutError:
        return Outcome(HUNG)
    except psycopg.OperationalError as error:
        return Outcome(LOST, (), str(error))
    return Outcome(sqlstate, tuple(shapes), message)


def _wait(connection: PGconn, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError
    writing = [connection.socket] if connection.flush() else []
    select.select([connection.socket], writing, [], max(0.0, deadline - time.monotonic()))
    connection.consume_input()


def _next(connection: PGconn, deadline: float) -> PGresult | None:
    connection.flush()
    while connection.is_busy():
        _wait(connection, deadline)
    return connection.get_result()


def _copy_out(connection: PGconn, deadline: float) -> None:
    while True:
        count, _ = connection.get_copy_data(1)
        if count < 0:
            return
        if count == 0:
            _wait(connection, deadline)


def _copy_in(connection: PGconn, data: str, deadline: float) -> None:
    if data:
        connection.put_copy_data(data.encode())
    connection.put_copy_end(None)
    while connection.flush():
        _wait(connection, deadline)
