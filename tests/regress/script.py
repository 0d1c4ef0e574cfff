"""Cutting a psql script into statements, as psql does: its own commands are left out.

Independent of dbfirewall's lexer, so that a mistake there cannot hide itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>(?<![A-Za-z0-9_$])[eE]'(?:[^'\\]|''|\\.)*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<dollar>(?<![A-Za-z0-9_$])\$(?:[A-Za-z_\x80-\U0010ffff][\w]*)?\$)
    | (?P<joint>\\;)
    | (?P<meta>\\[^\n]*)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COPY_IN = re.compile(r"\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_BLOCK_MARK = re.compile(r"/\*|\*/")
_ROUTINE = re.compile(r"\s*create\s+(or\s+replace\s+)?(function|procedure)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement without its semicolon, and what follows a COPY FROM STDIN, if it is one."""

    sql: str
    data: str = ""


class _Cutter:
    """The state of psql's scanner between two semicolons."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.pieces: list[Piece] = []
        self._restart()

    def _restart(self) -> None:
        self.parts: list[str] = []
        self.depth = 0
        self.blocks = 0
        self.begun = False

    def cut(self) -> list[Piece]:
        while self.position < len(self.text):
            found = _PIECE.match(self.text, self.position)
            assert found is not None
            self.position = found.end()
            self._take(found.lastgroup or "", found.group())
        self._end()
        return self.pieces

    def _take(self, kind: str, text: str) -> None:
        if kind in ("comment", "block"):
            comment = text if kind == "comment" else self._comment()
            self.parts += [comment] if self.begun else []
        elif kind == "dollar":
            end = self.text.find(text, self.position)
            end = len(self.text) if end < 0 else end + len(text)
            self.parts.append(text + self.text[self.position : end])
            self.position = end
        elif kind == "joint":
            self.parts.append(";")
        elif kind == "meta":
            if text.startswith(("\\g", "\\crosstab", "\\watch")):
                self._end()
            elif self.begun:
                self._restart()
        elif kind == "word":
            self._word(text)
        elif text == ";" and not self.depth and not self.blocks:
            self._end()
        else:
            self.depth = max(0, self.depth + {"(": 1, ")": -1}.get(text, 0))
            self._add(text)

    def _word(self, text: str) -> None:
        """BEGIN ATOMIC … END holds semicolons."""
        if _ROUTINE.match("".join(self.parts)):
            word = text.lower()
            if word in ("begin", "case") and (self.blocks or word == "begin"):
                self.blocks += 1
            elif word == "end" and self.blocks:
                self.blocks -= 1
        self._add(text)

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self.begun = self.begun or not text.isspace()

    def _comment(self) -> str:
        depth, start = 1, self.position - 2
        while depth and (mark := _BLOCK_MARK.search(self.text, self.position)):
            depth += 1 if mark.group() == "/*" else -1
            self.position = mark.end()
        return self.text[start : self.position]

    def _end(self) -> None:
        sql = "".join(self.parts).strip()
        begun = self.begun
        self._restart()
        if not begun:
            return
        data = ""
        if _COPY_IN.match(sql):
            start = self.text.find("\n", self.position) + 1
            end = re.compile(r"^\\\.$", re.MULTILINE).search(self.text, start)
            if start and end:
                data, self.position = self.text[start : end.start()], end.end()
        self.pieces.append(Piece(sql, data))


def statements(script: str) -> list[Piece]:
    """The statements that psql would send, in order."""
    return _Cutter(script).cut()
