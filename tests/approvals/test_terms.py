"""What it takes to open a gate."""

from __future__ import annotations

from typing import Any

import pytest

from dbfirewall.approvals.model import Options, Terms
from dbfirewall.approvals.terms import terms_and_options
from dbfirewall.policy.decision import Decision, decide
from tests.policy.build import analysis, on, role


def opened(*gates: dict[str, Any], **members: Any) -> tuple[tuple[Terms, ...], Options]:
    """The terms of a delete that all of `gates` hold, numbered."""
    rules = [{"gate": "delete", "id": f"g{number}", **gate} for number, gate in enumerate(gates)]
    who = role(*rules, **members)
    return terms_and_options(decide(analysis(on("delete", "public.t")), who), who)


def test_a_plain_gate() -> None:
    """One approver of any group, and the defaults."""
    assert opened({}) == ((Terms("g0"),), Options())


def test_a_gate_with_everything() -> None:
    """Every key arrives, durations in seconds."""
    terms, options = opened({
        "approvers": ["dba", "lead"], "approvals": 2, "hold": "2m", "hold_in_transaction": True,
        "cancel_on_disconnect": True, "expires": "24h", "preview": "plan", "undo": "rows",
    })  # fmt: skip
    assert terms == (Terms("g0", ("dba", "lead"), 2),)
    assert options == Options(120.0, True, True, 86_400.0, "plan", True)


def test_the_roles_hold_is_the_default() -> None:
    """Zero is a hold, too."""
    assert opened({}, hold="0s")[1].hold == 0.0
    assert opened({"hold": "3s"}, hold="0s")[1].hold == 3.0
    assert opened({"hold": "0s"}, hold="3s")[1].hold == 0.0
    assert opened({"hold": "9s"}, {}, hold="3s")[1].hold == 9.0


def test_every_gate_has_its_terms() -> None:
    """In an order that does not depend on the file's."""
    terms, _ = opened({"approvers": ["dba"]}, {"approvers": ["lead"], "approvals": 2})
    assert terms == (Terms("g0", ("dba",)), Terms("g1", ("lead",), 2))


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("hold", ["5s", "2s"], 2.0),
        ("expires", ["1h", "2h"], 3600.0),
        ("hold_in_transaction", [True, False], False),
        ("hold_in_transaction", [True, True], True),
        ("cancel_on_disconnect", [False, True], True),
        ("preview", ["rows", "none"], "none"),
        ("preview", ["plan", "rows"], "plan"),
        ("undo", ["none", "rows"], True),
        ("undo", ["none", "none"], False),
    ],
)
def test_several_gates_are_combined_to_what_harms_least(
    key: str, values: list[Any], expected: object
) -> None:
    """The shortest wait, the preview that runs least, an undo where anyone wants it; in whichever order."""
    for order in (values, values[::-1]):
        _, options = opened(*({key: value} for value in order))
        assert getattr(options, key) == expected


def test_a_key_that_a_gate_leaves_out_does_not_count() -> None:
    """The default is nobody's wish."""
    _, options = opened({"expires": "24h", "preview": "plan", "hold": "5m"}, {})
    assert (options.expires, options.preview, options.hold) == (86_400.0, "plan", 300.0)


def test_a_decision_without_gates() -> None:
    """Nothing is demanded that could be fulfilled by nobody: it takes no terms at all, and holds nothing open."""
    assert terms_and_options(Decision("gate"), role()) == ((), Options())
