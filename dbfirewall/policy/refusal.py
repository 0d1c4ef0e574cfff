"""A decision → the fields of the ErrorResponse that tells it to the agent (reference: docs/errors.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dbfirewall.errors import SqlState
from dbfirewall.policy.decision import Decision
from dbfirewall.policy.hints import what

SUCCESS = "00000"
"""The SQLSTATE of a notice."""

MAX_SAID = 1000
"""Characters of an approver's reason that an agent is told."""


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
        detail = _json(
            {"decision": "deny", "rule": rule, "reason": message, "effect": None, "retry": "later"}
        )
        return cls(SqlState.LIMIT, message, detail, hint)


def refusal(decision: Decision) -> ErrorFields:
    """The error for a decision that is not an allow."""
    reason = one_line(decision.reason)
    return ErrorFields(str(decision.sqlstate), _message(decision, reason), _detail(decision), decision.hint)


def waiting(decision: Decision, approval: str, *, url: str, seconds: float) -> ErrorFields:
    """The notice at once: it waits, for at most `seconds`, for somebody to decide at `url`."""
    message = f"{_needs(decision)} The request is {approval}; the statement waits for up to {seconds:g} s."
    detail = _detail(decision, approval=approval, state="pending", url=url)
    return ErrorFields(SUCCESS, message, detail, f"Approvers decide at {url}" if url else "")


def pending(
    decision: Decision, approval: str, *, url: str, expires: str, in_transaction: bool
) -> ErrorFields:
    """ZG001: nobody has decided in time. `expires`: RFC 3339. `in_transaction`: whether the error ends one."""
    again = "Send it again, unchanged, once it is approved"
    if in_transaction:
        again = "The transaction is undone: repeat all of it once this statement is approved"
    hint = f"A person has to approve this statement. {again}, before {expires}. {_ask(approval)}"
    detail = _detail(decision, approval=approval, state="pending", url=url, expires_at=expires)
    return ErrorFields(
        SqlState.NEEDS_APPROVAL, f"{_needs(decision)} The request is {approval}.", detail, hint
    )


def in_hand(decision: Decision, approval: str) -> ErrorFields:
    """ZG001: it is approved, and another session is running it just now."""
    detail = _detail(decision, approval=approval, state="releasing", retry="later")
    message = f"{_subject(decision)} is approved by {approval}, and is being run by another session."
    hint = f"Do not send it again before you know what came of it. {_ask(approval)}"
    return ErrorFields(SqlState.NEEDS_APPROVAL, message, detail, hint)


def unsettled(decision: Decision, approval: str) -> ErrorFields:
    """ZG001: nobody knows whether it has run, and a person has to find out."""
    detail = _detail(decision, approval=approval, state="unknown")
    message = f"{_subject(decision)} was approved by {approval}, and whether it has run is not known."
    hint = (
        f"A person has to settle that first; look at the data before you do anything else. {_ask(approval)}"
    )
    return ErrorFields(SqlState.NEEDS_APPROVAL, message, detail, hint)


def no_request(decision: Decision, why: str, hint: str) -> ErrorFields:
    """ZG001 without a request: `why` none was made, as a clause; `hint`: what to do first."""
    message = f"{_needs(decision)} Nobody has been asked: {why}."
    return ErrorFields(SqlState.NEEDS_APPROVAL, message, _detail(decision, retry="later"), hint)


def store_unavailable(decision: Decision) -> ErrorFields:
    """ZG001 without a request: it could not be written down. What the store's trouble is stays with the operator."""
    why = "requests for approval cannot be kept at the moment"
    return no_request(decision, why, "Try again later. What needs no approval works as ever.")


def failed_transaction(decision: Decision) -> ErrorFields:
    """ZG001 without a request: it could not run in this transaction, even if it were approved."""
    return no_request(decision, "the transaction has failed already", "Roll back first, then send it again.")


def denied(decision: Decision, approval: str, *, reason: str, expires: str) -> ErrorFields:
    """ZG002: an approver said no, and `reason` why (free text, perhaps empty)."""
    said = one_line(reason)[:MAX_SAID]
    words = f"{_subject(decision)} was not approved ({approval}){f': {said}' if said else '.'}"
    detail = _detail(decision, approval=approval, state="denied", retry="never", denial=said)
    hint = f"Do not send it again: until {expires} the answer stays the same. Do what the approver says."
    return ErrorFields(SqlState.APPROVAL_DENIED, words, detail, hint)


def expired(decision: Decision, approval: str) -> ErrorFields:
    """ZG003: nobody decided in time, or it was approved and not sent again in time."""
    message = f"The request for approval {approval} has expired: {_subject(decision)} has not run."
    return _void(message, _detail(decision, approval=approval, state="expired"))


def withdrawn(decision: Decision, approval: str, *, note: str) -> ErrorFields:
    """ZG003: what was approved is not what would run now; `note` says what has changed."""
    said = one_line(note)[:MAX_SAID]
    message = f"The approval {approval} no longer holds{f': {said}' if said else '.'}"
    return _void(message, _detail(decision, approval=approval, state="withdrawn"))


def outside(
    decision: Decision, approval: str, *, approved: Sequence[int | None], actual: Sequence[int | None]
) -> ErrorFields:
    """ZG003: it would have changed other numbers of rows, by statement, than those that were approved."""
    detail = _detail(
        decision, approval=approval, state="outside", approved=list(approved), affected=list(actual)
    )
    message = (
        f"{_subject(decision)} would have changed {_counts(actual)}, and approved ({approval}) were "
        f"{_counts(approved)}: it was undone."
    )
    return _void(message, detail)


def over_cap(decision: Decision, *, cap: int, actual: int | None) -> ErrorFields:
    """53400: a statement that is allowed to change `cap` rows would have changed more, or not told how many."""
    rule, effect = next(
        ((one.rule, one.effect) for s in decision.statements for one in s.effects if one.cap == cap),
        (decision.rule, decision.effect),
    )
    subject = what(effect) if effect is not None else "The statement"
    reason = f"{subject} may change at most {cap} rows, and would have changed {_counts((actual,))}: it was undone."
    effect_member = None if effect is None else {"action": effect.action, "object": effect.object_name}
    members = {"decision": "deny", "rule": rule, "reason": reason, "effect": effect_member}
    detail = _json({**members, "retry": "after-rewrite", "max_rows_affected": cap, "affected": actual})
    return ErrorFields(SqlState.LIMIT, reason, detail, "Change fewer rows at once: narrow the WHERE clause.")


def one_line(text: str) -> str:
    """`text` with its blanks made one space each, and without control characters, which no error may carry."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _void(message: str, detail: str) -> ErrorFields:
    hint = "Send it again to ask for approval anew."
    return ErrorFields(SqlState.APPROVAL_EXPIRED, message, detail, hint)


def _message(decision: Decision, reason: str) -> str:
    """One sentence that names what was refused, even where the rule's author wrote only why."""
    effect = decision.effect
    words = what(effect) if effect is not None else ""
    if not words or words in reason:
        return reason
    verb = "needs approval" if decision.outcome == "gate" else "is denied"
    return f"{words} {verb}: {reason}"


def _subject(decision: Decision) -> str:
    return what(decision.effect) if decision.effect is not None else "The statement"


def _needs(decision: Decision) -> str:
    """A sentence that it needs approval, and the rule's own reason where it has one."""
    sentence = _message(decision, one_line(decision.reason))
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _ask(approval: str) -> str:
    return f"How it stands: SELECT * FROM dbfirewall.approvals WHERE id = '{approval}'"  # noqa: S608  for the agent to send


def _counts(rows: Sequence[int | None]) -> str:
    words = ", ".join("an unknown number" if count is None else str(count) for count in rows)
    return f"{words} {'row' if words == '1' else 'rows'}"


def _detail(decision: Decision, *, retry: str = "", **members: Any) -> str:
    """DETAIL. `members` that are empty are left out."""
    effect = decision.effect
    return _json({
        "decision": decision.outcome,
        "rule": decision.rule,
        "reason": one_line(decision.reason),
        "effect": None if effect is None else {"action": effect.action, "object": effect.object_name},
        "retry": retry or decision.retry,
        **{name: value for name, value in members.items() if value},
    })  # fmt: skip


def _json(members: dict[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False)
