"""ALTER, DROP, GRANT and REVOKE."""

from __future__ import annotations

from dataclasses import replace

from dbfirewall.sql.calls import strings
from dbfirewall.sql.changes import Changes
from dbfirewall.sql.definitions import define, own_row, stored_row
from dbfirewall.sql.names import ObjectName
from dbfirewall.sql.nodes import Tree, each, only, unwrap
from dbfirewall.sql.objects import KINDS, Named, named, relation_named, role_name
from dbfirewall.sql.shapes import Handler, Shape
from dbfirewall.sql.utility_create import operator_class_items, policy_expressions, published

_ROW_SECURITY = frozenset(
    {"AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity"}
)
_RELATION_PARTS = {"OBJECT_COLUMN", "OBJECT_ATTRIBUTE", "OBJECT_TABCONSTRAINT", "OBJECT_RULE", "OBJECT_TRIGGER",
                   "OBJECT_POLICY"}  # fmt: skip


def _target(x: Changes, node: Tree, object_type: str) -> Named:
    """What an ALTER is about: a relation, an object, or a bare name, whichever the statement has."""
    kind = KINDS.get(object_type, "")
    name = str(node.get("subname", ""))
    if "relation" in node:
        of = str(node.get("relationType", ""))
        relation_kind = (
            KINDS.get(of, "table") if object_type in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE") else kind
        )
        return relation_named(x, node["relation"], relation_kind, name)
    found = named(x, object_type, node.get("object")) if "object" in node else None
    if found is None and kind and name:
        found = Named(kind, ((name,),))
    return found or Named("", ())


def _apply(x: Changes, action: str, target: Named, detail: str = "") -> Shape:
    """An effect on what a statement names; where that could not be told, an unknown one."""
    if target.objects:
        x.add(action, target.objects, target.kind, detail=" ".join(filter(None, (detail, target.detail))))
    else:
        x.unknown(f"{action} of an unknown object")
    return Shape(f"alter {target.kind}".strip())


def _alter_table(x: Changes, node: Tree) -> Shape:
    relation = node.get("relation", {})
    target = relation_named(x, relation, KINDS.get(str(node.get("objtype")), "table"))
    table, level = stored_row(x, relation)
    plain = False
    for command in each("AlterTableCmd", node.get("cmds")):
        subtype = str(command.get("subtype"))
        if subtype == "AT_ChangeOwner":
            _apply(x, "owner", target, f"to {role_name(command.get('newowner', {}))}")
        elif subtype == "AT_AddConstraint":
            plain = True
            constraint = only("Constraint", command.get("def"))
            for name in strings([*constraint.get("keys", []), *constraint.get("fk_attrs", [])]):
                table.touch(name)
        elif subtype in _ROW_SECURITY:
            _apply(x, "policy", target, "row level security")
        else:
            plain = True
        define(x, "AlterTableCmd", command, level)
        _cascade(x, command)
        if subtype == "AT_AlterColumnType":
            # The stored values are cast to the new type at once.
            column = only("ColumnDef", command.get("def"))
            table.touch(str(command.get("name", "")))
            x.cast((strings(column.get("typeName", {}).get("names", [])) or [""])[-1])
    if plain:
        _apply(x, "alter", target)
    return Shape(f"alter {target.kind}")


def _rename(x: Changes, node: Tree) -> Shape:
    """RENAME changes the old name's object, and makes one under the new name."""
    object_type = str(node.get("renameType"))
    target = _target(x, node, object_type)
    new = str(node.get("newname", ""))
    about = " ".join(filter(None, ("rename", target.detail, "to", new)))
    shape = _apply(x, "alter", replace(target, detail=about))
    if object_type not in _RELATION_PARTS and object_type != "OBJECT_DOMCONSTRAINT":
        objects = tuple(dict.fromkeys((*name[:-1], new) for name in target.objects))
        x.add("alter", objects, target.kind, detail="new name")
    return shape


def _set_schema(x: Changes, node: Tree) -> Shape:
    target = _target(x, node, str(node.get("objectType")))
    schema = str(node.get("newschema", ""))
    shape = _apply(x, "alter", target, f"set schema {schema}")
    moved = tuple(dict.fromkeys((schema, name[-1]) for name in target.objects if len(name) > 1))
    x.add("alter", moved, target.kind, detail="new name")
    return shape


def _owner(x: Changes, node: Tree) -> Shape:
    target = _target(x, node, str(node.get("objectType")))
    return _apply(x, "owner", target, f"to {role_name(node.get('newowner', {}))}")


def _depends(x: Changes, node: Tree) -> Shape:
    object_type = str(node.get("objectType"))
    if "relation" in node:
        return _apply(x, "alter", relation_named(x, node["relation"], KINDS.get(object_type, "table")))
    return _apply(x, "alter", _target(x, node, object_type))


def _extension_contents(x: Changes, node: Tree) -> Shape:
    member = named(x, str(node.get("objtype")), node.get("object"))
    _apply(x, "alter", member or Named("", ()), "extension membership")
    return _apply(x, "alter", Named("extension", ((str(node.get("extname", "")),),)))


def _alter_domain(x: Changes, node: Tree) -> Shape:
    define(x, *unwrap(node.get("def")), own_row("value"))
    _cascade(x, node)
    return _apply(x, "alter", Named("domain", x.names.qualified(strings(node.get("typeName", [])))))


def _alter_policy(x: Changes, node: Tree) -> Shape:
    policy_expressions(x, node)
    table = relation_named(x, node.get("table", {}), "table")
    return _apply(x, "alter", Named("policy", table.objects, f"policy {node.get('policy_name', '')}"))


def _alter_sequence(x: Changes, node: Tree) -> Shape:
    return _apply(x, "alter", relation_named(x, node.get("sequence", {}), "sequence"))


def _alter_function(x: Changes, node: Tree) -> Shape:
    target = named(x, str(node.get("objtype")), {"ObjectWithArgs": node.get("func", {})})
    return _apply(x, "alter", target or Named("", ()))


def _alter_operator(x: Changes, node: Tree) -> Shape:
    names = strings(node.get("opername", {}).get("objname", []))
    return _apply(x, "alter", Named("operator", x.names.qualified(names)))


def _alter_operator_family(x: Changes, node: Tree) -> Shape:
    operator_class_items(x, node)
    return _apply(
        x, "alter", Named("operator family", x.names.qualified(strings(node.get("opfamilyname", []))))
    )


def _alter_role(x: Changes, node: Tree) -> Shape:
    return _apply(x, "alter", Named("role", ((role_name(node.get("role", {})) or "all",),)))


def _alter_role_set(x: Changes, node: Tree) -> Shape:
    parameter = node.get("setstmt", {}).get("name", "all")
    _alter_role(x, node)
    if "database" in node:
        _apply(x, "alter", Named("database", ((str(node["database"]),),)), f"set {parameter}")
    return Shape("alter role")


def _alter_publication(x: Changes, node: Tree) -> Shape:
    published(x, node)
    return _apply(x, "alter", Named("publication", ((str(node.get("pubname", "")),),)))


def _alter_subscription(x: Changes, node: Tree) -> Shape:
    name = Named("subscription", ((str(node.get("subname", "")),),))
    _apply(x, "egress", name, "subscription")
    return _apply(x, "alter", name)


def _drop_subscription(x: Changes, node: Tree) -> Shape:
    # Drops the slot at the publisher, too.
    name = ((str(node.get("subname", "")),),)
    x.add("egress", name, "subscription", detail="subscription")
    x.add("drop", name, "subscription")
    return Shape("drop subscription")


def _alter_server(x: Changes, node: Tree) -> Shape:
    name = Named("server", ((str(node.get("servername", "")),),))
    _apply(x, "egress", name, "foreign server")
    return _apply(x, "alter", name)


def _alter_user_mapping(x: Changes, node: Tree) -> Shape:
    x.add("egress", ((str(node.get("servername", "")),),), "server", detail="user mapping")
    return _apply(x, "alter", Named("user mapping", ((role_name(node.get("user", {})),),)))


def _drop_user_mapping(x: Changes, node: Tree) -> Shape:
    x.add("drop", ((role_name(node.get("user", {})),),), "user mapping")
    return Shape("drop user mapping")


def _drop(x: Changes, node: Tree) -> Shape:
    object_type = str(node.get("removeType"))
    for entry in node.get("objects", []):
        target = named(x, object_type, entry)
        if target is None:
            x.unknown(f"drop of {object_type}")
        else:
            x.add("drop", target.objects, target.kind, detail=target.detail)
    _cascade(x, node)
    return Shape(f"drop {KINDS.get(object_type, '')}".strip())


def _cascade(x: Changes, node: Tree) -> None:
    """CASCADE drops whatever depends on the object, in any schema."""
    if node.get("behavior") == "DROP_CASCADE":
        x.add("drop", ((None, None),), detail="cascade")


def _drop_roles(x: Changes, node: Tree) -> Shape:
    x.add("drop", [(role_name(role),) for role in each("RoleSpec", node.get("roles"))], "role")
    return Shape("drop role")


def _drop_owned(x: Changes, node: Tree) -> Shape:
    x.add("drop", [(role_name(role),) for role in each("RoleSpec", node.get("roles"))], "owned")
    _cascade(x, node)
    return Shape("drop owned")


def _reassign_owned(x: Changes, node: Tree) -> Shape:
    to = role_name(node.get("newrole", {}))
    roles = [(role_name(role),) for role in each("RoleSpec", node.get("roles"))]
    x.add("owner", roles, "owned", detail=f"to {to}")
    return Shape("reassign owned")


def _grant(x: Changes, node: Tree) -> Shape:
    action = "grant" if node.get("is_grant") else "revoke"
    object_type = str(node.get("objtype"))
    privileges = list(each("AccessPriv", node.get("privileges")))
    words = ", ".join(str(entry.get("priv_name", "all")) for entry in privileges) or "all"
    columns = (
        tuple(sorted({column for entry in privileges for column in strings(entry.get("cols", []))})) or None
    )
    for entry in node.get("objects", []):
        if node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            schema: ObjectName = (str(only("String", entry).get("sval", "")), None)
            x.add(action, (schema,), KINDS.get(object_type, "table"), detail=words)
        elif (target := named(x, object_type, entry)) is not None:
            x.add(action, target.objects, target.kind, columns=columns, detail=words)
        else:
            x.unknown(f"{action} on {object_type}")
    return Shape(action)


def _grant_role(x: Changes, node: Tree) -> Shape:
    action = "grant" if node.get("is_grant") else "revoke"
    roles = [(str(role.get("priv_name", "")),) for role in each("AccessPriv", node.get("granted_roles"))]
    to = ", ".join(role_name(role) for role in each("RoleSpec", node.get("grantee_roles")))
    x.add(action, roles, "role", detail=f"{'to' if action == 'grant' else 'from'} {to}")
    return Shape(f"{action} role", tags=(action.upper(),))


def _default_privileges(x: Changes, node: Tree) -> Shape:
    schemas: list[ObjectName] = []
    for option in each("DefElem", node.get("options")):
        if option.get("defname") == "schemas":
            names = only("List", option.get("arg"))
            schemas += [(name, None) for name in strings(names.get("items", []))]
    x.add("default_privileges", schemas or ((None, None),))
    return Shape("alter default privileges")


def _simple(kind: str, field: str, action: str = "alter") -> Handler:
    """ALTER or DROP of an object that has one name and no schema."""

    def handler(x: Changes, node: Tree) -> Shape:
        x.add(action, ((str(node.get(field, "")),),), kind)
        return Shape(f"{action} {kind}")

    return handler


def _qualified(kind: str, field: str) -> Handler:
    """ALTER of an object that lives in a schema and that the catalog snapshot does not list."""

    def handler(x: Changes, node: Tree) -> Shape:
        return _apply(x, "alter", Named(kind, x.names.qualified(strings(node.get(field, [])))))

    return handler


HANDLERS: dict[str, Handler] = {
    "AlterTableStmt": _alter_table,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterOwnerStmt": _owner,
    "AlterObjectDependsStmt": _depends,
    "AlterExtensionStmt": _simple("extension", "extname"),
    "AlterExtensionContentsStmt": _extension_contents,
    "AlterDomainStmt": _alter_domain,
    "AlterPolicyStmt": _alter_policy,
    "AlterSeqStmt": _alter_sequence,
    "AlterFunctionStmt": _alter_function,
    "AlterOperatorStmt": _alter_operator,
    "AlterOpFamilyStmt": _alter_operator_family,
    "AlterRoleStmt": _alter_role,
    "AlterRoleSetStmt": _alter_role_set,
    "AlterPublicationStmt": _alter_publication,
    "AlterSubscriptionStmt": _alter_subscription,
    "AlterForeignServerStmt": _alter_server,
    "AlterUserMappingStmt": _alter_user_mapping,
    "AlterFdwStmt": _simple("foreign data wrapper", "fdwname"),
    "AlterEventTrigStmt": _simple("event trigger", "trigname"),
    "AlterDatabaseStmt": _simple("database", "dbname"),
    "AlterDatabaseSetStmt": _simple("database", "dbname"),
    "AlterDatabaseRefreshCollStmt": _simple("database", "dbname"),
    "AlterTableSpaceOptionsStmt": _simple("tablespace", "tablespacename"),
    "AlterTableMoveAllStmt": _simple("tablespace", "orig_tablespacename"),
    "AlterCollationStmt": _qualified("collation", "collname"),
    "AlterTypeStmt": _qualified("type", "typeName"),
    "AlterEnumStmt": _qualified("type", "typeName"),
    "AlterStatsStmt": _qualified("statistics", "defnames"),
    "AlterTSDictionaryStmt": _qualified("text search dictionary", "dictname"),
    "AlterTSConfigurationStmt": _qualified("text search configuration", "cfgname"),
    "DropStmt": _drop,
    "DropdbStmt": _simple("database", "dbname", "drop"),
    "DropTableSpaceStmt": _simple("tablespace", "tablespacename", "drop"),
    "DropRoleStmt": _drop_roles,
    "DropOwnedStmt": _drop_owned,
    "DropSubscriptionStmt": _drop_subscription,
    "DropUserMappingStmt": _drop_user_mapping,
    "ReassignOwnedStmt": _reassign_owned,
    "GrantStmt": _grant,
    "GrantRoleStmt": _grant_role,
    "AlterDefaultPrivilegesStmt": _default_privileges,
}
