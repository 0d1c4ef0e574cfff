"""From kept rows to SQL that puts them back. Pure.

All names are qualified, and every value is a quoted literal, safe whatever it holds and whatever
standard_conforming_strings says. Rows that were deleted are inserted again; rows that were changed are changed back
where they still are as the statement left them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from dbfirewall.preview.columns import CANONICAL
from dbfirewall.preview.text import quoted

VERSION = 1

_SETTINGS = tuple(
    f"SET LOCAL {name} = '{value}'" for name, value in {**CANONICAL, "xmloption": "content"}.items()
)


def restore_statements(documents: Sequence[str]) -> tuple[str, ...]:
    """The statements that restore the rows of `documents`, to be run in one transaction, in this order.

    The tags of INSERT and UPDATE tell how many rows each has restored. Raises ValueError for a document that is none.
    """
    found = [_statement(_read(document)) for document in reversed(documents)]
    statements = [statement for statement in found if statement]
    return (*_SETTINGS, *statements) if statements else ()


def restore_sql(documents: Sequence[str]) -> str:
    """A script for people and psql: BEGIN, the statements with comments on what they can't restore, COMMIT."""
    lines: list[str] = []
    for document in map(_read, documents):
        rows = len(document["rows"])
        lines.append(f"-- {document['table']}: {rows} {'row' if rows == 1 else 'rows'} ({document['kind']})")
        lines += [f"--   {note}" for note in document["notes"]]
    body = [f"{one};" for one in ("BEGIN", *restore_statements(documents), "COMMIT")]
    return "\n".join([*map(_printable, lines), *body, ""])


def literal(value: str | None) -> str:
    """`value` as a SQL literal that every server reads as exactly this text, and that a terminal may show.

    A text with a backslash or a control character is written as `E'…'`, which standard_conforming_strings leaves be.
    """
    if value is None:
        return "NULL"
    doubled = value.replace("'", "''")
    if "\\" not in value and not any(map(_is_control, value)):
        return f"'{doubled}'"
    escaped = doubled.replace("\\", "\\\\")
    return "E'" + "".join(_escape(character) for character in escaped) + "'"


def typed(value: str | None, kind: Sequence[str]) -> str:
    """`value` as a literal of the type (schema, name)."""
    return f"{literal(value)}::{quoted(kind[0])}.{quoted(kind[1])}"


def values_list(rows: Sequence[Sequence[str | None]], types: Sequence[Sequence[str]]) -> str:
    """Rows for VALUES whose columns have `types`: those of the first row say so, the others follow."""
    lines = []
    for index, row in enumerate(rows):
        cells = map(typed, row, types) if index == 0 else map(literal, row)
        lines.append(f"({', '.join(cells)})")
    return ",\n  ".join(lines)


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029"


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if _is_control(character) and character != "\n" else character


def _printable(line: str) -> str:
    """A line of comment that stays one line."""
    return "".join("?" if _is_control(character) else character for character in line)


def _read(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    if document.get("v") != VERSION:
        raise ValueError("these rows were kept by another version")
    return document


def _statement(document: dict[str, Any]) -> str:
    if not document["rows"]:
        return ""
    return _update(document) if document["kind"] == "update" else _insert(document)


def _insert(document: dict[str, Any]) -> str:
    columns = ", ".join(quoted(column["name"]) for column in document["columns"])
    rows = ",\n  ".join(f"({', '.join(map(literal, row))})" for row in document["rows"])
    return f"INSERT INTO {_relation(document)} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n  {rows}"


def _update(document: dict[str, Any]) -> str:
    columns = document["columns"]
    text = ("pg_catalog", "text")
    names = [f"b{number}" for number in range(len(columns))]
    changed = [number for number, column in enumerate(columns) if not column["key"]]
    after = [f"a{number}" for number in changed]
    types = [tuple(column["type"]) for column in columns] + [text] * len(changed)
    rows = [[*before, *now] for before, now in zip(document["rows"], document["after"], strict=True)]
    only = "ONLY " if document["only"] else ""
    assigned = ", ".join(f"{quoted(columns[number]['name'])} = v.b{number}" for number in changed)
    return (
        f"UPDATE {only}{_relation(document)} AS t SET {assigned}\n"  # noqa: S608  quoted
        f"FROM (VALUES\n  {values_list(rows, types)}\n) AS v({', '.join([*names, *after])})\n"
        f"WHERE {' AND '.join(_conditions(columns, changed))}"
    )


def _conditions(columns: Sequence[dict[str, Any]], changed: Sequence[int]) -> Iterator[str]:
    """That a row is the one, and still as the statement left it."""
    for number, column in enumerate(columns):
        if column["key"]:
            yield f"t.{quoted(column['name'])} {column['equals']} v.b{number}"
    for number in changed:
        held = f"t.{quoted(columns[number]['name'])}"
        shown = f"{held}::pg_catalog.oid" if columns[number]["number"] else held
        yield f"pg_catalog.num_nulls({held}) OPERATOR(pg_catalog.=) pg_catalog.num_nulls(v.a{number})"
        yield f"pg_catalog.format('%s', {shown}) OPERATOR(pg_catalog.=) pg_catalog.format('%s', v.a{number})"


def _relation(document: dict[str, Any]) -> str:
    schema, name = document["relation"]
    return f"{quoted(schema)}.{quoted(name)}"
