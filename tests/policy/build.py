"""Short ways to write roles, effects and analyses in tests."""

from __future__ import annotations

from typing import Any

from dbfirewall.policy.models import Role
from dbfirewall.sql.facts import Analysis, Effect, Statement


def role(*rules: dict[str, Any], access: str = "read-write", **members: Any) -> Role:
    """A role of these rules, as its YAML would give it."""
    return Role.model_validate({"name": "r", "access": access, "rules": list(rules), **members})


def analysis(*effects: Effect, kind: str = "select", **members: Any) -> Analysis:
    """One statement with these effects."""
    return Analysis((Statement(kind, effects, **members),))


def select(name: str, *columns: str, **members: Any) -> Effect:
    """A select of `columns` (none: no column) of a relation."""
    return Effect("select", tuple(name.split(".")), columns=columns, **members)


def on(action: str, name: str = "", **members: Any) -> Effect:
    """An action on an object, its name in dotted parts."""
    return Effect(action, tuple(name.split(".")) if name else (), **members)
