"""One message's text, read by all three witnesses: bytes → `Reading`."""

from __future__ import annotations

from typing import Any

from dbfirewall.sql import caps, glot, pgquery
from dbfirewall.sql.agreement import contradiction
from dbfirewall.sql.canonical import template
from dbfirewall.sql.expansion import written_tokens
from dbfirewall.sql.facts import Refusal
from dbfirewall.sql.lexer import LexError, tokenize
from dbfirewall.sql.lookahead import readable
from dbfirewall.sql.outline import Outline, explained, outline
from dbfirewall.sql.reading import Parsed, Reading
from dbfirewall.sql.summary import summarise

INLINE_BYTES = 4 * 1024
"""Texts up to this size are parsed on the event loop (a few ms at the very most); longer ones in a worker."""


def read(sql: bytes) -> Reading:
    """What the witnesses agree that `sql` says, or a refusal. Never raises; the result can be pickled.

    In this order: size, strict UTF-8, the lexer with its caps, libpg_query, sqlglot, agreement. No parser
    sees a text that the lexer refused, and sqlglot none that libpg_query refused.
    """
    try:
        return _read(sql)
    except LexError as error:
        return _refused(error.code, str(error), allowable=error.code in ("too-long", "too-deep"))
    except pgquery.SqlSyntaxError as error:
        return _refused("syntax", str(error))
    except (RecursionError, pgquery.TooDeepError):
        return _refused("too-deep", "the statement is nested too deeply")
    except Exception as error:  # noqa: BLE001  whatever fails in here, the text has no facts
        return _refused("parser-failure", f"the statement could not be read ({type(error).__name__})")


def _read(sql: bytes) -> Reading:
    if len(sql) > caps.MAX_TEXT_BYTES:
        return _refused("too-long", f"the text is longer than {caps.MAX_TEXT_BYTES} bytes")
    try:
        text = sql.decode("utf-8")
    except UnicodeDecodeError:
        return _refused("encoding", "the text is not valid UTF-8", allowable=False)
    tokens = tokenize(text)
    if written_tokens(tokens) > caps.MAX_WRITTEN_TOKENS:
        return _refused("too-deep", "lists of columns are assigned to in one another too often")
    outlines = outline(tokens)
    trees = pgquery.parse(readable(text, tokens).encode())
    if len(outlines) != len(trees):
        return _refused("disagreement", "the text holds another number of statements than it seems to")
    statements = []
    for each, tree in zip(outlines, trees, strict=True):
        statement = tree["stmt"]
        if difference := _judge(each, statement):
            return _refused("disagreement", f"two readings of the statement differ: {difference}")
        statements.append(Parsed(statement))
    return Reading(tuple(statements), None, template(tokens).encode())


def _judge(each: Outline, statement: dict[str, Any]) -> str:
    difference = contradiction(each, statement, summarise(statement), glot.summarise(each))
    if difference or each.keyword != "explain":
        return difference
    inner = explained(each)
    return _judge(inner, statement["ExplainStmt"]["query"]) if inner else "EXPLAIN of nothing"


def _refused(code: str, reason: str, *, allowable: bool = True) -> Reading:
    return Reading(refusal=Refusal(code, reason, allowable))
