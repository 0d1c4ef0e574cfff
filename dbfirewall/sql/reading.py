"""The raw facts of one message, before names are resolved: what the parser witnesses must agree on.

`Summary` is the common denominator of libpg_query's tree and sqlglot's tree. Both extractors produce one, in the
same terms, and `agreement.py` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dbfirewall.sql.facts import Refusal

RawName = tuple[str | None, str]
"""(schema or None, name) as written and folded, unresolved."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What both parsers must say of one statement.

    `kind`: `select`, `insert`, `update`, `delete`, `merge`, or the utility's kind.
    `reads`: relations read (FROM, USING, joins, sub-selects; CTE references left out, by scope).
    `writes`: (`insert`|`update`|`delete`|`merge`, relation) of every data-modifying part, CTEs included.
    `calls`: last parts of the names of functions called with a parenthesised argument list.
    `locks`: whether a row-locking clause is present.
    """

    kind: str
    reads: frozenset[RawName] = frozenset()
    writes: frozenset[tuple[str, RawName]] = frozenset()
    calls: frozenset[str] = frozenset()
    locks: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement: libpg_query's node (the dict below `stmt`, e.g. `{"SelectStmt": {…}}`)."""

    tree: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One message read by all witnesses, independent of catalog and role (so it can come from a worker).

    `statements` is empty for an empty query. `template`: the literal-free text, or None where there is none.
    """

    statements: tuple[Parsed, ...] = ()
    refusal: Refusal | None = None
    template: bytes | None = None
