"""Rules that load, yet hardly mean what their author meant: unreachable, contradictory, or about no such name.

What is found is a warning: nothing here changes a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbfirewall.catalog.types import Catalog
from dbfirewall.policy.fields import ROW_ACTIONS, UNCOUNTED_ACTIONS, UNDO_ACTIONS, Mark, nearest
from dbfirewall.policy.models import Role, Rule, Rules
from dbfirewall.policy.names import Part, Pattern
from dbfirewall.policy.session import FREE_ACTIONS
from dbfirewall.sql.actions import EVERYTHING, GROUPS
from dbfirewall.sql.facts import quote_identifier

_READS = frozenset({"select", "call", "set", "reset", "execute", "deallocate", "*"}) | FREE_ACTIONS
_RELATION_ACTIONS = frozenset({"select", "insert", "update", "delete", "merge", "truncate", "copy_from"})
_EXPLAINED = ROW_ACTIONS | {"select"}
_UNCAPPED = frozenset({"drop", "alter"})


@dataclass(frozen=True, slots=True)
class RuleWarning:
    """Something to look at. `str()` is `file:line:column: warning: message`."""

    message: str
    mark: Mark

    def __str__(self) -> str:
        where = f"{self.mark}:{self.mark.column}: " if self.mark.line else ""
        return f"{where}warning: {self.message}"


def warnings(rules: Rules, catalog: Catalog | None = None) -> list[RuleWarning]:
    """What looks wrong in `rules`, by place. `catalog`: a live snapshot, to check names against."""
    found = [
        RuleWarning(message, mark)
        for role in rules.roles.values()
        for message, mark in _role(rules, role, catalog)
    ]
    return sorted(found, key=lambda one: (one.mark.file, one.mark.line, one.mark.column))


def _role(rules: Rules, role: Role, catalog: Catalog | None) -> Iterator[tuple[str, Mark]]:
    if not role.rules:
        yield f"role {role.name!r} has no rules: it may read the system catalogs and nothing else", role.mark
    for index, rule in enumerate(role.rules):
        messages = [
            *_above_ceiling(role, rule),
            *_twice(rule, role.rules[:index]),
            *_shadowed(rule, role.rules),
            *_without_approver(rules, rule),
            *_void_options(role, rule),
            *_beyond_cap(rule),
            *(_unknown_names(rule, catalog) if catalog is not None and catalog.complete else ()),
        ]
        for message in messages:
            yield message, rule.mark


def _above_ceiling(role: Role, rule: Rule) -> Iterator[str]:
    """An allow or a gate of something that a read-only role never does."""
    if not role.read_only or rule.effect == "deny":
        return
    above = [name for name in rule.actions if _READS.isdisjoint(GROUPS.get(name, (name,)))]
    if above:
        yield f"role {role.name!r} is read-only: {', '.join(above)} is refused whatever this rule says"


def _twice(rule: Rule, earlier: Iterable[Rule]) -> Iterator[str]:
    for other in earlier:
        if _meaning(other) == _meaning(rule):
            yield f"the same rule stands at line {other.mark.line}"
            return


def _meaning(rule: Rule) -> tuple[object, ...]:
    return (
        rule.effect,
        frozenset(rule.actions),
        frozenset(pattern.text for pattern in rule.on),
        None if rule.columns is None else frozenset(rule.columns),
        frozenset(rule.kind),
        rule.require_where,
        rule.max_rows_affected,
        frozenset(rule.approvers),
        rule.approvals,
    )


def _shadowed(rule: Rule, rules: Iterable[Rule]) -> Iterator[str]:
    """An allow or gate all of whose objects a stricter rule takes back."""
    stricter = {"allow": ("deny", "gate"), "gate": ("deny",), "deny": ()}[rule.effect]
    for other in rules:
        if other.effect not in stricter or not _includes(other, rule):
            continue
        taken = [name for name in rule.actions if _names(other, name)]
        if taken:
            words = "is denied" if other.effect == "deny" else "needs approval"
            yield f"{', '.join(taken)} {words} all the same, by the rule at line {other.mark.line} ({other.label})"


def _names(rule: Rule, name: str) -> bool:
    """Whether `rule` speaks of all that the action or group `name` stands for."""
    return name in rule.actions or all(rule.names_action(action) for action in GROUPS.get(name, (name,)))


def _includes(outer: Rule, inner: Rule) -> bool:
    """Whether the objects, kinds and columns of `outer` surely include all of `inner`'s."""
    if outer.kind and not (inner.kind and set(inner.kind) <= set(outer.kind)):
        return False
    if outer.columns is not None and not (
        inner.columns is not None and set(inner.columns) <= set(outer.columns)
    ):
        return False
    if not outer.on or any(pattern.everything for pattern in outer.on):
        return True
    return bool(inner.on) and all(any(_within(one, pattern) for pattern in outer.on) for one in inner.on)


def _within(inner: Pattern, outer: Pattern) -> bool:
    return len(inner.parts) == len(outer.parts) and all(
        _part_within(one, other) for one, other in zip(inner.parts, outer.parts, strict=True)
    )


def _part_within(inner: Part, outer: Part) -> bool:
    if inner == outer or (outer.glob is not None and outer.text == "*"):
        return True
    return inner.glob is None and outer.matches(inner.text)


def _without_approver(rules: Rules, rule: Rule) -> Iterator[str]:
    if not (rules.approvers or rules.agents):
        return  # roles alone, to be put beside the rest
    if rule.effect != "gate":
        return
    if not rules.approvers:
        yield "nobody can approve this: these rules name no approvers"
        return
    groups = {group for approver in rules.approvers.values() for group in approver.groups}
    missing = [name for name in rule.approvers if name not in groups]
    if missing:
        none = "nobody can approve this: " if len(missing) == len(rule.approvers) else ""
        yield f"{none}no approver belongs to {', '.join(missing)}{nearest(missing[0], groups)}"
    able = [
        one for one in rules.approvers.values() if not rule.approvers or set(one.groups) & set(rule.approvers)
    ]
    if 0 < len(able) < rule.approvals:
        yield f"nobody can approve this: it takes {rule.approvals} people, and only {len(able)} may decide it"


def _void_options(role: Role, rule: Rule) -> Iterator[str]:
    """Keys of a gate that say something which none of its actions has, or that cannot come true."""
    if rule.undo == "rows" and not rule.names_any(UNDO_ACTIONS):
        yield f"`undo: rows` keeps rows of {_several(UNDO_ACTIONS)} only, and this gate is about none of them"
    speaks = {"rows": ROW_ACTIONS, "plan": _EXPLAINED}.get(rule.preview or "")
    if speaks is not None and not rule.names_any(speaks):
        yield f"`preview: {rule.preview}` is made of {_several(speaks)} only, and this gate is about none of them"
    hold = role.hold if rule.hold is None else rule.hold
    if hold is not None and rule.expires is not None and hold > rule.expires:
        yield "this gate's request expires before the statement has waited as long as `hold` says"


def _beyond_cap(rule: Rule) -> Iterator[str]:
    """Actions of a capped allow that no count can be held against."""
    if rule.max_rows_affected is None:
        return
    named = {action for name in rule.actions for action in GROUPS.get(name, (name,))}
    if {"*", EVERYTHING} & set(rule.actions):
        named |= UNCOUNTED_ACTIONS | _UNCAPPED
    if refused := named & UNCOUNTED_ACTIONS:
        yield f"`max_rows_affected` can't be held against {_several(refused)}, which this rule refuses therefore"
    if free := named & _UNCAPPED:
        yield f"`max_rows_affected` says nothing of {_several(free)}, which this rule allows without a limit"


def _several(actions: Iterable[str]) -> str:
    return ", ".join(sorted(actions))


def _unknown_names(rule: Rule, catalog: Catalog) -> Iterator[str]:
    """Patterns and columns that match nothing in the live catalog."""
    known = _known(rule, catalog)
    if known is None:
        return
    for pattern in rule.on:
        matched = [name for name in known if pattern.may_match(name)]
        if not matched:
            spelled = [".".join(quote_identifier(part) for part in name) for name in known]
            yield f"{pattern.text} matches nothing in the database{nearest(pattern.text, spelled)}"
    relations = [
        relation
        for name, relation in catalog.relations.items()
        if rule.may_cover("select", name) and relation.columns is not None
    ]
    columns = {column for relation in relations for column in relation.columns or ()}
    for column in rule.columns or ():
        if relations and column != "*" and column not in columns:
            yield f"no relation that this rule names has a column {column!r}{nearest(column, columns)}"


def _known(rule: Rule, catalog: Catalog) -> set[tuple[str, str]] | None:
    """The names that the rule's patterns can be about; None where the catalog does not tell."""
    known: set[tuple[str, str]] = set()
    for name in rule.actions:
        actions = GROUPS.get(name, (name,))
        if not _RELATION_ACTIONS.isdisjoint(actions):
            known.update(catalog.relations)
        elif name == "call":
            known.update(
                (one.schema, one.name) for overloads in catalog.functions.values() for one in overloads
            )
        else:
            return None
    return known
