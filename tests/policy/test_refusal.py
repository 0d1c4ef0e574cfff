"""What an agent is told."""

from __future__ import annotations

import json

import pytest

from dbfirewall.policy.decision import Decision, decide
from dbfirewall.policy.refusal import (
    ErrorFields,
    denied,
    expired,
    failed_transaction,
    in_hand,
    outside,
    over_cap,
    pending,
    refusal,
    store_unavailable,
    unsettled,
    waiting,
    withdrawn,
)
from dbfirewall.sql.facts import Analysis, Refusal, Statement
from tests.policy.build import analysis, on, role, select

CARDS = role(
    {"allow": "select", "on": "public.*"},
    {"deny": "select", "on": "public.customers", "columns": "ssn", "reason": "Card data is\n  out of scope."},
)

GATED = decide(
    analysis(on("delete", "public.t")), role({"gate": "delete", "reason": "Ask a DBA.", "id": "ask"})
)
DETAIL = {
    "decision": "gate",
    "rule": "ask",
    "reason": "Ask a DBA.",
    "effect": {"action": "delete", "object": "public.t"},
    "retry": "after-approval",
}


def test_a_denial() -> None:
    """MESSAGE names what was refused and why, DETAIL is one line of JSON, HINT the next step."""
    fields = refusal(decide(analysis(select("public.customers", "ssn")), CARDS))
    assert fields.sqlstate == "42501"
    assert fields.message == "select on public.customers is denied: Card data is out of scope."
    assert "\n" not in fields.detail
    assert json.loads(fields.detail) == {
        "decision": "deny",
        "rule": "deny select on public.customers columns ssn",
        "reason": "Card data is out of scope.",
        "effect": {"action": "select", "object": "public.customers"},
        "retry": "after-rewrite",
    }
    assert fields.hint == "Name the columns you need and leave out ssn (a * means all of them)."


def test_a_reason_that_names_the_object_is_not_repeated() -> None:
    """Sentences of the firewall's own say it once."""
    fields = refusal(decide(analysis(select("audit.log", "a")), role()))
    assert fields.message == "No rule allows select on audit.log."


def test_a_gate() -> None:
    """ZG001 names what needs approval, and the rule's reason."""
    fields = refusal(GATED)
    assert (fields.sqlstate, fields.message) == ("ZG001", "delete on public.t needs approval: Ask a DBA.")
    assert json.loads(fields.detail) == DETAIL


def told(fields: ErrorFields, **members: object) -> str:
    """The message of an answer about a request; DETAIL is that of the gate with `members`."""
    assert json.loads(fields.detail) == {**DETAIL, **members}
    assert "\n" not in fields.message + fields.detail + fields.hint
    return f"{fields.sqlstate} {fields.message}"


def test_a_statement_that_waits() -> None:
    """The notice at once: which request, how long, and where to look."""
    fields = waiting(GATED, "apr_1", url="http://x/apr_1", seconds=45.0)
    assert told(fields, approval="apr_1", state="pending", url="http://x/apr_1") == (
        "00000 delete on public.t needs approval: Ask a DBA. "
        "The request is apr_1; the statement waits for up to 45 s."
    )
    assert fields.hint == "Approvers decide at http://x/apr_1"
    assert waiting(GATED, "apr_1", url="", seconds=0.5).hint == ""


def test_a_request_that_is_pending() -> None:
    """ZG001 with the id, until when, and how to see how it stands; a transaction has to be repeated as a whole."""
    until = {"approval": "apr_1", "state": "pending", "expires_at": "2026-01-31T12:00:00Z"}
    fields = pending(GATED, "apr_1", url="", expires="2026-01-31T12:00:00Z", in_transaction=False)
    assert (
        told(fields, **until) == "ZG001 delete on public.t needs approval: Ask a DBA. The request is apr_1."
    )
    assert fields.hint == (
        "A person has to approve this statement. Send it again, unchanged, once it is approved, before "
        "2026-01-31T12:00:00Z. How it stands: SELECT * FROM dbfirewall.approvals WHERE id = 'apr_1'"
    )
    fields = pending(GATED, "apr_1", url="u", expires="2026-01-31T12:00:00Z", in_transaction=True)
    told(fields, **until, url="u")
    assert "repeat all of it once this statement is approved, before" in fields.hint


def test_a_request_that_is_being_run() -> None:
    """Another session redeems it just now."""
    fields = in_hand(GATED, "apr_1")
    assert told(fields, approval="apr_1", state="releasing", retry="later") == (
        "ZG001 delete on public.t is approved by apr_1, and is being run by another session."
    )
    assert "WHERE id = 'apr_1'" in fields.hint


def test_a_request_whose_end_nobody_knows() -> None:
    """A person has to settle it before anything else."""
    fields = unsettled(GATED, "apr_1")
    assert told(fields, approval="apr_1", state="unknown") == (
        "ZG001 delete on public.t was approved by apr_1, and whether it has run is not known."
    )
    assert "A person has to settle that first" in fields.hint


def test_without_a_request() -> None:
    """Where none could be made, the answer says why, and what the operator's trouble is stays out of it."""
    assert told(store_unavailable(GATED), retry="later") == (
        "ZG001 delete on public.t needs approval: Ask a DBA. Nobody has been asked: requests for approval cannot be "
        "kept at the moment."
    )
    fields = failed_transaction(GATED)
    assert told(fields, retry="later").endswith("the transaction has failed already.")
    assert fields.hint == "Roll back first, then send it again."


def test_a_request_that_was_denied() -> None:
    """ZG002 carries the approver's words, on one line, without what a terminal would act on, and not for ever."""
    fields = denied(GATED, "apr_1", reason="No:\nuse\x1b[2J\0 orders_old", expires="tomorrow")
    said = "No: use[2J orders_old"
    assert told(fields, approval="apr_1", state="denied", retry="never", denial=said) == (
        f"ZG002 delete on public.t was not approved (apr_1): {said}"
    )
    assert "until tomorrow the answer stays the same" in fields.hint
    fields = denied(GATED, "apr_1", reason=" ", expires="tomorrow")
    assert told(fields, approval="apr_1", state="denied", retry="never").endswith("was not approved (apr_1).")
    assert len(json.loads(denied(GATED, "a", reason="x" * 5000, expires="").detail)["denial"]) == 1000


def test_a_request_that_has_expired() -> None:
    """ZG003, and the next sending asks anew."""
    fields = expired(GATED, "apr_1")
    assert told(fields, approval="apr_1", state="expired") == (
        "ZG003 The request for approval apr_1 has expired: delete on public.t has not run."
    )
    assert fields.hint == "Send it again to ask for approval anew."


def test_an_approval_of_something_else() -> None:
    """ZG003 says what has changed since."""
    fields = withdrawn(GATED, "apr_1", note="public.t was altered.")
    assert told(fields, approval="apr_1", state="withdrawn") == (
        "ZG003 The approval apr_1 no longer holds: public.t was altered."
    )
    assert withdrawn(GATED, "apr_1", note="").message == "The approval apr_1 no longer holds."
    assert len(withdrawn(GATED, "apr_1", note="x" * 5000).message) < 1100


def test_rows_beside_those_that_were_approved() -> None:
    """ZG003 with both counts, of each statement."""
    fields = outside(GATED, "apr_1", approved=(1,), actual=(3,))
    assert told(fields, approval="apr_1", state="outside", approved=[1], affected=[3]) == (
        "ZG003 delete on public.t would have changed 3 rows, and approved (apr_1) were 1 row: it was undone."
    )
    fields = outside(GATED, "apr_1", approved=(12, None), actual=(12, 4))
    told(fields, approval="apr_1", state="outside", approved=[12, None], affected=[12, 4])
    assert "approved (apr_1) were 12, an unknown number rows" in fields.message


def test_more_rows_than_a_rule_allows() -> None:
    """53400 with the cap, the count and the rule that has it."""
    who = role(
        {"allow": "update", "on": "public.t", "max_rows_affected": 5, "id": "few"}, {"allow": "select"}
    )
    changes = Statement(
        "update", (select("public.t", "a"), on("update", "public.t", columns=("a",))), count="told"
    )
    fields = over_cap(decide(Analysis((changes,)), who), cap=5, actual=7)
    reason = "update on public.t may change at most 5 rows, and would have changed 7 rows: it was undone."
    assert (fields.sqlstate, fields.message) == ("53400", reason)
    assert json.loads(fields.detail) == {
        "decision": "deny", "rule": "few", "reason": reason, "retry": "after-rewrite",
        "effect": {"action": "update", "object": "public.t"}, "max_rows_affected": 5, "affected": 7,
    }  # fmt: skip
    bare = over_cap(Decision.allowed("x"), cap=5, actual=None)
    assert bare.message.startswith(
        "The statement may change at most 5 rows, and would have changed an unknown number"
    )
    assert json.loads(bare.detail)["effect"] is None


@pytest.mark.parametrize(("reason", "end"), [("Ask", "Ask. T"), ("Ask!", "Ask! T"), ("Why?", "Why? T")])
def test_a_rules_reason_ends_its_sentence(reason: str, end: str) -> None:
    """Whatever its author wrote, what follows is a sentence of its own."""
    decision = decide(analysis(on("delete", "public.t")), role({"gate": "delete", "reason": reason}))
    assert f"needs approval: {end}he request is a" in waiting(decision, "a", url="", seconds=1).message


def test_a_gate_without_an_effect() -> None:
    """A decision that no effect decided is about the statement."""
    bare = Decision("gate", "ZG001", "r", "Wait.", retry="after-approval")
    assert (
        in_hand(bare, "a").message == "The statement is approved by a, and is being run by another session."
    )
    assert waiting(bare, "a", url="", seconds=1).message.startswith("Wait. The request is a;")


def test_a_text_without_facts_has_no_effect_to_tell() -> None:
    """What does not parse is 42601, with no effect."""
    fields = refusal(decide(Analysis(refusal=Refusal("syntax", "It is no SQL.")), role()))
    assert (fields.sqlstate, fields.message) == ("42601", "It is no SQL.")
    assert json.loads(fields.detail)["effect"] is None


def test_a_limit() -> None:
    """53400 says when to come back."""
    fields = ErrorFields.limit("Used up.", "Wait 3 s.")
    assert (fields.sqlstate, fields.message, fields.hint) == ("53400", "Used up.", "Wait 3 s.")
    detail = json.loads(fields.detail)
    assert (detail["decision"], detail["rule"], detail["retry"]) == ("deny", "limits", "later")


def test_a_long_list_is_cut() -> None:
    """A hint stays readable for a role with many patterns."""
    who = role({"allow": "select", "on": [f"public.t{number:02}" for number in range(30)]})
    hint = refusal(decide(analysis(select("audit.log", "a")), who)).hint
    assert "public.t19 and 10 more" in hint
    assert "public.t20" not in hint
