"""Constants in a parse tree, and names that stand in a string constant (`nextval('public."S"')`)."""

from __future__ import annotations

import re

from dbfirewall.sql.lexer import fold, truncate
from dbfirewall.sql.nodes import Tree, unwrap

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*))\s*(\.|$)')


def constant(node: Tree) -> str | None:
    """The text of a literal, also under a cast (`'x'::regclass`), or None for any other expression.

    A TRUE or FALSE gives `true` or `false`; NULL is no constant here.
    """
    kind, inner = unwrap(node)
    while kind == "TypeCast":
        kind, inner = unwrap(inner.get("arg"))
    if kind != "A_Const":
        return None
    if "sval" in inner:
        return str(inner["sval"].get("sval", ""))
    if "ival" in inner:
        return str(inner["ival"].get("ival", 0))
    if "fval" in inner:
        return str(inner["fval"].get("fval", ""))
    if "boolval" in inner:
        return "true" if inner["boolval"].get("boolval") else "false"
    return None


def identifier_parts(text: str) -> tuple[str | None, str] | None:
    """(schema or None, name) of a name in a string, folded as Postgres folds it; None where it is no name."""
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        quoted, plain, end = match.groups()
        parts.append(truncate(quoted.replace('""', '"') if quoted is not None else fold(plain)))
        position = match.end()
        if not end:
            return ((parts[-2] if len(parts) > 1 else None), parts[-1]) if position == len(text) else None
    return None
