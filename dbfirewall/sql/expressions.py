"""Expressions: which columns they read, and which functions they run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from dbfirewall.sql.calls import Calls, strings
from dbfirewall.sql.nodes import Tree, children, number, unwrap
from dbfirewall.sql.scopes import Columns, Item, Level, Ownership

Ctes = Mapping[str, Columns]
"""The CTEs in sight, by name."""

NO_CTES: Ctes = {}


class Expressions(Calls):
    """Effects of expressions in a query level."""

    @abstractmethod
    def query(self, kind: str, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        """A SELECT or data-modifying statement inside another: its effects, and its output columns."""

    def expression(self, wrapped: Tree | None, level: Level, ctes: Ctes) -> None:
        """One wrapped expression, or none."""
        self.walk(*unwrap(wrapped), level, ctes)

    def expressions(self, wrapped: list[Tree] | None, level: Level, ctes: Ctes) -> None:
        """A list of wrapped expressions."""
        for entry in wrapped or ():
            self.expression(entry, level, ctes)

    def walk(self, kind: str, node: Tree, level: Level, ctes: Ctes) -> None:
        """Any part of a tree that is evaluated in `level`. Without recursion, so chains may be long.

        An empty `kind` is the grammar's NULL.
        """
        pending = [(kind, node)] if kind else []
        self.run_implicit_casts()
        while pending:
            kind, node = pending.pop()
            if kind in _QUERIES:
                self.query(kind, node, level, ctes)
                continue
            special = self._SPECIAL.get(kind)
            if special is not None and special(self, node, level, ctes):
                continue
            pending.extend([(child, inner) for _, child, inner in children(kind, node)][::-1])

    # Each returns whether the node is done, its children included.

    def _column_ref(self, node: Tree, level: Level, _ctes: Ctes) -> bool:
        fields = node.get("fields", [])
        names = strings(fields)
        if len(names) < len(fields):
            self.star(names, level)
        elif len(names) == 1:
            self._unqualified(names[0], level)
        elif names:
            self.qualified(names, level)
        return True

    def _func_call(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        name = strings(node.get("funcname", []))
        self.call(name, node.get("args", []), variadic=bool(node.get("func_variadic")))
        return False

    def _a_expr(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        name = strings(node.get("name", []))
        if str(node.get("kind", "")).endswith(("BETWEEN", "BETWEEN_SYM")):
            for symbol in ("<=", ">=", "<", ">"):
                self.operator([symbol])
        else:
            self.operator(name)
        return False

    def _sub_link(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        if node.get("subLinkType") in ("ANY_SUBLINK", "ALL_SUBLINK"):
            self.operator(strings(node.get("operName", [])) or ["="])
        return False

    def _sort_by(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        if "useOp" in node:
            self.operator(strings(node["useOp"]))
        return False

    def _case(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        if "arg" in node:
            self.operator(["="])
        return False

    def _type_name(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        names = strings(node.get("names", []))
        if names:
            self.cast(names[-1])
        return False

    def _multi_assign(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        # (a, b) = (…) has the same source under each column: once is enough.
        return number(node, "colno") > 1

    def _range_var(self, node: Tree, _level: Level, _ctes: Ctes) -> bool:
        # No expression names a relation; what the grammar may yet put here is read as a whole.
        self.table(node, read=True).touch("*")
        return True

    def _indirection(self, node: Tree, level: Level, ctes: Ctes) -> bool:
        """`(x).f`, `(x).*`, `(x)[1]`, in any chain.

        `(t).f` where t is a FROM item reads the whole row, as it does for Postgres' own privileges.
        """
        self.expression(node.get("arg"), level, ctes)
        row = self._row_of(node.get("arg"), level)
        for step in node.get("indirection", []):
            kind, inner = unwrap(step)
            name = str(inner.get("sval", ""))
            if kind != "String":
                self.expression(step, level, ctes)
            elif row is None or row.touch(name) is not Ownership.YES:
                self.attribute(name, of_row=row is not None)
            row = None
        return True

    def _row_of(self, wrapped: Tree | None, level: Level) -> Item | None:
        """The FROM item whose whole row an expression surely is."""
        kind, node = unwrap(wrapped)
        names = strings(node.get("fields", [])) if kind == "ColumnRef" else []
        if len(names) != 1:
            return None
        name = names[0]
        self.spend(level.width())
        for outer in level.outwards():
            for item in outer.items:
                if not item.hidden and item.owns(name) is not Ownership.NO:
                    return None
        return level.item(name)

    def star(self, names: list[str], level: Level) -> None:
        """`*`, `t.*`, `s.t.*`."""
        if not names:
            for item in level.items:
                if not item.hidden:
                    item.read_row()
            return
        found = self._find(names, level)
        if found is not None:
            found.read_row()
            found.hit()

    def _unqualified(self, name: str, level: Level) -> None:
        self.spend(level.width())
        owned = level.touch(name)
        if owned is Ownership.YES:
            return
        item = level.item(name)
        if item is not None:
            item.read_row()
            item.hit()
        elif owned is Ownership.NO:
            level.touch_anywhere(name)

    def qualified(self, names: list[str], level: Level) -> None:
        """`t.c` or `s.t.c`: a column, or a call of function c with t's row."""
        item = self._find(names[:-1], level)
        if item is None:
            return
        column = names[-1]
        item.hit()
        owned = item.touch(column)
        if owned is Ownership.YES:
            return
        if self.attribute(column, of_row=True):
            item.read_row()
        elif owned is Ownership.NO:
            for table in item.tables:
                table.touch(column)

    def _find(self, qualifier: list[str], level: Level) -> Item | None:
        """The item of `t` or `s.t`. Where none has the name, everything in sight counts as read."""
        name = qualifier[-1]
        schema = qualifier[-2] if len(qualifier) > 1 else None
        item = level.item(name, schema) or level.item(name)
        if item is None:
            self.spend(level.width())
            level.read_everything()
        return item

    _SPECIAL: ClassVar[dict[str, Callable[[Expressions, Tree, Level, Ctes], bool]]] = {
        "ColumnRef": _column_ref,
        "FuncCall": _func_call,
        "A_Expr": _a_expr,
        "SubLink": _sub_link,
        "SortBy": _sort_by,
        "CaseExpr": _case,
        "TypeName": _type_name,
        "MultiAssignRef": _multi_assign,
        "RangeVar": _range_var,
        "A_Indirection": _indirection,
    }


_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
