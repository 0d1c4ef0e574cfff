"""Names as rules write them: identifiers folded as Postgres folds them, and patterns over qualified names.

A pattern is a dotted name whose parts may hold the globs `*` and `?`: `public.orders`, `reporting.*`,
`public."Order Items"`, `*`. An unquoted part is lower-cased (ASCII letters only, as Postgres does for UTF-8
databases); a quoted part is kept as it is and holds no globs. The pattern `*` alone matches every object,
known or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from dbfirewall.sql.virtual import SCHEMA, TABLES

_UPPER = {ord(upper): ord(upper) + 32 for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_PART = re.compile(r'"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^."\s\'(),;]+)')

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast"})
"""Schemas of the server itself: only a pattern that names schema or object outright reaches into them."""

MAX_IDENTIFIER_BYTES = 63
"""NAMEDATALEN - 1: Postgres cuts longer names."""

Object = tuple[str | None, ...]


def fold(identifier: str) -> str:
    """`identifier` as Postgres folds an unquoted one: ASCII upper case becomes lower case, nothing else."""
    return identifier.translate(_UPPER)


def split_name(text: str) -> tuple[tuple[str, bool], ...]:
    """The parts of a dotted name, folded, each with whether it was quoted. Raises ValueError."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while match := _PART.match(text, at):
        quoted = match["quoted"]
        name = fold(match["plain"]) if quoted is None else quoted.replace('""', '"')
        if len(name.encode()) > MAX_IDENTIFIER_BYTES:
            msg = f"{name!r} is longer than {MAX_IDENTIFIER_BYTES} bytes, and would never match a name"
            raise ValueError(msg)
        parts.append((name, quoted is not None))
        at = match.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            break
        at += 1
    msg = f"{text!r} is not a name: write schema.name, and quote a part that holds other characters"
    raise ValueError(msg)


def identifier(text: str) -> str:
    """One folded identifier. Raises ValueError for anything else, globs included."""
    parts = split_name(text)
    if len(parts) != 1:
        msg = f"{text!r} has {len(parts)} parts: one name is wanted here"
        raise ValueError(msg)
    name, quoted = parts[0]
    if not quoted and ("*" in name or "?" in name):
        msg = f"{text!r} is a pattern: one name is wanted here"
        raise ValueError(msg)
    return name


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a pattern: a literal name, or a glob."""

    text: str
    glob: re.Pattern[str] | None = None

    def matches(self, name: str) -> bool:
        """Whether this part matches the folded `name`."""
        return self.text == name if self.glob is None else self.glob.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern over object names; `text` is what the rules file says."""

    text: str
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def everything(self) -> bool:
        """Whether this is `*`."""
        return self.text == "*"

    @property
    def literal(self) -> tuple[str, ...] | None:
        """The one name that this pattern matches, where it has no globs."""
        if any(part.glob for part in self.parts):
            return None
        return tuple(part.text for part in self.parts)

    def matches(self, name: Object, *, reach: bool = False) -> bool:
        """Whether `name` surely is meant. An unknown part (None) is matched by `*` alone.

        `reach`: into system schemas too.
        """
        if self.everything:
            return reach or not reserved(name)
        if len(name) != len(self.parts) or not (reach or self._names(name)):
            return False
        return all(
            given is not None and part.matches(given) for part, given in zip(self.parts, name, strict=True)
        )

    def may_match(self, name: Object) -> bool:
        """Whether `name` could be meant: an unknown part, or no name at all, could be. For denials."""
        if self.everything or not name:
            return True
        return len(name) == len(self.parts) and all(
            given is None or part.matches(given) for part, given in zip(self.parts, name, strict=True)
        )

    def matches_parameter(self, name: Object) -> bool:
        """Whether a configuration parameter is meant: its dots, if any, belong to its one name."""
        dotted = ".".join(part or "" for part in name)
        return self.everything or parse_parameter(self.text).matches(fold(dotted))

    def _names(self, name: Object) -> bool:
        """Whether this pattern is outright enough for `name`: only outright ones reach system schemas."""
        return not reserved(name) or any(part.glob is None for part in self.parts)


def reserved(name: Object) -> bool:
    """Whether `name` lies in a schema of the server itself, or is a table of the firewall's."""
    return len(name) == 2 and (name[0] in SYSTEM_SCHEMAS or (name[0] == SCHEMA and name[1] in TABLES))


@lru_cache(maxsize=4096)
def parse_pattern(text: str) -> Pattern:
    """The pattern that `text` writes: one or two parts. Raises ValueError with a sentence for its author."""
    parts = split_name(text)
    if len(parts) > 2:
        msg = f"{text!r} has {len(parts)} parts: write schema.name (and columns under `columns`)"
        raise ValueError(msg)
    return Pattern(text, tuple(_part(name, quoted=quoted) for name, quoted in parts))


@lru_cache(maxsize=4096)
def parse_parameter(text: str) -> Part:
    """`text` as a pattern over configuration parameters, whose names may hold dots."""
    return _part(".".join(name for name, _ in split_name(text)), quoted=False)


def _part(name: str, *, quoted: bool) -> Part:
    if quoted or not ("*" in name or "?" in name):
        return Part(name)
    regex = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in name)
    return Part(name, re.compile(regex, re.DOTALL))


EVERYTHING = parse_pattern("*")
