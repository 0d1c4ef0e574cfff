"""What an approver sees beyond the text: a gated statement's `Preview`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dbfirewall.approvals.model import Options, Preview, Snapshot, Table
from dbfirewall.preview import rows
from dbfirewall.preview.ask import ask_one, number
from dbfirewall.preview.ddl import describe
from dbfirewall.preview.definitions import definitions
from dbfirewall.preview.envelope import Release, release_of
from dbfirewall.preview.explain import PLANNED, explain
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import (
    DEFAULT,
    READ,
    Reach,
    Relation,
    effects_of,
    name_of,
    reach,
    relation_names,
)
from dbfirewall.preview.safety import Problem, statement_problems, table_problems
from dbfirewall.preview.session import STATEMENT_TIMEOUT_MS, OtherSessionError, attempt, nothing_stays
from dbfirewall.preview.talk import ServerError, Talk
from dbfirewall.preview.text import CHANGES, Piece, UnreadableError, function_names, pieces, rows_of_change
from dbfirewall.preview.undo import foreseen
from dbfirewall.sql.facts import Statement

MAX_ESTIMATE: Final = 100_000
"""Security limit: a statement is run for its preview only where the planner expects at most so many rows."""

MAX_STATEMENTS: Final = 20
"""Security limit: statements of one message that are looked at."""

DEADLINE: Final = 30.0
"""Security limit: seconds for all of a preview."""

_VERSION = qualified("SELECT current_setting('server_version_num')")

_WHY = {
    "55P03": "a lock that it needs is held by another session",
    "57014": f"it takes longer than {STATEMENT_TIMEOUT_MS // 1000} seconds",
    "40001": "other sessions are changing the same rows just now",
    "40P01": "other sessions are changing the same rows just now",
}
"""Reasons for which something could not be found out now, by SQLSTATE; all others are the statement's own."""


async def make_preview(
    talk: Talk, snapshot: Snapshot, statements: Sequence[Statement], options: Options, *, now: float
) -> Preview:
    """What would happen if the statement ran now, found on `talk`: an own, idle session of the role's login.

    `statements`: the facts of the gate's analysis. `options.preview`: `rows`, `plan` or `none`. Nothing stays behind
    on the server: all of it happens in transactions that are rolled back. Never raises for what the server says or
    for a lost connection: the preview's notes tell; `talk` should be closed afterwards.
    """
    draft = _Draft()
    try:
        parts = pieces(snapshot.sql)
    except UnreadableError as error:
        draft.note(f"No preview: {error}.")
        return draft.preview(now, Release(False, str(error)))
    release = release_of(parts)
    if options.preview == "none":
        draft.note("The rule asks for no preview.")
        return draft.preview(now, release)
    try:
        async with asyncio.timeout(DEADLINE):
            await _Maker(talk, snapshot, parts, statements, options, draft).make()
    except TimeoutError:
        draft.note(f"The preview is not complete: it took longer than {DEADLINE:.0f} seconds.")
    except ConnectionError:
        draft.note("The preview is not complete: the connection to the server was lost.")
    except ServerError as error:
        draft.note(f"The preview is not complete: {_why(error)}.")
    except OtherSessionError as error:
        draft.note(f"No preview: {error}.")
    return draft.preview(now, release)


@dataclass(slots=True)
class _Draft:
    """A preview in the making."""

    plans: list[str] = field(default_factory=list)
    estimate: float | None = None
    rows: list[int | None] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    undo: bool = False
    undo_problem: str = ""

    def note(self, *sentences: str) -> None:
        """Say something, once."""
        self.notes.update(dict.fromkeys(sentences))

    def preview(self, now: float, release: Release) -> Preview:
        counted = tuple(self.rows) if any(count is not None for count in self.rows) else ()
        enveloped = release.enveloped and bool(counted)
        if not release.wrapped:
            self.note(
                f"It is released as it is, outside of a transaction that could be rolled back: {release.reason}."
            )
        elif any(release.counted) and not enveloped:
            self.note("Nothing holds it to a number of rows, because they could not be counted.")
        return Preview(
            made_at=now,
            plan="\n\n".join(self.plans),
            estimate=self.estimate,
            rows=counted,
            tables=tuple(self.tables),
            objects=tuple(self.objects),
            notes=tuple(self.notes),
            enveloped=enveloped,
            undo=self.undo,
            undo_problem=self.undo_problem,
        )


@dataclass(slots=True)
class _Subject:
    """One statement under way. `problems`: what forbids running it; `change`: where it changes a known table."""

    piece: Piece
    statement: Statement
    problems: list[Problem] = field(default_factory=list)
    relation: Relation | None = None
    estimate: float | None = None
    change: rows.Change | None = None

    @property
    def reason_not_to_run(self) -> str:
        """A sentence on why it is not run, empty where it may be."""
        if self.problems:
            return "It was not run for this preview, because not all that it does could be rolled back."
        if self.estimate is not None and self.estimate > MAX_ESTIMATE:
            return f"It was not run for this preview: the planner expects {self.estimate:,.0f} rows."
        return ""

    @property
    def runnable(self) -> bool:
        """Whether it may be run; it is only where the planner had no objection either."""
        return self.change is not None and self.estimate is not None and not self.reason_not_to_run

    @property
    def readable(self) -> bool:
        """Whether the same rows may be read: what forbids running it is not part of reading."""
        query = rows_of_change(self.piece, "ctid")
        called = function_names(query) if query else None
        return not any(
            (problem.read or problem.plan)
            and not (problem.call and called is not None and problem.call not in called)
            for problem in self.problems
        )


class _Maker:
    """Makes one preview, see `make_preview`."""

    def __init__(
        self,
        talk: Talk,
        snapshot: Snapshot,
        parts: Sequence[Piece],
        statements: Sequence[Statement],
        options: Options,
        draft: _Draft,
    ) -> None:
        self._talk = talk
        self._snapshot = snapshot
        self._parts = parts
        self._statements = statements
        self._options = options
        self._draft = draft
        self._reached = Reach({})
        self._digest = ""
        self._failed = False

    async def make(self) -> None:
        """Fill the draft. Raises ServerError, ConnectionError."""
        draft, snapshot = self._draft, self._snapshot
        if len(self._parts) != len(self._statements) or len(self._parts) > MAX_STATEMENTS:
            draft.note("No preview: the message holds too many statements.")
            return
        if snapshot.in_transaction:
            draft.note(
                "It was sent inside an open transaction: what that transaction has changed so far is not seen here."
            )
        async with nothing_stays(self._talk, snapshot.settings, write=False):
            self._digest = await definitions(self._talk, self._statements)
            if snapshot.definitions and self._digest != snapshot.definitions:
                draft.note(_OTHER_DEFINITIONS)
                return
            subjects = await self._look()
        if self._options.preview == "rows":
            await self._count(subjects)
        if self._options.undo:
            async with nothing_stays(self._talk, snapshot.settings, write=False):
                draft.undo, draft.undo_problem = await foreseen(
                    self._talk, snapshot.sql, snapshot.parameters, self._statements
                )

    async def _look(self) -> list[_Subject]:
        """What can be found out without running anything."""
        talk, draft = self._talk, self._draft
        version = number(await ask_one(talk, _VERSION))
        reached = self._reached = await reach(talk, relation_names(effects_of(self._statements)))
        subjects = []
        for piece, statement in zip(self._parts, self._statements, strict=True):
            subject = _Subject(piece, statement, relation=_target(piece, statement, reached))
            subjects.append(subject)
            if piece.kind in PLANNED:
                subject.problems += statement_problems(statement)
                subject.problems += await self._in_definitions(subject)
                await self._explain(subject)
            if piece.kind not in CHANGES:
                found = await describe(talk, piece, statement, reached)
                draft.objects += found.objects
                draft.note(*found.notes)
            elif subject.relation is not None:
                subject.change = await rows.the_change(
                    talk, piece, self._snapshot.parameters, subject.relation, version
                )
        return subjects

    async def _in_definitions(self, subject: _Subject) -> list[Problem]:
        """What stands in the definitions of the tables that it reaches."""
        start: dict[int, frozenset[str]] = {}
        for effect in subject.statement.effects:
            name, events = name_of(effect), _EVENTS.get(effect.action)
            for relation in self._reached.find(name) if name and events else ():
                start[relation.oid] = start.get(relation.oid, frozenset()) | (events or frozenset())
        given: dict[int, tuple[str, ...]] = {}
        if subject.relation is not None:
            target = subject.relation.oid
            if subject.piece.uses_default:
                start[target] = start.get(target, frozenset()) | {DEFAULT}
            given = dict.fromkeys((one.oid for one in self._reached.tree(target)), subject.piece.given)
        happening = self._reached.spread(start)
        reading = self._reached.spread({oid: frozenset({READ}) for oid in start})
        return await table_problems(self._talk, self._reached, happening, reading, given)

    async def _explain(self, subject: _Subject) -> None:
        draft = self._draft
        if subject.piece.kind not in CHANGES:
            draft.note(*(problem.text for problem in subject.problems))
        in_the_way = [problem.text for problem in subject.problems if problem.plan]
        if in_the_way:
            draft.note("It was not planned, because planning may run code.", *in_the_way)
            return
        try:
            async with attempt(self._talk):
                plan, subject.estimate = await explain(self._talk, subject.piece, self._snapshot.parameters)
        except ServerError as error:
            draft.note(f"It could not be planned: {_why(error)}.")
            return
        draft.plans.append(plan)
        if subject.estimate is not None:
            draft.estimate = (draft.estimate or 0) + subject.estimate

    async def _count(self, subjects: Sequence[_Subject]) -> None:
        """Run the changes that may be run, in order; read the rows of the first that may not."""
        draft = self._draft
        ran = any(subject.runnable for subject in subjects)
        async with nothing_stays(self._talk, self._snapshot.settings, write=ran):
            if ran and await definitions(self._talk, self._statements) != self._digest:
                # What was found harmless is not what would run now.
                draft.note(_OTHER_DEFINITIONS)
                return
            all_ran = True
            for subject in subjects:
                count, was_run = await self._count_one(subject) if all_ran else (None, False)
                draft.rows.append(count)
                all_ran = all_ran and (was_run or subject.piece.kind in _CHANGES_NOTHING)
            if not all_ran and len(subjects) > 1:
                draft.note("What comes after a statement that was not run was not counted.")
            if ran and not self._failed:
                targets = {subject.relation.oid for subject in subjects if subject.relation}
                besides = [r for r in self._reached.relations.values() if self._is_aside(r, targets)]
                for change in await rows.changed_besides(self._talk, besides):
                    draft.note(f"It also changes {change}.")

    async def _count_one(self, subject: _Subject) -> tuple[int | None, bool]:
        """(rows, whether it was run) of one statement."""
        draft, change = self._draft, subject.change
        if subject.piece.kind not in CHANGES:
            return None, False
        unplanned = subject.estimate is None and not subject.problems
        if change is None or unplanned:
            draft.note("Its rows were not counted.")
            return None, False
        reason = subject.reason_not_to_run
        if not reason:
            try:
                async with attempt(self._talk):
                    found = await rows.run(self._talk, change)
            except ServerError as error:
                self._failed = True
                if error.sqlstate not in _WHY:
                    draft.note(f"It would fail: {_why(error)}.")
                    return None, False
                reason = f"It could not be run for this preview: {_why(error)}."
            else:
                self._show(found)
                if found.rows is None:
                    draft.note("Its rows were not counted: its command tag does not tell them all.")
                return found.rows, True
        draft.note(reason, *(problem.text for problem in subject.problems))
        return await self._read(subject, change), False

    async def _read(self, subject: _Subject, change: rows.Change) -> int | None:
        """How many rows there are, without changing them."""
        if subject.readable:
            try:
                async with attempt(self._talk):
                    found = await rows.read(self._talk, change)
            except ServerError as error:
                self._draft.note(f"Its rows were not counted: {_why(error)}.")
                return None
            if found.rows is not None:
                self._show(found)
                self._draft.note(
                    "Its rows were counted by reading them: what triggers and constraints do is not in it."
                )
                return found.rows
        self._draft.note("Its rows were not counted.")
        return None

    def _show(self, found: rows.Found) -> None:
        if found.table is not None:
            self._draft.tables.append(found.table)

    def _is_aside(self, relation: Relation, targets: set[int]) -> bool:
        """Whether what happens to a relation is not told by the count of the statement."""
        through = frozenset({"child", "view"})
        within = {one.oid for target in targets for one in self._reached.tree(target, through)}
        return relation.holds_rows and relation.oid not in within


_OTHER_DEFINITIONS = (
    "No preview: the agent's session sees other definitions than a new session does (a temporary table, what its open"
    " transaction has changed), or they have changed since."
)

_CHANGES_NOTHING = frozenset({"SelectStmt", "VariableShowStmt"})

_EVENTS = {
    "select": frozenset({READ}),
    "lock_rows": frozenset({READ}),
    "insert": frozenset({"insert", READ}),
    "update": frozenset({"update", READ}),
    "delete": frozenset({"delete", READ}),
    "merge": frozenset({READ}),
}


def _target(piece: Piece, statement: Statement, reached: Reach) -> Relation | None:
    """The one relation that a change is about; None where its name may mean several."""
    wanted = piece.target.get("relname")
    found = {
        relation.oid: relation
        for effect in statement.effects
        if effect.action in ("insert", "update", "delete", "merge")
        and effect.object
        and effect.object[-1] == wanted
        for relation in reached.find(name_of(effect) or ("", ""))
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _why(error: ServerError) -> str:
    return _WHY.get(error.sqlstate) or f"the server says: {error} ({error.sqlstate})"
