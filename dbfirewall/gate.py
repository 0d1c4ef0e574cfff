"""The pipeline: text → reading → facts → decision → verdict, cached. The whole product on one screen.

`Judge` decides for one role, on one database, with one catalog snapshot. It is synchronous and does no IO: what
has to wait (a long parse) is handed back as None, and the proxy comes back with the reading. A reload of the rules
or a new catalog snapshot makes new judges, so a cache can never outlive what it was computed from.

Order of checks, each failing closed: size → housekeeping texts → exact cache → template cache → parse → facts →
decision. Contract: only a `Verdict` with outcome `allow` may reach the server, after its audit record.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Final

from dbfirewall.audit import decision_members
from dbfirewall.catalog.types import Catalog, Scope
from dbfirewall.errors import SqlState
from dbfirewall.metrics import Cell, Metrics
from dbfirewall.policy.decision import Context, Decision, admit, decide
from dbfirewall.policy.housekeeping import housekeeping, loosened
from dbfirewall.policy.models import Role
from dbfirewall.policy.refusal import ErrorFields, refusal
from dbfirewall.sql.caps import MAX_TEXT_BYTES
from dbfirewall.sql.facts import Analysis, Effect, Refusal, Statement
from dbfirewall.sql.parameters import parameter_effects
from dbfirewall.sql.read import INLINE_BYTES, read
from dbfirewall.sql.reading import Reading
from dbfirewall.sql.template import fast_template
from dbfirewall.sql.virtual import facts

CACHE_BYTES = 32 * 1024 * 1024
"""Security limit: bytes that one judge's decision caches may hold."""

HOUSEKEEPING = Decision.allowed("housekeeping", "A client's own housekeeping statement.")


class Unchanged(Enum):
    """A search_path that a statement leaves as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True)
class Verdict:
    """A decision about one text, with all that enforcement and audit need of it, computed once.

    `audit`: the members of the audit record that depend on the decision alone (`decision_members`).
    `cell`: its counter. `copy_in`: how many times the client is going to send CopyData.
    `loosens`: parameters whose tripwires stand down.
    `search_path`: what it is afterwards, None where that is not known.
    `prepares`: names that SQL-level PREPARE defines. `deallocates`: whether it may drop some.
    `reusable`: whether it holds for other sessions too.
    `caps`: by statement, the most rows that it may change (None: as many as it likes).
    `forward`: what to run in its place, where it reads the firewall's own tables (`virtual`).
    """

    outcome: str
    decision: Decision
    error: ErrorFields | None
    audit: str
    cell: Cell
    statements: tuple[Statement, ...] = ()
    copy_in: int = 0
    changes_catalog: bool = False
    search_path: tuple[str, ...] | Unchanged | None = UNCHANGED
    loosens: frozenset[str] = frozenset()
    prepares: tuple[bytes, ...] = ()
    deallocates: bool = False
    reusable: bool = True
    caps: tuple[int | None, ...] = ()
    forward: bytes | None = None
    virtual: frozenset[str] = frozenset()

    @property
    def cap(self) -> int | None:
        """The lowest of `caps`; None where the message may change as many rows as it likes."""
        return min((cap for cap in self.caps if cap is not None), default=None)

    @cached_property
    def held_back(self) -> bool:
        """Whether it takes more than sending it on: an approval, somebody who counts its rows, or our own tables."""
        return (
            self.outcome == "gate" or self.cap is not None or (self.outcome == "allow" and bool(self.virtual))
        )

    @cached_property
    def released(self) -> str:
        """As `audit`, for a run that people approved: it was gated, and no error was told."""
        effects = [effect for statement in self.statements for effect in statement.effects]
        return decision_members(effects, self.decision.outcome, self.decision.rule, "")

    @cached_property
    def plain(self) -> bool:
        """Whether running it changes nothing that the session keeps track of."""
        return not (self.loosens or self.prepares or self.deallocates) and self.search_path is UNCHANGED


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a session contributes to decisions. `executable`: see `Context`."""

    protocol_prepared: bool = False
    executable: Callable[[str], Decision | None] = field(default=lambda _name: None)


class Judge:
    """See the module's docstring. `generation` tells sessions whether what they hold is still current."""

    def __init__(
        self,
        role: Role,
        catalog: Catalog,
        metrics: Metrics,
        *,
        application_name: str = "",
        search_path: tuple[str, ...] | None = ("public",),
        max_text_bytes: int = MAX_TEXT_BYTES,
        inline_bytes: int = INLINE_BYTES,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.role = role
        self.scope = Scope(catalog, search_path)
        self._application_name = application_name
        self._metrics = metrics
        self._max_text_bytes = max_text_bytes
        self._inline_bytes = inline_bytes
        self._exact_hits = metrics.decision_cache.cell("exact")
        self._template_hits = metrics.decision_cache.cell("template")
        self._misses = metrics.decision_cache.cell("miss")
        self._exact = ByteBoundedCache(cache_bytes // 2)
        self._templates = ByteBoundedCache(cache_bytes // 2)

    def judge(self, sql: bytes, session: SessionFacts) -> Verdict | None:
        """The verdict on `sql`, or None where it must be read in a worker first (then call `judge_reading`)."""
        verdict = self._exact.get(sql)
        if verdict is not None:
            self._exact_hits.value += 1
            return verdict
        if len(sql) > self._max_text_bytes:
            return self.too_long()
        template = fast_template(sql)
        if template is not None and (verdict := self._templates.get(template)) is not None:
            self._template_hits.value += 1
            return verdict
        if len(sql) > self._inline_bytes:
            return None
        started = time.perf_counter()
        reading = read(sql)
        self._metrics.parse.observe(time.perf_counter() - started)
        return self.judge_reading(sql, reading, session)

    def judge_reading(self, sql: bytes, reading: Reading, session: SessionFacts) -> Verdict:
        """The verdict on `sql`, whose reading is at hand; remembered where it depends on the text alone."""
        self._misses.value += 1
        context = Context(
            application_name=self._application_name,
            protocol_prepared=session.protocol_prepared,
            executable=session.executable,
            catalog=self.scope.catalog,
        )
        if housekeeping(sql, self.role, context):
            loosens = loosened(sql)
            path: tuple[str, ...] | Unchanged = () if "search_path" in loosens else UNCHANGED
            verdict = replace(self._verdict(Analysis(), HOUSEKEEPING), loosens=loosens, search_path=path)
        else:
            analysis, instead = facts(sql, reading, self.scope, max_bytes=self._inline_bytes)
            self._count_refusal(analysis)
            analysis = admit(analysis, self.role)
            verdict = self._verdict(analysis, decide(analysis, self.role, context))
            if instead is not None:
                tables = frozenset().union(*instead.tables)
                verdict = replace(verdict, forward=instead.text, virtual=tables)
        if not verdict.reusable:
            return verdict
        template = fast_template(sql)
        settled = verdict.statements and not any(s.literal_sensitive for s in verdict.statements)
        if template is None or not settled:
            self._exact.put(sql, verdict)
        else:
            self._templates.put(template, verdict)
        return verdict

    def with_types(self, verdict: Verdict, oids: bytes) -> Verdict:
        """`verdict`, or the refusal of what parameters of these types run. `oids`: as a Parse has them."""
        effects = parameter_effects(oids, self.scope.catalog)
        if not effects or verdict.outcome == "deny":
            return verdict
        analysis = Analysis((Statement("parameters", effects, literal_sensitive=True),))
        decision = decide(analysis, self.role, Context(catalog=self.scope.catalog))
        if decision.outcome == "allow":
            return verdict
        if decision.outcome == "gate":
            decision = Decision(
                *(
                    "deny",
                    SqlState.NOT_UNDERSTOOD,
                    decision.rule,
                    _UNAPPROVABLE_TYPE,
                    _AS_CAST,
                    "after-rewrite",
                ),
                effect=decision.effect,
            )
        return self._verdict(analysis, decision)

    def too_long(self) -> Verdict:
        """The refusal of a text that is longer than what is read at all."""
        reason = f"The statement is too long: this firewall reads at most {self._max_text_bytes} bytes."
        analysis = Analysis(refusal=Refusal("too-long", reason))
        self._count_refusal(analysis)
        return self._verdict(analysis, decide(analysis, self.role))

    def _count_refusal(self, analysis: Analysis) -> None:
        if analysis.refusal is not None:
            self._metrics.unreadable.inc(analysis.refusal.code)
            if analysis.refusal.code == "disagreement":
                self._metrics.disagreements.inc()

    def _verdict(self, analysis: Analysis, decision: Decision) -> Verdict:
        """Enforcement's and audit's view of a decision."""
        effects = [effect for statement in analysis.statements for effect in statement.effects]
        action = decision.effect.action if decision.effect else effects[0].action if effects else "none"
        return Verdict(
            outcome=decision.outcome,
            decision=decision,
            error=None if decision.outcome == "allow" else refusal(decision),
            audit=decision_members(effects, decision.outcome, decision.rule, decision.sqlstate),
            cell=self._metrics.decisions.cell(self.role.name, action, decision.outcome),
            statements=analysis.statements,
            copy_in=sum(statement.copy_from_stdin for statement in analysis.statements),
            changes_catalog=any(statement.changes_catalog for statement in analysis.statements),
            search_path=None if any(map(_changes_path, effects)) else UNCHANGED,
            loosens=frozenset(name for effect in effects for name in _loosened(effect)),
            prepares=tuple(s.prepares.encode() for s in analysis.statements if s.prepares is not None),
            deallocates=any(effect.action in ("deallocate", "discard") for effect in effects),
            reusable=not any(effect.action in _SESSION_DEPENDENT for effect in effects),
            caps=tuple(statement.max_rows_affected for statement in decision.statements),
        )


class ByteBoundedCache:
    """A two-generation cache: at half its bytes the young generation becomes the old one, and the old one goes.

    Lookups touch one or two dicts; nothing is reordered. `limit`: bytes, as `weight` estimates them.
    """

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._young: dict[bytes, Verdict] = {}
        self._old: dict[bytes, Verdict] = {}
        self._bytes = 0

    def get(self, key: bytes) -> Verdict | None:
        """The value, or None."""
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def put(self, key: bytes, value: Verdict) -> None:
        """Remember `value`; what is larger than a generation is not remembered."""
        size = weight(key, value)
        if size > self._half:
            return
        if self._bytes + size > self._half:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[key] = value
        self._bytes += size


def weight(key: bytes, value: Verdict) -> int:
    """About how many bytes a cache entry takes: a short text may have thousands of effects, of 1 KB each."""
    return (
        600
        + len(key)
        + len(value.forward or b"")
        + len(value.audit)
        + 1000 * sum(len(each.effects) for each in value.statements)
    )


_UNAPPROVABLE_TYPE = (
    "The type of a parameter runs a function that needs approval, which no parameter can wait for."
)
_AS_CAST = "Send the parameter without a type, and write the cast into the statement: $1::type."
_SESSION_DEPENDENT = frozenset({"execute", "deallocate", "prepare", "discard"})
_LOOSENS_ALL = frozenset({"code", "discard", "set_role", "set_session_authorization", "unknown"})


def _changes_path(effect: Effect) -> bool:
    if effect.action in ("set", "reset"):
        return effect.object in (("search_path",), (None,), ("all",))
    return effect.action in _LOOSENS_ALL


def _loosened(effect: Effect) -> tuple[str, ...]:
    """Parameters that this effect may change, as ParameterStatus names them in lower case; `*` for any."""
    if effect.action in ("set", "reset"):
        name = effect.object[0] if effect.object else None
        return ("*",) if name in (None, "all") else (str(name),)
    return ("*",) if effect.action in _LOOSENS_ALL else ()
