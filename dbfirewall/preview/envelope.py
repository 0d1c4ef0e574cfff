"""How a statement is released: inside a transaction that can be rolled back or not, and what its tags will tell.

Pure. The list of what can't run inside a transaction block is that of PreventInTransactionBlock's callers in
PostgreSQL 14 to 18; https://www.postgresql.org/docs/current/sql-commands.html says so for each command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dbfirewall.preview.text import CHANGES, Piece, UnreadableError, pieces
from dbfirewall.sql.nodes import Tree, unwrap

NEVER_IN_A_BLOCK = {
    "CreatedbStmt": "CREATE DATABASE can't run inside a transaction",
    "DropdbStmt": "DROP DATABASE can't run inside a transaction",
    "CreateTableSpaceStmt": "CREATE TABLESPACE can't run inside a transaction",
    "DropTableSpaceStmt": "DROP TABLESPACE can't run inside a transaction",
    "AlterSystemStmt": "ALTER SYSTEM can't run inside a transaction",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION can't always run inside a transaction",
    "AlterSubscriptionStmt": "ALTER SUBSCRIPTION can't always run inside a transaction",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION can't always run inside a transaction",
    "ClusterStmt": "CLUSTER can't always run inside a transaction",
    "ReindexStmt": "REINDEX can't always run inside a transaction",
    "DiscardStmt": "DISCARD can't always run inside a transaction",
    "TransactionStmt": "it controls transactions itself",
    "CallStmt": "a procedure may commit by itself",
    "DoStmt": "a DO block may commit by itself",
    "PrepareStmt": "a prepared statement outlives the transaction",
    "ExecuteStmt": "what a prepared statement does is not known here",
    "DeallocateStmt": "a prepared statement outlives the transaction",
    "DeclareCursorStmt": "a cursor ends with its transaction",
    "FetchStmt": "a cursor belongs to its transaction",
    "ClosePortalStmt": "a cursor belongs to its transaction",
    "LockStmt": "a lock ends with its transaction",
    "ConstraintsSetStmt": "it is about the transaction that it runs in",
    "CheckPointStmt": "nothing of CHECKPOINT can be rolled back",
    "LoadStmt": "nothing of LOAD can be rolled back",
}
"""Statements that are released as they are, and why."""

_READS = frozenset({"SelectStmt", "VariableShowStmt", "ExplainStmt"})


@dataclass(frozen=True, slots=True)
class Release:
    """How a message is released.

    `wrapped`: whether it may run inside a transaction of ours; `reason`: why not, a clause for people.
    `reads`: whether it only reads, so that there is nothing to roll back.
    `counted`: of each statement, whether its command tag tells how many rows it changed.
    """

    wrapped: bool
    reason: str = ""
    reads: bool = False
    counted: tuple[bool, ...] = ()

    @property
    def enveloped(self) -> bool:
        """Whether a count can be held against what happens."""
        return self.wrapped and any(self.counted)

    def affected(self, tags: Sequence[str]) -> tuple[int | None, ...]:
        """The rows that each statement changed, by the command tags in their order; None where no tag tells.

        Fewer tags than statements (one failed): the rest are None.
        """
        padded = [*tags[: len(self.counted)], *[""] * (len(self.counted) - len(tags))]
        return tuple(
            tag_rows(tag) if counted else None for counted, tag in zip(self.counted, padded, strict=True)
        )


def release(sql: bytes) -> Release:
    """How the message `sql` is released. A text that can't be taken apart is released as it is."""
    try:
        parts = pieces(sql)
    except UnreadableError as error:
        return Release(False, str(error))
    return release_of(parts)


def release_of(parts: Sequence[Piece]) -> Release:
    """As `release`, of statements that are taken apart already."""
    counted = tuple(piece.kind in CHANGES and not piece.changes_in_with for piece in parts)
    reason = next(filter(None, map(_plain_reason, parts)), "")
    reads = bool(parts) and all(_only_reads(piece) for piece in parts)
    return Release(bool(parts) and not reason, reason, reads, counted)


def tag_rows(tag: str) -> int | None:
    """The rows that a command tag tells: `INSERT 0 5` five; None where it tells none."""
    word = tag.rpartition(" ")[2]
    return int(word) if word.isascii() and word.isdigit() and len(word) < 20 else None


def _plain_reason(piece: Piece) -> str:
    """Why a statement can't run inside a transaction of ours; empty where it can."""
    if reason := NEVER_IN_A_BLOCK.get(piece.kind):
        return reason
    check = _SOMETIMES.get(piece.kind)
    return check(piece.node) if check else ""


def _only_reads(piece: Piece) -> bool:
    """Whether it is a query without a change, a row lock or a new table in it."""
    if piece.kind not in _READS or piece.changes_in_with:
        return False
    if piece.kind == "ExplainStmt":
        inner = Piece(piece.text, *unwrap(piece.node.get("query")))
        return inner.kind == "SelectStmt" and _only_reads(inner)
    return not ({"intoClause", "lockingClause"} & piece.node.keys())


def _concurrently(node: Tree) -> str:
    return "what is done CONCURRENTLY can't run inside a transaction" if node.get("concurrent") else ""


def _vacuum(node: Tree) -> str:
    return "VACUUM can't run inside a transaction" if node.get("is_vacuumcmd") else ""


def _copy(node: Tree) -> str:
    return "COPY takes its rows from the client" if node.get("is_from") and "filename" not in node else ""


def _alter_database(node: Tree) -> str:
    names = {unwrap(option)[1].get("defname") for option in node.get("options", [])}
    return "a database's move to another tablespace can't run inside a transaction" * ("tablespace" in names)


def _alter_table(node: Tree) -> str:
    for command in node.get("cmds", []):
        _, partition = unwrap(unwrap(command)[1].get("def"))
        if partition.get("concurrent"):
            return "DETACH PARTITION CONCURRENTLY can't run inside a transaction"
    return ""


_SOMETIMES: dict[str, Callable[[Tree], str]] = {
    "IndexStmt": _concurrently,
    "DropStmt": _concurrently,
    "VacuumStmt": _vacuum,
    "CopyStmt": _copy,
    "AlterDatabaseStmt": _alter_database,
    "AlterTableStmt": _alter_table,
}
