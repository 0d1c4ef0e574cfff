"""Undo: the rows that an approved statement is about to change, captured inside its own transaction.

Order, inside the transaction that releases the statement (see `isolation` for its level)::

    captured = await capture(talk, sql, parameters, statements)     before the statement
    … the statement, in its exact bytes …
    documents = await complete(talk, captured, affected)            after it; raises UndoError: roll back
    for number, document in enumerate(documents): Store.keep_undo(id, number, document)

`dbfirewall.preview.restore` makes the SQL of the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbfirewall.approvals.model import Parameter
from dbfirewall.errors import DbfirewallError
from dbfirewall.preview.talk import Talk
from dbfirewall.preview.text import Piece
from dbfirewall.sql.facts import Statement

MAX_ROWS = 10_000
"""Security limit: rows that are kept for one statement."""

MAX_BYTES = 8 * 1024 * 1024
"""Security limit: bytes of text that are kept for one statement."""


class UndoError(DbfirewallError):
    """Undo can't be had: `str()` is a sentence on why, for people."""


@dataclass(frozen=True, slots=True)
class Captured:
    """The rows of one table, before."""


def isolation(sql: bytes) -> str:
    """The isolation level that capturing needs: `REPEATABLE READ`, or `READ COMMITTED` for TRUNCATE and DROP."""
    raise NotImplementedError


async def capture(
    talk: Talk, sql: bytes, parameters: Sequence[Parameter], statements: Sequence[Statement]
) -> tuple[Captured, ...]:
    """The rows that the message is going to change. Raises UndoError, ServerError, ConnectionError."""
    raise NotImplementedError


async def complete(
    talk: Talk, captured: Sequence[Captured], affected: Sequence[int | None]
) -> tuple[str, ...]:
    """The documents to keep (JSON), after the statement ran and changed what was captured.

    Raises UndoError where it changed something else: then what ran must be rolled back.
    """
    raise NotImplementedError


async def foreseen(
    talk: Talk, parts: Sequence[Piece], statements: Sequence[Statement], rows: Sequence[int | None]
) -> tuple[bool, str]:
    """Whether undo could be captured, and why not or what it would not restore."""
    return False, "not implemented"
