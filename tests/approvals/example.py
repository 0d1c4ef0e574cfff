"""Requests to test with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbfirewall.approvals.model import (
    Options,
    Parameter,
    Preview,
    Request,
    Snapshot,
    State,
    Table,
    Terms,
)

SNAPSHOT = Snapshot(
    agent="cleanup",
    role="maintainer",
    database="shop",
    sql=b"DELETE FROM orders WHERE id = $1 AND note = 'secret-literal' -- secret-comment",
    parameters=(Parameter(25, 0, b"secret-parameter"),),
    settings={"search_path": "public"},
    effects=(("delete", "public.orders"), ("select", "public.orders")),
    rule="gate delete on public.*",
    reason="Deleting needs a second pair of eyes.",
)

PREVIEW = Preview(
    made_at=1_767_225_601.0,
    plan="Delete on orders (filter 'secret-plan')",
    rows=(2,),
    tables=(Table("public.orders", ("id", "note"), (("1", "secret-row"), ("2", None))),),
    notes=("a note with secret-note",),
    enveloped=True,
)


def request(**changes: Any) -> Request:
    """A pending request with a preview."""
    pending = Request(
        id="apr_0123456789",
        state=State.PENDING,
        snapshot=SNAPSHOT,
        terms=(Terms("gate delete on public.*", ("dba",)),),
        options=Options(),
        created_at=1_767_225_600.0,
        expires_at=1_767_229_200.0,
        updated_at=1_767_225_601.0,
        preview=PREVIEW,
    )
    return replace(pending, **changes)
