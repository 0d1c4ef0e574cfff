"""EXPLAIN, without ANALYZE: the plan for people, and how many rows the planner expects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.talk import Talk
from dbfirewall.preview.text import CHANGES, Piece

MAX_PLAN = 20_000
"""Security limit: characters of one plan that are kept."""

PLANNED = CHANGES | {"SelectStmt", "CreateTableAsStmt"}
"""Statements that have a plan."""


async def explain(talk: Talk, piece: Piece, parameters: Sequence[Parameter]) -> tuple[str, float | None]:
    """The plan as text and the rows that are expected. Raises ServerError, ConnectionError."""
    shown = await talk.run(f"EXPLAIN {piece.text}", parameters)
    machine = await talk.run(f"EXPLAIN (FORMAT JSON) {piece.text}", parameters)
    text = "\n".join(row[0] or "" for row in shown.rows)
    if len(text) > MAX_PLAN:
        text = f"{text[:MAX_PLAN]}\n… ({len(text) - MAX_PLAN} more characters)"
    return text, _rows(json.loads("".join(row[0] or "" for row in machine.rows)))


def _rows(plans: Any) -> float | None:
    """The top node's rows; of a change those that go into it, because it returns none itself."""
    total = 0.0
    for each in plans:
        top = each.get("Plan") if isinstance(each, dict) else None
        if not isinstance(top, dict):
            return None
        if top.get("Node Type") == "ModifyTable":
            sources = [
                p for p in top.get("Plans", []) if p.get("Parent Relationship") not in ("InitPlan", "SubPlan")
            ]
            total += sum(float(source.get("Plan Rows", 0)) for source in sources)
        else:
            total += float(top.get("Plan Rows", 0))
    return total
