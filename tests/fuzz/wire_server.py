"""A PostgreSQL that knows the protocol's rules and a toy language: what a session must look like from outside.

It keeps what the protocol makes a server keep (transaction status, prepared statements, portals, COPY, skipping to
the next Sync) and notes every statement that it runs. `refuses` puts a firewall's decisions into the server itself:
a session through the firewall must read exactly as one with such a server.
https://www.postgresql.org/docs/current/protocol-flow.html
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from dbfirewall.wire import frontend as f
from dbfirewall.wire import messages as m
from tests.proxy.notation import server_bytes

Refuses = Callable[[str, bool], str | None]
"""(text, whether only parsed) → SQLSTATE of the refusal."""

POISON = re.compile(r"dbfirewall_denied_[0-9a-f]{16}")
ROWS = 3
_COPY = re.compile(r"(?:LONG )?COPY \w+ FROM STDIN")


class ServerError(Exception):
    """An ErrorResponse. The one argument: its SQLSTATE."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared statement. `source`: what the server takes for its text; after PREPARE, all of that."""

    sql: str
    source: str


@dataclass(slots=True)
class Portal:
    """A bound statement, and how many of its rows were sent. `done`: ran to its end."""

    statement: Prepared
    sent: int = 0
    started: bool = False
    done: bool = False


def nothing_refused(_sql: str, _parsed_only: bool) -> str | None:
    """A server behind a firewall refuses only what is wrong."""
    return None


class WireServer:
    """One backend. `feed` takes what arrives and returns what it answers. `ran`: every text that ran, in order.

    `by_name`: what EXECUTE ran. `hurt`: whether it was asked to execute what a failed Query left under the empty
    name, which can crash a real one (see dbfirewall/proxy/portals.py).
    """

    def __init__(self, refuses: Refuses = nothing_refused) -> None:
        self._refuses = refuses
        self._buffer = b""
        self._out: list[bytes] = []
        self.ran: list[str] = []
        self.by_name: list[str] = []
        self.hurt = False
        self._dangling = False
        self.status = "I"
        self.closed = False
        self._statements: dict[str, Prepared] = {}
        self._portals: dict[str, Portal] = {}
        self._skipping = False
        self._copy: list[str] | None = None
        self._copied = 0
        self._copy_by_query = False

    def feed(self, data: bytes) -> bytes:
        """Its answer to `data`, which may end anywhere."""
        self._buffer += data
        while len(self._buffer) >= 5 and not self.closed:
            size = 1 + struct.unpack_from("!I", self._buffer, 1)[0]
            if len(self._buffer) < size:
                break
            kind, body, self._buffer = self._buffer[0], self._buffer[5:size], self._buffer[size:]
            self._message(kind, body)
        answer, self._out = b"".join(self._out), []
        return answer

    def _say(self, *texts: str) -> None:
        self._out.append(server_bytes(*texts))

    def _fail(self, error: ServerError) -> None:
        state = str(error)
        if POISON.fullmatch(state):
            self._out.append(server_bytes("E !", token=state.encode()))
        else:
            self._say(f"E {state} that failed")
        if self.status == "T":
            self.status = "E"

    def _query_failed(self, error: ServerError) -> None:
        self._dangling = self.status != "I"
        self._fail(error)

    def _message(self, kind: int, body: bytes) -> None:
        if self._copy is not None:
            self._in_copy(kind, body)
            return
        if kind == m.TERMINATE:
            self.closed = True
        elif kind == m.SYNC:
            self._skipping = False
            self._ready()
        elif self._skipping or kind in (m.COPY_DATA, m.COPY_DONE, m.COPY_FAIL, m.FLUSH):
            return
        elif kind == m.QUERY:
            self._query(f.decode_query(body, 0, len(body)).decode("utf-8", "replace"))
        elif kind == m.FUNCTION_CALL:
            # A real server would keep the unnamed statement; what stands in a refused one's place is a Query.
            self._statements.pop("", None)
            self._fail(ServerError(self._refuses("FunctionCall", False) or "XX000"))
            self._ready()
        else:
            try:
                self._extended(kind, body)
            except ServerError as error:
                self._fail(error)
                self._skipping = True

    def _ready(self) -> None:
        if self.status == "I":
            self._portals.clear()
            self._dangling = False
        self._say(f"Z {self.status}")

    # -- statements -----------------------------------------------------------------------------------------------

    def _check(self, sql: str, *, parsed_only: bool) -> None:
        """What the server (or a firewall in it) says about a text before anything runs."""
        if POISON.fullmatch(sql):
            raise ServerError(sql)
        if (state := self._refuses(sql, parsed_only)) is not None:
            raise ServerError(state)
        if self.status == "E" and sql.split(" ", maxsplit=1)[0] not in ("COMMIT", "ROLLBACK"):
            raise ServerError("25P02")

    def _query(self, sql: str) -> None:
        self._statements.pop("", None)
        self._portals.pop("", None)
        try:
            self._check(sql, parsed_only=False)
        except ServerError as error:
            self._fail(error)
            self._ready()
            return
        self._dangling = False
        self.ran.append(sql)
        try:
            parts = [part.strip() for part in sql.removeprefix("LONG ").split(";") if part.strip()]
            if not parts:
                self._say("I")
            for at, part in enumerate(parts):
                if _COPY.fullmatch(part):
                    self._start_copy(parts[at + 1 :], by_query=True)
                    return
                self._run_part(part)
        except ServerError as error:
            self._query_failed(error)
        self._ready()

    def _run_part(self, part: str) -> None:
        rows, tag = self._run(part)
        if rows:
            self._say("T", *(f"D {row}" for row in rows))
        self._say(f"C {tag}")

    def _run(self, part: str) -> tuple[list[str], str]:
        """Run one statement: its rows and its command tag."""
        word = part.split(" ", maxsplit=1)[0]
        if self.status == "E" and word not in ("COMMIT", "ROLLBACK"):
            raise ServerError("25P02")
        if "missing" in part:
            raise ServerError("42P01")
        if word == "BEGIN":
            self.status = "T"
        elif word in ("COMMIT", "ROLLBACK"):
            word = "ROLLBACK" if self.status == "E" else word
            self.status = "I"
            self._portals.clear()
        elif word == "PREPARE":
            name, _, inner = part.removeprefix("PREPARE ").partition(" AS ")
            if name in self._statements:
                raise ServerError("42P05")
            self._statements[name] = Prepared(inner, part)
        elif word == "EXECUTE":
            if (found := self._statements.get(part.removeprefix("EXECUTE "))) is None:
                raise ServerError("26000")
            self.by_name.append(found.sql)
            return self._run(found.sql)
        elif word == "DEALLOCATE":
            name = part.removeprefix("DEALLOCATE ")
            if name == "ALL":
                self._statements.clear()
                return [], "DEALLOCATE ALL"
            if self._statements.pop(name, None) is None:
                raise ServerError("26000")
        elif word == "SELECT":
            value = part.split(" ")[1]
            return [value] * ROWS, f"SELECT {ROWS}"
        return [], {"INSERT": "INSERT 0 1", "DELETE": "DELETE 1", "CREATE": "CREATE TABLE"}.get(word, word)

    # -- COPY -----------------------------------------------------------------------------------------------------

    def _start_copy(self, rest: list[str], *, by_query: bool) -> None:
        self._say("G")
        self._copy, self._copied, self._copy_by_query = rest, 0, by_query

    def _in_copy(self, kind: int, body: bytes) -> None:
        if kind == m.COPY_DATA:
            self._copied += 1
        elif kind == m.TERMINATE:
            self.closed = True
        elif kind == m.COPY_DONE:
            rest, self._copy = self._copy or [], None
            self._say(f"C COPY {self._copied}")
            if self._copy_by_query:
                self._query_goes_on(rest)
        elif kind == m.COPY_FAIL:
            self._copy = None
            if self._copy_by_query:
                self._query_failed(ServerError("57014"))
                self._ready()
            else:
                self._fail(ServerError("57014"))
                self._skipping = True
        elif kind not in (m.SYNC, m.FLUSH):
            self._say("FATAL 08P01 unexpected message")
            self.closed = True

    def _query_goes_on(self, rest: list[str]) -> None:
        try:
            for part in rest:
                if _COPY.fullmatch(part):
                    self._start_copy(rest[rest.index(part) + 1 :], by_query=True)
                    return
                self._run_part(part)
        except ServerError as error:
            self._query_failed(error)
        self._ready()

    # -- extended query -------------------------------------------------------------------------------------------

    def _extended(self, kind: int, body: bytes) -> None:
        if kind == m.PARSE:
            parse = f.decode_parse(body, 0, len(body))
            self._parse(_name(parse.name), parse.sql.decode("utf-8", "replace"))
        elif kind == m.BIND:
            bind = f.decode_bind(body, 0, len(body))
            self._bind(_name(bind.portal), _name(bind.statement))
        elif kind in (m.DESCRIBE, m.CLOSE):
            target = f.decode_describe(body, 0, len(body))
            (self._describe if kind == m.DESCRIBE else self._close)(chr(target.kind), _name(target.name))
        elif kind == m.EXECUTE:
            execute = f.decode_execute(body, 0, len(body))
            self._execute(_name(execute.portal), execute.max_rows)
        else:
            self._say("FATAL 08P01 invalid message type")
            self.closed = True

    def _parse(self, name: str, sql: str) -> None:
        # A refused text never reaches a server behind a firewall: the unnamed statement stays (docs/architecture.md).
        if self._refuses(sql, True) is None and not name:
            self._statements.pop("", None)
        self._check(sql, parsed_only=True)
        if ";" in sql.rstrip("; "):
            raise ServerError("42601")
        if name and name in self._statements:
            raise ServerError("42P05")
        self._statements[name] = Prepared(sql, sql)
        self._say("1")

    def _bind(self, portal: str, name: str) -> None:
        if (statement := self._statements.get(name)) is None:
            raise ServerError("26000")
        self._check(statement.sql, parsed_only=False)
        if portal and portal in self._portals:
            raise ServerError("42P03")
        self._portals[portal] = Portal(statement)
        self._dangling = self._dangling and portal != ""
        self._say("2")

    def _describe(self, kind: str, name: str) -> None:
        bound = {key: portal.statement for key, portal in self._portals.items()}
        statement = (self._statements if kind == "S" else bound).get(name)
        if statement is None:
            raise ServerError("26000" if kind == "S" else "34000")
        sql = statement.sql
        if self.status == "E" and sql.split(" ")[0] not in ("COMMIT", "ROLLBACK"):
            raise ServerError("25P02")
        shape = "T" if "SELECT" in sql and "PREPARE" not in sql else "n"
        self._say(*(["t"] if kind == "S" else []), shape)

    def _close(self, kind: str, name: str) -> None:
        if kind == "S":
            self._statements.pop(name, None)
        else:
            self._portals.pop(name, None)
            self._dangling = self._dangling and name != ""
        self._say("3")

    def _execute(self, name: str, max_rows: int) -> None:
        if (portal := self._portals.get(name)) is None:
            self.hurt = self.hurt or (self._dangling and not name)
            raise ServerError("34000")
        sql = portal.statement.sql.removeprefix("LONG ").strip("; ")
        if self.status == "E" and sql.split(" ")[0] not in ("COMMIT", "ROLLBACK"):
            raise ServerError("25P02")
        if portal.done and not sql.startswith("SELECT"):
            raise ServerError("55000")
        if not portal.started:
            self.ran.append(portal.statement.source)
            portal.started = True
        if not sql:
            self._say("I")
        elif _COPY.fullmatch(sql):
            portal.done = True
            self._start_copy([], by_query=False)
        elif sql.startswith("SELECT"):
            self._execute_select(portal, sql, max_rows)
        else:
            portal.done = True
            rows, tag = self._run(sql)
            self._say(*(f"D {row}" for row in rows), f"C {tag}")

    def _execute_select(self, portal: Portal, sql: str, max_rows: int) -> None:
        rows, _ = self._run(sql)
        end = min(ROWS, portal.sent + max_rows) if max_rows else ROWS
        part = rows[portal.sent : end]
        suspended = bool(max_rows) and len(part) == max_rows
        portal.sent, portal.done = end, not suspended
        self._say(*(f"D {row}" for row in part), "s" if suspended else f"C SELECT {len(part)}")


def _name(name: bytes) -> str:
    """As text, whatever bytes it has."""
    return name.decode("utf-8", "surrogateescape")
