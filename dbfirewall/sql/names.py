"""Names → objects: the search_path rules of Postgres over a catalog snapshot.

What can't be told stays open on the safe side: a name that several schemas may own gives one object for each
of them, and behind an unknown search_path the schema is None. So a rule must allow every possible meaning.

Source: https://www.postgresql.org/docs/current/ddl-schemas.html#DDL-SCHEMAS-PATH
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dbfirewall.catalog.builtin import SYSTEM_SCHEMAS
from dbfirewall.catalog.types import Function, Relation, Scope
from dbfirewall.sql.functions import harmless

ObjectName = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a relation's name may mean: every possible object; the relation where it is one, known."""

    objects: tuple[ObjectName, ...]
    relation: Relation | None = None


class Names:
    """Resolution of names for one session's scope."""

    def __init__(self, scope: Scope) -> None:
        self.catalog = scope.catalog
        self.path = scope.search_path
        self._scope = scope
        self._new_schema: str | None = None
        # Where functions, operators and relations are looked for; None where that is not known.
        self.visible: tuple[str, ...] | None = None
        if self.path is not None:
            implicit = () if "pg_catalog" in self.path else ("pg_catalog",)
            self.visible = tuple(dict.fromkeys((*implicit, *self.path)))

    def inside(self, schema: str) -> Names:
        """The names as the elements of CREATE SCHEMA see them."""
        path = None if self.path is None else (schema, *self.path)
        names = Names(replace(self._scope, search_path=path))
        names._new_schema = schema
        return names

    def relation(self, schema: str | None, name: str) -> Found:
        """The relation that a statement means by `schema.name` or by `name`."""
        relations = self.catalog.relations
        if schema is not None:
            return Found(((schema, name),), relations.get((schema, name)))
        if self.visible is None:
            return Found(((None, name),))
        possible: list[ObjectName] = []
        for candidate in self.visible:
            known = (candidate, name) in relations
            if known or not self._knows_all_of(candidate):
                possible.append((candidate, name))
            if known:
                break
        if not possible:
            possible = [(candidate, name) for candidate in self._own_path()]
        only = relations.get((str(possible[0][0]), name)) if len(possible) == 1 else None
        return Found(tuple(possible) or ((None, name),), only)

    def created(self, schema: str | None, name: str | None) -> tuple[ObjectName, ...]:
        """Where CREATE puts an object of this name: in the first schema of the path that exists."""
        schema = schema or self._new_schema
        if schema is not None:
            return ((schema, name),)
        path = self._own_path()
        if self.catalog.complete:
            path = tuple(entry for entry in path if entry in self.catalog.schemas)[:1] or path
        return tuple((entry, name) for entry in path) or ((None, name),)

    def qualified(self, names: list[str]) -> tuple[ObjectName, ...]:
        """Every object that a name may mean which the catalog does not list (types, collations, …)."""
        *schema, name = names or [""]
        if schema:
            return ((schema[-1], name),)
        return tuple((entry, name) for entry in self._own_path()) or ((None, name),)

    def functions(self, schema: str | None, name: str) -> tuple[Function, ...]:
        """Every overload that a call of `schema.name` or `name` may mean."""
        return tuple(f for f in self.catalog.functions.get(name, ()) if self._sees(schema, f.schema))

    def function_objects(self, schema: str | None, name: str) -> tuple[ObjectName, ...]:
        """The possible objects behind the name of a function that the catalog does not have."""
        return self.qualified([name] if schema is None else [schema, name])

    def operators(self, schema: str | None, symbol: str) -> list[Function]:
        """Functions that need a rule behind user operators of this symbol."""
        found = self.catalog.operators.get(symbol, ())
        return _needing_rule(f for where, f in found if self._sees(schema, where))

    def casts(self, type_name: str) -> list[Function]:
        """Functions that need a rule and that a cast to the type, or to an array of it, may run."""
        found = self.catalog.casts
        return _needing_rule((*found.get(type_name, ()), *found.get(type_name.removeprefix("_"), ())))

    def _sees(self, schema: str | None, where: str) -> bool:
        if schema is not None:
            return schema == where
        return self.visible is None or where in self.visible

    def _own_path(self) -> tuple[str, ...]:
        """The schemas where a name that is nowhere may be meant: the session's path."""
        return self.path or ()

    def _knows_all_of(self, schema: str) -> bool:
        return self.catalog.complete or schema in SYSTEM_SCHEMAS


def _needing_rule(functions: Iterable[Function]) -> list[Function]:
    return list(dict.fromkeys(f for f in functions if not harmless(f)))
