"""Facts and rules → decisions."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.catalog.types import Catalog, Relation
from dbfirewall.policy.decision import OFFLINE, Context, Decision, admit, decide
from dbfirewall.policy.models import Role
from dbfirewall.sql.actions import ACTIONS, GROUPS
from dbfirewall.sql.facts import Analysis, Effect, Refusal, Statement
from tests.policy.build import analysis, on, role, select

ALLOW_ALL = {"allow": "select", "on": "public.*"}
SHOP = Catalog(
    relations={("public", "customers"): Relation("public", "customers", columns=("id", "name", "ssn"))},
    complete=True,
)


def one(effect: Effect, who: Role, context: Context = OFFLINE) -> Decision:
    """The decision on a statement with one effect."""
    return decide(analysis(effect), who, context)


def test_nothing_matching_is_a_deny() -> None:
    """A role without rules may do nothing that touches anything."""
    decision = one(select("public.orders", "id"), role())
    assert (decision.outcome, decision.sqlstate, decision.rule) == ("deny", "42501", "default-deny")
    assert decision.reason == "No rule allows select on public.orders."
    assert decision.retry == "never"
    assert decision.effect == select("public.orders", "id")


@pytest.mark.parametrize(
    ("rules", "outcome", "rule"),
    [
        ([ALLOW_ALL], "allow", "allow select on public.*"),
        ([ALLOW_ALL, {"deny": "select", "on": "public.orders"}], "deny", "deny select on public.orders"),
        ([ALLOW_ALL, {"gate": "select", "on": "public.orders"}], "gate", "gate select on public.orders"),
        ([{"gate": "select"}, {"deny": "read"}], "deny", "deny read"),
        ([{"gate": "read"}], "gate", "gate read"),
        ([{"allow": "*", "id": "everything"}], "allow", "everything"),
        ([{"allow": ["insert", "select"]}], "allow", "allow insert, select"),
        (
            [{"allow": "select", "on": ["public.a", "public.orders"]}],
            "allow",
            "allow select on public.a, public.orders",
        ),
        (
            [{"allow": "select", "on": "public.a"}, {"deny": "select", "on": "public.b"}],
            "deny",
            "default-deny",
        ),
    ],
)
def test_deny_wins_over_gate_and_gate_over_allow(
    rules: list[dict[str, Any]], outcome: str, rule: str
) -> None:
    """The order of precedence, whichever way the action is named."""
    for order in (rules, rules[::-1]):
        decision = one(select("public.orders", "id"), role(*order))
        assert (decision.outcome, decision.rule) == (outcome, rule)


@pytest.mark.parametrize("action", sorted(ACTIONS - {"execute"}))
def test_every_action_is_denied_by_default_or_documented_as_free(action: str) -> None:
    """No action slips through: what a role without rules may do is this list."""
    free = {
        "begin",
        "commit",
        "rollback",
        "savepoint",
        "show",
        "prepare",
        "declare",
        "fetch",
        "close",
        "deallocate",
    }
    expected = "allow" if action in free else "deny"
    assert one(on(action, "x.y"), role()).outcome == expected
    assert one(on(action, "x.y"), role(access="read-only")).outcome == expected


@pytest.mark.parametrize("action", sorted(ACTIONS - {"execute"}))
def test_every_action_can_be_denied(action: str) -> None:
    """An explicit deny denies, also what is free."""
    assert one(on(action, "x.y"), role({"allow": action}, {"deny": action})).outcome == "deny"


@pytest.mark.parametrize("action", ["egress", "unknown", "code", "set_role", "set_session_authorization"])
def test_protected_actions_are_named_or_denied(action: str) -> None:
    """No group and no `*` covers them; the action's own name does."""
    everything = role({"allow": ["*", *sorted(GROUPS)]})
    assert one(on(action, "x"), everything).outcome == "deny"
    assert one(on(action, "x"), role({"allow": action})).outcome == "allow"
    assert one(on(action, "x"), role({"gate": action})).outcome == "gate"


def test_what_is_not_understood_is_refused_in_its_own_words() -> None:
    """`unknown` is 0A000, says what was not understood, and invites to rephrase."""
    decision = one(on("unknown", detail="An unusual operator."), role({"allow": "*"}))
    assert (decision.sqlstate, decision.rule) == ("0A000", "not-understood")
    assert (decision.reason, decision.retry) == ("An unusual operator.", "after-rewrite")
    assert one(on("unknown"), role()).reason == "A part of the statement is not understood."
    assert one(on("unknown"), role({"allow": "unknown"}, access="read-only")).sqlstate == "0A000"


@pytest.mark.parametrize(
    ("code", "sqlstate"),
    [("syntax", "42601"), ("encoding", "42601"), ("too-long", "0A000"), ("disagreement", "0A000")],
)
def test_a_refused_text_is_refused_whole(code: str, sqlstate: str) -> None:
    """Where there are no facts, no rule is looked at."""
    decision = decide(Analysis(refusal=Refusal(code, "Why.")), role({"allow": ["*", "unknown"]}))
    assert (decision.outcome, decision.sqlstate, decision.reason) == ("deny", sqlstate, "Why.")
    assert decision.hint
    assert decision.effect is None


def test_a_text_beyond_our_grammar_or_limits_runs_where_unknown_is_allowed() -> None:
    """It is one `unknown` statement then: no group covers it, a deny of it holds, and no read-only role has it."""
    beyond = Analysis(refusal=Refusal("disagreement", "Why.", allowable=True))
    assert decide(beyond, role({"allow": "unknown"})).outcome == "allow"
    assert decide(beyond, role({"allow": "everything"})).outcome == "allow"
    assert decide(beyond, role({"allow": ["*", *sorted(GROUPS)]})).sqlstate == "0A000"
    assert decide(beyond, role({"allow": "unknown", "on": "public.*"})).sqlstate == "0A000"
    assert decide(beyond, role({"allow": "unknown"}, {"deny": "unknown"})).outcome == "deny"
    assert decide(beyond, role({"allow": "unknown"}, access="read-only")).sqlstate == "0A000"


def test_a_name_prepared_unseen_may_be_executed_where_unknown_is_allowed() -> None:
    """A DO block or a function may have prepared it: nobody knows what it runs."""
    execute = on("execute", "p")
    assert one(execute, role({"allow": "*"})).sqlstate == "0A000"
    assert one(execute, role({"allow": "unknown"})).outcome == "allow"
    assert one(execute, role({"allow": "unknown"}, access="read-only")).sqlstate == "0A000"


@pytest.mark.parametrize("action", sorted(ACTIONS - {"execute"}))
def test_everything_is_every_action(action: str) -> None:
    """The protected ones, those of system schemas and the parameters that only an outright rule reaches."""
    owner = role({"allow": "everything"})
    for name in ("x.y", "pg_catalog.pg_authid", "search_path", "session_replication_role"):
        assert one(on(action, name), owner).outcome == "allow"
    assert one(on(action, "x.y"), role({"allow": "everything"}, {"deny": action})).outcome == "deny"
    assert one(on(action, "x.y"), role({"allow": "everything"}, {"deny": "everything"})).outcome == "deny"


def test_everything_sets_parameters_that_are_no_constants() -> None:
    """set_config() of whatever it is; the parameters that the firewall reads by stay walls."""
    unknown = Effect("set", (None,))
    assert one(unknown, role({"allow": ["*", "set"]})).outcome == "deny"
    assert one(unknown, role({"allow": "everything"})).outcome == "allow"
    encoding = Effect("set", ("client_encoding",), value="SJIS")
    assert one(encoding, role({"allow": "everything"})).outcome == "deny"


def test_nothing_to_do_is_allowed() -> None:
    """An empty query, and `SELECT 1`, touch nothing."""
    assert decide(Analysis(), role()).outcome == "allow"
    assert decide(analysis(), role()).statements[0].outcome == "allow"


@pytest.mark.parametrize(
    ("effect", "sqlstate"),
    [
        (select("public.t", "a"), ""),
        (on("call", "public.f", kind="function"), ""),
        (on("call", "public.p", kind="procedure"), "25006"),
        (on("insert", "public.t", columns=("a",)), "25006"),
        (on("truncate", "public.t"), "25006"),
        (on("nextval", "public.s"), "25006"),
        (on("lock_rows", "public.t"), "25006"),
        (on("lock_table", "public.t"), "25006"),
        (on("advisory_lock"), "25006"),
        (on("create", "public.t", kind="table"), "25006"),
        (on("grant", "public.t"), "25006"),
        (on("vacuum", "public.t"), "25006"),
        (on("notify", "c"), "25006"),
        (on("code"), "25006"),
        (on("egress"), "25006"),
        (on("set", "search_path"), "25006"),
        (on("set", "work_mem"), "25006"),
        (on("discard"), "25006"),
    ],
)
def test_no_rule_lifts_a_read_only_role(effect: Effect, sqlstate: str) -> None:
    """The ceiling comes before the rules: with everything allowed, only reads and calls pass."""
    named = {"allow": ["*", effect.action], "id": "all"}
    if effect.object == ("search_path",):
        named["on"] = "search_path"
    decision = one(effect, role(named, access="read-only"))
    assert decision.sqlstate == sqlstate
    assert decision.rule == ("read-only" if sqlstate else "all")
    assert decision.outcome == ("deny" if sqlstate else "allow")


def test_a_read_only_role_still_needs_a_rule_for_a_call() -> None:
    """A function that is not harmless runs only where a rule allows it."""
    assert one(on("call", "public.f", kind="function"), role(access="read-only")).sqlstate == "42501"


@pytest.mark.parametrize(
    "rule", [{"deny": "select", "on": "public.secret"}, {"gate": "select", "on": "*.secret"}]
)
def test_an_unknown_schema_is_taken_for_the_strictest(rule: dict[str, Any]) -> None:
    """A name behind an unknown search_path could be the protected one."""
    effect = Effect("select", (None, "secret"), columns=("a",))
    assert one(effect, role({"allow": "select"})).outcome == "allow"
    assert one(effect, role({"allow": "select", "on": "public.*"})).outcome == "deny"
    expected = next(iter(rule))
    assert one(effect, role({"allow": "select"}, rule)).outcome == expected
    assert one(effect, role(rule)).outcome == "deny"


# Columns


HIDDEN = role(
    ALLOW_ALL, {"deny": "select", "on": "public.customers", "columns": ["ssn", "card"], "reason": "No cards."}
)
SHOWN = role({"allow": "select", "on": "public.customers", "columns": ["id", "name"]})


@pytest.mark.parametrize(
    ("columns", "hidden", "shown"),
    [
        (("id", "name"), "allow", "allow"),
        (("id",), "allow", "allow"),
        ((), "allow", "allow"),
        (("ssn",), "deny", "deny"),
        (("id", "ssn"), "deny", "deny"),
        (("email",), "allow", "deny"),
        (("*",), "deny", "deny"),
    ],
)
def test_columns_are_decided_one_by_one(columns: tuple[str, ...], hidden: str, shown: str) -> None:
    """A star touches each column that a rule names and all the rest; count(*) none at all."""
    assert one(select("public.customers", *columns), HIDDEN).outcome == hidden
    assert one(select("public.customers", *columns), SHOWN).outcome == shown


def test_a_star_as_column_means_all_of_them() -> None:
    """`columns: "*"` is the same as no `columns`."""
    who = role({"allow": "select", "on": "public.t", "columns": "*"})
    assert one(select("public.t", "*"), who).outcome == "allow"


def test_columns_that_are_not_told_are_all_of_them() -> None:
    """An effect on columns that does not say which is taken for a star."""
    assert (
        one(on("insert", "public.t"), role({"allow": "insert", "on": "public.t", "columns": "a"})).outcome
        == "deny"
    )
    assert one(on("insert", "public.t"), role({"allow": "insert", "on": "public.t"})).outcome == "allow"


def test_a_gate_on_columns() -> None:
    """Reading a gated column needs approval, reading others or counting rows does not."""
    who = role(ALLOW_ALL, {"gate": "select", "on": "public.customers", "columns": "ssn"})
    assert one(select("public.customers", "ssn"), who).outcome == "gate"
    assert one(select("public.customers", "*"), who).outcome == "gate"
    assert one(select("public.customers", "id"), who).outcome == "allow"
    assert one(select("public.customers"), who).outcome == "allow"
    alone = role({"gate": "select", "on": "public.customers", "columns": "ssn"})
    assert one(select("public.customers"), alone).outcome == "gate"


def test_several_rules_cover_columns_together() -> None:
    """Two allows for a column each allow both."""
    rules = [{"allow": "select", "on": "public.t", "columns": name} for name in ("a", "b")]
    assert one(select("public.t", "a", "b"), role(*rules)).outcome == "allow"
    assert one(select("public.t", "a", "b", "c"), role(*rules)).outcome == "deny"


def test_a_forbidden_column_is_told_with_those_that_are_not() -> None:
    """The reason is the rule's own, the hint lists what this role may read."""
    decision = one(select("public.customers", "id", "ssn"), HIDDEN, Context(catalog=SHOP))
    assert (decision.sqlstate, decision.reason, decision.retry) == ("42501", "No cards.", "after-rewrite")
    assert decision.hint == "Columns of public.customers that this role may read: id, name."


def test_a_star_is_told_offline_which_columns_to_leave_out() -> None:
    """Without a catalog the hint names what the rules name."""
    hint = one(select("public.customers", "*"), HIDDEN).hint
    assert "leave out card, ssn" in hint


def test_a_denied_relation_is_told_with_those_that_are_allowed() -> None:
    """The hint speaks of this role's own patterns."""
    decision = one(select("audit.log", "a"), role(ALLOW_ALL, {"allow": "read", "on": "reporting.*"}))
    assert decision.hint == "This role may select: public.*, reporting.*, as far as no rule denies it."
    assert "ask" in one(select("audit.log", "*"), role()).hint


# Conditions


@pytest.mark.parametrize("action", ["update", "delete"])
def test_require_where(action: str) -> None:
    """An allow with `require_where` covers no change of every row, and the refusal says so."""
    who = role({"allow": ["update", "delete"], "on": "public.orders", "require_where": True, "id": "careful"})
    assert one(on(action, "public.orders", columns=("a",)), who).outcome == "allow"
    decision = one(on(action, "public.orders", columns=("a",), where=False), who)
    assert (decision.outcome, decision.sqlstate, decision.rule) == ("deny", "42501", "careful")
    assert "WHERE" in decision.reason
    assert decision.retry == "after-rewrite"


def test_require_where_speaks_of_updates_and_deletes_alone() -> None:
    """Other actions of the same rule have no WHERE to require."""
    who = role({"allow": "write", "on": "public.orders", "require_where": True})
    assert one(on("insert", "public.orders", columns=("a",), where=False), who).outcome == "allow"


def test_another_rule_may_cover_what_a_condition_does_not() -> None:
    """A plain allow, or a gate, beside the conditional one counts."""
    careful = {"allow": "update", "on": "public.orders", "require_where": True}
    effect = on("update", "public.orders", columns=("a",), where=False)
    assert one(effect, role(careful, {"allow": "update"})).outcome == "allow"
    assert one(effect, role(careful, {"gate": "update"})).outcome == "gate"


CAPPED = {"allow": ["update", "delete"], "on": "public.orders", "max_rows_affected": 100, "id": "few"}
UPDATE = on("update", "public.orders", columns=("a",))


def change(*effects: Effect, kind: str = "update", **members: Any) -> Analysis:
    """A change whose command tag tells how many rows it has changed."""
    return analysis(*effects, kind=kind, **{"count": "told", **members})


def cap(effects: Analysis, *rules: dict[str, Any]) -> int | None:
    """The cap of what these rules allow."""
    decision = decide(effects, role(*rules))
    assert decision.outcome == "allow"
    return decision.max_rows_affected


def test_a_row_cap_allows_so_many_rows() -> None:
    """An allow with `max_rows_affected` is an allow with a cap, and the rule that has it is named."""
    decision = decide(change(UPDATE), role(CAPPED))
    assert (decision.outcome, decision.max_rows_affected, decision.rule) == ("allow", 100, "few")
    assert decision.statements[0].max_rows_affected == 100


def test_any_allow_without_a_cap_lifts_it() -> None:
    """Rules add up: who may do it whole may do it; of several caps the highest holds."""
    assert cap(change(UPDATE), CAPPED, {"allow": "update"}) is None
    assert cap(change(UPDATE), CAPPED, {"allow": "update", "max_rows_affected": 7}) == 100
    assert cap(change(UPDATE), {"allow": "update", "max_rows_affected": 700}, CAPPED) == 700
    assert cap(change(UPDATE), CAPPED, {"allow": "update", "on": "public.other"}) == 100


def test_the_lowest_cap_of_what_is_done_holds() -> None:
    """Of a statement's columns and effects, and of a message's statements."""
    narrow = {"allow": "update", "columns": "b", "max_rows_affected": 3, "id": "b"}
    wide = {"allow": "update", "columns": "a", "max_rows_affected": 9, "id": "a"}
    both = on("update", "public.orders", columns=("a", "b"))
    decision = decide(change(both), role(narrow, wide))
    assert (decision.max_rows_affected, decision.rule) == (3, "b")
    insert = {"allow": "insert", "max_rows_affected": 2}
    upsert = change(on("insert", "public.orders", columns=("a",)), UPDATE, kind="insert")
    assert cap(upsert, insert, CAPPED) == 2
    several = Analysis(
        (*change(UPDATE).statements, *upsert.statements, Statement("select", (select("t", "a"),)))
    )
    decision = decide(several, role(insert, CAPPED, {"allow": "select"}))
    assert [each.max_rows_affected for each in decision.statements] == [100, 2, None]
    assert decision.max_rows_affected == 2


@pytest.mark.parametrize("free", [False, True])
def test_a_cap_is_about_changed_rows(free: bool) -> None:
    """Reads and what changes no rows are allowed as ever by a capped rule."""
    effect = on("begin") if free else select("public.orders", "a")
    who = role({"allow": ["select", "update", "begin"], "max_rows_affected": 1})
    decision = one(effect, who)
    assert (decision.outcome, decision.max_rows_affected) == ("allow", None)


def test_a_capped_change_whose_rows_nobody_tells_is_refused() -> None:
    """In WITH, under EXPLAIN ANALYZE, in PREPARE or COPY: 53400, with the way to write it."""
    decision = decide(change(UPDATE, count="hidden"), role(CAPPED))
    assert (decision.outcome, decision.sqlstate, decision.rule) == ("deny", "53400", "few")
    assert decision.retry == "after-rewrite"
    assert "at most 100 rows" in decision.reason
    assert "not inside WITH" in decision.hint
    assert decide(change(UPDATE, count="hidden"), role({"allow": "update"})).outcome == "allow"


@pytest.mark.parametrize("action", ["truncate", "copy_from"])
def test_a_cap_does_not_let_through_what_is_not_counted(action: str) -> None:
    """TRUNCATE tells no count, and COPY FROM one that comes too late."""
    who = role({"allow": "write", "max_rows_affected": 5})
    decision = decide(change(on(action, "public.t", columns=("a",) if action == "copy_from" else None)), who)
    assert (decision.outcome, decision.sqlstate) == ("deny", "53400")
    assert decide(change(on("nextval", "public.s")), who).outcome == "allow"


def test_a_change_that_is_only_explained_has_no_cap() -> None:
    """EXPLAIN without ANALYZE changes nothing."""
    decision = decide(change(UPDATE, kind="explain", count="none"), role(CAPPED))
    assert (decision.outcome, decision.max_rows_affected) == ("allow", None)


@pytest.mark.parametrize("control", ["begin", "commit", "rollback", "two_phase"])
def test_a_capped_change_stands_in_no_message_that_ends_its_transaction(control: str) -> None:
    """It could be final before anybody has counted."""
    who = role(CAPPED, {"allow": "transaction"})
    message = Analysis((*change(UPDATE).statements, *analysis(on(control, "x"), kind=control).statements))
    assert decide(message, who).sqlstate == "53400"
    savepoint = Analysis((*change(UPDATE).statements, *analysis(on("savepoint", "x")).statements))
    assert decide(savepoint, who).outcome == "allow"


def test_a_gate_wins_over_a_cap() -> None:
    """As over any allow, also where it only might match what the capped rule covers."""
    assert decide(change(UPDATE), role(CAPPED, {"gate": "update"})).outcome == "gate"
    unknown = Effect("update", (None, "orders"), columns=("a",))
    who = role({"allow": "update", "max_rows_affected": 5}, {"gate": "update", "on": "public.orders"})
    assert decide(change(unknown), who).outcome == "gate"


def test_a_cap_holds_beside_a_gate() -> None:
    """What another effect needs approval for does not lift it."""
    both = change(UPDATE, on("delete", "public.log"))
    decision = decide(both, role(CAPPED, {"gate": "delete", "on": "public.log"}))
    assert (decision.outcome, decision.max_rows_affected) == ("gate", 100)


def test_every_gate_has_to_be_opened() -> None:
    """Those of every column, effect and statement, each once, whichever of them decides."""
    one_column = {"gate": "update", "columns": "a", "id": "z"}
    other = {"gate": "update", "columns": "b", "id": "y"}
    lead = {"gate": ["update", "delete"], "on": "public.orders", "id": "x"}
    who = role(one_column, other, lead, {"gate": "insert", "id": "w"}, {"allow": "select"})
    both = on("update", "public.orders", columns=("a", "b"))
    message = Analysis(
        (*change(both, select("t", "c")).statements, *change(on("delete", "public.orders")).statements)
    )
    assert [gate.label for gate in decide(message, who).gates] == ["x", "y", "z"]
    assert decide(analysis(select("t", "c")), who).gates == ()


def test_a_gate_names_who_may_approve() -> None:
    """The groups of the gating rule come along, with its reason."""
    decision = one(
        on("truncate", "public.t"), role({"gate": "truncate", "approvers": ["dba"], "reason": "Ask first."})
    )
    assert (decision.gates[0].approvers, decision.reason) == (("dba",), "Ask first.")
    assert (
        one(on("truncate", "public.t"), role({"gate": "truncate"})).reason
        == "truncate on public.t needs approval."
    )


@pytest.mark.parametrize(
    ("kind", "outcome"), [("database", "deny"), ("schema", "deny"), ("table", "allow"), ("", "deny")]
)
def test_kind_narrows_a_deny(kind: str, outcome: str) -> None:
    """A rule about kinds of object leaves other kinds alone; an object of unknown kind could be any."""
    who = role({"allow": ["ddl", "admin", "drop"]}, {"deny": "drop", "kind": ["database", "schema"]})
    assert one(on("drop", "x", kind=kind), who).outcome == outcome


@pytest.mark.parametrize("action", ["advisory_lock", "egress", "replication"])
def test_an_action_of_built_in_functions_needs_no_schema(action: str) -> None:
    """`allow: advisory_lock` means pg_catalog's functions, which is where they are."""
    effect = on(action, "pg_catalog.pg_advisory_lock", kind="function")
    assert one(effect, role({"allow": action})).outcome == "allow"
    assert one(effect, role({"allow": action, "on": "*.*"})).outcome == "allow"
    assert one(effect, role({"allow": action, "on": "public.*"})).outcome == "deny"


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (on("drop", "public.t", kind="table"), "drop table public.t"),
        (on("comment", "public.t", kind="table"), "comment on table public.t"),
        (on("call", "public.f"), "call public.f"),
        (on("set", "search_path"), "set search_path"),
        (on("set_role", "x"), "set role x"),
        (on("egress", "pg_catalog.pg_read_file"), "reach outside the database by pg_catalog.pg_read_file"),
        (on("lock_table", "public.t"), "lock table on public.t"),
        (on("code", detail="DO block"), "run code (DO block)"),
    ],
)
def test_an_effect_in_words(effect: Effect, words: str) -> None:
    """Denials read like sentences."""
    assert one(effect, role()).reason == f"No rule allows {words}."


def test_kind_narrows_an_allow() -> None:
    """An allow covers the kinds that it names, and no object of unknown kind."""
    who = role({"allow": ["create", "select"], "kind": "view"})
    assert one(on("create", "public.v", kind="view"), who).outcome == "allow"
    assert one(on("create", "public.t", kind="table"), who).outcome == "deny"
    assert one(on("create", "public.t"), who).outcome == "deny"
    assert one(select("public.t", "a", kind="table"), who).outcome == "allow"


@pytest.mark.parametrize(("kind", "group"), [("table", "ddl"), ("role", "dcl"), ("database", "admin")])
def test_the_group_of_create_depends_on_the_kind(kind: str, group: str) -> None:
    """`ddl` allows no CREATE ROLE and no CREATE DATABASE."""
    for name in ("ddl", "dcl", "admin"):
        assert one(on("create", "x", kind=kind), role({"allow": name})).outcome == (
            "allow" if name == group else "deny"
        )


# Statements and messages


def test_the_strictest_effect_decides() -> None:
    """One denied effect denies the statement, one denied statement the message."""
    who = role(ALLOW_ALL, {"gate": "delete"})
    fine, gated, denied = select("public.t", "a"), on("delete", "public.t"), select("audit.t", "a")
    assert decide(analysis(fine, gated), who).outcome == "gate"
    assert decide(analysis(gated, denied, fine), who).outcome == "deny"
    message = decide(Analysis((Statement("delete", (gated,)), Statement("select", (denied,)))), who)
    assert message.effect == denied
    assert [statement.outcome for statement in message.statements] == ["gate", "deny"]
    assert [effect.outcome for effect in message.statements[0].effects] == ["gate"]


def test_a_rules_own_deny_is_reported_before_the_default() -> None:
    """The denial that somebody gave a reason for is the one that helps."""
    both = {"allow": "select", "on": "public.u"}, {"deny": "select", "on": "public.t", "reason": "No."}
    decision = decide(analysis(select("audit.t", "a"), select("public.t", "a")), role(*both))
    assert decision.reason == "No."


def test_what_is_denied_whole_is_reported_before_columns() -> None:
    """Columns of others may be touched only because of those that a hidden relation has: that is not told."""
    for order in (1, -1):
        effects = [select("audit.t", "a"), select("public.customers", "ssn")][::order]
        decision = decide(analysis(*effects), HIDDEN)
        assert decision.rule == "default-deny"
        assert "audit.t" in decision.reason


# Sessions


READER = role(access="read-only")


def test_execute_is_what_was_prepared() -> None:
    """EXECUTE of an unknown name is refused, as by PostgreSQL; of a known one it is decided as that statement is."""
    execute = analysis(on("execute", "p"))
    assert decide(execute, READER).sqlstate == "0A000"  # without a session
    assert "not known" in decide(execute, READER).reason
    unknown = decide(execute, READER, Context(executable=lambda _name: None))
    assert (unknown.outcome, unknown.sqlstate) == ("deny", "26000")
    explained = analysis(Effect("execute", ("p",), detail="explain"))
    assert decide(explained, READER, Context(executable=lambda _name: None)).sqlstate == "0A000"
    nameless = decide(analysis(on("execute")), READER, Context(executable=lambda _name: None))
    assert (nameless.outcome, nameless.sqlstate) == ("deny", "0A000")
    known = {"p": Decision.allowed("x")}
    assert decide(execute, READER, Context(executable=known.get)).outcome == "allow"
    denied = Decision("deny", "42501", "deny select", "No.", "Ask.", "never")
    found = decide(execute, READER, Context(executable=lambda _name: denied))
    assert (found.outcome, found.rule, found.reason, found.hint) == ("deny", "deny select", "No.", "Ask.")
    assert decide(analysis(on("execute")), READER).sqlstate == "0A000"
    allowed = Context(executable=known.get)
    assert decide(execute, role({"deny": "execute"}), allowed).outcome == "deny"


def test_execute_does_not_wait_for_approval() -> None:
    """The approver would see a name: who wants approval sends the statement itself."""
    gated = Decision("gate", "ZG001", "gate update", "Wait.")
    found = decide(analysis(on("execute", "p")), READER, Context(executable=lambda _name: gated))
    assert (found.outcome, found.sqlstate, found.rule) == ("deny", "0A000", "gate update")
    assert found.reason == "execute p needs approval, which PREPARE and EXECUTE cannot wait for."
    assert "Send the statement itself" in found.hint
    assert found.retry == "after-rewrite"


def test_prepare_does_not_wait_for_approval() -> None:
    """Once approved it could be executed for ever. The same for what stands around an EXECUTE."""
    who = role({"gate": ["delete", "create"]}, {"allow": "select"})
    prepare = analysis(on("prepare", "p"), on("delete", "public.t"), kind="prepare", prepares="p")
    found = decide(prepare, who)
    assert (found.outcome, found.sqlstate, found.gates) == ("deny", "0A000", ())
    assert found.reason == "delete on public.t needs approval, which PREPARE and EXECUTE cannot wait for."
    known = Context(executable=lambda _name: Decision.allowed("x"))
    assert (
        decide(analysis(on("create", "public.t", kind="table"), on("execute", "p")), who, known).sqlstate
        == "0A000"
    )
    assert decide(analysis(on("prepare", "p"), select("public.t", "a"), prepares="p"), who).outcome == "allow"


def test_execute_of_what_has_a_cap_is_refused() -> None:
    """Its count is not told under the name of what it changes."""
    stored = decide(change(UPDATE), role(CAPPED))
    found = decide(
        analysis(on("execute", "p"), count="told"), READER, Context(executable=lambda _name: stored)
    )
    assert (found.outcome, found.sqlstate, found.rule) == ("deny", "53400", "few")


def test_execute_after_prepare_in_one_message() -> None:
    """A name that the same message prepared before is known: its inner effects are judged there."""
    prepare = Statement("prepare", (on("prepare", "p"), select("public.t", "a")), prepares="p")
    execute = Statement("execute", (on("execute", "p"),))
    who = role({"allow": "select", "on": "public.t"}, access="read-only")
    assert decide(Analysis((prepare, execute)), who).outcome == "allow"
    assert decide(Analysis((execute, prepare)), who).sqlstate == "0A000"


def test_pg_dump_may_lock_what_it_may_read() -> None:
    """Its ACCESS SHARE lock is the one of a SELECT, so the rules about reading every column decide it."""
    dump = Context(application_name="pg_dump")
    lock = analysis(on("lock_table", "public.t", detail="ACCESS SHARE"))
    reads = role({"allow": "select", "on": "public.*"}, access="read-only")
    assert decide(lock, reads, dump).outcome == "allow"
    assert decide(lock, reads).sqlstate == "25006"
    assert decide(lock, role(access="read-only"), dump).sqlstate == "42501"
    assert decide(analysis(on("lock_table", "public.t", detail="SHARE")), reads, dump).sqlstate == "25006"
    hides = role({"allow": "select"}, {"deny": "select", "columns": "a"}, access="read-only")
    assert decide(lock, hides, dump).outcome == "deny"
    catalog = Catalog({("public", "t"): Relation("public", "t", columns=("b", "c"))})
    live = Context(application_name="pg_dump", catalog=catalog)
    assert decide(lock, hides, live).outcome == "allow"


def test_no_rule_breaks_a_wall() -> None:
    """Some session statements are refused whatever the rules say, and told how to go on."""
    decision = one(
        on("set", "client_encoding", value="SJIS"), role({"allow": "set", "on": "client_encoding"})
    )
    assert (decision.outcome, decision.sqlstate, decision.rule) == ("deny", "42501", "default-deny")
    assert (decision.retry, decision.hint) == ("after-rewrite", "Leave client_encoding at UTF8.")


def test_secret_columns_are_told_as_columns() -> None:
    """Of a system relation the harmless columns remain."""
    decision = one(select("pg_catalog.pg_stat_activity", "pid", "query"), role({"allow": "select"}))
    assert decision.reason == "No rule allows select on pg_catalog.pg_stat_activity (query)."
    assert decision.retry == "after-rewrite"


RULES = st.fixed_dictionaries(
    {},
    optional={
        "on": st.sampled_from(["public.a", "public.*", "*", "other.a"]),
        "columns": st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2, unique=True),
        "reason": st.sampled_from(["One.", "Two."]),
    },
).flatmap(
    lambda rest: st.builds(
        lambda effect, action: {effect: action, **rest},
        st.sampled_from(["allow", "deny", "gate"]),
        st.sampled_from(["select", "read", "update", ["select", "update"]]),
    )
)
EFFECTS = st.builds(
    Effect,
    st.sampled_from(["select", "update"]),
    st.sampled_from([("public", "a"), ("other", "a"), (None, "a"), ("pg_catalog", "pg_class")]),
    columns=st.sampled_from([(), ("*",), ("x",), ("x", "y"), ("z",), None]),
    where=st.booleans(),
)


@given(st.lists(RULES, max_size=6), st.lists(EFFECTS, min_size=1, max_size=3), st.integers(), st.booleans())
def test_the_order_of_rules_does_not_matter(
    rules: list[dict[str, Any]], effects: list[Effect], seed: int, read_only: bool
) -> None:
    """Shuffled rules give the same decision, down to its words."""
    shuffled = rules.copy()
    random.Random(seed).shuffle(shuffled)
    access = "read-only" if read_only else "read-write"
    facts = analysis(*effects)
    assert decide(facts, role(*rules, access=access)) == decide(facts, role(*shuffled, access=access))


@given(st.lists(RULES, max_size=4), EFFECTS, RULES)
def test_a_deny_never_opens_anything(
    rules: list[dict[str, Any]], effect: Effect, extra: dict[str, Any]
) -> None:
    """Adding a deny makes no decision more permissive; adding an allow makes none stricter."""
    strictness = {"allow": 0, "gate": 1, "deny": 2}
    action = next(value for key, value in extra.items() if key in ("allow", "deny", "gate"))
    rest = {key: value for key, value in extra.items() if key in ("on", "columns")}
    before = strictness[one(effect, role(*rules)).outcome]
    assert strictness[one(effect, role(*rules, {"deny": action, **rest})).outcome] >= before
    assert strictness[one(effect, role(*rules, {"allow": action, **rest})).outcome] <= before


@given(st.lists(RULES, max_size=5), st.lists(EFFECTS, min_size=1, max_size=3))
def test_a_decision_says_why(rules: list[dict[str, Any]], effects: list[Effect]) -> None:
    """Every refusal has a SQLSTATE, a rule, a reason and a next step; an allow has no SQLSTATE."""
    decision = decide(analysis(*effects), role(*rules))
    assert decision.rule
    if decision.outcome == "allow":
        assert not decision.sqlstate
    else:
        assert decision.sqlstate in {"42501", "ZG001"}
        assert decision.reason
        assert decision.hint
        assert decision.effect in effects


@pytest.mark.parametrize("stored", ["deny", "gate"])
def test_what_a_known_name_runs_is_not_lifted_by_unknown(stored: Any) -> None:
    """A rule that allows `unknown` is about names that nobody has seen, not about those that were refused."""
    context = Context(executable=lambda _name: Decision(stored, "42501", "r", "No."))
    assert one(on("execute", "p"), role({"allow": "unknown"}), context).outcome == "deny"


def test_what_is_admitted_unread_is_never_taken_for_another_text() -> None:
    """Its facts depend on every literal, and it may change any name."""
    unread = admit(
        Analysis(refusal=Refusal("unknown-construct", "?", allowable=True)), role({"allow": "unknown"})
    )
    (only,) = unread.statements
    assert (unread.literal_sensitive, only.literal_sensitive, only.changes_catalog) == (True, True, True)


@pytest.mark.parametrize("schema", ["pg_catalog", "information_schema", "pg_toast"])
def test_a_pattern_of_everything_stays_out_of_system_schemas(schema: str) -> None:
    """`*` and `*.*` mean the user's own relations: the server's need their schema or their name in the rule."""
    for pattern in ("*", "*.*"):
        assert one(on("insert", f"{schema}.x"), role({"allow": "insert", "on": pattern})).outcome == "deny"
    assert one(on("insert", f"{schema}.x"), role({"allow": "insert", "on": f"{schema}.*"})).outcome == "allow"


IN_BAND = Effect("select", ("dbfirewall", "my_rules"), "virtual table", ("effect", "reason"))


@pytest.mark.parametrize(
    "rules", [(), ({"gate": "select"},), ({"gate": "*"},), ({"gate": "select", "on": "*"},)]
)
def test_the_firewalls_own_tables_need_no_rule(rules: tuple[dict[str, Any], ...]) -> None:
    """Every agent may read what is its own, read-only or not; a gate on everything is not about them."""
    for access in ("read-only", "read-write"):
        assert one(IN_BAND, role(*rules, access=access)).outcome == "allow"
    other = replace(IN_BAND, kind="table")
    assert one(other, role(*rules)).outcome == "deny"


def test_a_rule_may_deny_the_firewalls_own_tables() -> None:
    """By their name, one by one or all of them."""
    for pattern in ("dbfirewall.my_rules", "dbfirewall.*"):
        assert one(IN_BAND, role({"deny": "select", "on": pattern})).outcome == "deny"
    assert one(IN_BAND, role({"deny": "select", "on": "dbfirewall.approvals"})).outcome == "allow"


def test_what_reads_the_firewalls_own_tables_does_not_wait_for_approval() -> None:
    """Nor does what stands beside it in the message: by then it would read other rows than the approver thinks of."""
    who = role({"gate": ["delete", "select"], "on": "public.t"}, CAPPED)
    gated = Statement("delete", (on("delete", "public.t"),))
    found = decide(Analysis((Statement("select", (IN_BAND,)), gated)), who)
    assert (found.outcome, found.sqlstate, found.rule) == ("deny", "0A000", "gate delete, select on public.t")
    words = "needs approval, which what reads the firewall's own tables cannot wait for."
    assert found.reason == f"delete on public.t {words}"
    assert one(select("public.t", "a"), who).outcome == "gate"
    assert decide(analysis(IN_BAND, select("public.t", "a")), who).reason == f"select on public.t {words}"
    capped = Analysis((Statement("select", (IN_BAND,)), *change(UPDATE).statements))
    assert decide(capped, who).sqlstate == "53400"
