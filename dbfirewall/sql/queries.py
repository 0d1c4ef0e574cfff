"""Queries: WITH, FROM, SELECT and set operations, with the scope of every name in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from dbfirewall.sql.calls import strings
from dbfirewall.sql.expressions import Ctes, Expressions
from dbfirewall.sql.nodes import Tree, UnexpectedNodeError, each, only, unwrap
from dbfirewall.sql.outputs import is_star, output_name
from dbfirewall.sql.scopes import Columns, Item, Level, Ownership, Source, Table

_LOCKS = {
    "LCS_FORKEYSHARE": "FOR KEY SHARE",
    "LCS_FORSHARE": "FOR SHARE",
    "LCS_FORNOKEYUPDATE": "FOR NO KEY UPDATE",
    "LCS_FORUPDATE": "FOR UPDATE",
}
# Clauses that make a branch of a set operation a query of its own.
_OWN_CLAUSES = ("withClause", "sortClause", "limitCount", "limitOffset", "lockingClause", "intoClause")
_SAMPLING = (
    ["bernoulli"],
    ["system"],
    ["pg_catalog", "bernoulli"],
    ["pg_catalog", "system"],
)
_CALL_CLAUSES = frozenset(
    {"agg_order", "agg_filter", "over", "agg_star", "agg_distinct", "func_variadic", "agg_within_group"}
)
_PLAIN_CLAUSES = frozenset(
    {"targetList", "fromClause", "whereClause", "groupClause", "havingClause", "windowClause", "valuesLists",
     "distinctClause"}
)  # fmt: skip


class Queries(Expressions):
    """Effects of queries."""

    def with_clause(self, node: Tree, parent: Level | None, ctes: Ctes) -> Ctes:
        """The effects of a statement's CTEs; the CTEs that the statement itself sees."""
        clause = node.get("withClause")
        if clause is None:
            return ctes
        queries = list(each("CommonTableExpr", clause.get("ctes")))
        seen = dict(ctes)
        if clause.get("recursive"):
            seen.update({str(query.get("ctename")): _before_analysis(query) for query in queries})
        for query in queries:
            columns = self.query(*unwrap(query.get("ctequery")), parent, dict(seen))
            columns = columns.renamed(strings(query.get("aliascolnames", [])))
            seen[str(query.get("ctename"))] = _with_search_columns(query, columns)
            for clause_name, kind in (
                ("search_clause", "CTESearchClause"),
                ("cycle_clause", "CTECycleClause"),
            ):
                if clause_name in query:
                    self.walk(kind, query[clause_name], Level([], parent), seen)
        return seen

    def select(self, node: Tree, parent: Level | None, ctes: Ctes) -> tuple[Columns, Level]:
        """A SELECT, VALUES, TABLE or set operation: its output columns, and its level for what comes after."""
        ctes = self.with_clause(node, parent, ctes)
        if _is_set_operation(node):
            columns = self._branches(node, parent, ctes)
            level = Level([Item("", columns)], parent)
            names: set[str] = {name for name, _ in columns.named}
        else:
            level = self.from_clause(node.get("fromClause", []), parent, ctes)
            columns, names = self._select_list(node, level, ctes)
        self.into(node)
        for clause in ("whereClause", "havingClause", "limitCount", "limitOffset"):
            self.expression(node.get(clause), level, ctes)
        self.expressions(node.get("windowClause"), level, ctes)
        self._group_by(node, level, ctes)
        for clause in ("sortClause", "distinctClause"):
            self._sort_by_output(node.get(clause, []), names, level, ctes)
        self._locks(node, level)
        return columns, level

    def into(self, node: Tree) -> None:
        """SELECT … INTO creates a table."""
        if "intoClause" in node:
            target = node["intoClause"].get("rel", {})
            self.add("create", self.created(target), "table", detail="select into")

    def created(self, relation: Tree) -> tuple[tuple[str | None, ...], ...]:
        """The objects that creating the relation of a RangeVar may make."""
        name = str(relation.get("relname", ""))
        if relation.get("relpersistence") == "t":
            return (("pg_temp", name),)
        return self.names.created(relation.get("schemaname"), name)

    def _branches(self, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        """The branches of a set operation, left to right; a chain of them is a left-deep tree."""
        pending = [node.get("rarg", {}), node.get("larg", {})]
        first: Columns | None = None
        while pending:
            branch = pending.pop()
            plain = not any(clause in branch for clause in _OWN_CLAUSES)
            if plain and _is_set_operation(branch):
                pending += [branch.get("rarg", {}), branch.get("larg", {})]
                continue
            columns = self.query("SelectStmt", branch, parent, ctes)
            first = first or columns
        return first or Columns(open=True)

    def _select_list(self, node: Tree, level: Level, ctes: Ctes) -> tuple[Columns, set[str]]:
        """Output columns of a plain SELECT or VALUES, and the names that ORDER BY may mean by them."""
        values = node.get("valuesLists", [])
        if values:
            self.expressions(values, level, ctes)
            row = only("List", values[0])
            names = [f"column{n + 1}" for n in range(len(row.get("items", [])))]
            return Columns.of(names), set(names)
        return self.targets(node.get("targetList", []), level, ctes)

    def targets(self, targets: list[Tree], level: Level, ctes: Ctes) -> tuple[Columns, set[str]]:
        """A select or RETURNING list: its columns, and those of them that surely have their name."""
        columns = Columns()
        for target in each("ResTarget", targets):
            self.walk("ResTarget", target, level, ctes)
            if is_star(target):
                self._expand_star(target, level, columns)
                continue
            name = output_name(target)
            if name is None:
                columns.open = True
            else:
                columns.named.append((name, ()))
        return columns, {name for name, _ in columns.named}

    def _expand_star(self, target: Tree, level: Level, columns: Columns) -> None:
        kind, node = unwrap(target.get("val"))
        names = strings(node.get("fields", []))
        found = level.item(names[-1]) if names else None
        items = [found] if found else [item for item in level.items if not item.hidden]
        if kind != "ColumnRef" or (names and found is None):
            columns.open = True
            return
        for item in items:
            self.spend(len(item.columns.named))
            columns.named += [(name, ()) for name, _ in item.columns.named]
            columns.open = columns.open or item.columns.open

    def _group_by(self, node: Tree, level: Level, ctes: Ctes) -> None:
        """GROUP BY: a lone name is an input column first, and else an output column."""
        outputs = {output_name(target) for target in each("ResTarget", node.get("targetList"))}
        for kind, entry in map(unwrap, node.get("groupClause", [])):
            name = _lone_name(kind, entry)
            self.spend(len(level.items))
            if name and name in outputs and all(i.owns(name) is Ownership.NO for i in level.items):
                continue
            self.walk(kind, entry, level, ctes)

    def _sort_by_output(self, entries: list[Tree], names: set[str], level: Level, ctes: Ctes) -> None:
        """ORDER BY and DISTINCT ON: a lone name is an output column first."""
        for kind, entry in map(unwrap, entries):
            if kind == "SortBy":
                self.walk("SortBy", {k: v for k, v in entry.items() if k != "node"}, level, ctes)
                kind, entry = unwrap(entry.get("node"))  # noqa: PLW2901  the expression under SortBy
            if _lone_name(kind, entry) not in names:
                self.walk(kind, entry, level, ctes)

    def _locks(self, node: Tree, level: Level) -> None:
        seen: set[tuple[str, frozenset[str]]] = set()
        for clause in each("LockingClause", node.get("lockingClause")):
            named = frozenset(str(rel.get("relname")) for rel in each("RangeVar", clause.get("lockedRels")))
            words = _LOCKS.get(str(clause.get("strength")), "FOR UPDATE")
            if (words, named) in seen:
                continue
            seen.add((words, named))
            self.spend(len(level.items) + len(named))
            items = [item for item in level.items if not named or item.name in named]
            tables = [table for item in items or level.items for table in item.lockable]
            for table in tables:
                self.add("lock_rows", table.objects, "table", detail=words)
            if not tables:
                self.add("lock_rows", detail=words)

    # FROM

    def from_clause(self, entries: list[Tree], parent: Level | None, ctes: Ctes) -> Level:
        """A level with the items of a FROM list."""
        level = Level([], parent)
        for entry in entries:
            level.items += self.from_item(entry, level, ctes)
        return level

    def from_item(self, entry: Tree, left: Level, ctes: Ctes) -> list[Item]:
        """The items that one FROM entry adds; `left` has those that LATERAL sees."""
        kind, node = unwrap(entry)
        reader = self._FROM.get(kind)
        if reader is None:
            self.unknown(kind)
            return []
        return reader(self, node, left, ctes)

    def _from_relation(self, node: Tree, _left: Level, ctes: Ctes) -> list[Item]:
        name = str(node.get("relname", ""))
        alias, aliases = _alias(node)
        if "schemaname" not in node and name in ctes:
            return [Item(alias or name, ctes[name].renamed(aliases))]
        item = Item.base(self.table(node, read=True), alias or name, aliases)
        if alias:
            item.schemas = ()
        return [item]

    def _from_query(self, node: Tree, left: Level, ctes: Ctes) -> list[Item]:
        parent = left if node.get("lateral") else left.parent
        kind, query = unwrap(node.get("subquery"))
        alias, aliases = _alias(node)
        if kind != "SelectStmt":
            self.unknown(kind or "RangeSubselect")
            return []
        columns, level = self.select(query, parent, ctes)
        lockable = tuple(table for item in level.items for table in item.lockable)
        return [Item(alias, columns.renamed(aliases), lockable=lockable)]

    def _from_function(self, node: Tree, left: Level, ctes: Ctes) -> list[Item]:
        for function in each("List", node.get("functions")):
            arguments = _unnested(function)
            self.expressions(arguments or function.get("items"), left, ctes)
        alias, aliases = _alias(node)
        defined = self._column_definitions(node.get("coldeflist", []), left, ctes)
        for function in each("List", node.get("functions")):
            # ROWS FROM (f() AS (a int)): the second element of each pair is a column definition list.
            for inner in each("List", function.get("items", [])[1:]):
                defined += self._column_definitions(inner.get("items", []), left, ctes)
        columns = Columns.of([*aliases, *defined], more=not defined)
        return [Item(alias or _function_name(node), columns)]

    def _column_definitions(self, entries: list[Tree], level: Level, ctes: Ctes) -> list[str]:
        names = []
        for column in each("ColumnDef", entries):
            self.walk("TypeName", column.get("typeName", {}), level, ctes)
            names.append(str(column.get("colname", "")))
        return names

    def _from_table_function(self, node: Tree, left: Level, ctes: Ctes) -> list[Item]:
        """XMLTABLE."""
        self.walk("RangeTableFunc", node, left, ctes)
        columns = [str(c.get("colname", "")) for c in each("RangeTableFuncCol", node.get("columns"))]
        alias, aliases = _alias(node)
        return [Item(alias or "xmltable", Columns.of(columns).renamed(aliases))]

    def _from_json_table(self, node: Tree, left: Level, ctes: Ctes) -> list[Item]:
        self.walk("JsonTable", node, left, ctes)
        alias, aliases = _alias(node)
        return [Item(alias or "json_table", Columns.of(_json_columns(node)).renamed(aliases))]

    def _from_sample(self, node: Tree, left: Level, ctes: Ctes) -> list[Item]:
        items = self.from_item(node.get("relation", {}), left, ctes)
        method = strings(node.get("method", []))
        if method[-2:] not in _SAMPLING:
            self.call(method, [{}])
        self.expressions(node.get("args"), left, ctes)
        self.expression(node.get("repeatable"), left, ctes)
        return items

    def _from_join(self, node: Tree, left: Level, ctes: Ctes) -> list[Item]:
        lefts = self.from_item(node.get("larg", {}), left, ctes)
        rights = self.from_item(node.get("rarg", {}), Level([*left.items, *lefts], left.parent), ctes)
        level = Level([*lefts, *rights], left.parent)
        shared = strings(node.get("usingClause", []))
        if node.get("isNatural"):
            self.spend(sum(len(item.columns.named) for item in level.items))
            shared = _common_columns(lefts, rights)
        self.spend(len(shared) * len(level.items))
        for column in shared:
            for item in level.items:
                item.touch(column)
        if shared:
            self.operator(["="])
        self.expression(node.get("quals"), level, ctes)
        alias, aliases = _alias(node)
        if alias:
            self.spend(sum(len(item.columns.named) for item in level.items) * (1 + len(shared)))
            return [_joined(alias, aliases, level.items, shared)]
        if "join_using_alias" in node:
            sources = Columns([(column, _sources(level.items, column)) for column in shared])
            merged = Item(str(node["join_using_alias"].get("aliasname", "")), sources, hidden=True)
            return [*level.items, merged]
        return level.items

    _FROM: ClassVar[dict[str, Callable[[Queries, Tree, Level, Ctes], list[Item]]]] = {
        "RangeVar": _from_relation,
        "RangeSubselect": _from_query,
        "RangeFunction": _from_function,
        "RangeTableFunc": _from_table_function,
        "RangeTableSample": _from_sample,
        "JoinExpr": _from_join,
        "JsonTable": _from_json_table,
    }


def _is_set_operation(node: Tree) -> bool:
    """UNION, INTERSECT, EXCEPT; a node that is a plain SELECT as well is none that the grammar builds."""
    compound = "larg" in node or "rarg" in node or node.get("op", "SETOP_NONE") != "SETOP_NONE"
    if compound and not _PLAIN_CLAUSES.isdisjoint(node):
        raise UnexpectedNodeError("SelectStmt")
    return compound


def _alias(node: Tree) -> tuple[str, list[str]]:
    alias = node.get("alias", {})
    return str(alias.get("aliasname", "")), strings(alias.get("colnames", []))


def _lone_name(kind: str, node: Tree) -> str | None:
    """The name of an expression that is just one unqualified name."""
    fields = node.get("fields", [])
    names = strings(fields)
    return names[0] if kind == "ColumnRef" and len(fields) == 1 and names else None


def _unnested(function: Tree) -> list[Tree]:
    """The arguments of `FROM unnest(a, b)`, which stands for ROWS FROM (unnest(a), unnest(b)) of pg_catalog."""
    kind, call = unwrap((function.get("items") or [{}])[0])
    arguments: list[Tree] = call.get("args", []) if kind == "FuncCall" else []
    plain = len(function.get("items", [])) < 2 or not unwrap(function["items"][1])[0]
    expands = plain and strings(call.get("funcname", [])) == ["unnest"] and len(arguments) > 1
    return arguments if expands and _CALL_CLAUSES.isdisjoint(call) else []


def _function_name(node: Tree) -> str:
    """The name that a function in FROM has without an alias: the function's own."""
    function = next(each("List", node.get("functions")), {})
    kind, call = unwrap((function.get("items") or [{}])[0])
    return (strings(call.get("funcname", [])) or [""])[-1] if kind == "FuncCall" else ""


def _json_columns(node: Tree) -> list[str]:
    names = []
    for column in each("JsonTableColumn", node.get("columns")):
        names += _json_columns(column) if "columns" in column else [str(column.get("name", ""))]
    return names


def _common_columns(lefts: list[Item], rights: list[Item]) -> list[str]:
    """Columns that NATURAL JOIN compares; where either side is not fully known, `*`, which touches all."""
    sides = [_names(lefts), _names(rights)]
    if any(item.columns.open for item in (*lefts, *rights)):
        return [*sorted(set().union(*sides)), "*"]
    return sorted(sides[0] & sides[1])


def _names(items: Iterable[Item]) -> set[str]:
    return {name for item in items for name, _ in item.columns.named}


def _sources(items: Iterable[Item], column: str) -> tuple[Source, ...]:
    return tuple(s for item in items for name, found in item.columns.named if name == column for s in found)


def _joined(alias: str, aliases: list[str], items: list[Item], shared: list[str]) -> Item:
    """`(a JOIN b …) AS j (x, y)`: one item in the place of its members. Merged columns come first."""
    tables: tuple[Table, ...] = tuple(table for item in items for table in item.tables)
    named = [(column, _sources(items, column)) for column in shared if column != "*"]
    named += [entry for item in items for entry in item.columns.named if entry[0] not in shared]
    columns = Columns(named, any(item.columns.open for item in items)).renamed(aliases, tables)
    unknown = tuple(table for item in items for table in item.unknown)
    lockable = tuple(table for item in items for table in item.lockable)
    return Item(alias, columns, tables, unknown, lockable=lockable)


def _before_analysis(query: Tree) -> Columns:
    """What is known of a recursive CTE's columns before its query is looked at."""
    return Columns.of(strings(query.get("aliascolnames", [])), more=True)


def _with_search_columns(query: Tree, columns: Columns) -> Columns:
    """A CTE's columns, with those that its SEARCH and CYCLE clauses add."""
    added = [
        str(query.get(clause, {}).get(field))
        for clause, field in (
            ("search_clause", "search_seq_column"),
            ("cycle_clause", "cycle_mark_column"),
            ("cycle_clause", "cycle_path_column"),
        )
        if field in query.get(clause, {})
    ]
    return Columns(columns.named + [(name, ()) for name in added], columns.open)
