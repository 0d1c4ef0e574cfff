"""The rules in force as plain values for people: what they say, and nothing that anybody could log in with."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dbfirewall.policy.models import Role, Rule, Rules

_DURATIONS = frozenset({"hold", "expires"})
_UNSHOWN = frozenset({"effect", "actions", "on", "columns", "reason", "id"})


def shown(rules: Rules) -> dict[str, Any]:
    """Roles with their rules, who has them, who approves, and which databases stand behind.

    Left out on purpose: verifiers, tokens, where passwords come from, and the options of a database's address
    (they name files).
    """
    return {
        "revision": rules.revision,
        "roles": [_role(role) for role in rules.roles.values()],
        "agents": [
            {
                "name": name,
                "role": agent.role,
                "databases": list(agent.database),
                "logs_in_by": _proofs(agent),
            }
            for name, agent in rules.agents.items()
        ],
        "approvers": [
            {"name": name, "groups": list(approver.groups)} for name, approver in rules.approvers.items()
        ],
        "databases": [
            {
                "name": name,
                "address": _address(database.dsn),
                "logins": {role: login.user for role, login in database.logins.items()},
            }
            for name, database in rules.databases.items()
        ],
    }


def _proofs(agent: Any) -> list[str]:
    return [word for word in ("password", "certificate") if getattr(agent, word) is not None]


def _address(dsn: str) -> str:
    parts = urlsplit(dsn)
    return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _role(role: Role) -> dict[str, Any]:
    limits = {
        name: duration(value) if name.endswith("timeout") else str(value)
        for name, value in role.limits
        if value is not None
    }
    if role.hold is not None:
        limits["hold"] = duration(role.hold)
    return {
        "name": role.name,
        "access": role.access,
        "pin": role.pin,
        "search_path": None if role.search_path is None else list(role.search_path),
        "limits": limits,
        "rules": [_rule(rule) for rule in role.rules],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    """One rule; `conditions` are the keys that were set beyond the common ones."""
    conditions = {
        name: _value(name, getattr(rule, name))
        for name in sorted(rule.model_fields_set - _UNSHOWN)
        if getattr(rule, name) is not None
    }
    return {
        "id": rule.label,
        "effect": rule.effect,
        "actions": list(rule.actions),
        "on": [pattern.text for pattern in rule.on],
        "columns": None if rule.columns is None else list(rule.columns),
        "conditions": conditions,
        "reason": rule.reason,
    }


def _value(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return duration(value) if name in _DURATIONS else value


def duration(milliseconds: int) -> str:
    """`45s`, `500ms`, `90m`: as it would be written in the rules."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}" if milliseconds else "0s"
    return f"{milliseconds}ms"
