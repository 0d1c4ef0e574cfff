"""The firewall's own tables, as an agent names them in a query: `dbfirewall.approvals`, `my_rules`, `my_limits`.

The server has no such tables. A text that reads one is rewritten, on its exact bytes, so that the server reads a
parameter of the session's own in its place, as rows; and what is judged is the rewritten text, like any other. The
rows themselves never stand in a text: the proxy puts them into that parameter by `set_config`, as a value, right
before the statement runs. So whatever an approval quotes of an agent's own SQL can't become SQL.

Which names are meant is libpg_query's word: the name of a relation in FROM, with its schema. Where it stands are our
lexer's tokens. What does not fit is refused with a reason; an unnoticed spelling (`U&"…"`) is a relation of the
server's like any other, for the rules to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from dbfirewall.catalog.types import Scope
from dbfirewall.sql.analyze import resolve
from dbfirewall.sql.facts import Analysis, Effect, Refusal
from dbfirewall.sql.lexer import IDENT, QUOTED, Token, tokenize
from dbfirewall.sql.lookahead import readable
from dbfirewall.sql.nodes import Tree, unwrap
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Reading

SCHEMA: Final = "dbfirewall"

KIND: Final = "virtual table"
"""The kind of object of these tables' effects; nothing in a catalog has it."""

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "approvals": {
        "id": "text", "state": "text", "database": "text", "sql": "text", "rule": "text", "reason": "text",
        "created_at": "timestamptz", "expires_at": "timestamptz", "decided_at": "timestamptz", "rows": "int8",
        "hint": "text",
    },
    "my_rules": {
        "effect": "text", "actions": "text", "objects": "text", "columns": "text", "conditions": "text",
        "reason": "text", "rule": "text",
    },
    "my_limits": {"name": "text", "value": "text", "used": "int8", "frees_at": "timestamptz"},
}  # fmt: skip
"""Each table's columns, in order, with their types (of pg_catalog)."""

MAX_REFERENCES = 8
"""Security limit: how often one message may name these tables; each makes it half a kilobyte longer."""

_MENTIONED = re.compile(SCHEMA.encode(), re.IGNORECASE)
_SOURCES = frozenset({"fromClause", "larg", "rarg"})
_ONLY_READ = "is answered by the firewall itself, and can only be read, by SELECT"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text that reads these tables, as the server can run it. `tables`: those that each statement reads."""

    text: bytes
    tables: tuple[frozenset[str], ...]


class _RefusedError(Exception):
    """The text does something with such a table that can't be done; `str()` says what."""


def parameter(table: str) -> str:
    """The session parameter that holds the rows of `table`, a JSON array of objects."""
    return f"{SCHEMA}.{table}"


def facts(sql: bytes, reading: Reading, scope: Scope, *, max_bytes: int) -> tuple[Analysis, Rewritten | None]:
    """The facts of `sql`, whose `reading` is at hand; with the text to run in its place, if it reads such a table.

    `max_bytes`: longer texts may not read these tables, because they would have to be read here once more.
    """
    found = rewrite(sql, reading, max_bytes=max_bytes)
    if found is None:
        return resolve(reading, scope), None
    if isinstance(found, Refusal):
        return Analysis(refusal=found, literal_sensitive=True), None
    analysis = resolve(read(found.text), scope)
    if len(analysis.statements) != len(found.tables):
        refusal = analysis.refusal or Refusal(
            "disagreement", f"a table of {SCHEMA} could not be put in its place"
        )
        return Analysis(refusal=refusal, literal_sensitive=True), None
    statements = tuple(
        replace(
            statement, effects=(*map(_effect, sorted(tables)), *statement.effects), literal_sensitive=True
        )
        for statement, tables in zip(analysis.statements, found.tables, strict=True)
    )
    return replace(analysis, statements=statements, literal_sensitive=True), found


def rewrite(sql: bytes, reading: Reading, *, max_bytes: int) -> Rewritten | Refusal | None:
    """`sql` with every such table replaced; None where it names none; a refusal where one can't be replaced."""
    if reading.refusal is not None or _MENTIONED.search(sql) is None:
        return None
    try:
        found = [_of_statement(parsed.tree) for parsed in reading.statements]
        if not any(found):
            return None
        relations = [relation for several in found for relation in several]
        _check_size(len(sql), len(relations), max_bytes)
        text = _replace(sql.decode(), relations)
    except _RefusedError as error:
        return Refusal("virtual", str(error))
    return Rewritten(
        text.encode(), tuple(frozenset(str(one["relname"]) for one in several) for several in found)
    )


def _check_size(size: int, references: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise _RefusedError(f"A text that reads {SCHEMA}.* may have {max_bytes} bytes at most.")
    if references > MAX_REFERENCES:
        raise _RefusedError(f"A text may name tables of {SCHEMA} {MAX_REFERENCES} times at most.")


def _effect(table: str) -> Effect:
    return Effect("select", (SCHEMA, table), KIND, tuple(TABLES[table]))


# -- which relations are meant --------------------------------------------------------------------------------


def _of_statement(tree: Tree) -> list[Tree]:
    """The RangeVars of a statement that mean these tables, in any order; all of them stand where it reads."""
    found = list(_named(tree, ""))
    for relation, field in found:
        name = f"{SCHEMA}.{relation['relname']}"
        if field not in _SOURCES or not _reads(*unwrap(tree)):
            raise _RefusedError(f"{name} {_ONLY_READ}.")
        if not relation.get("inh"):
            raise _RefusedError(f"{name} {_ONLY_READ}, without ONLY.")
    return [relation for relation, _ in found]


def _named(node: Any, field: str) -> Iterator[tuple[Tree, str]]:
    """Every RangeVar below `node` that means such a table, with the name of the field that it stands in."""
    pending = [(node, field)]
    while pending:
        node, field = pending.pop()
        if isinstance(node, list):
            pending += ((one, field) for one in node)
        elif isinstance(node, dict):
            if (
                node.get("schemaname") == SCHEMA
                and node.get("relname") in TABLES
                and not node.get("catalogname")
            ):
                yield node, field
            pending += ((one, field if name[:1].isupper() else name) for name, one in node.items())


def _reads(kind: str, node: Tree) -> bool:
    """Whether a statement is a query, or shows one: its rows, its plan, a cursor over it."""
    if kind in ("ExplainStmt", "DeclareCursorStmt", "CopyStmt"):
        kind, node = unwrap(node.get("query"))
    return kind == "SelectStmt"


# -- where they stand in the text ------------------------------------------------------------------------------


def _replace(text: str, relations: list[Tree]) -> str:
    """`text` with each of `relations` replaced. Offsets are those of what libpg_query was given."""
    text = readable(text, tokenize(text))
    tokens = tokenize(text)
    at = {len(text[: token[2]].encode()): index for index, token in enumerate(tokens) if token[3] == SCHEMA}
    edits = [_edit(tokens, at.get(int(relation.get("location", 0))), relation) for relation in relations]
    bare = {str(relation["relname"]) for relation in relations if "alias" not in relation}
    edits += _qualified_columns(tokens, {edit[0] for edit in edits}, bare)
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _edit(tokens: list[Token], index: int | None, relation: Tree) -> tuple[int, int, str]:
    """(start, end, text): what to put in the place of one reference."""
    name = str(relation["relname"])
    if index is None or not _spells(tokens, index, name):
        raise _RefusedError(f"Write {SCHEMA}.{name} plainly.")
    last, after = tokens[index + 2], tokens[index + 3 : index + 4]
    start = tokens[index][2]
    select = ""
    if index and tokens[index - 1][0] == IDENT and tokens[index - 1][3] == "table":
        start, select = tokens[index - 1][2], "SELECT * FROM "
    if after and after[0][1] == "*":
        raise _RefusedError(f"{SCHEMA}.{name} {_ONLY_READ}, without * behind its name.")
    alias = "" if "alias" in relation else f" AS {name}"
    return start, last[2] + len(last[1]), f"{select}({_query(name)}){alias}"


def _spells(tokens: list[Token], index: int, name: str) -> bool:
    """Whether the tokens from `index` are `dbfirewall.name`, without escapes."""
    parts = tokens[index : index + 3]
    return [part[3] or part[1] for part in parts] == [SCHEMA, ".", name] and all(
        part[0] in (IDENT, QUOTED) and part[1][:2].lower() != "u&" for part in parts[::2]
    )


def _qualified_columns(
    tokens: list[Token], relations: set[int], bare: set[str]
) -> list[tuple[int, int, str]]:
    """Edits that take the schema from columns written `dbfirewall.approvals.id`, of tables without an alias."""
    return [
        (token[2], tokens[index + 2][2], "")
        for index, token in enumerate(tokens[:-3])
        if token[2] not in relations
        and tokens[index + 3][1] == "."
        and any(_spells(tokens, index, name) for name in bare)
    ]


def _query(table: str) -> str:
    columns = ", ".join(f"{name} pg_catalog.{kind}" for name, kind in TABLES[table].items())
    return (
        f"SELECT * FROM pg_catalog.json_to_recordset(pg_catalog.current_setting('{parameter(table)}')"  # noqa: S608
        f"::pg_catalog.json) AS x({columns})"
    )
