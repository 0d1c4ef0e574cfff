"""INSERT, UPDATE, DELETE and MERGE: what they write, and what they read to do so."""

from __future__ import annotations

from dbfirewall.sql.expressions import Ctes
from dbfirewall.sql.nodes import Tree, each, only, unwrap
from dbfirewall.sql.queries import Queries
from dbfirewall.sql.scopes import Columns, Item, Level, Table

_MERGE_PARTS = {"CMD_INSERT": "insert", "CMD_UPDATE": "update", "CMD_DELETE": "delete"}


class Changes(Queries):
    """Effects of every statement that may stand in WITH. `changing`: how many that modify data have been met."""

    changing = 0

    def query(self, kind: str, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        """The effects of a SELECT or data-modifying statement, and its output columns."""
        if kind == "SelectStmt":
            return self.select(node, parent, ctes)[0]
        self.changing += 1
        ctes = self.with_clause(node, parent, ctes)
        if kind == "InsertStmt":
            return self._insert(node, parent, ctes)
        if kind == "UpdateStmt":
            return self._update(node, parent, ctes)
        if kind == "DeleteStmt":
            return self._delete(node, parent, ctes)
        if kind == "MergeStmt":
            return self._merge(node, parent, ctes)
        self.unknown(kind or "query")
        return Columns(open=True)

    def _insert(self, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        table, target = self._target(node)
        self.write("insert", table, _assigned(node.get("cols", [])) or {"*"})
        source = only("SelectStmt", node.get("selectStmt"))
        if source:
            self.select(source, parent, ctes)
        level = Level([target], parent)
        self.expressions(node.get("cols"), level, ctes)
        if "onConflictClause" in node:
            self._on_conflict(node["onConflictClause"], table, level, ctes)
        return self._returning(node, level, target, ctes)

    def _on_conflict(self, clause: Tree, table: Table, level: Level, ctes: Ctes) -> None:
        infer = clause.get("infer", {})
        for element in each("IndexElem", infer.get("indexElems")):
            if "name" in element:
                # Postgres asks for SELECT on these columns too: a conflict tells that a value is there.
                table.touch(str(element["name"]))
            self.expression(element.get("expr"), level, ctes)
        self.expression(infer.get("whereClause"), level, ctes)
        if clause.get("action") == "ONCONFLICT_UPDATE":
            targets = clause.get("targetList", [])
            self.write("update", table, _assigned(targets), detail="on conflict")
            inner = Level([*level.items, Item("excluded", Columns(open=True), hidden=True)], level.parent)
            self.expressions(targets, inner, ctes)
            self.expression(clause.get("whereClause"), inner, ctes)

    def _update(self, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        table, target = self._target(node)
        level = self._with_target(target, node.get("fromClause", []), parent, ctes)
        targets = node.get("targetList", [])
        where = self._restricts(node.get("whereClause"), table, level, ctes)
        self.write("update", table, _assigned(targets), where=where)
        self.expressions(targets, level, ctes)
        return self._returning(node, level, target, ctes)

    def _delete(self, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        table, target = self._target(node)
        level = self._with_target(target, node.get("usingClause", []), parent, ctes)
        where = self._restricts(node.get("whereClause"), table, level, ctes)
        self.add("delete", table.objects, table.relation.kind if table.relation else "", where=where)
        return self._returning(node, level, target, ctes)

    def _merge(self, node: Tree, parent: Level | None, ctes: Ctes) -> Columns:
        """MERGE is an effect of its own, and each of its WHEN clauses the effect that it has."""
        table, target = self._target(node)
        kind = table.relation.kind if table.relation else ""
        self.add("merge", table.objects, kind)
        level = self._with_target(target, [node.get("sourceRelation", {})], parent, ctes)
        joined = self._restricts(node.get("joinCondition"), table, level, ctes)
        for clause in each("MergeWhenClause", node.get("mergeWhenClauses")):
            where = self._restricts(clause.get("condition"), table, level, ctes)
            if clause.get("matchKind") != "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
                where = where or joined
            targets = clause.get("targetList", [])
            action = _MERGE_PARTS.get(str(clause.get("commandType")))
            if action == "delete":
                self.add(action, table.objects, kind, where=where, detail="merge")
            elif action == "update":
                self.write(action, table, _assigned(targets), where=where, detail="merge")
            elif action == "insert":
                self.write(action, table, _assigned(targets) or {"*"}, detail="merge")
            elif clause.get("commandType") != "CMD_NOTHING":
                self.unknown("MergeWhenClause")
            self.expressions(targets, level, ctes)
            self.expressions(clause.get("values"), level, ctes)
        return self._returning(node, level, target, ctes)

    def _target(self, node: Tree) -> tuple[Table, Item]:
        relation = node.get("relation", {})
        table = self.table(relation, read=False)
        alias = str(relation.get("alias", {}).get("aliasname", ""))
        item = Item.base(table, alias or str(relation.get("relname", "")))
        if alias:
            item.schemas = ()
        return table, item

    def _with_target(self, target: Item, entries: list[Tree], parent: Level | None, ctes: Ctes) -> Level:
        level = self.from_clause(entries, parent, ctes)
        return Level([target, *level.items], parent)

    def _restricts(self, condition: Tree | None, table: Table, level: Level, ctes: Ctes) -> bool:
        """Whether a condition speaks of the table at all, by a column or by a cursor's position."""
        kind, node = unwrap(condition)
        before = table.hits
        self.walk(kind, node, level, ctes)
        return table.hits > before or kind == "CurrentOfExpr"

    def _returning(self, node: Tree, level: Level, target: Item, ctes: Ctes) -> Columns:
        """RETURNING, where `old` and `new` (or the names given to them) mean the target's row."""
        clause = node.get("returningClause", {})
        names = {"old", "new"} - {item.name for item in level.items}
        names |= {str(option.get("value")) for option in each("ReturningOption", clause.get("options"))}
        versions = [
            Item(name, target.columns, target.tables, target.unknown, hidden=True, system=target.system)
            for name in sorted(names)
        ]
        inner = Level([*level.items, *versions], level.parent)
        return self.targets(clause.get("exprs", []), inner, ctes)[0]


def _assigned(targets: list[Tree]) -> set[str]:
    """The columns that a SET list or a column list names."""
    return {str(target.get("name", "")) for target in each("ResTarget", targets)}
