"""Which of a role's rules decide one column of one effect: the heart of the semantics, without any words.

`deny` wins over `gate`, `gate` over `allow`, nothing is a deny. A deny counts where it *could* match (a name
that is not fully known could be anything); an allow or a gate covers only what it *surely* matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbfirewall.policy import session
from dbfirewall.policy.fields import COLUMN_ACTIONS, WHERE_ACTIONS
from dbfirewall.policy.models import Role, Rule
from dbfirewall.sql.facts import ALL_COLUMNS, Effect

Outcome = Literal["allow", "deny", "gate"]

REST = ALL_COLUMNS[0]
"""Stands for the columns that no rule names, where a relation's columns are not known."""

NO_COLUMN = ""
"""Stands for an effect that reads no column at all, such as `count(*)`."""

Why = Literal["rule", "row-cap", "where", "built-in", "default"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rule`: the one that decided, None for a built-in permission and for the default. `why`: how it came.

    `row-cap`: an allow with `max_rows_affected`, which holds as a gate. `where`: an allow whose
    `require_where` is not met.
    """

    outcome: Outcome
    column: str
    why: Why
    rule: Rule | None = None


def rules_for(effect: Effect, role: Role) -> tuple[Rule, ...]:
    """The rules of `role` that name the action, in an order that does not depend on the file's."""
    return tuple(
        sorted((rule for rule in role.rules if rule.names_action(effect.action, effect.kind)), key=_rank)
    )


def columns_of(effect: Effect, role: Role) -> tuple[str, ...]:
    """The columns to judge one by one: `(REST,)` where the action is not about columns.

    Of a relation whose columns are not known: each one that a rule names, and the rest of them.
    """
    if effect.action not in COLUMN_ACTIONS:
        return (REST,)
    if effect.columns == ():
        return (NO_COLUMN,)
    if effect.columns is not None and effect.columns != ALL_COLUMNS:
        return effect.columns
    named = {
        column
        for rule in role.rules
        if rule.columns is not None and rule.may_cover(effect.action, effect.object)
        for column in rule.columns
    }
    return (*sorted(named | (session.guarded_columns(effect) or frozenset())), REST)


def judge(effect: Effect, rules: tuple[Rule, ...], column: str, *, free: bool) -> Verdict:
    """The verdict on one column. `rules`: of `rules_for`. `free`: whether the effect needs no rule."""
    touching = [
        rule for rule in rules if _touches(rule, column) and rule.may_cover(effect.action, effect.object)
    ]
    for rule in touching:
        if rule.effect == "deny":
            return Verdict("deny", column, "rule", rule)
    covering = [rule for rule in rules if _covers(rule, effect, column)]
    allows = [rule for rule in covering if rule.effect == "allow" and _met(rule, effect)]
    plain = [rule for rule in allows if rule.max_rows_affected is None]
    if gate := _gate(effect, touching if plain or free else covering, free=free):
        return Verdict("gate", column, "rule", gate)
    if plain:
        return Verdict("allow", column, "rule", plain[0])
    if free:
        return Verdict("allow", column, "built-in")
    if allows:
        return Verdict("gate", column, "row-cap", allows[0])
    unmet = next((rule for rule in covering if rule.effect == "allow"), None)
    return Verdict("deny", column, "where" if unmet else "default", unmet)


def about_columns(effect: Effect, rules: tuple[Rule, ...], verdict: Verdict) -> bool:
    """Whether other columns of the same relation might fare better than those of a denying `verdict`."""
    if verdict.rule is not None:
        return verdict.why == "rule" and verdict.rule.columns is not None
    return any(
        rule.columns is not None and rule.effect == "allow" and rule.covers(effect.action, effect.object)
        for rule in rules
    )


def _gate(effect: Effect, rules: list[Rule], *, free: bool) -> Rule | None:
    """The gate that is due. One that reaches what is free only by a group or by `*` is not meant to."""
    for rule in rules:
        meant = not free or (effect.action in rule.actions and rule.covers(effect.action, effect.object))
        if rule.effect == "gate" and meant:
            return rule
    return None


def _rank(rule: Rule) -> tuple[str, str, bool, int, tuple[str, ...]]:
    return rule.label, rule.reason, rule.require_where, rule.max_rows_affected or 0, rule.approvers


def _touches(rule: Rule, column: str) -> bool:
    """Whether `rule` speaks of `column`, so that its deny or gate is due."""
    return rule.columns is None or column in rule.columns


def _covers(rule: Rule, effect: Effect, column: str) -> bool:
    """Whether `rule` surely includes the object and `column`. No column at all is included by any rule."""
    if not (rule.columns is None or column == NO_COLUMN or column in rule.columns):
        return False
    return rule.covers(effect.action, effect.object) and (
        not session.guarded(effect) or _names_in_full(rule, effect)
    )


def _names_in_full(rule: Rule, effect: Effect) -> bool:
    """Whether `rule` names this one parameter, rather than a family or everything."""
    literals = [pattern.literal for pattern in rule.on]
    return effect.action in rule.actions and any(
        literal is not None and ".".join(literal) == session.parameter(effect) for literal in literals
    )


def _met(rule: Rule, effect: Effect) -> bool:
    return not rule.require_where or effect.where or effect.action not in WHERE_ACTIONS
