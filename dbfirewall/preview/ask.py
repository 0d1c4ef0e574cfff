"""Asking the server about its catalogs: parameters as JSON, answers as plain values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.talk import Talk

TEXT = 25
"""The OID of the type text."""

MANY = 100_000
"""Rows that a question about the catalogs may have for an answer."""

Row = tuple[str | None, ...]


def text(value: str) -> Parameter:
    """A parameter of type text."""
    return Parameter(TEXT, 0, value.encode())


def as_json(value: Any) -> Parameter:
    """A parameter of type text that holds JSON."""
    return text(json.dumps(value))


async def ask(talk: Talk, sql: str, *parameters: Parameter) -> tuple[Row, ...]:
    """The rows of a question. Raises ServerError, ConnectionError."""
    result = await talk.run(sql, parameters, max_rows=MANY)
    return result.rows


async def ask_one(talk: Talk, sql: str, *parameters: Parameter) -> str:
    """The first value of the first row, empty where there is none or it is NULL."""
    rows = await ask(talk, sql, *parameters)
    return (rows[0][0] or "") if rows and rows[0] else ""


def number(value: str | None) -> int:
    """An integer of the server's, 0 for NULL."""
    return int(value or 0)


def strings(values: Sequence[str | None]) -> tuple[str, ...]:
    """Values that are never NULL."""
    return tuple(value or "" for value in values)
