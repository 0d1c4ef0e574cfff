"""How utility statements name the objects that they create, alter, drop, comment on or grant.

An object that belongs to a table (a trigger, a rule, a policy, a constraint, a column) is named by its table, so
that rules about the table cover it; the object's own name goes into the effect's detail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbfirewall.sql.calls import strings
from dbfirewall.sql.effects import Effects
from dbfirewall.sql.names import ObjectName
from dbfirewall.sql.nodes import Tree, unwrap

KINDS = {
    "OBJECT_ACCESS_METHOD": "access method",
    "OBJECT_AGGREGATE": "aggregate",
    "OBJECT_ATTRIBUTE": "type",
    "OBJECT_CAST": "cast",
    "OBJECT_COLLATION": "collation",
    "OBJECT_COLUMN": "table",
    "OBJECT_CONVERSION": "conversion",
    "OBJECT_DATABASE": "database",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_DOMCONSTRAINT": "domain",
    "OBJECT_EVENT_TRIGGER": "event trigger",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_FDW": "foreign data wrapper",
    "OBJECT_FOREIGN_SERVER": "server",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_FUNCTION": "function",
    "OBJECT_INDEX": "index",
    "OBJECT_LANGUAGE": "language",
    "OBJECT_LARGEOBJECT": "large object",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_OPCLASS": "operator class",
    "OBJECT_OPERATOR": "operator",
    "OBJECT_OPFAMILY": "operator family",
    "OBJECT_PARAMETER_ACL": "parameter",
    "OBJECT_POLICY": "policy",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_PUBLICATION": "publication",
    "OBJECT_ROLE": "role",
    "OBJECT_ROUTINE": "function",
    "OBJECT_RULE": "rule",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_STATISTIC_EXT": "statistics",
    "OBJECT_SUBSCRIPTION": "subscription",
    "OBJECT_TABCONSTRAINT": "table",
    "OBJECT_TABLE": "table",
    "OBJECT_TABLESPACE": "tablespace",
    "OBJECT_TRANSFORM": "transform",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_TSCONFIGURATION": "text search configuration",
    "OBJECT_TSDICTIONARY": "text search dictionary",
    "OBJECT_TSPARSER": "text search parser",
    "OBJECT_TSTEMPLATE": "text search template",
    "OBJECT_TYPE": "type",
    "OBJECT_VIEW": "view",
}
"""Object kinds in the words of rules. A column is its table's, a constraint its table's or domain's."""

_RELATIONS = frozenset(
    {
        "OBJECT_TABLE",
        "OBJECT_VIEW",
        "OBJECT_MATVIEW",
        "OBJECT_INDEX",
        "OBJECT_SEQUENCE",
        "OBJECT_FOREIGN_TABLE",
    }
)
_PARTS = {
    "OBJECT_COLUMN": "column",
    "OBJECT_POLICY": "policy",
    "OBJECT_RULE": "rule",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_TRIGGER": "trigger",
}
_ROLES = {
    "ROLESPEC_PUBLIC": "public",
    "ROLESPEC_CURRENT_ROLE": "current_role",
    "ROLESPEC_CURRENT_USER": "current_user",
    "ROLESPEC_SESSION_USER": "session_user",
}


@dataclass(frozen=True, slots=True)
class Named:
    """Objects that a statement names: their kind, every one that may be meant, and the part that it is about."""

    kind: str
    objects: tuple[ObjectName, ...]
    detail: str = ""


def role_name(spec: Tree) -> str:
    """The role of a RoleSpec: its name, or the keyword that stands for one."""
    return str(spec.get("rolename") or _ROLES.get(str(spec.get("roletype")), ""))


def relation_named(x: Effects, relation: Tree, kind: str, detail: str = "") -> Named:
    """The existing relation of a RangeVar; its kind is the catalog's where that is known."""
    found = x.names.relation(relation.get("schemaname"), str(relation.get("relname", "")))
    return Named(found.relation.kind if found.relation and kind == "table" else kind, found.objects, detail)


def named(x: Effects, object_type: str, wrapped: Tree | None) -> Named | None:
    """The existing object that a DROP, COMMENT, ALTER or GRANT names; None where that is not known."""
    kind = KINDS.get(object_type)
    shape, node = unwrap(wrapped)
    if kind is None:
        return None
    if shape == "RangeVar":
        return relation_named(x, node, kind)
    reader = _READERS.get(shape)
    return reader(x, object_type, kind, node) if reader else None


def _from_string(_x: Effects, _type: str, kind: str, node: Tree) -> Named:
    return Named(kind, ((str(node.get("sval", "")),),))


def _from_number(_x: Effects, _type: str, kind: str, node: Tree) -> Named:
    return Named(kind, ((str(node.get("ival", node.get("fval", ""))),),))


def _from_type(x: Effects, _type: str, kind: str, node: Tree) -> Named:
    return Named(kind, x.names.qualified(strings(node.get("names", []))))


def _from_signature(x: Effects, _type: str, kind: str, node: Tree) -> Named:
    parts = strings(node.get("objname", []))
    schema, name = (parts[-2] if len(parts) > 1 else None), (parts or [""])[-1]
    # Of an operator, too: no function bears such a name.
    if found := x.names.functions(schema, name):
        return Named(kind, tuple(dict.fromkeys((f.schema, f.name) for f in found)))
    return Named(kind, x.names.qualified(parts))


def _from_list(x: Effects, object_type: str, kind: str, node: Tree) -> Named:
    items = node.get("items", [])
    parts = strings(items)
    first, type_name = unwrap(items[0] if items else None)
    if first == "TypeName":
        # A cast's types, a transform's type and language, a domain's constraint.
        last, target = unwrap(items[-1])
        about = target if last == "TypeName" else type_name
        detail = f"constraint {parts[-1]}" if object_type == "OBJECT_DOMCONSTRAINT" and parts else ""
        return Named(kind, x.names.qualified(strings(about.get("names", []))), detail)
    if object_type in _PARTS:
        schema, table = (parts[-3] if len(parts) > 2 else None), (parts[-2] if len(parts) > 1 else "")
        objects = x.names.relation(schema, table).objects
        return Named(kind, objects, f"{_PARTS[object_type]} {parts[-1] if parts else ''}")
    if object_type in _RELATIONS:
        relation = {"relname": (parts or [""])[-1], **({"schemaname": parts[-2]} if len(parts) > 1 else {})}
        return relation_named(x, relation, kind)
    if object_type in ("OBJECT_OPCLASS", "OBJECT_OPFAMILY"):
        parts = parts[1:]  # the access method stands in front
    return Named(kind, x.names.qualified(parts))


_READERS: dict[str, Callable[[Effects, str, str, Tree], Named]] = {
    "String": _from_string,
    "Integer": _from_number,
    "Float": _from_number,
    "TypeName": _from_type,
    "ObjectWithArgs": _from_signature,
    "List": _from_list,
}
