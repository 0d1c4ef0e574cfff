"""What a statement does, as plain frozen values: the contract between `sql` (text → facts) and `policy`.

A message is an `Analysis`: a tuple of `Statement`, each a tuple of `Effect`; or a `Refusal` where its meaning is
not established. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ALL_COLUMNS = ("*",)
"""Every column, where the relation's real columns are not known (offline, or unknown to the catalog)."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a statement does to one object.

    `action`: a name of `dbfirewall.sql.actions.ACTIONS`.
    `object`: the object's name in parts, folded as Postgres folds them: `("public", "orders")`,
        `("application_name",)`, `()` where there is none. A part is None where it is not known (a schema
        behind an unknown search_path): None is matched only by the pattern `*`.
    `kind`: the object's kind where an action has several (`table`, `view`, `function`, `schema`, `database`, …).
    `columns`: None where the action is not about columns; `()` where no column is read (`count(*)`);
        `ALL_COLUMNS` where all are and their names are not known; else names, sorted.
    `where`: for update and delete, whether a WHERE restricts it by at least one column.
    `detail`: a few words for people ("FOR UPDATE", "operator <%%>", "through view public.v").
    `value`: for `set`: the new value where it is a constant, else None.
    """

    action: str
    object: tuple[str | None, ...] = ()
    kind: str = ""
    columns: tuple[str, ...] | None = None
    where: bool = True
    detail: str = ""
    value: str | None = None

    @property
    def object_name(self) -> str:
        """The object as one would write it in SQL: `public.orders`, `public."Order Items"`, `?.t`."""
        return ".".join("?" if part is None else quote_identifier(part) for part in self.object)


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement's facts.

    `kind`: lower-case command, as in its command tag where it has one (`select`, `update`, `create table`, …).
    `effects`: everything it does; never empty for a statement that does something.
    `returns_rows`: whether Describe must yield a RowDescription.
    `tags`: first words of the CommandComplete tags that the server may answer with, e.g. `("SELECT",)`.
    `literal_sensitive`: whether these facts could differ for other literals (then no template cache).
    `changes_catalog`: whether running it can change names the catalog snapshot holds (DDL, code).
    `copy_from_stdin`: whether the client is going to send CopyData for it.
    `prepares`: the folded name that a SQL-level PREPARE defines (its inner effects are in `effects`).
    `inner_tags`, `inner_rows`: `tags` and `returns_rows` of what a PREPARE prepares.
    `count`: whether its command tag tells how many rows it changes in all, or does not, or there are none.
    """

    kind: str
    effects: tuple[Effect, ...]
    returns_rows: bool = False
    tags: tuple[str, ...] = ()
    literal_sensitive: bool = False
    changes_catalog: bool = False
    copy_from_stdin: bool = False
    prepares: str | None = None
    inner_tags: tuple[str, ...] = ()
    inner_rows: bool = False
    count: Literal["told", "hidden", "none"] = "hidden"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a text has no facts. `syntax`: it does not parse (42601); else it is not understood (0A000).

    `code`: a stable word for metrics and audit: `syntax`, `encoding`, `too-long`, `too-deep`,
    `disagreement`, `unknown-construct`, `parser-failure`, `timeout`, `virtual`.
    `reason`: one sentence for the agent; never quotes more than a few words of its text.
    `allowable`: whether a rule that names `unknown` may let the text run all the same. Not so where the scanner
    refuses it: that is no text of SQL at all.
    """

    code: str
    reason: str
    allowable: bool = False

    @property
    def syntax(self) -> bool:
        """Whether the text is simply no SQL (42601), rather than SQL that is not understood (0A000)."""
        return self.code in ("syntax", "encoding")


@dataclass(frozen=True, slots=True)
class Analysis:
    """The facts of one message's text. `refusal` set means: nothing is known, refuse the whole of it."""

    statements: tuple[Statement, ...] = ()
    refusal: Refusal | None = None
    literal_sensitive: bool = False


def quote_identifier(name: str) -> str:
    """`name` as a SQL identifier, quoted only where that is needed."""
    plain = name[:1].isalpha() or name[:1] == "_"
    if (
        plain
        and name.isascii()
        and name.lower() == name
        and name.replace("_", "a").replace("$", "a").isalnum()
    ):
        return name
    return '"' + name.replace('"', '""') + '"'
