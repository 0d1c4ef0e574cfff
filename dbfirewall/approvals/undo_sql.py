"""What undoes approved statements, as steps of a store (dbfirewall.approvals.store_sql says what a step is)."""

from __future__ import annotations

from collections.abc import Sequence

from dbfirewall.approvals import codec
from dbfirewall.approvals.store_sql import NOTIFY, Steps
from dbfirewall.errors import NotKept, StoreError


def keep_undo(request_id: str, sequence: int, document: str, count: int) -> Steps[None]:
    """See Store.keep_undo. StoreError where the document is larger than MAX_UNDO, or nothing is releasing."""
    if len(document) > codec.MAX_UNDO:
        raise NotKept(f"a captured table of more than {codec.MAX_UNDO} bytes is not kept")
    rows = yield (
        "UPDATE requests SET undo_rows = undo_rows + $2 WHERE id = $1 AND state = 'releasing' RETURNING id",
        (request_id, count),
    )
    if not rows:
        raise StoreError(f"request {request_id} is not being released")
    yield "INSERT INTO undo VALUES ($1, $2, $3)", (request_id, sequence, document)


def undo(request_id: str) -> Steps[Sequence[str]]:
    """See Store.undo."""
    rows = yield "SELECT document FROM undo WHERE request = $1 ORDER BY sequence", (request_id,)
    return tuple(row["document"] for row in rows)


def mark_undone(request_id: str, undone: bool) -> Steps[bool]:
    """See Store.mark_undone."""
    rows = yield (
        """UPDATE requests SET undone = $2 WHERE id = $1 AND undone <> $2 AND undo_rows > 0 AND state = 'done'
        RETURNING id""",
        (request_id, int(undone)),
    )
    if rows:
        yield NOTIFY, (request_id,)
    return bool(rows)
