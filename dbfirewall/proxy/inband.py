"""What an agent is told in band: the rows of `dbfirewall.approvals`, `my_rules` and `my_limits` (sql/virtual.py).

Rules:
- Only what is the asking agent's own: its requests, its role's rules, its limits. Nothing of who may decide.
- Rows travel as the value of a parameter of this server session, set right before each statement that reads them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dbfirewall.approvals.document import moment
from dbfirewall.approvals.model import Parameter, Request, State
from dbfirewall.approvals.store import Query
from dbfirewall.errors import SqlState, StoreError
from dbfirewall.policy.models import Role, Rule
from dbfirewall.policy.refusal import ErrorFields, one_line
from dbfirewall.policy.units import show_duration
from dbfirewall.preview.talk import Talk
from dbfirewall.sql.virtual import parameter

if TYPE_CHECKING:
    from dbfirewall.proxy.session import Session

MAX_REQUESTS: Final = 200
"""Security limit: requests that `dbfirewall.approvals` shows, the newest."""

MAX_SQL: Final = 2000
"""Security limit: characters of a statement that `dbfirewall.approvals` shows."""

Row = dict[str, Any]

_SET: Final = "SELECT pg_catalog.set_config($1, $2, false)"
_READ_ONLY: Final[Row] = {
    "effect": "deny", "actions": "everything but reads", "objects": "*", "reason": "This role only reads.",
    "rule": "read-only",
}  # fmt: skip

_UNAVAILABLE: Final = ErrorFields(
    SqlState.NOT_READY,
    "Requests for approval cannot be read at the moment.",
    json.dumps({
        "decision": "deny", "rule": "built-in", "reason": "The store of approvals is not available.",
        "effect": {"action": "select", "object": "dbfirewall.approvals"}, "retry": "later",
    }),
    "Try again later.",
)  # fmt: skip

_HINTS: Final[Mapping[State, str]] = {
    State.PENDING: "A person has to decide. Send the statement again, unchanged, once it is approved.",
    State.APPROVED: "Send the statement again, unchanged: then it runs, once.",
    State.RELEASING: "It is being run. Look here again before you do anything.",
    State.DONE: "It has run. Sending it again asks anew.",
    State.OUTSIDE: "It would have changed other rows than approved, and was undone. Sending it again asks anew.",
    State.FAILED: "It failed when it was run. Correct it.",
    State.UNKNOWN: "Whether it has run is not known, and a person has to find out. Look at the data.",
    State.DENIED: "Do not send it again before expires_at. Do what the reason says.",
    State.EXPIRED: "Nobody decided, or it was not sent again, in time. Sending it again asks anew.",
    State.WITHDRAWN: "What was asked for no longer stands. Sending it again asks anew.",
}


async def supply(session: Session, talk: Talk, tables: Iterable[str]) -> ErrorFields | None:
    """Give the server the rows of `tables` as they are now; what to tell the agent where they can't be had.

    Raises ServerError, ConnectionError.
    """
    for table in sorted(tables):
        try:
            rows = await _rows(session, table)
        except StoreError:
            return _UNAVAILABLE
        text = json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace")
        await talk.run(_SET, (Parameter(0, 0, parameter(table).encode()), Parameter(0, 0, text)))
    return None


async def _rows(session: Session, table: str) -> list[Row]:
    if table == "my_rules":
        return rules_rows(session.role)
    if table == "my_limits":
        return _limits_rows(session)
    approvals = session.firewall.approving.approvals
    if approvals is None:
        raise StoreError("the store of approvals is not open")
    return [request_row(one) for one in await approvals.list(Query(agent=session.agent, limit=MAX_REQUESTS))]


def request_row(request: Request) -> Row:
    """One request as its agent sees it."""
    snapshot = request.snapshot
    changed = [count for count in request.affected if count is not None]
    decided = request.votes[-1].at if request.votes and request.state is not State.PENDING else None
    return {
        "id": request.id,
        "state": str(request.state),
        "database": snapshot.database,
        "sql": snapshot.sql.decode("utf-8", "backslashreplace")[:MAX_SQL],
        "rule": snapshot.rule,
        "reason": one_line(request.reason or request.note or request.error) or None,
        "created_at": moment(request.created_at),
        "expires_at": moment(request.expires_at),
        "decided_at": None if decided is None else moment(decided),
        "rows": sum(changed) if changed else None,
        "hint": _HINTS[request.state],
    }


def rules_rows(role: Role) -> list[Row]:
    """A role's rules, in its file's order; before them the ceiling of one that only reads."""
    rows = [_rule_row(rule) for rule in role.rules]
    return [_READ_ONLY, *rows] if role.read_only else rows


def _rule_row(rule: Rule) -> Row:
    return {
        "effect": rule.effect,
        "actions": ", ".join(rule.actions),
        "objects": ", ".join(pattern.text for pattern in rule.on) or "*",
        "columns": None if rule.columns is None else ", ".join(rule.columns),
        "conditions": "; ".join(_conditions(rule)) or None,
        "reason": one_line(rule.reason) or None,
        "rule": one_line(rule.label),
    }


def _conditions(rule: Rule) -> Iterable[str]:
    if rule.kind:
        yield f"only of kind {', '.join(rule.kind)}"
    if rule.require_where:
        yield "update and delete only with a WHERE"
    if rule.max_rows_affected is not None:
        yield f"at most {rule.max_rows_affected} changed rows a statement"
    if rule.effect == "gate" and rule.approvals > 1:
        yield f"{rule.approvals} people have to approve"


def _limits_rows(session: Session) -> list[Row]:
    """What the role may use up, and what the agent has used of it, as far as this process knows."""
    limits, firewall = session.role.limits, session.firewall
    rows: list[Row] = [
        {"name": name, "value": show_duration(value)}
        for name in (
            "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
        )
        if (value := getattr(limits, name)) is not None
    ]  # fmt: skip
    if limits.max_rows is not None:
        rows.append({"name": "max_rows", "value": str(limits.max_rows)})
    if limits.queries is not None:
        used, wait = firewall.rates.used(session.agent, limits.queries.seconds)
        frees = moment(time.time() + wait) if wait else None
        rows.append({"name": "queries", "value": str(limits.queries), "used": used, "frees_at": frees})
    if limits.connections is not None:
        used = firewall.connections.of(session.agent)
        rows.append({"name": "connections", "value": str(limits.connections), "used": used})
    return rows
