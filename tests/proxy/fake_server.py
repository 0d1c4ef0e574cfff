"""A server that follows the protocol's rules to the letter, and says what it runs. It knows no SQL but words.

Texts with the word `missing` fail when they are parsed, with `fail` when they run. What it runs is told to `ran`
as (message text, text that runs): they differ for EXECUTE. Names are looked up by their first 63 bytes.
https://www.postgresql.org/docs/current/protocol-flow.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from dbfirewall.wire import frontend as f
from dbfirewall.wire import messages as m
from tests.proxy.notation import TOKEN, server_bytes

NAME = 63


class Failure(Exception):  # noqa: N818  what the server answers, not a defect
    """An ErrorResponse: its SQLSTATE, and the poison that it is about."""

    def __init__(self, state: str, token: bytes = b"") -> None:
        self.state = state
        self.token = token
        super().__init__(state)


class Stored(NamedTuple):
    """A prepared statement: the message's text that it came in (a Parse's or a PREPARE's), and its own."""

    message: str
    text: str


class FakeServer:
    """One backend. `take` messages, get the answer's bytes. `closed`: it hung up on a peer that broke the rules."""

    def __init__(self, ran: Callable[[str, str], None]) -> None:
        self._ran = ran
        self._status = "I"
        self._statements: dict[bytes, Stored] = {}
        self._portals: dict[bytes, Stored] = {}
        self._skipping = False
        self._copy = ""
        self._left: list[str] = []
        self._text = ""
        self.closed = False

    def take(self, kind: int, body: bytes) -> bytes:
        """Do what one message says; the answer."""
        if self._copy:
            return self._in_copy(kind, body)
        if kind == m.TERMINATE:
            self.closed = True
            return b""
        if kind in (m.COPY_DATA, m.COPY_DONE, m.COPY_FAIL) or (self._skipping and kind != m.SYNC):
            return b""
        if kind == m.SYNC:
            self._skipping = False
            return self._ready()
        if kind == m.QUERY:
            return self._query(f.decode_query(body, 0, len(body)).decode())
        try:
            return self._extended(kind, body)
        except Failure as failure:
            self._skipping = True
            return self._failed(failure)

    # -- simple ---------------------------------------------------------------------------------------------------

    def _query(self, text: str) -> bytes:
        self._statements.pop(b"", None)
        try:
            self._parse(text)
        except Failure as failure:
            return self._failed(failure) + self._ready()
        self._text = text
        self._left = [part.strip() for part in _statements(text)]
        return self._go_on(b"" if self._left else server_bytes("I"))

    def _go_on(self, answer: bytes) -> bytes:
        """The statements of a Query that are left, up to one that wants data."""
        while self._left:
            try:
                answer += self._run(self._text, self._left.pop(0), rows="T D")
            except Failure as failure:
                self._left = []
                return answer + self._failed(failure) + self._ready()
            if self._copy:
                self._copy = "simple"
                return answer
        return answer + self._ready()

    # -- extended ---------------------------------------------------------------------------------------------------

    def _extended(self, kind: int, body: bytes) -> bytes:
        if kind == m.PARSE:
            parse = f.decode_parse(body, 0, len(body))
            name = parse.name[:NAME]
            if not name:
                self._statements.pop(name, None)
            self._parse(parse.sql.decode())
            if name in self._statements:
                raise Failure("42P05")
            self._statements[name] = Stored(parse.sql.decode(), parse.sql.decode())
            return server_bytes("1")
        if kind == m.BIND:
            bind = f.decode_bind(body, 0, len(body))
            stored, portal = self._statement(bind.statement), bind.portal[:NAME]
            self._parse(stored.text)
            if portal and portal in self._portals:
                raise Failure("42P03")
            self._portals[portal] = stored
            return server_bytes("2")
        if kind == m.EXECUTE:
            return self._execute(self._portal(f.decode_execute(body, 0, len(body)).portal))
        if kind == m.DESCRIBE:
            return self._describe(f.decode_describe(body, 0, len(body)))
        if kind == m.CLOSE:
            target = f.decode_close(body, 0, len(body))
            known = self._statements if target.kind == m.TARGET_STATEMENT else self._portals
            known.pop(target.name[:NAME], None)
            return server_bytes("3")
        assert kind == m.FLUSH, f"message {kind} must never reach a server"
        return b""

    def _execute(self, stored: Stored) -> bytes:
        if not _statements(stored.text):
            return server_bytes("I")
        answer = self._run(stored.message, _statements(stored.text)[0].strip(), rows="D")
        if self._copy:
            self._copy = "extended"
        return answer

    def _describe(self, target: f.Target) -> bytes:
        of_statement = target.kind == m.TARGET_STATEMENT
        stored = self._statement(target.name) if of_statement else self._portal(target.name)
        rows = "T" if _word(stored.text) in ("SELECT", "SHOW") else "n"
        return server_bytes("t", rows) if of_statement else server_bytes(rows)

    def _statement(self, name: bytes) -> Stored:
        if name[:NAME] not in self._statements:
            raise Failure("26000")
        return self._statements[name[:NAME]]

    def _portal(self, name: bytes) -> Stored:
        if name[:NAME] not in self._portals:
            raise Failure("34000")
        return self._portals[name[:NAME]]

    # -- both ---------------------------------------------------------------------------------------------------

    def _parse(self, text: str) -> None:
        if found := TOKEN.search(text.encode()):
            raise Failure("42601", found[0])
        if "missing" in text:
            raise Failure("42P01")
        if self._status == "E" and _word(text) not in ("COMMIT", "ROLLBACK", ""):
            raise Failure("25P02")

    def _run(self, whole: str, text: str, *, rows: str) -> bytes:
        word = _word(text)
        if self._status == "E" and word not in ("COMMIT", "ROLLBACK"):
            raise Failure("25P02")
        self._ran(whole, text)
        if "fail" in text:
            raise Failure("22012")
        if word == "EXECUTE":
            return self._run(whole, self._statement(text.split()[1].encode()).text, rows=rows)
        if word in ("SELECT", "LONG", "SHOW"):
            return server_bytes(*(kind.replace("D", "D 1") for kind in rows.split()), "C SELECT 1")
        if word == "COPY":
            self._copy = "starting"
            return server_bytes("G")
        self._change(word, whole, text)
        tags = {"INSERT": "INSERT 0 1", "DELETE": "DELETE 1", "DISCARD": "DISCARD ALL"}
        tag = "DEALLOCATE ALL" if text == "DEALLOCATE ALL" else tags.get(word, word)
        return server_bytes(f"C {tag}")

    def _change(self, word: str, whole: str, text: str) -> None:
        if word == "BEGIN":
            self._status = "T"
        elif word in ("COMMIT", "ROLLBACK"):
            self._status = "I"
            self._portals.clear()
        elif word == "PREPARE":
            name, inner = text.removeprefix("PREPARE ").split(" AS ", 1)
            if name.encode() in self._statements:
                raise Failure("42P05")
            self._statements[name.encode()] = Stored(whole, inner)
        elif text in ("DEALLOCATE ALL", "DISCARD ALL"):
            self._statements.clear()
        elif word == "DEALLOCATE":
            self._statement(text.split()[1].encode())
            del self._statements[text.split()[1].encode()]

    def _in_copy(self, kind: int, body: bytes) -> bytes:
        if kind in (m.SYNC, m.FLUSH) or (kind == m.COPY_DATA and body != b"bad"):
            return b""
        simple, self._copy = self._copy == "simple", ""
        if kind == m.COPY_DONE:
            return self._go_on(server_bytes("C COPY 1")) if simple else server_bytes("C COPY 1")
        if kind not in (m.COPY_DATA, m.COPY_FAIL):
            self.closed = True
            return server_bytes("FATAL 08P01")
        self._left = []
        self._skipping = not simple
        return self._failed(Failure("57014" if kind == m.COPY_FAIL else "22P02")) + (
            self._ready() if simple else b""
        )

    def _failed(self, failure: Failure) -> bytes:
        if self._status == "T":
            self._status = "E"
        if failure.token:
            return server_bytes("E !", token=failure.token)
        return server_bytes(f"E {failure.state}")

    def _ready(self) -> bytes:
        if self._status == "I":
            self._portals.clear()
        return server_bytes(f"Z {self._status}")


def _statements(text: str) -> list[str]:
    return [part for part in text.split(";") if part.strip()]


def _word(text: str) -> str:
    found = re.match(r"\s*(\w*)", text)
    return found[1] if found else ""
