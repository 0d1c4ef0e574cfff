"""Which of a role's rules decide one column of one effect: the heart of the semantics, without any words.

`deny` wins over `gate`, `gate` over `allow`, nothing is a deny. A deny counts where it *could* match (a name
that is not fully known could be anything); an allow or a gate covers only what it *surely* matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbfirewall.policy import session
from dbfirewall.policy.fields import COLUMN_ACTIONS, ROW_ACTIONS, UNCOUNTED_ACTIONS, WHERE_ACTIONS
from dbfirewall.policy.models import Role, Rule
from dbfirewall.sql.actions import EVERYTHING
from dbfirewall.sql.facts import ALL_COLUMNS, Effect

Outcome = Literal["allow", "deny", "gate"]

REST = ALL_COLUMNS[0]
"""Stands for the columns that no rule names, where a relation's columns are not known."""

NO_COLUMN = ""
"""Stands for an effect that reads no column at all, such as `count(*)`."""

CAPPED_ACTIONS = ROW_ACTIONS | UNCOUNTED_ACTIONS
"""Actions that a `max_rows_affected` holds back."""

Why = Literal["rule", "where", "built-in", "default"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rule`: the one that decided, None for a built-in permission and for the default. `why`: how it came.

    `where`: an allow whose `require_where` is not met. `gates`: every gate that is due. `cap`: the most rows that
    may be changed, where only allows with `max_rows_affected` cover it.
    """

    outcome: Outcome
    why: Why
    rule: Rule | None = None
    gates: tuple[Rule, ...] = ()
    cap: int | None = None


class Case:
    """One effect before one role's rules. `free`: whether it needs no rule."""

    def __init__(self, effect: Effect, role: Role, *, free: bool) -> None:
        self.effect = effect
        self.guarded = session.guarded_columns(effect)
        self._free = free
        rules = [rule for rule in role.rules if rule.names_action(effect.action, effect.kind)]
        # In an order that does not depend on the file's.
        near = sorted((rule for rule in rules if rule.may_cover(effect.action, effect.object)), key=_rank)
        self._near = near
        self._sure = [rule for rule in near if _surely(rule, effect)]
        self._sure_ids = {id(rule) for rule in self._sure}
        self._named = {column for rule in near for column in rule.columns or ()} | (
            self.guarded or frozenset()
        )
        self._verdicts: dict[str, Verdict] = {}

    def columns(self) -> tuple[str, ...]:
        """The columns to judge one by one: `(REST,)` where the action is not about columns.

        Of a relation whose columns are not known: each one that a rule names, and the rest of them.
        """
        if self.effect.action not in COLUMN_ACTIONS:
            return (REST,)
        if self.effect.columns == ():
            return (NO_COLUMN,)
        if self.effect.columns is not None and REST not in self.effect.columns:
            return self.effect.columns
        return (*sorted(self._named), REST)

    def verdict(self, column: str) -> Verdict:
        """The verdict on one column; those that no rule names share one."""
        key = column if column in self._named or column == NO_COLUMN else REST
        found = self._verdicts.get(key)
        if found is None:
            found = self._verdicts[key] = self._judge(key)
        return found

    def about_columns(self, verdict: Verdict) -> bool:
        """Whether other columns of the same relation might fare better than those of a denying `verdict`."""
        if self.guarded:
            return True
        if verdict.rule is not None:
            return verdict.why == "rule" and verdict.rule.columns is not None
        return any(rule.columns is not None and rule.effect == "allow" for rule in self._sure)

    def _judge(self, column: str) -> Verdict:
        free = self._free or (self.guarded is not None and column not in self.guarded)
        touching = [rule for rule in self._near if rule.columns is None or column in rule.columns]
        for rule in touching:
            if rule.effect == "deny":
                return Verdict("deny", "rule", rule)
        # No column at all is included by any rule on the relation.
        covering = (
            self._sure if column == NO_COLUMN else [rule for rule in touching if id(rule) in self._sure_ids]
        )
        allows = [rule for rule in covering if rule.effect == "allow"]
        met = [rule for rule in allows if _met(rule, self.effect)]
        if gates := self._gates(touching if met or free else covering, free=free):
            return Verdict("gate", "rule", gates[0], gates)
        if met:
            return self._allowed(met)
        if free:
            return Verdict("allow", "built-in")
        return Verdict("deny", "where", allows[0]) if allows else Verdict("deny", "default")

    def _allowed(self, rules: list[Rule]) -> Verdict:
        """An allow by any of `rules`: without a cap, or else by the highest."""
        if self.effect.action in CAPPED_ACTIONS:
            caps = [rule.max_rows_affected for rule in rules if rule.max_rows_affected is not None]
            if len(caps) == len(rules):
                highest = max(caps)
                best = next(rule for rule in rules if rule.max_rows_affected == highest)
                return Verdict("allow", "rule", best, cap=highest)
            rules = [rule for rule in rules if rule.max_rows_affected is None]
        return Verdict("allow", "rule", rules[0])

    def _gates(self, rules: list[Rule], *, free: bool) -> tuple[Rule, ...]:
        """The gates that are due. One that reaches what is free only by a group or by `*` is not meant to."""
        return tuple(
            rule
            for rule in rules
            if rule.effect == "gate"
            and (not free or (rule.names_outright(self.effect.action) and id(rule) in self._sure_ids))
        )


def _rank(rule: Rule) -> tuple[str, str, bool, int, tuple[str, ...]]:
    return rule.label, rule.reason, rule.require_where, rule.max_rows_affected or 0, rule.approvers


def _surely(rule: Rule, effect: Effect) -> bool:
    """Whether `rule` is about the object beyond doubt."""
    if not session.guarded(effect):
        return rule.covers(effect.action, effect.object)
    # No group and no `*` names the action; and which parameter it is must be known, unless all are meant.
    known = bool(session.parameter(effect)) or EVERYTHING in rule.actions
    return known and rule.names_outright(effect.action) and rule.covers(effect.action, effect.object)


def _met(rule: Rule, effect: Effect) -> bool:
    return not rule.require_where or effect.where or effect.action not in WHERE_ACTIONS
