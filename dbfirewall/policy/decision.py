"""Facts → decision. Pure and deterministic, and independent of the order in which rules are written.

Every effect of every statement must be covered by an `allow` or a `gate`; any matching `deny` wins over
`gate`, `gate` over `allow`; nothing matching is a deny. The strictest effect decides the statement, the
strictest statement the message. In this order, per effect:

1. what is not understood is refused (0A000), unless a rule names `unknown`;
2. above the ceiling of a read-only role: refused (25006), whatever the rules say;
3. walls of the session (`session.wall`): refused, whatever the rules say;
4. a `deny` that could match: denied. Where a name is not fully known, it could be anything;
5. a `gate` that could match something covered, or surely covers: gated;
6. an `allow` that surely covers, or a built-in permission (`session.free`): allowed;
7. else: denied.

Where several rules fit, the one whose label sorts first is reported; of several gates each one has to be opened.

What is allowed within `max_rows_affected` is so only where the server will tell the count before it is final; and
what a gate holds only where its text tells all that would run. Else it is refused at once, with the way to write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dbfirewall.catalog.types import Catalog
from dbfirewall.errors import SqlState
from dbfirewall.policy import hints, session
from dbfirewall.policy.fields import ROW_ACTIONS
from dbfirewall.policy.matching import Case, Outcome, Verdict
from dbfirewall.policy.models import Role, Rule
from dbfirewall.sql.facts import ALL_COLUMNS, Analysis, Effect, Refusal, Statement
from dbfirewall.sql.virtual import KIND as VIRTUAL

Retry = Literal["never", "after-rewrite", "after-approval", "later"]

DEFAULT_DENY = "default-deny"
READ_ONLY = "read-only"
NOT_UNDERSTOOD = "not-understood"
BUILT_IN = "built-in"

_STRICTNESS: Mapping[str, int] = {"allow": 0, "gate": 1, "deny": 2}
_REWRITE: Retry = "after-rewrite"

_INDIRECT = frozenset({"prepare", "execute"})
_TRANSACTION = frozenset({"begin", "commit", "rollback", "two_phase"})


@dataclass(frozen=True, slots=True)
class EffectDecision:
    """What becomes of one effect, and why. `sqlstate` is empty for an allow.

    `by_columns`: refused for some of its columns only. `gates`: every gate that holds it. `cap`: the most rows
    that its statement may change.
    """

    effect: Effect
    outcome: Outcome
    rule: str
    reason: str = ""
    sqlstate: str = ""
    hint: str = ""
    retry: Retry = "never"
    by_columns: bool = False
    gates: tuple[Rule, ...] = ()
    cap: int | None = None


@dataclass(frozen=True, slots=True)
class StatementDecision:
    """What becomes of one statement: the strictest of its effects. `kind`: as in `facts.Statement`."""

    kind: str
    outcome: Outcome
    effects: tuple[EffectDecision, ...] = ()

    @property
    def max_rows_affected(self) -> int | None:
        """The most rows that it may change: the lowest cap of its effects. None: as many as it likes."""
        return min((one.cap for one in self.effects if one.cap is not None), default=None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a message. `effect`: the one that decided; None where there is none.

    `rule`: the label of the deciding rule, or `default-deny`, `read-only`, `not-understood`, `built-in`.
    `gates`: of a gate, each rule that has to be satisfied. Empty where a session's own wait for what it prepared.
    """

    outcome: Outcome
    sqlstate: str = ""
    rule: str = ""
    reason: str = ""
    hint: str = ""
    retry: Retry = "never"
    effect: Effect | None = None
    statements: tuple[StatementDecision, ...] = ()
    gates: tuple[Rule, ...] = ()

    @property
    def max_rows_affected(self) -> int | None:
        """The lowest cap of its statements; None where none has one."""
        caps = [one.max_rows_affected for one in self.statements]
        return min((cap for cap in caps if cap is not None), default=None)

    @classmethod
    def allowed(cls, rule: str, reason: str = "") -> Decision:
        """An allow that no effect decided."""
        return cls("allow", rule=rule, reason=reason)


@dataclass(frozen=True, slots=True)
class Context:
    """What a session contributes to decisions.

    `application_name`: as given at startup. `protocol_prepared`: whether it prepared statements by Parse.
    `executable`: the decision on what EXECUTE of a folded name would run, None where the name is not known; None
        instead of it where there is no session.
    `catalog`: for hints alone.
    """

    application_name: str = ""
    protocol_prepared: bool = False
    executable: Callable[[str], Decision | None] | None = None
    catalog: Catalog | None = None


OFFLINE = Context()


def decide(analysis: Analysis, role: Role, context: Context = OFFLINE) -> Decision:
    """The decision of `role`'s rules on one message."""
    analysis = admit(analysis, role)
    if analysis.refusal is not None:
        return _refused(analysis.refusal)
    prepared: set[str] = set()
    every = [effect for statement in analysis.statements for effect in statement.effects]
    virtual = any(effect.kind == VIRTUAL for effect in every)
    alone = not virtual and _TRANSACTION.isdisjoint(effect.action for effect in every)
    statements = []
    for statement in analysis.statements:
        decided = _statement(statement, role, context, frozenset(prepared))
        count = statement.count if alone else "hidden"
        statements.append(_kept_within(_told_whole(decided, virtual=virtual), count))
        if statement.prepares is not None:
            prepared.add(statement.prepares)
    effects = [effect for statement in statements for effect in statement.effects]
    if not effects:
        return replace(Decision.allowed(BUILT_IN, "It touches nothing."), statements=tuple(statements))
    worst = _strictest(effects)
    return Decision(
        worst.outcome,
        worst.sqlstate,
        worst.rule,
        worst.reason,
        worst.hint,
        worst.retry,
        worst.effect,
        tuple(statements),
        _distinct(effects),
    )


def admit(analysis: Analysis, role: Role) -> Analysis:
    """`analysis`, or one `unknown` statement for a text that is not understood, if the role's rules name that.

    What PostgreSQL's scanner would refuse stays refused, whatever the rules say.
    """
    refusal = analysis.refusal
    if refusal is None or not refusal.allowable or role.read_only or not role.grants("unknown"):
        return analysis
    unknown = Statement("unknown", (Effect("unknown", detail=refusal.reason),), literal_sensitive=True)
    return Analysis((replace(unknown, changes_catalog=True),), literal_sensitive=True)


def _refused(refusal: Refusal) -> Decision:
    sqlstate = SqlState.SYNTAX if refusal.syntax else SqlState.NOT_UNDERSTOOD
    return Decision("deny", sqlstate, NOT_UNDERSTOOD, refusal.reason, hints.rephrase(refusal.code), _REWRITE)


def _statement(
    statement: Statement, role: Role, context: Context, prepared: frozenset[str]
) -> StatementDecision:
    effects = tuple(_effect(effect, role, context, prepared) for effect in statement.effects)
    return _decided(statement.kind, effects)


def _decided(kind: str, effects: tuple[EffectDecision, ...]) -> StatementDecision:
    outcome: Outcome = _strictest(effects).outcome if effects else "allow"
    return StatementDecision(kind, outcome, effects)


def _told_whole(statement: StatementDecision, *, virtual: bool) -> StatementDecision:
    """A gated PREPARE or EXECUTE is refused: one runs again and again, what the other runs no approver sees.

    So is what reads the firewall's own tables too (`virtual`), which are other ones by the time it is approved.
    """
    indirect = not _INDIRECT.isdisjoint(one.effect.action for one in statement.effects)
    if not virtual and not indirect:
        return statement
    who = "PREPARE and EXECUTE" if indirect else "what reads the firewall's own tables"
    effects = (_unapprovable(one, who) if one.outcome == "gate" else one for one in statement.effects)
    return _decided(statement.kind, tuple(effects))


def _unapprovable(one: EffectDecision, who: str) -> EffectDecision:
    reason = f"{hints.what(one.effect)} needs approval, which {who} cannot wait for."
    return _deny(one.effect, one.rule, reason, SqlState.NOT_UNDERSTOOD, hints.DIRECTLY, _REWRITE)


def _kept_within(statement: StatementDecision, count: str) -> StatementDecision:
    """What has a cap is refused where nobody tells its count before it is final. `count`: of the statement."""
    if statement.max_rows_affected is None:
        return statement
    return _decided(statement.kind, tuple(_capped(one, count) for one in statement.effects))


def _capped(one: EffectDecision, count: str) -> EffectDecision:
    if one.cap is None or (count == "told" and one.effect.action in ROW_ACTIONS):
        return one
    if count == "none":
        return replace(one, cap=None)
    what = hints.what(one.effect)
    reason = f"{what} may change at most {one.cap} rows, and written like this they are not counted."
    return _deny(one.effect, one.rule, reason, SqlState.LIMIT, hints.COUNTABLE, _REWRITE)


def _distinct(effects: Iterable[EffectDecision]) -> tuple[Rule, ...]:
    """Each gate of the effects once, by label."""
    gates = {id(gate): gate for one in effects for gate in one.gates}
    return tuple(sorted(gates.values(), key=lambda gate: gate.label))


def _strictest(decisions: Iterable[EffectDecision]) -> EffectDecision:
    """The first of the strictest; among denials, a rule's own word comes before the default.

    What is denied whole comes before both: which columns of other relations a statement reads may depend on the
    columns of one that the role knows nothing of (NATURAL JOIN), and a refusal must not tell these.
    """
    return max(
        decisions,
        key=lambda one: (_STRICTNESS[one.outcome], not one.by_columns, one.rule != DEFAULT_DENY),
    )


def _effect(effect: Effect, role: Role, context: Context, prepared: frozenset[str]) -> EffectDecision:
    """Steps 1 to 3, then the rules."""
    if session.shared_lock(effect, context.application_name):
        columns = hints.known_columns(effect, context.catalog) or ALL_COLUMNS
        read = _effect(Effect("select", effect.object, effect.kind, columns), role, context, prepared)
        return replace(read, effect=effect)
    free = session.free(effect, role, protocol_prepared=context.protocol_prepared)
    if effect.action == "execute":
        stored = _executed(effect, role, context, prepared)
        if stored is not None:
            return stored
        free = True
    if effect.action == "unknown" and (role.read_only or not _named(role)):
        reason = effect.detail or "A part of the statement is not understood."
        return _deny(effect, NOT_UNDERSTOOD, reason, SqlState.NOT_UNDERSTOOD, hints.rephrase(""), _REWRITE)
    if role.read_only and not (free or _reads(effect)):
        reason = f"This role only reads: {hints.what(effect)} is refused."
        return _deny(effect, READ_ONLY, reason, SqlState.READ_ONLY, hints.read_only(effect))
    wall = session.wall(effect, role)
    if wall is not None:
        return _deny(effect, DEFAULT_DENY, wall.reason, SqlState.DENIED, wall.hint, _REWRITE)
    return _by_rules(effect, role, context, free=free)


def _reads(effect: Effect) -> bool:
    return effect.action == "select" or (effect.action == "call" and effect.kind != "procedure")


def _named(role: Role) -> bool:
    return any(rule.names_outright("unknown") for rule in role.rules)


def _executed(
    effect: Effect, role: Role, context: Context, prepared: frozenset[str]
) -> EffectDecision | None:
    """The refusal of an EXECUTE; None where what it runs is allowed, or judged within this very message."""
    name = effect.object[-1] if effect.object else None
    if name is not None and name in prepared:
        return None
    stored = context.executable(name) if name is not None and context.executable is not None else None
    if stored is None and role.grants("unknown") and not role.read_only:
        return _by_rules(replace(effect, action="unknown"), role, context, free=False)
    if stored is None:
        reason = f"The prepared statement {effect.object_name} is not known to this session."
        # In a session all that it has prepared is known. What EXPLAIN would run of it stays what nobody understands.
        known = context.executable is not None and name is not None and not effect.detail
        sqlstate = SqlState.NO_STATEMENT if known else SqlState.NOT_UNDERSTOOD
        return _deny(effect, NOT_UNDERSTOOD, reason, sqlstate, "PREPARE it first.", _REWRITE)
    if stored.outcome == "allow" and stored.max_rows_affected is None:
        return None
    return EffectDecision(
        effect, stored.outcome, stored.rule, stored.reason, stored.sqlstate, stored.hint, stored.retry,
        cap=stored.max_rows_affected,
    )  # fmt: skip


def _by_rules(effect: Effect, role: Role, context: Context, *, free: bool) -> EffectDecision:
    """Steps 4 to 7, column by column where the action is about columns."""
    case = Case(effect, role, free=free)
    columns = case.columns()
    verdicts = [case.verdict(column) for column in columns]
    worst = max(verdicts, key=lambda one: (_STRICTNESS[one.outcome], one.why != "default"))
    if worst.outcome == "allow":
        return _allowed(effect, min(verdicts, key=lambda one: (one.cap is None, one.cap)))
    if worst.outcome == "gate":
        return _gated(effect, worst, verdicts)
    if not case.about_columns(worst):
        return _denied(effect, role, worst)
    refused = [column for column in columns if case.verdict(column).outcome == "deny"]
    known = hints.known_columns(effect, context.catalog)
    allowed = tuple(column for column in known if case.verdict(column).outcome == "allow")
    return _denied_columns(effect, worst, hints.named_columns(refused), allowed)


def _denied(effect: Effect, role: Role, worst: Verdict) -> EffectDecision:
    """Denied whichever columns it names."""
    rule = worst.rule
    label = DEFAULT_DENY if rule is None else rule.label
    if worst.why == "where":
        reason = f"{hints.what(effect)} needs a WHERE clause that says which rows are meant."
        return _deny(effect, label, reason, SqlState.DENIED, hints.WHERE, _REWRITE)
    reason = (rule.reason if rule else "") or hints.denied(effect, (), by_rule=rule is not None)
    return _deny(effect, label, reason, SqlState.DENIED, hints.next_step(effect, role))


def _denied_columns(
    effect: Effect, worst: Verdict, refused: tuple[str, ...], allowed: tuple[str, ...]
) -> EffectDecision:
    """Denied for the columns `refused`; `allowed` are those, where they are known, that are not."""
    rule = worst.rule
    label = DEFAULT_DENY if rule is None else rule.label
    reason = (rule.reason if rule else "") or hints.denied(effect, refused, by_rule=rule is not None)
    denial = _deny(effect, label, reason, SqlState.DENIED, hints.columns(effect, refused, allowed), _REWRITE)
    return replace(denial, by_columns=True)


def _gated(effect: Effect, worst: Verdict, verdicts: Iterable[Verdict]) -> EffectDecision:
    rule = worst.gates[0]
    reason = rule.reason or f"{hints.what(effect)} needs approval."
    gates = tuple({id(gate): gate for one in verdicts for gate in one.gates}.values())
    return EffectDecision(
        effect,
        "gate",
        rule.label,
        reason,
        SqlState.NEEDS_APPROVAL,
        hints.APPROVAL,
        "after-approval",
        gates=gates,
    )


def _allowed(effect: Effect, verdict: Verdict) -> EffectDecision:
    rule = verdict.rule
    return (
        EffectDecision(effect, "allow", rule.label, rule.reason, cap=verdict.cap)
        if rule
        else EffectDecision(effect, "allow", BUILT_IN)
    )


def _deny(
    effect: Effect, rule: str, reason: str, sqlstate: str, hint: str = "", retry: Retry = "never"
) -> EffectDecision:
    return EffectDecision(effect, "deny", rule, reason, sqlstate, hint, retry)
