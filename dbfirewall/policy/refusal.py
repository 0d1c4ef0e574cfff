"""A decision → the fields of the ErrorResponse that tells it to the agent (reference: docs/errors.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dbfirewall.errors import SqlState
from dbfirewall.policy.decision import Decision
from dbfirewall.policy.hints import what


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """The C, M, D and H fields. `message`: one sentence; `detail`: a line of JSON; `hint`: the next step."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""

    @classmethod
    def limit(cls, message: str, hint: str, *, rule: str = "limits") -> ErrorFields:
        """53400: a budget or a limit is used up. `hint` says when it frees up."""
        detail = _detail("deny", rule, message, None, "later", "")
        return cls(SqlState.LIMIT, message, detail, hint)


def refusal(decision: Decision, approval: str = "") -> ErrorFields:
    """The error for a decision that is not an allow. `approval`: the id of what a gate waits for."""
    reason = " ".join(decision.reason.split())
    effect = decision.effect
    effect_member = {"action": effect.action, "object": effect.object_name} if effect is not None else None
    detail = _detail(decision.outcome, decision.rule, reason, effect_member, decision.retry, approval)
    hint = decision.hint
    if approval:
        hint = f"{hint} The approval is {approval}.".strip()
    return ErrorFields(str(decision.sqlstate), _message(decision, reason), detail, hint)


def _message(decision: Decision, reason: str) -> str:
    """One sentence that names what was refused, even where the rule's author wrote only why."""
    effect = decision.effect
    words = what(effect) if effect is not None else ""
    if not words or words in reason:
        return reason
    verb = "needs approval" if decision.outcome == "gate" else "is denied"
    return f"{words} {verb}: {reason}"


def _detail(
    outcome: str, rule: str, reason: str, effect: dict[str, str] | None, retry: str, approval: str
) -> str:
    members = {"decision": outcome, "rule": rule, "reason": reason, "effect": effect, "retry": retry}
    if approval:
        members["approval"] = approval
    return json.dumps(members, ensure_ascii=False)
