"""A request as the JSON document that the API, notifications and the command line share (docs/approvals.md).

Times are RFC 3339 in UTC. Nothing here decides who may see it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from dbfirewall.approvals.model import Envelope, Parameter, Preview, Request

MAX_SHOWN = 4096
"""Characters of one parameter that are shown."""


def document(request: Request) -> dict[str, Any]:
    """`request` as plain JSON values. `seen`: the digest of what a decision would be about."""
    snapshot = request.snapshot
    shown: dict[str, Any] = {
        "id": request.id,
        "state": str(request.state),
        "agent": snapshot.agent,
        "role": snapshot.role,
        "database": snapshot.database,
        "session": snapshot.session,
        "peer": snapshot.peer,
        "application": snapshot.application,
        "sql": snapshot.sql.decode("utf-8", "backslashreplace"),
        "parameters": [_parameter(parameter) for parameter in snapshot.parameters],
        "in_transaction": snapshot.in_transaction,
        "settings": dict(snapshot.settings),
        "effects": [{"action": action, "object": name} for action, name in snapshot.effects],
        "rule": snapshot.rule,
        "reason": snapshot.reason,
        "terms": [
            {"rule": terms.rule, "groups": list(terms.groups), "count": terms.count}
            for terms in request.terms
        ],
        "preview": None if request.preview is None else _preview(request.preview),
    }
    return {
        **shown,
        "seen": hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16],
        "votes": [
            {
                "approver": vote.approver,
                "approve": vote.approve,
                "at": moment(vote.at),
                "reason": vote.reason,
                "origin": vote.origin,
            }
            for vote in request.votes
        ],
        "envelope": None if request.envelope is None else _envelope(request.envelope),
        "created_at": moment(request.created_at),
        "updated_at": moment(request.updated_at),
        "expires_at": moment(request.expires_at),
        "affected": list(request.affected),
        "error": request.error,
        "note": request.note,
        "agent_gone": request.agent_gone,
        "undo": {
            "rows": request.undo_rows,
            "available": request.undo_rows > 0 and not request.undone,
            "undone": request.undone,
        },
    }


def moment(seconds: float) -> str:
    """Unix seconds as `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parameter(parameter: Parameter) -> dict[str, Any]:
    value = parameter.shown
    if value is None and parameter.value is not None and parameter.format == 0:
        value = parameter.value.decode("utf-8", "backslashreplace")
    if value is None and parameter.value is not None:
        value = "\\x" + parameter.value.hex()
    return {
        "value": None if value is None else value[:MAX_SHOWN],
        "type": parameter.oid,
        "null": parameter.value is None,
    }


def _preview(preview: Preview) -> dict[str, Any]:
    return {
        "made_at": moment(preview.made_at),
        "plan": preview.plan,
        "estimate": preview.estimate,
        "rows": list(preview.rows),
        "tables": [
            {
                "name": table.name,
                "columns": list(table.columns),
                "rows": [list(row) for row in table.rows],
                "after": [list(row) for row in table.after],
            }
            for table in preview.tables
        ],
        "objects": [dict(one) for one in preview.objects],
        "notes": list(preview.notes),
        "enveloped": preview.enveloped,
        "undo": preview.undo,
        "undo_problem": preview.undo_problem,
    }


def _envelope(envelope: Envelope) -> dict[str, Any]:
    return {"rows": list(envelope.rows), "tolerance": envelope.tolerance}
