"""What a statement's handler says of the statement as a whole; its effects go into the collector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbfirewall.sql.changes import Changes
from dbfirewall.sql.nodes import Tree


@dataclass(frozen=True, slots=True)
class Shape:
    """The facts of `Statement` that are not effects.

    `tags` None: the first word of `kind`. `plain`: facts can't depend on literals (unless an effect says so).
    `inner_tags`, `inner_rows`: see `Statement`. `context`: goes in front of every effect's detail. `runs`: whether
    what it holds is run at all.
    """

    kind: str
    returns_rows: bool = False
    tags: tuple[str, ...] | None = None
    plain: bool = False
    copy_from_stdin: bool = False
    prepares: str | None = None
    inner_tags: tuple[str, ...] = ()
    inner_rows: bool = False
    context: str = ""
    runs: bool = True

    @property
    def answers(self) -> tuple[str, ...]:
        """First words of the command tags that the server may answer with."""
        return (self.kind.split(" ")[0].upper(),) if self.tags is None else self.tags


Handler = Callable[[Changes, Tree], Shape]
"""Adds the effects of one kind of node, and says what statement it is."""
