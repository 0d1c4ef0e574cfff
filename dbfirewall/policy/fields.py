"""Field types of the rules file, and the errors that its models raise for the loader to place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator
from pydantic_core import PydanticCustomError

from dbfirewall.policy.names import Pattern, identifier, parse_pattern
from dbfirewall.policy.units import Rate, parse_duration, parse_hold, parse_rate
from dbfirewall.sql.actions import ACTIONS, EVERYTHING, GROUPS

GROUP_NAMES = frozenset(GROUPS) | {"*", EVERYTHING}

RELATION_ACTIONS = frozenset(
    {"select", "insert", "update", "delete", "merge", "truncate", "copy_from", "nextval", "setval",
     "lock_rows", "lock_table", "refresh", "vacuum", "analyze", "cluster", "call", "read", "write", "lock"}
)  # fmt: skip
"""Actions and groups whose objects are always `schema.name`."""

KIND_ACTIONS = frozenset({"create", "alter", "drop", "comment"})
"""Actions whose objects are of many kinds."""

RELATION_KINDS = frozenset(
    {"table", "view", "materialized view", "index", "sequence", "function", "procedure", "aggregate", "type",
     "domain", "foreign table", "trigger", "rule", "policy", "statistics"}
)  # fmt: skip
"""Kinds whose objects are always `schema.name`."""

FUNCTION_ACTIONS = frozenset({"advisory_lock", "egress", "replication"})
"""Actions that built-in functions may stand for: the action's name is outright enough to mean those."""

PARAMETER_ACTIONS = frozenset({"set", "reset", "show"})
"""Actions whose object is a configuration parameter, dots and all."""

COLUMN_ACTIONS = frozenset({"select", "insert", "update", "copy_from"})
"""Actions that are decided column by column."""

WHERE_ACTIONS = frozenset({"update", "delete"})
"""Actions that `require_where` speaks of."""

ROW_ACTIONS = frozenset({"insert", "update", "delete", "merge"})
"""Actions that `max_rows_affected` speaks of."""

UNCOUNTED_ACTIONS = frozenset({"truncate", "copy_from"})
"""Actions that change rows, and whose number nobody can hold against a cap before it is too late."""

UNDO_ACTIONS = frozenset({"update", "delete", "merge", "truncate", "drop"})
"""Actions that take away rows which `undo: rows` can keep."""

USER_SCHEMA = "$user"
"""In a search_path: the schema that is named like the login."""

TIMEOUTS = frozenset(
    {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"}
)
"""The server's timeouts: limits of a role, which a session may shorten, but not exceed nor switch off."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in a rules file something stands. `line` and `column` count from 1; 0 is not known."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def nearest(word: str, words: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with the nearest of `words`, or nothing."""
    close = difflib.get_close_matches(word, sorted(words), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def rules_error(message: str, *, key: str = "") -> PydanticCustomError:
    """An error whose place in the file is the mapping key `key` (or the value itself)."""
    return PydanticCustomError("rules", "{message}", {"message": message, "key": key})


def _several(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        if not value:
            raise rules_error("an empty list means nothing: leave the key out, or name something")
        return tuple(value)
    return value


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _action(value: object) -> str:
    if isinstance(value, str) and (value in ACTIONS or value in GROUP_NAMES):
        return value
    raise rules_error(f"unknown action {value!r}{nearest(str(value), ACTIONS | GROUP_NAMES)}")


def _pattern(value: object) -> Pattern:
    if isinstance(value, str):
        return parse_pattern(value)
    raise rules_error(f"a pattern is a text such as public.orders, not {value!r}")


def _column(value: object) -> str:
    name = identifier(value) if isinstance(value, str) and value != "*" else value
    if not isinstance(name, str) or (name == "*" and value != "*"):
        raise rules_error(f"{value!r} cannot be named as a column")
    return name


def _schema(value: object) -> str:
    """A schema of a search_path, folded; `$user` stands for the name of the role's own login."""
    if not isinstance(value, str):
        raise rules_error(f"a schema's name is a text, not {value!r}")
    return value if value == USER_SCHEMA else identifier(value)


Several = BeforeValidator(_several)
Listed = BeforeValidator(_listed)
Texts = Annotated[tuple[str, ...], Several]
Actions = Annotated[tuple[Annotated[str, PlainValidator(_action)], ...], Several]
Patterns = Annotated[tuple[Annotated[Pattern, PlainValidator(_pattern)], ...], Several]
Columns = Annotated[tuple[Annotated[str, PlainValidator(_column)], ...], Several]
Schemas = Annotated[tuple[Annotated[str, PlainValidator(_schema)], ...], Listed]
Duration = Annotated[int, PlainValidator(parse_duration)]
Hold = Annotated[int, PlainValidator(parse_hold)]
Frequency = Annotated[Rate, PlainValidator(parse_rate)]
