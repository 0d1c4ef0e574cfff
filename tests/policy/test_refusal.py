"""What an agent is told."""

from __future__ import annotations

import json

from dbfirewall.policy.decision import decide
from dbfirewall.policy.refusal import ErrorFields, refusal
from dbfirewall.sql.facts import Analysis, Refusal
from tests.policy.build import analysis, on, role, select

CARDS = role(
    {"allow": "select", "on": "public.*"},
    {"deny": "select", "on": "public.customers", "columns": "ssn", "reason": "Card data is\n  out of scope."},
)


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


def test_a_gate_carries_its_approval() -> None:
    """ZG001, with the approval's id where there is one."""
    decision = decide(analysis(on("delete", "public.t")), role({"gate": "delete", "reason": "Ask a DBA."}))
    fields = refusal(decision, "apr_1")
    assert (fields.sqlstate, fields.message) == ("ZG001", "delete on public.t needs approval: Ask a DBA.")
    detail = json.loads(fields.detail)
    assert (detail["decision"], detail["retry"], detail["approval"]) == ("gate", "after-approval", "apr_1")
    assert "apr_1" in fields.hint
    assert "approval" not in json.loads(refusal(decision).detail)


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
