"""libpg_query's own scanner, through postgast: what the lexer is compared with."""

from __future__ import annotations

import importlib
from typing import Any

# By name, since postgast's stubs are not valid and would stop the type checker.
_postgast: Any = importlib.import_module("postgast")

_COMMENTS = (275, 276)  # SQL_COMMENT and C_COMMENT


class OracleError(Exception):
    """libpg_query refuses the text."""


def boundaries(sql: str) -> list[tuple[int, int]]:
    """Where the tokens of `sql` start and end, in bytes, without comments."""
    tokens = _ask(_postgast.scan, sql).tokens
    return [(token.start, token.end) for token in tokens if token.token not in _COMMENTS]


def column(name: str) -> str:
    """What `SELECT name` makes of an identifier."""
    tree = _ask(_postgast.parse, f"SELECT {name}")
    value = tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val
    return str(value.column_ref.fields[0].string.sval)


def _ask(function: Any, sql: str) -> Any:
    try:
        return function(sql)
    except _postgast.PgQueryError as error:
        raise OracleError(str(error)) from None
