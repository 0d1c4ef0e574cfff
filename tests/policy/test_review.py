"""Warnings about rules that load."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbfirewall.catalog.types import Catalog, Function, Relation
from dbfirewall.policy.loader import parse_rules, warnings
from dbfirewall.policy.review import RuleWarning
from tests.policy.example import EXAMPLE, VERIFIER

LIVE = Catalog(
    relations={
        ("public", "orders"): Relation("public", "orders", columns=("id", "total")),
        ("public", "Order Items"): Relation("public", "Order Items", columns=("id",)),
    },
    functions={"revenue": (Function("public", "revenue", "v"),)},
    complete=True,
)


def found(
    *rules: str, access: str = "read-write", extra: str = "", catalog: Catalog | None = None
) -> list[str]:
    """The warnings on a role with these rules, the first at line 5, one a line."""
    lines = "".join(f"      - {{{rule}}}\n" for rule in rules)
    text = f"version: 1\nroles:\n  r: {{access: {access}, rules: *x}}\n"
    text = f"version: 1\nroles:\n  r:\n    access: {access}\n    rules:\n{lines}{extra}"
    return [str(warning) for warning in warnings(parse_rules({Path("f"): text.encode()}), catalog)]


def test_the_example_has_a_doubt() -> None:
    """An allow that a gate takes back."""
    [doubt] = warnings(parse_rules({Path("f"): EXAMPLE.encode()}))
    assert doubt.mark.line == 24
    assert "needs approval all the same, by the rule at line 28" in str(doubt)


@pytest.mark.parametrize("action", ["insert", "write", "ddl", "lock", "code"])
@pytest.mark.parametrize("effect", ["allow", "gate"])
def test_a_write_under_the_ceiling(action: str, effect: str) -> None:
    """An allow or a gate that the read-only ceiling makes void."""
    [warning] = found(f"{effect}: [select, {action}]", access="read-only")
    assert warning == f"f:6:9: warning: role 'r' is read-only: {action} is refused whatever this rule says"
    assert not found(f"{effect}: {action}")
    assert not found(f"deny: {action}", access="read-only")


def test_reads_under_the_ceiling_are_fine() -> None:
    """What a read-only role may do is no doubt."""
    assert not found("allow: [select, read, call, session, transaction, '*']", access="read-only")


def test_a_rule_twice() -> None:
    """The same rule in other words is told with the first one's line."""
    assert found(
        "allow: [select, insert], on: public.a", "allow: [insert, select], on: [public.a], reason: x"
    ) == ["f:7:9: warning: the same rule stands at line 6"]
    assert not found("allow: select, on: public.a", "allow: select, on: public.b")


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("allow: select, on: public.a", "deny: select, on: public.a"),
        ("allow: select, on: public.a", "deny: read, on: public.*"),
        ("allow: select, on: public.a", "deny: '*'"),
        ("allow: select, on: public.a", "deny: select, on: '*'"),
        ("allow: select", "deny: select"),
        ("gate: select, on: [public.a, public.b]", "deny: select, on: [public.b, public.a]"),
        ("allow: select, on: public.a", "gate: select, on: '*.a'"),
        ("allow: select, on: public.a, columns: x", "deny: select, on: public.a, columns: [x, y]"),
        ("allow: select, on: public.a, columns: x", "deny: select, on: public.a"),
        ("allow: drop, kind: schema", "deny: drop, kind: [schema, table]"),
        ("allow: read, on: public.a", "deny: select"),
    ],
)
def test_a_rule_that_a_stricter_one_takes_back(inner: str, outer: str) -> None:
    """Wherever it stands, an allow inside a deny never holds."""
    for order in ([inner, outer], [outer, inner]):
        [warning] = found(*order)
        assert warning.startswith(f"f:{6 + order.index(inner)}:")
        assert "all the same, by the rule at line" in warning


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("allow: select, on: public.*", "deny: select, on: public.a"),
        ("allow: select", "deny: select, on: public.a"),
        ("allow: select, on: public.a", "deny: select, on: public.a, columns: x"),
        ("allow: select, on: public.a, columns: [x, z]", "deny: select, on: public.a, columns: [x, y]"),
        ("allow: select, on: public.a", "deny: insert, on: public.a"),
        ("allow: drop", "deny: drop, kind: schema"),
        ("allow: write, on: public.a", "deny: insert, on: public.a"),
        ("gate: select", "gate: read"),
        ("allow: set, on: a", "deny: set, on: b.c"),
        ("allow: code", "deny: '*'"),
    ],
)
def test_a_rule_that_keeps_some_of_its_meaning(inner: str, outer: str) -> None:
    """A narrower deny is what denies are for."""
    assert not [warning for warning in found(inner, outer) if "all the same" in warning]


def test_a_role_without_rules() -> None:
    """It loads, but is hardly meant."""
    [warning] = found("allow: select", extra="  empty: {access: read-only}\n")
    assert (
        warning
        == "f:7:3: warning: role 'empty' has no rules: it may read the system catalogs and nothing else"
    )


def test_a_gate_that_nobody_can_open() -> None:
    """Approvers of an unknown group are told with the nearest one."""
    token = "sha256:" + "0" * 64
    extra = f"approvers: {{a: {{groups: [dba], token: '{token}'}}}}\n"
    assert not found("gate: delete, approvers: [dba]", extra=extra)
    assert not found("gate: delete, approvers: [dba]")
    assert not found("allow: delete", extra=extra)
    [warning] = found("gate: delete, approvers: [dbaa]", extra=extra)
    assert warning.endswith("nobody can approve this: no approver belongs to dbaa (did you mean 'dba'?)")
    [warning] = found("gate: delete, approvers: [dba, lead]", extra=extra)
    assert warning.endswith("warning: no approver belongs to lead")


def test_a_gate_without_any_approver() -> None:
    """Rules that know agents, and nobody who could decide for them."""
    extra = (
        f"agents: {{a: {{role: r, database: d, password: '{VERIFIER}'}}}}\n"
        "databases: {d: {dsn: 'postgresql://h/d', logins: {r: {user: u}}}}\n"
    )
    [warning] = found("gate: delete", "allow: select", extra=extra)
    assert warning == "f:6:9: warning: nobody can approve this: these rules name no approvers"


@pytest.mark.parametrize(
    ("approvers", "able"),
    [("", 3), (", approvers: [dba]", 2), (", approvers: [lead]", 1), (", approvers: [dba, lead]", 3)],
)
def test_a_gate_that_wants_more_people_than_there_are(approvers: str, able: int) -> None:
    """`approvals` counts different people of the groups that may decide."""
    people = {"a": "dba", "b": "dba", "c": "lead"}
    extra = "approvers:\n" + "".join(
        f"  {name}: {{groups: [{group}], token: 'sha256:{name * 64}'}}\n" for name, group in people.items()
    )
    assert not found(f"gate: delete, approvals: {able}{approvers}", extra=extra)
    [warning] = found(f"gate: delete, approvals: {able + 1}{approvers}", extra=extra)
    assert warning.endswith(
        f"nobody can approve this: it takes {able + 1} people, and only {able} may decide it"
    )


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        ("gate: insert, undo: rows", "`undo: rows` keeps rows of delete, drop, merge, truncate, update only"),
        ("gate: ddl, preview: rows", "`preview: rows` is made of delete, insert, merge, update only"),
        (
            "gate: vacuum, preview: plan",
            "`preview: plan` is made of delete, insert, merge, select, update only",
        ),
    ],
)
def test_a_gate_that_asks_for_what_its_actions_do_not_have(rule: str, end: str) -> None:
    """Nothing comes of an undo or a preview that none of the gate's actions has."""
    if "ddl" in rule:
        assert not found("gate: ddl, undo: rows")
    [warning] = found(rule)
    assert f"warning: {end}, and this gate is about none of them" in warning


@pytest.mark.parametrize(
    "rule",
    [
        "gate: [insert, delete], undo: rows",
        "gate: '*', undo: rows, preview: rows",
        "gate: write, preview: rows",
        "gate: select, preview: plan",
        "gate: ddl, preview: none, undo: none",
        "gate: delete, hold: 1h, expires: 1h",
    ],
)
def test_a_gate_that_asks_for_what_it_can_have(rule: str) -> None:
    """One of its actions is enough."""
    assert not found(rule)


def test_a_hold_longer_than_the_request_lives() -> None:
    """Nobody could decide at the end of it; the role's hold counts where the gate has none."""
    [warning] = found("gate: delete, hold: 2h, expires: 1h")
    assert warning.endswith(
        "this gate's request expires before the statement has waited as long as `hold` says"
    )
    text = "version: 1\nroles: {r: {access: read-write, hold: 2h, rules: [{gate: delete, expires: 1h}]}}"
    assert len(warnings(parse_rules({Path("f"): text.encode()}))) == 1


def test_a_cap_on_what_is_not_counted() -> None:
    """TRUNCATE and COPY FROM can't be capped, so such an allow does not let them through; DDL is not about rows."""
    [warning] = found("allow: write, max_rows_affected: 5")
    assert warning.endswith("can't be held against copy_from, truncate, which this rule refuses therefore")
    assert found("allow: [update, ddl], max_rows_affected: 5") == [
        "f:6:9: warning: `max_rows_affected` says nothing of alter, drop, which this rule allows without a limit"
    ]
    for everything in ("'*'", "everything"):
        assert len(found(f"allow: {everything}, max_rows_affected: 5")) == 2
    assert not found("allow: [select, insert, update, delete, merge], max_rows_affected: 5")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "allow: select, on: public.ordres",
            "public.ordres matches nothing in the database (did you mean 'public.orders'?)",
        ),
        ("allow: select, on: audit.*", "audit.* matches nothing in the database"),
        (
            "allow: call, on: public.revenu",
            "public.revenu matches nothing in the database (did you mean 'public.revenue'?)",
        ),
        (
            "allow: select, on: public.orders, columns: totl",
            "no relation that this rule names has a column 'totl' (did you mean 'total'?)",
        ),
    ],
)
def test_a_name_that_the_database_does_not_have(rule: str, expected: str) -> None:
    """Against a live catalog, a typo is found before it matters."""
    [warning] = found(rule, catalog=LIVE)
    assert warning == f"f:6:9: warning: {expected}"
    assert not found(rule)
    assert not found(rule, catalog=Catalog())


@pytest.mark.parametrize(
    "rule",
    [
        "allow: select, on: public.*",
        "allow: select, on: 'public.\"Order Items\"'",
        "allow: select",
        "allow: [select, call], on: public.revenue",
        "allow: select, on: public.orders, columns: [id, total]",
        "allow: set, on: work_mem",
        "allow: drop, on: anything, kind: schema",
    ],
)
def test_names_that_the_database_has_or_does_not_tell(rule: str) -> None:
    """No false alarms about what the catalog does not list."""
    assert not found(rule, catalog=LIVE)


def test_a_warning_without_a_place_is_its_message() -> None:
    """Rules that come from no file have no line."""
    from dbfirewall.policy.fields import Mark

    assert str(RuleWarning("x", Mark())) == "warning: x"
