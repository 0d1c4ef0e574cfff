"""Do the witnesses say the same of a message? Lexer against libpg_query, and sqlglot where it has an opinion.

Each check returns a few words on the contradiction, or "" for none. What differs harmlessly between the
witnesses is listed here by name, never ignored for a whole class of statements:

- syntax sugar: grammar of its own that libpg_query's tree shows as a call (`_SUGAR`);
- brackets that follow a name without calling it: column lists, type modifiers, aliases (`_bracketed`), and
  key words (`_BRACKET_WORDS`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbfirewall.sql.keywords import KEYWORDS, words
from dbfirewall.sql.outline import Outline
from dbfirewall.sql.reading import Summary

Tree = dict[str, Any]

_SUGAR = frozenset({"substring", "overlay", "like_escape", "similar_to_escape", "json_object"})
"""Names that the grammar itself turns into a call: SUBSTRING(…), OVERLAY(…), LIKE … ESCAPE, SIMILAR TO."""

_BRACKET_WORDS = words(
    """
    by columns conflict content cube document escape filter first groups ilike insert is join like materialized next
    operator over overlaps partition passing range repeatable rollup rows second set sets update value
    varying zone
    """
)
"""Unquoted words that grammar puts before a bracket, though a function could bear their name."""

_SELECT = frozenset({"SelectStmt"})
_TRANSACTION = frozenset({"TransactionStmt"})
_NODES: dict[str, frozenset[str]] = {
    "select": _SELECT,
    "values": _SELECT,
    "table": _SELECT,
    "with": frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}),
    "insert": frozenset({"InsertStmt"}),
    "update": frozenset({"UpdateStmt"}),
    "delete": frozenset({"DeleteStmt"}),
    "merge": frozenset({"MergeStmt"}),
    "copy": frozenset({"CopyStmt"}),
    "explain": frozenset({"ExplainStmt"}),
    "show": frozenset({"VariableShowStmt"}),
    "set": frozenset({"VariableSetStmt", "ConstraintsSetStmt"}),
    "reset": frozenset({"VariableSetStmt"}),
    "begin": _TRANSACTION,
    "start": _TRANSACTION,
    "commit": _TRANSACTION,
    "end": _TRANSACTION,
    "rollback": _TRANSACTION,
    "abort": _TRANSACTION,
    "savepoint": _TRANSACTION,
    "release": _TRANSACTION,
    "prepare": frozenset({"TransactionStmt", "PrepareStmt"}),
    "execute": frozenset({"ExecuteStmt"}),
    "deallocate": frozenset({"DeallocateStmt"}),
    "declare": frozenset({"DeclareCursorStmt"}),
    "fetch": frozenset({"FetchStmt"}),
    "move": frozenset({"FetchStmt"}),
    "close": frozenset({"ClosePortalStmt"}),
    "discard": frozenset({"DiscardStmt"}),
    "listen": frozenset({"ListenStmt"}),
    "unlisten": frozenset({"UnlistenStmt"}),
    "notify": frozenset({"NotifyStmt"}),
    "lock": frozenset({"LockStmt"}),
    "do": frozenset({"DoStmt"}),
    "call": frozenset({"CallStmt"}),
    "vacuum": frozenset({"VacuumStmt"}),
    "analyze": frozenset({"VacuumStmt"}),
    "analyse": frozenset({"VacuumStmt"}),
    "truncate": frozenset({"TruncateStmt"}),
    "checkpoint": frozenset({"CheckPointStmt"}),
    "load": frozenset({"LoadStmt"}),
    "cluster": frozenset({"ClusterStmt"}),
    "reindex": frozenset({"ReindexStmt"}),
    "refresh": frozenset({"RefreshMatViewStmt"}),
    "comment": frozenset({"CommentStmt"}),
    "import": frozenset({"ImportForeignSchemaStmt"}),
    "reassign": frozenset({"ReassignOwnedStmt"}),
}
_DATA = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_DDL_WORDS = frozenset({"create", "alter", "drop", "grant", "revoke", "security"})


def contradiction(outline: Outline, tree: Tree, summary: Summary, opinion: Summary | None) -> str:
    """What the witnesses contradict each other in about one statement; "" if they agree.

    `tree`: libpg_query's node; `summary`: its facts; `opinion`: sqlglot's, None where it abstains.
    """
    node = next(iter(tree), "")
    expected = _NODES.get(outline.keyword)
    known = outline.keyword in _DDL_WORDS and node not in _DATA if expected is None else node in expected
    if not known:
        return f"the statement begins with {outline.keyword!r} and is a {node}"
    if hidden := summary.calls - outline.calls - _SUGAR:
        return f"call of {min(hidden)}, which no bracket follows"
    unseen = outline.calls - summary.calls - _BRACKET_WORDS
    if unseen and (unseen := unseen - (_bracketed(tree) if node in _DATA else _named(tree))):
        return f"{min(unseen)} before a bracket is no call"
    return _opinions(summary, opinion) if opinion is not None else ""


def _opinions(ours: Summary, theirs: Summary) -> str:
    if ours.kind != theirs.kind:
        return f"kind: {ours.kind} or {theirs.kind}"
    if ours.reads != theirs.reads:
        return "relations read"
    if ours.writes != theirs.writes:
        return "relations written"
    if ours.locks != theirs.locks:
        return "row locks"
    if theirs.calls != ours.calls and (theirs.calls - ours.calls or ours.calls - theirs.calls - _SUGAR):
        return "functions called"
    return ""


def _nodes(tree: Any) -> Iterator[Tree]:
    """Every node of a tree but constants."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(value for key, value in node.items() if key != "A_Const")
        elif isinstance(node, list):
            pending.extend(node)


def _bracketed(tree: Tree) -> frozenset[str]:
    """Names in a query that a bracket may follow without a call: relations, aliases, CTEs, types."""
    names: set[str] = set()
    for node in _nodes(tree):
        for key in ("relname", "aliasname", "ctename"):
            if key in node:
                names.add(node[key])
        for holder in (node.get("TypeName"), node.get("typeName")):
            if isinstance(holder, dict):
                names.update(_strings(holder.get("names")))
        if "method" in node:
            names.update(_strings(node["method"]))
    return frozenset(names)


def _named(tree: Tree) -> frozenset[str]:
    """What may stand before a bracket in a utility: any name in its tree, any key word, PARTITION BY LIST."""
    return KEYWORDS | {"list", "hash"} | frozenset(_strings(tree))


def _strings(tree: Any) -> Iterator[str]:
    for node in _nodes(tree):
        for value in node.values():
            if isinstance(value, str):
                yield value
