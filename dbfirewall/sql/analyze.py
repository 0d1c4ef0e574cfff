"""`Reading` and `Scope` → `Analysis`. Pure, and total: whatever the trees hold, facts or a refusal come out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from dbfirewall.catalog.types import Scope
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.effects import TooManyNamesError
from dbfirewall.sql.facts import Analysis, Effect, Refusal, Statement
from dbfirewall.sql.names import Names
from dbfirewall.sql.nodes import UnexpectedNodeError, unknown_in, unwrap
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Reading
from dbfirewall.sql.shapes import Shape
from dbfirewall.sql.statements import describe

_COUNTED = frozenset({"insert", "update", "delete", "merge"})
_CATALOG_CHANGES = frozenset({"create", "alter", "drop", "code"})


def analyze(sql: bytes, scope: Scope) -> Analysis:
    """What the message `sql` does, in a session whose names resolve as `scope` says."""
    return resolve(read(sql), scope)


def resolve(reading: Reading, scope: Scope) -> Analysis:
    """The facts of a text that all witnesses have read. Never raises."""
    if reading.refusal is not None:
        return Analysis(refusal=reading.refusal, literal_sensitive=True)
    statements: list[Statement] = []
    for parsed in reading.statements:
        try:
            statement = _statement(parsed.tree, scope)
        except RecursionError:
            return _refused("too-deep", "the statement is nested too deeply")
        except TooManyNamesError:
            return _refused("too-long", "the statement refers to too many names of too many relations")
        statements.append(statement)
        if _moves_names(statement):
            # What follows in the same message runs under a search_path that is not known now.
            scope = replace(scope, search_path=None)
    return Analysis(tuple(statements), literal_sensitive=any(s.literal_sensitive for s in statements))


def _statement(tree: Any, scope: Scope) -> Statement:
    problem = unknown_in(tree)
    if problem is not None or not tree:
        return _unknown(problem or "nothing")
    collected = Changes(Names(scope))
    try:
        shape = describe(collected, *unwrap(tree))
    except UnexpectedNodeError as error:
        return _unknown(str(error))
    effects = collected.finish(shape.context)
    return Statement(
        kind=shape.kind,
        effects=effects,
        returns_rows=shape.returns_rows,
        tags=shape.answers,
        literal_sensitive=collected.literal_sensitive or not shape.plain,
        changes_catalog=any(_changes_catalog(effect) for effect in effects),
        copy_from_stdin=shape.copy_from_stdin,
        prepares=shape.prepares,
        inner_tags=shape.inner_tags,
        inner_rows=shape.inner_rows,
        count=_count(collected.changing, shape),
    )


def _count(changing: int, shape: Shape) -> Literal["told", "hidden", "none"]:
    """See `Statement.count`; `changing`: how many of its parts modify data."""
    if not shape.runs:
        return "none"
    return "told" if changing == 1 and shape.kind in _COUNTED else "hidden"


def _refused(code: str, reason: str) -> Analysis:
    return Analysis(refusal=Refusal(code, reason, allowable=True), literal_sensitive=True)


def _unknown(what: str) -> Statement:
    return Statement("unknown", (Effect("unknown", detail=what),), literal_sensitive=True)


def _changes_catalog(effect: Effect) -> bool:
    return effect.action in _CATALOG_CHANGES or (effect.action == "call" and effect.kind == "procedure")


def _moves_names(statement: Statement) -> bool:
    """Whether later statements of the message may resolve names otherwise."""
    for effect in statement.effects:
        if effect.action in ("set", "reset") and effect.object in (("search_path",), ("all",), (None,)):
            return True
        if effect.action in ("discard", "code", "set_role", "set_session_authorization"):
            return True
        if effect.action == "call" and effect.kind == "procedure":
            return True
    return False
