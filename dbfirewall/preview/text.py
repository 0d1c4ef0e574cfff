"""A message's statements, and other statements made of their parts: with RETURNING, as a SELECT of the same rows.

Every text that is made here is parsed again by PostgreSQL's grammar, and is used only where its tree has the parts of
the original one, unchanged, in their places. So no cut in the wrong place can change what a text means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dbfirewall.approvals.model import Parameter
from dbfirewall.errors import DbfirewallError
from dbfirewall.sql import pgquery
from dbfirewall.sql.facts import quote_identifier
from dbfirewall.sql.lexer import IDENT, PARAM, PUNCT, LexError, Token, cut, tokenize
from dbfirewall.sql.lookahead import readable
from dbfirewall.sql.nodes import Tree, unwrap
from dbfirewall.sql.outline import outline

_PLACES = frozenset({"location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"})
"""Fields of a tree that say where something stands, not what it is."""

CHANGES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
"""Statements that change rows, by the node of their tree."""


class UnreadableError(DbfirewallError):
    """The text has no statements that could be looked at one by one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a message. `text`: from its first token to its last. `kind`, `node`: its tree."""

    text: str
    kind: str
    node: Tree

    @property
    def target(self) -> Tree:
        """The RangeVar of the table that it changes; empty where it changes none."""
        relation: Tree = self.node.get("relation", {}) if self.kind in CHANGES else {}
        return relation

    @property
    def target_name(self) -> str:
        """What the statement itself calls its target, as SQL: the alias, or the name as written."""
        alias = self.target.get("alias", {}).get("aliasname")
        if alias is not None:
            return quoted(str(alias))
        parts = [self.target.get("schemaname"), self.target.get("relname")]
        return ".".join(quoted(str(part)) for part in parts if part is not None)

    @property
    def changes_in_with(self) -> bool:
        """Whether a WITH query of it changes rows too, so that its command tag does not tell all."""
        return any(kind in CHANGES for kind, _ in _below(self.node.get("withClause", {})))

    @property
    def uses_default(self) -> bool:
        """Whether the word DEFAULT stands for a value."""
        return any(kind == "SetToDefault" for kind, _ in _below(self.node))

    @property
    def given(self) -> tuple[str, ...]:
        """The columns for which an INSERT brings values, so that their defaults are not computed."""
        if self.kind != "InsertStmt" or "selectStmt" not in self.node or self.uses_default:
            return ()
        if self.node.get("override") == "OVERRIDING_USER_VALUE":
            return ()
        return tuple(str(unwrap(column)[1].get("name", "")) for column in self.node.get("cols", []))


def pieces(sql: bytes) -> tuple[Piece, ...]:
    """The statements of `sql`. Raises UnreadableError where witnesses of its text fail or disagree."""
    try:
        text = sql.decode()
        tokens = tokenize(text)
        outlines = outline(cut(text))
        trees = pgquery.parse(readable(text, tokens).encode())
    except (UnicodeDecodeError, LexError, DbfirewallError, RecursionError) as error:
        raise UnreadableError("the text can't be taken apart") from error
    if len(outlines) != len(trees):
        raise UnreadableError("the text holds another number of statements than it seems to")
    found = []
    for each, tree in zip(outlines, trees, strict=True):
        kind, node = unwrap(tree["stmt"])
        found.append(Piece(text[each.tokens[0][2] : _end(each.tokens[-1])], kind, node))
    return tuple(found)


def function_names(sql: str) -> frozenset[str]:
    """The bare names of the functions that a text calls by name; it must be one statement."""
    _, node = _only(sql)
    return frozenset(
        str(unwrap(call["funcname"][-1])[1].get("sval", ""))
        for kind, call in _below(node)
        if kind == "FuncCall" and call.get("funcname")
    )


def quoted(name: str) -> str:
    """`name` as a quoted SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def shown(*parts: str) -> str:
    """A qualified name for people."""
    return ".".join(quote_identifier(part) for part in parts)


def with_returning(piece: Piece, returning: str) -> str | None:
    """The statement with `RETURNING returning` in place of its own, or None where that can't be had."""
    plain = _less(piece.node, "returningClause")
    tokens = cut(piece.text)
    ends = [_end(tokens[-1])]
    if "returningClause" in piece.node:
        ends = [start for _, start in _words(tokens, {"returning"})]
    for end in ends:
        made = f"{piece.text[:end]} RETURNING {returning}"
        kind, node = _only(made)
        if kind == piece.kind and "returningClause" in node and _less(node, "returningClause") == plain:
            return made
    return None


def as_cte(statement: str, name: str, columns: Sequence[str], query: str) -> str | None:
    """`WITH name (columns) AS (statement) query`, or None where the statement does not stay what it is in there."""
    inside = _only(statement)
    made = f"WITH {quoted(name)} ({', '.join(map(quoted, columns))}) AS ({statement}\n) {query}"
    kind, node = _only(made)
    queries = node.get("withClause", {}).get("ctes", [])
    if kind != "SelectStmt" or len(queries) != 1 or inside[0] == "":
        return None
    inner = queries[0].get("CommonTableExpr", {})
    same = inner.get("ctename") == name and unwrap(inner.get("ctequery")) == inside
    return made if same else None


def rows_of_change(piece: Piece, columns: str) -> str | None:
    """A SELECT DISTINCT of `columns` of the rows that an UPDATE or DELETE means: same WITH, FROM and WHERE.

    `columns`: attributes of the target, by bare names. None where there is no such query (WHERE CURRENT OF, MERGE).
    """
    if piece.kind not in ("UpdateStmt", "DeleteStmt") or piece.changes_in_with:
        return None
    others: list[Tree] = piece.node.get("usingClause") or piece.node.get("fromClause") or []
    wanted = [{"RangeVar": piece.target}, *others]
    where, ctes = piece.node.get("whereClause"), piece.node.get("withClause")
    listed = ", ".join(f"{piece.target_name}.{column}" for column in columns.split())
    for prefix, relation, joined, condition in _cuts(piece):
        made = f"{prefix} SELECT DISTINCT {listed} FROM {relation}"  # noqa: S608  parsed again below
        made += f", {joined}" if joined else ""
        made += f" WHERE {condition}" if condition else ""
        kind, node = _only(made)
        if (
            kind == "SelectStmt"
            and node.get("fromClause") == _bare(wanted)
            and node.get("whereClause") == _bare(where)
            and node.get("withClause") == _bare(ctes)
        ):
            return made
    return None


def rows_of_source(piece: Piece, columns: str) -> str | None:
    """A SELECT of `columns` (an expression without names) from the query that an INSERT inserts; None for VALUES."""
    source = piece.node.get("selectStmt")
    if piece.kind != "InsertStmt" or source is None or piece.changes_in_with:
        return None
    if "valuesLists" in unwrap(source)[1]:
        return None
    tokens = cut(piece.text)
    begin = _keyword(tokens, "insert")
    starts = [s for _, s in _words(tokens, {"select", "with", "table"}) if s > begin]
    starts += [start for _, text, start, _ in tokens if text == "(" and start > begin]
    ends = [s for _, s in _words(tokens, {"on", "returning"})] + [_end(tokens[-1])]
    for start in starts:
        for end in (each for each in ends if each > start):
            within = f"({piece.text[start:end]}\n) AS dbfirewall_source"
            made = f"{piece.text[:begin]} SELECT {columns} FROM {within}"  # noqa: S608  parsed again below
            kind, node = _only(made)
            origin = node.get("fromClause", [{}])
            inner = unwrap(origin[0])[1].get("subquery") if len(origin) == 1 else None
            same = inner == _bare(source) and node.get("withClause") == _bare(piece.node.get("withClause"))
            if kind == "SelectStmt" and same:
                return made
    return None


def renumbered(text: str, parameters: Sequence[Parameter]) -> tuple[str, tuple[Parameter, ...]]:
    """A made text that may use fewer parameters than its original, with those it uses, numbered from 1.

    The server can't tell the type of a parameter that nothing uses.
    """
    used: dict[int, int] = {}
    parts: list[str] = []
    done = 0
    for kind, word, start, _ in cut(text):
        if kind == PARAM:
            number = used.setdefault(int(word[1:]), len(used) + 1)
            parts += text[done:start], f"${number}"
            done = start + len(word)
    wanted = tuple(parameters[number - 1] for number in used if 0 < number <= len(parameters))
    if len(wanted) != len(used):
        raise UnreadableError("the statement has more parameters than were bound")
    return "".join([*parts, text[done:]]), wanted


def _cuts(piece: Piece) -> Iterator[tuple[str, str, str, str]]:
    """(WITH clause, target, other relations, condition) for every way that the words of the text can be meant."""
    text, tokens = piece.text, cut(piece.text)
    update = piece.kind == "UpdateStmt"
    begin = _keyword(tokens, "update" if update else "delete")
    words = [(name, start) for name, start in _words(tokens, _PARTS) if start > begin]
    end = _end(tokens[-1])
    stops = [start for name, start in words if name == "returning"] or [end]
    joiner = "from" if update else "using"
    if update:
        after = [start for name, start in words if name == "set"][:1]
        first = begin + len("update")
    else:
        after = [start for name, start in words if name == "from"][:1]
        first = after[0] + len("from") if after else begin
    wheres = [start for name, start in words if name == "where"] if "whereClause" in piece.node else [-1]
    others = [start for name, start in words if name == joiner and start > after[0]] if after else []
    has_others = "fromClause" in piece.node or "usingClause" in piece.node
    for stop in stops:
        for where in wheres:
            tail = where if where >= 0 else stop
            condition = text[where + len("where") : stop] if where >= 0 else ""
            for other in others if has_others else [-1]:
                relation_end = after[0] if update and after else other if other >= 0 else tail
                listed = text[other + len(joiner) : tail] if other >= 0 else ""
                yield text[:begin], text[first:relation_end], listed, condition


_PARTS = frozenset({"set", "from", "using", "where", "returning"})


def _words(tokens: Sequence[Token], names: frozenset[str] | set[str]) -> list[tuple[str, int]]:
    """(word, start) of those unquoted `names` that stand outside of all brackets."""
    depth = 0
    found = []
    for kind, text, start, name in tokens:
        if kind == PUNCT:
            depth += (text in "([") - (text in ")]")
        elif kind == IDENT and depth == 0 and name in names:
            found.append((name, start))
    return found


def _keyword(tokens: Sequence[Token], name: str) -> int:
    """Where the statement's own verb stands: the first outside of brackets."""
    return next((start for _, start in _words(tokens, {name})), 0)


def _end(token: Token) -> int:
    return token[2] + len(token[1])


def _only(text: str) -> tuple[str, Tree]:
    """The bare tree of a text that is exactly one statement; `("", {})` where it is not."""
    try:
        trees = pgquery.parse(readable(text, tokenize(text)).encode())
    except (DbfirewallError, LexError, RecursionError):
        return "", {}
    return unwrap(_bare(trees[0]["stmt"])) if len(trees) == 1 else ("", {})


def _bare(tree: Any) -> Any:
    """A tree without places."""
    if isinstance(tree, dict):
        return {key: _bare(value) for key, value in tree.items() if key not in _PLACES}
    return [_bare(item) for item in tree] if isinstance(tree, list) else tree


def _less(node: Tree, field: str) -> Tree:
    bare: Tree = _bare(node)
    return {key: value for key, value in bare.items() if key != field}


def _below(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) inside of a tree."""
    pending = [tree]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            yield from each.items()
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
