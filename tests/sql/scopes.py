"""Scopes that the fixtures of facts are read in."""

from __future__ import annotations

from dataclasses import replace

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Catalog, Function, Relation, Scope


def _user(name: str, volatility: str = "v", **more: object) -> Function:
    return replace(Function("public", name, volatility, language="plpgsql"), **more)  # type: ignore[arg-type]


F_OP = _user("f_op", min_args=2, max_args=2)
F_CAST = _user("int_to_myt", min_args=1, max_args=1)
F_CHECK = _user("f_check", "i", min_args=1, max_args=1)
DISTANCE = Function("ext", "distance", "i", min_args=2, max_args=2, language="c", trusted=True)

_FUNCTIONS = (
    F_OP,
    F_CAST,
    F_CHECK,
    DISTANCE,
    _user("f_write"),
    _user("f_read", "s", min_args=1, max_args=1),
    _user("f_secdef", "s", security_definer=True),
    _user("f_secret", min_args=1, max_args=1, takes_row=True),
    _user("lower", "i", min_args=1, max_args=1),
    _user("unnest", min_args=1, max_args=1),
    _user("twice", "i", min_args=1, max_args=1),
    _user("twice", "i", min_args=2, max_args=2),
    _user("p_write", kind="p", max_args=1),
    Function("app", "helper", "v"),
    Function("ext", "unaccent", "s", max_args=2, language="c", trusted=True),
    Function("ext", "dblink", "v", min_args=1, max_args=4, language="c", trusted=True),
)
_RELATIONS = (
    Relation("public", "users", columns=("id", "email", "name")),
    Relation("public", "orders", columns=("id", "user_id", "amount", "status", "meta")),
    Relation("public", "secret", columns=("id", "ssn")),
    Relation("public", "odd", columns=("Order Id", "odd", "row_to_json")),
    Relation("public", "trap", columns=("id", "trap", "f_read")),
    Relation("public", "v_orders", "view", ("id", "amount")),
    Relation("public", "v_write", "view", ("x",), (("public", "f_write"),)),
    Relation("public", "v_read", "view", ("x",), (("public", "f_read"), ("pg_catalog", "random"))),
    Relation("public", "v_definer", "view", ("x",), (("public", "f_secdef"),)),
    Relation("public", "v_files", "view", ("x",), (("pg_catalog", "pg_read_file"),)),
    Relation("public", "v_lost", "view", ("x",), (("public", "gone"),)),
    Relation("app", "orders", columns=("id", "total")),
    Relation("app", "only_app", columns=("id",)),
    Relation("public", "sq", "sequence", ("last_value", "log_cnt", "is_called")),
)


def _live() -> Catalog:
    builtin = offline_catalog()
    functions = dict(builtin.functions)
    for function in _FUNCTIONS:
        functions[function.name] = (*functions.get(function.name, ()), function)
    return Catalog(
        relations={**builtin.relations, **{(r.schema, r.name): r for r in _RELATIONS}},
        functions=functions,
        operators={"<%%>": (("public", F_OP),), "<->": (("ext", DISTANCE),), "=": (("app", F_OP),)},
        casts={"myt": (F_CAST,), "mydomain": (F_CHECK,)},
        schemas=builtin.schemas | {"public", "app", "ext"},
        version=1,
        server_version=180006,
        complete=True,
    )


_LIVE = _live()
_COMPARISONS = {
    "=": "f_eq", "<>": "f_ne", "<": "f_lt", ">": "f_gt", "<=": "f_le", ">=": "f_ge", "~~": "f_like", "~": "f_re"
}  # fmt: skip
_OPERATORS = {
    symbol: (("public", _user(name, min_args=2, max_args=2)),) for symbol, name in _COMPARISONS.items()
}

SCOPES = {
    "offline": Scope(offline_catalog()),
    "offline app, public": Scope(offline_catalog(), ("app", "public")),
    "offline public, pg_catalog": Scope(offline_catalog(), ("public", "pg_catalog")),
    "offline unknown path": Scope(offline_catalog(), None),
    "live": Scope(_LIVE),
    "live app, public": Scope(_LIVE, ("app", "public")),
    "live public, ext": Scope(_LIVE, ("public", "ext")),
    "live missing, app": Scope(_LIVE, ("missing", "app")),
    "live public, pg_catalog": Scope(_LIVE, ("public", "pg_catalog")),
    "live unknown path": Scope(_LIVE, None),
    "live operators": Scope(replace(_LIVE, operators=_OPERATORS)),
    "live implicit cast": Scope(replace(_LIVE, implicit_calls=(("public", "int_to_myt"),))),
}
"""Offline: the built-ins only. Live: a small database, complete."""
