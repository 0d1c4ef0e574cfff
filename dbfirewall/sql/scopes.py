"""What a column's name means: FROM items, query levels, and the base columns behind them.

Postgres looks for a column in the innermost query level first, then in the levels around it; a name that no
level owns as a column may be a FROM item's own name, and then means its whole row. Where a relation's columns
are not known (offline), a name counts as a column of every such relation that could own it.

Source: parse_relation.c and parse_expr.c of PostgreSQL, transformColumnRef.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dbfirewall.catalog.types import Relation
from dbfirewall.sql.facts import ALL_COLUMNS
from dbfirewall.sql.names import Found, ObjectName

SYSTEM_COLUMNS = ("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax")
_EVERY = "*"


class Ownership(Enum):
    """Whether a FROM item has a column of some name."""

    YES = 1
    MAYBE = 2
    NO = 3


class Table:
    """One base relation in a statement, and which of its columns the statement reads.

    `read`: whether it is read even where no column is (`SELECT count(*) FROM t`).
    `hits`: counts references that surely mean this relation; see `Level.touch`.
    """

    __slots__ = ("columns", "every", "hits", "known", "objects", "read", "relation")

    def __init__(self, found: Found, *, read: bool) -> None:
        self.objects: tuple[ObjectName, ...] = found.objects
        self.relation: Relation | None = found.relation
        self.known = found.relation.columns if found.relation else None
        self.read = read
        self.columns: set[str] = set()
        self.every = False
        self.hits = 0

    def touch(self, column: str) -> None:
        """The statement reads `column`, or every column for `*`."""
        if column == _EVERY:
            self.every = True
        else:
            self.columns.add(column)

    @property
    def touched(self) -> bool:
        """Whether any column is read."""
        return self.every or bool(self.columns)


def spelled_out(columns: set[str], known: tuple[str, ...] | None) -> tuple[str, ...]:
    """Column names in order, `*` replaced by the columns that it means where those are known."""
    if _EVERY not in columns:
        return tuple(sorted(columns))
    if known is None:
        return ALL_COLUMNS
    return tuple(sorted((columns - {_EVERY}) | set(known)))


Source = tuple[Table, str]
"""A base column: `(table, "name")`, or `(table, "*")` where it may be any."""


@dataclass(slots=True)
class Columns:
    """Output columns of a query or an item, in order, with the base columns to touch when one is referred to.

    `open`: there may be more than these, under unknown names.
    """

    named: list[tuple[str, tuple[Source, ...]]] = field(default_factory=list)
    open: bool = False
    _by_name: dict[str, tuple[Source, ...]] | None = field(default=None, init=False, repr=False)

    def __contains__(self, name: str) -> bool:
        return name in self._index()

    def sources(self, name: str) -> tuple[Source, ...]:
        """What to touch for the columns of a name (there may be several of one name)."""
        return self._index().get(name, ())

    def _index(self) -> dict[str, tuple[Source, ...]]:
        # Made at the first question, which comes when all columns are there.
        if self._by_name is None:
            self._by_name = {}
            for name, sources in self.named:
                self._by_name[name] = self._by_name.get(name, ()) + sources
        return self._by_name

    @classmethod
    def of(cls, names: Iterable[str], *, more: bool = False) -> Columns:
        """Columns that are no base columns (those of sub-queries, whose own reading is counted inside)."""
        return cls([(name, ()) for name in names], more)

    def renamed(self, aliases: Sequence[str], tables: Sequence[Table] = ()) -> Columns:
        """As `AS t(a, b)` names them: by position where that is known, else any column of `tables`."""
        if not aliases:
            return self
        if self.open:
            anything = tuple((table, _EVERY) for table in tables)
            return Columns([(alias, anything) for alias in aliases], open=True)
        rest = self.named[len(aliases) :]
        return Columns([(a, s) for a, (_, s) in zip(aliases, self.named, strict=False)] + rest)


@dataclass(slots=True)
class Item:
    """One FROM item, under the name that qualified references use.

    `tables`: base relations whose row is the item's row (none for a sub-query: its reading counts inside).
    `unknown`: those of them whose columns are not known: any name may be theirs.
    `schemas`: for a relation without alias, the schemas it may be qualified with.
    `lockable`: base relations that FOR UPDATE of this item locks.
    `hidden`: visible to qualified names only (`excluded`, `old`, `new`).
    """

    name: str
    columns: Columns
    tables: tuple[Table, ...] = ()
    unknown: tuple[Table, ...] = ()
    schemas: tuple[str | None, ...] = ()
    lockable: tuple[Table, ...] = ()
    hidden: bool = False
    system: tuple[Table, ...] = ()

    @classmethod
    def base(cls, table: Table, name: str, aliases: Sequence[str] = (), *, hidden: bool = False) -> Item:
        """A relation in FROM, or the target of a statement."""
        schemas = tuple(entry[0] for entry in table.objects)
        if table.known is None:
            columns = Columns(open=True).renamed(aliases, (table,))
            return cls(name, columns, (table,), (table,), schemas, (table,), hidden)
        columns = Columns([(column, ((table, column),)) for column in table.known]).renamed(aliases)
        is_view = table.relation is not None and table.relation.kind == "view"
        return cls(name, columns, (table,), (), schemas, (table,), hidden, () if is_view else (table,))

    def touch(self, column: str) -> Ownership:
        """Read `column` of this item if it has one."""
        if column in self.columns:
            for table, base in self.columns.sources(column):
                table.touch(base)
            return Ownership.YES
        if column in SYSTEM_COLUMNS and self.system:
            for table in self.system:
                table.touch(column)
            return Ownership.YES
        for table in self.unknown:
            table.touch(column)
        return Ownership.MAYBE if self.columns.open else Ownership.NO

    def owns(self, column: str) -> Ownership:
        """What `touch` would answer."""
        if column in self.columns:
            return Ownership.YES
        if column in SYSTEM_COLUMNS and self.system:
            return Ownership.YES
        return Ownership.MAYBE if self.columns.open else Ownership.NO

    def read_row(self) -> None:
        """Read every column."""
        for table in self.tables:
            table.touch(_EVERY)

    def hit(self) -> None:
        """A reference surely meant this item."""
        for table in self.tables:
            table.hits += 1


@dataclass(slots=True)
class Level:
    """One query level: its FROM items, and the level around it."""

    items: list[Item]
    parent: Level | None = None
    _by_name: dict[str, list[Item]] = field(default_factory=dict, init=False, repr=False)
    _indexed: int = field(default=0, init=False, repr=False)

    def outwards(self) -> Iterator[Level]:
        """This level and those around it."""
        level: Level | None = self
        while level is not None:
            yield level
            level = level.parent

    def width(self) -> int:
        """How many items and levels a search may look at: its cost."""
        return sum(1 + len(level.items) for level in self.outwards())

    def touch(self, column: str) -> Ownership:
        """Read the column that an unqualified name means, in every item that could own it.

        A hit is counted where the name surely means an item, or where it may mean one of this very level:
        what an inner query's name may mean outside of it proves no WHERE.
        """
        best = Ownership.NO
        for level in self.outwards():
            visible = [item for item in level.items if not item.hidden]
            owners = [item for item in visible if item.owns(column) is Ownership.YES]
            possible = owners or [item for item in visible if item.owns(column) is Ownership.MAYBE]
            for item in possible:
                item.touch(column)
                if best is Ownership.NO and (owners or level is self):
                    item.hit()
            if owners:
                return Ownership.YES
            if possible:
                best = Ownership.MAYBE
        return best

    def item(self, name: str, schema: str | None = None) -> Item | None:
        """The FROM item that a qualifier means."""
        for level in self.outwards():
            for item in level.named(name):
                if schema is None or schema in item.schemas:
                    return item
        return None

    def named(self, name: str) -> list[Item]:
        """This level's items of a name. FROM lists grow while they are read, so new items are indexed then."""
        for item in self.items[self._indexed :]:
            self._by_name.setdefault(item.name, []).append(item)
        self._indexed = len(self.items)
        return self._by_name.get(name, [])

    def read_everything(self) -> None:
        """A reference that nothing here explains may be anything: read every row in sight."""
        for level in self.outwards():
            for item in level.items:
                item.read_row()

    def touch_anywhere(self, column: str) -> None:
        """A column that the snapshot does not have: it may be new, of any relation in sight."""
        for level in self.outwards():
            for item in level.items:
                for table in item.tables:
                    table.touch(column)
