"""CREATE …: what is made, what its definition reads and calls, and whether it reaches outside."""

from __future__ import annotations

from dbfirewall.sql.calls import strings
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.definitions import define, own_row, stored_row, uses_function, uses_functions
from dbfirewall.sql.expressions import NO_CTES
from dbfirewall.sql.names import ObjectName
from dbfirewall.sql.nodes import Tree, each, unwrap
from dbfirewall.sql.objects import KINDS, relation_named, role_name
from dbfirewall.sql.shapes import Handler, Shape


def _create(x: Changes, kind: str, objects: tuple[ObjectName, ...], detail: str = "") -> Shape:
    x.add("create", objects, kind, detail=detail)
    return Shape(f"create {kind}")


def _named(x: Changes, kind: str, names: list[str]) -> Shape:
    """An object that lives in a schema, by the parts of its name."""
    schema = names[-2] if len(names) > 1 else None
    return _create(x, kind, x.names.created(schema, (names or [""])[-1]))


def _on_table(x: Changes, kind: str, relation: Tree, name: object) -> Shape:
    """An object that belongs to a table: named by the table, so that rules about the table cover it."""
    return _create(x, kind, relation_named(x, relation, "table").objects, f"{kind} {name or ''}".strip())


def _table(x: Changes, node: Tree) -> Shape:
    relation = node.get("relation", {})
    detail = "temporary" if relation.get("relpersistence") == "t" else ""
    shape = _create(x, "table", x.created(relation), detail)
    define(x, "CreateStmt", node, own_row(str(relation.get("relname", ""))))
    return shape


def _foreign_table(x: Changes, node: Tree) -> Shape:
    base = node.get("base", {})
    shape = _create(x, "foreign table", x.created(base.get("relation", {})))
    x.add("egress", ((str(node.get("servername", "")),),), "server", detail="foreign table")
    define(x, "CreateStmt", base, own_row(""))
    return shape


def _view(x: Changes, node: Tree) -> Shape:
    _create(x, "view", x.created(node.get("view", {})))
    x.query(*unwrap(node.get("query")), None, NO_CTES)
    return Shape("create view")


def _sequence(x: Changes, node: Tree) -> Shape:
    return _create(x, "sequence", x.created(node.get("sequence", {})))


def _index(x: Changes, node: Tree) -> Shape:
    shape = _on_table(x, "index", node.get("relation", {}), node.get("idxname"))
    table, level = stored_row(x, node.get("relation", {}))
    if node.get("unique"):
        for element in each("IndexElem", node.get("indexParams")):
            if "name" in element:
                table.touch(str(element["name"]))
    for part in ("indexParams", "indexIncludingParams", "options"):
        for kind, entry in map(unwrap, node.get(part, [])):
            define(x, kind, entry, level)
    x.expression(node.get("whereClause"), level, NO_CTES)
    return shape


def _statistics(x: Changes, node: Tree) -> Shape:
    name = ".".join(strings(node.get("defnames", [])))
    for relation in each("RangeVar", node.get("relations")):
        _on_table(x, "statistics", relation, name)
        for kind, entry in map(unwrap, node.get("exprs", [])):
            define(x, kind, entry, own_row(str(relation.get("relname", ""))))
    return Shape("create statistics")


def _trigger(x: Changes, node: Tree) -> Shape:
    shape = _on_table(x, "trigger", node.get("relation", {}), node.get("trigname"))
    uses_function(x, strings(node.get("funcname", [])), "trigger function")
    x.expression(node.get("whenClause"), own_row("old", "new"), NO_CTES)
    return shape


def _event_trigger(x: Changes, node: Tree) -> Shape:
    shape = _create(x, "event trigger", ((str(node.get("trigname", "")),),))
    uses_function(x, strings(node.get("funcname", [])), "trigger function")
    return shape


def _policy(x: Changes, node: Tree) -> Shape:
    shape = _on_table(x, "policy", node.get("table", {}), node.get("policy_name"))
    policy_expressions(x, node)
    return shape


def policy_expressions(x: Changes, node: Tree) -> None:
    """What USING and WITH CHECK read and call, whenever the policy is asked."""
    level = own_row(str(node.get("table", {}).get("relname", "")))
    x.expression(node.get("qual"), level, NO_CTES)
    x.expression(node.get("with_check"), level, NO_CTES)


def _function(x: Changes, node: Tree) -> Shape:
    """CREATE FUNCTION and PROCEDURE. What its body does is not looked into: it is `code`."""
    kind = "procedure" if node.get("is_procedure") else "function"
    shape = _named(x, kind, strings(node.get("funcname", [])))
    x.add("code", detail=f"body of a {kind}")
    return shape


def _language(x: Changes, node: Tree) -> Shape:
    shape = _create(x, "language", ((str(node.get("plname", "")),),))
    x.add("code", detail="language handler")
    return shape


def _define(x: Changes, node: Tree) -> Shape:
    """CREATE AGGREGATE, OPERATOR, TYPE, COLLATION and TEXT SEARCH …."""
    kind = KINDS.get(str(node.get("kind")))
    if kind is None:
        x.unknown(f"DefineStmt {node.get('kind')}")
        return Shape("create")
    uses_functions(x, node.get("definition", []), f"function of the {kind}")
    return _named(x, kind, strings(node.get("defnames", [])))


def _domain(x: Changes, node: Tree) -> Shape:
    shape = _named(x, "domain", strings(node.get("domainname", [])))
    for kind, constraint in map(unwrap, node.get("constraints", [])):
        define(x, kind, constraint, own_row("value"))
    return shape


def _composite_type(x: Changes, node: Tree) -> Shape:
    return _create(x, "type", x.created(node.get("typevar", {})))


def _plain_type(x: Changes, node: Tree) -> Shape:
    uses_functions(x, node.get("params", []), "function of the type")
    return _named(x, "type", strings(node.get("typeName", [])))


def _cast(x: Changes, node: Tree) -> Shape:
    if "func" in node:
        uses_function(x, strings(node["func"].get("objname", [])), "function of the cast")
    return _named(x, "cast", strings(node.get("targettype", {}).get("names", [])))


def _conversion(x: Changes, node: Tree) -> Shape:
    uses_function(x, strings(node.get("func_name", [])), "function of the conversion")
    return _named(x, "conversion", strings(node.get("conversion_name", [])))


def _transform(x: Changes, node: Tree) -> Shape:
    for part in ("fromsql", "tosql"):
        uses_function(x, strings(node.get(part, {}).get("objname", [])), "function of the transform")
    return _named(x, "transform", strings(node.get("type_name", {}).get("names", [])))


def _operator_class(x: Changes, node: Tree) -> Shape:
    operator_class_items(x, node)
    return _named(x, "operator class", strings(node.get("opclassname", [])))


def operator_class_items(x: Changes, node: Tree) -> None:
    """Functions that an operator class is going to run."""
    for item in each("CreateOpClassItem", node.get("items")):
        if item.get("itemtype") == 2:  # OPCLASS_ITEM_FUNCTION
            uses_function(
                x, strings(item.get("name", {}).get("objname", [])), "function of the operator class"
            )


def _operator_family(x: Changes, node: Tree) -> Shape:
    return _named(x, "operator family", strings(node.get("opfamilyname", [])))


def _user_mapping(x: Changes, node: Tree) -> Shape:
    x.add("egress", ((str(node.get("servername", "")),),), "server", detail="user mapping")
    return _create(x, "user mapping", ((role_name(node.get("user", {})),),))


def _server(x: Changes, node: Tree) -> Shape:
    name = ((str(node.get("servername", "")),),)
    x.add("egress", name, "server", detail="foreign server")
    return _create(x, "server", name)


def _subscription(x: Changes, node: Tree) -> Shape:
    name = ((str(node.get("subname", "")),),)
    x.add("egress", name, "subscription", detail="subscription")
    return _create(x, "subscription", name)


def _import_schema(x: Changes, node: Tree) -> Shape:
    x.add("egress", ((str(node.get("server_name", "")),),), "server", detail="import foreign schema")
    x.add("create", ((str(node.get("local_schema", "")),),), "foreign schema")
    return Shape("import foreign schema")


def _publication(x: Changes, node: Tree) -> Shape:
    published(x, node)
    return _create(x, "publication", ((str(node.get("pubname", "")),),))


def published(x: Changes, node: Tree) -> None:
    """The tables that a publication offers for copying elsewhere: as reading them."""
    if node.get("for_all_tables"):
        x.add("select", ((None, None),), "table", columns=("*",), detail="publication of all tables")
    for entry in each("PublicationObjSpec", node.get("pubobjects")):
        if "pubtable" in entry:
            published_table = entry["pubtable"]
            table = x.table(published_table.get("relation", {}), read=True)
            for column in strings(published_table.get("columns", [])) or ["*"]:
                table.touch(column)
            name = str(published_table.get("relation", {}).get("relname", ""))
            x.expression(published_table.get("whereClause"), own_row(name), NO_CTES)
        else:
            schema = entry.get("name")
            x.add("select", ((schema, None),), "table", columns=("*",), detail="publication of a schema")


def _simple(kind: str, field: str) -> Handler:
    """CREATE of an object that has one name and no schema."""

    def handler(x: Changes, node: Tree) -> Shape:
        return _create(x, kind, ((str(node.get(field, "")),),))

    return handler


HANDLERS: dict[str, Handler] = {
    "CreateStmt": _table,
    "CreateForeignTableStmt": _foreign_table,
    "ViewStmt": _view,
    "CreateSeqStmt": _sequence,
    "IndexStmt": _index,
    "CreateStatsStmt": _statistics,
    "CreateTrigStmt": _trigger,
    "CreateEventTrigStmt": _event_trigger,
    "CreatePolicyStmt": _policy,
    "CreateFunctionStmt": _function,
    "CreatePLangStmt": _language,
    "DefineStmt": _define,
    "CreateDomainStmt": _domain,
    "CompositeTypeStmt": _composite_type,
    "CreateEnumStmt": _plain_type,
    "CreateRangeStmt": _plain_type,
    "CreateCastStmt": _cast,
    "CreateConversionStmt": _conversion,
    "CreateTransformStmt": _transform,
    "CreateOpClassStmt": _operator_class,
    "CreateOpFamilyStmt": _operator_family,
    "CreateUserMappingStmt": _user_mapping,
    "CreateForeignServerStmt": _server,
    "CreateSubscriptionStmt": _subscription,
    "ImportForeignSchemaStmt": _import_schema,
    "CreatePublicationStmt": _publication,
    "CreateRoleStmt": _simple("role", "role"),
    "CreatedbStmt": _simple("database", "dbname"),
    "CreateTableSpaceStmt": _simple("tablespace", "tablespacename"),
    "CreateExtensionStmt": _simple("extension", "extname"),
    "CreateFdwStmt": _simple("foreign data wrapper", "fdwname"),
    "CreateAmStmt": _simple("access method", "amname"),
}
