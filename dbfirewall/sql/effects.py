"""What one statement has been found to do so far: effects, and the base relations it reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dbfirewall.catalog.builtin import SYSTEM_SCHEMAS
from dbfirewall.catalog.types import Function
from dbfirewall.errors import DbfirewallError
from dbfirewall.sql.facts import Effect
from dbfirewall.sql.functions import action_of, harmless_in_view
from dbfirewall.sql.names import Names, ObjectName
from dbfirewall.sql.nodes import Tree
from dbfirewall.sql.scopes import Table, spelled_out

MAX_STEPS = 250_000
"""Security limit: how many items, levels and columns may be looked at for one statement, about half a second of work.

A search costs names x relations in sight; a report of 200 lines needs some thousand steps.
"""


class TooManyNamesError(DbfirewallError):
    """A statement needs more than MAX_STEPS."""


class Effects:
    """Collects the effects of one statement.

    `names`: how its names resolve. `literal_sensitive`: whether an effect was read off a literal.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.literal_sensitive = False
        self._effects: list[Effect] = []
        self._tables: list[Table] = []
        self._implicit_casts = False
        self._budget = MAX_STEPS
        self._looked_behind: set[tuple[str, str]] = set()

    @property
    def size(self) -> int:
        """How many effects have been found: two readings of it tell whether something was found in between."""
        return len(self._effects) + sum(table.read or table.touched for table in self._tables)

    def spend(self, steps: int) -> None:
        """Pay for a search whose cost is not linear in the text; raises TooManyNamesError at the limit."""
        self._budget -= steps
        if self._budget < 0:
            raise TooManyNamesError

    def add(
        self,
        action: str,
        objects: Iterable[ObjectName] = ((),),
        kind: str = "",
        *,
        columns: tuple[str, ...] | None = None,
        where: bool = True,
        detail: str = "",
        value: str | None = None,
    ) -> None:
        """One effect for each object that the statement may mean."""
        self._effects.extend(Effect(action, o, kind, columns, where, detail, value) for o in objects)

    def unknown(self, what: str) -> None:
        """The statement has a part whose meaning is not established."""
        self.add("unknown", detail=what)

    def table(self, relation: Tree, *, read: bool) -> Table:
        """The base relation that a RangeVar names; `read` where it is read even without any column."""
        found = self.names.relation(relation.get("schemaname"), str(relation.get("relname", "")))
        table = Table(found, read=read)
        self.spend(1 + len(table.known or ()))
        self._tables.append(table)
        self._run_hidden(table)
        return table

    def write(
        self, action: str, table: Table, columns: set[str], *, where: bool = True, detail: str = ""
    ) -> None:
        """A change of a base relation, of `columns` (`*`: all)."""
        kind = table.relation.kind if table.relation else ""
        spelled = spelled_out(columns, table.known)
        self.add(action, table.objects, kind, columns=spelled, where=where, detail=detail)

    def run(self, function: Function, detail: str) -> None:
        """A function that no call names runs (an operator's, a cast's, a view's)."""
        action = action_of(function.name, builtin=function.builtin)
        self.add(action, ((function.schema, function.name),), "function", detail=detail)

    def finish(self, context: str = "") -> tuple[Effect, ...]:
        """Everything found, each once. `context` ("explain") is put in front of each effect's detail."""
        reads: dict[ObjectName, set[str]] = {}
        kinds: dict[ObjectName, Table] = {}
        for table in self._tables:
            if table.read or table.touched:
                for name in table.objects:
                    reads.setdefault(name, set()).update(table.columns, ("*",) if table.every else ())
                    kinds[name] = table
        selects = []
        for name, columns_read in reads.items():
            relation = kinds[name].relation
            spelled = spelled_out(columns_read, relation.columns if relation else None)
            selects.append(Effect("select", name, relation.kind if relation else "", spelled))
        found = dict.fromkeys((*self._effects, *selects))
        if not context:
            return tuple(found)
        return tuple(replace(e, detail=f"{context}: {e.detail}" if e.detail else context) for e in found)

    def run_implicit_casts(self) -> None:
        """The functions that any expression may run, by implicit casts between built-in types."""
        if not self._implicit_casts:
            self._implicit_casts = True
            self._run_all(self.names.catalog.implicit_calls, "implicit cast")

    def _run_hidden(self, table: Table) -> None:
        """What a view, or implicit casts of a table's columns, run. System views run what Postgres put there."""
        relation = table.relation
        if (
            relation is None
            or relation.schema in SYSTEM_SCHEMAS
            or (relation.schema, relation.name) in self._looked_behind
        ):
            return
        self._looked_behind.add((relation.schema, relation.name))
        name = Effect("", (relation.schema, relation.name)).object_name
        self._run_all(relation.calls, f"through {relation.kind} {name}")

    def _run_all(self, calls: Iterable[tuple[str, str]], detail: str) -> None:
        for schema, name in calls:
            overloads = self.names.functions(schema, name)
            if not overloads:
                self.add("call", ((schema, name),), "function", detail=detail)
            for function in overloads:
                if not harmless_in_view(function):
                    self.run(function, detail)
