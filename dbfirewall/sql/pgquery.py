"""libpg_query, PostgreSQL's own grammar as a library: text → its JSON parse tree.

The shared library is the one that the `postgast` wheel ships. It is called through ctypes (which releases the
GIL) rather than through postgast, whose protobuf tree is limited to 100 levels and can overflow the C stack;
postgast itself, and with it protobuf, is never imported. Source of the API: pg_query.h of libpg_query.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
from pathlib import Path
from typing import Any

from dbfirewall.errors import DbfirewallError

GRAMMAR_VERSIONS = range(180000, 190000)
"""Trees of these PostgreSQL versions are understood."""

_LIBRARY_NAMES = ("libpg_query.so", "libpg_query.dylib", "pg_query.dll")


class ParserUnavailableError(DbfirewallError):
    """The library is missing or of another version than this code was written for: refuse to start."""


class SqlSyntaxError(DbfirewallError):
    """PostgreSQL's grammar refuses the text. `position`: 1-based byte of the text, 0 where unknown."""

    def __init__(self, message: str, position: int) -> None:
        self.position = position
        super().__init__(message)


class ParserFailureError(DbfirewallError):
    """The parser failed, rather than the text: a broken answer, an error from outside the grammar."""


class TooDeepError(ParserFailureError):
    """The text nests deeper than the grammar's stack or the tree's reader allows."""


class _Error(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("funcname", ctypes.c_char_p),
        ("filename", ctypes.c_char_p),
        ("lineno", ctypes.c_int),
        ("cursorpos", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _ParseResult(ctypes.Structure):
    _fields_ = (
        ("parse_tree", ctypes.c_char_p),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


def _load() -> ctypes.CDLL:
    spec = importlib.util.find_spec("postgast")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for name in _LIBRARY_NAMES:
            path = Path(folder, name)
            if path.is_file():
                library = ctypes.CDLL(str(path))
                library.pg_query_parse.argtypes = [ctypes.c_char_p]
                library.pg_query_parse.restype = _ParseResult
                library.pg_query_free_parse_result.argtypes = [_ParseResult]
                library.pg_query_free_parse_result.restype = None
                return library
    raise ParserUnavailableError("libpg_query is not installed: the postgast wheel for this platform has it")


_library = _load()


def parse(sql: bytes) -> list[dict[str, Any]]:
    """The statements of `sql` (UTF-8): dicts with `stmt`, and unless 0 `stmt_location`, `stmt_len` (bytes).

    Raises SqlSyntaxError where PostgreSQL's scanner or grammar refuses the text, ParserFailureError where the
    parser itself fails.
    """
    if b"\0" in sql:
        raise SqlSyntaxError("the text holds a NUL character", sql.index(b"\0") + 1)
    result = _library.pg_query_parse(sql)
    try:
        if result.error:
            raise _error(result.error.contents)
        document: bytes = result.parse_tree
    finally:
        _library.pg_query_free_parse_result(result)
    return _statements(document)


def _statements(document: bytes) -> list[dict[str, Any]]:
    try:
        tree = json.loads(document)
    except RecursionError:
        raise TooDeepError("the statement is nested too deeply") from None
    except ValueError:
        raise ParserFailureError("the parser's answer is not JSON") from None
    statements: list[dict[str, Any]] = tree["stmts"]
    return statements


def _error(error: _Error) -> DbfirewallError:
    message = error.message.decode("utf-8", "replace") if error.message else "unknown error"
    source = error.filename.decode("ascii", "replace") if error.filename else ""
    if message.startswith(("memory exhausted", "stack depth")):
        return TooDeepError("the statement is nested too deeply")
    return SqlSyntaxError(message, error.cursorpos) if _from_parser(source) else ParserFailureError(message)


def _from_parser(source: str) -> bool:
    """Whether an error was raised by the scanner, the grammar, or the encoding checks they call."""
    return source.endswith((".l", ".y")) or "parser" in source or "mbutils" in source


def check_version() -> None:
    """Raise ParserUnavailableError unless the library speaks the grammar this code was written for."""
    result = _library.pg_query_parse(b"SELECT 1")
    version = json.loads(result.parse_tree)["version"]
    _library.pg_query_free_parse_result(result)
    if version not in GRAMMAR_VERSIONS:
        raise ParserUnavailableError(f"libpg_query speaks PostgreSQL {version}; this release understands 18")


check_version()
