"""The vocabulary of rules: actions, and the groups that name several of them.

An effect carries one action. A rule names actions or groups. For `create`, `alter` and `drop` the group depends
on the kind of object: `drop` of a database is `admin`, of a role `dcl`, of everything else `ddl`.
"""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "read": ("select",),
    "write": ("insert", "update", "delete", "merge", "truncate", "copy_from", "nextval", "setval"),
    "lock": ("lock_rows", "lock_table", "advisory_lock"),
    "ddl": ("create", "alter", "drop", "comment", "refresh"),
    "dcl": ("grant", "revoke", "owner", "policy", "security_label", "default_privileges"),
    "admin": ("vacuum", "analyze", "cluster", "reindex", "checkpoint", "alter_system", "load", "replication"),
    "session": ("set", "reset", "discard", "prepare", "execute", "deallocate", "declare", "fetch", "close",
                "listen", "notify", "show"),
    "transaction": ("begin", "commit", "rollback", "savepoint", "two_phase"),
    "call": ("call",),
}  # fmt: skip

ADMIN_KINDS = frozenset(
    {"database", "tablespace", "publication", "subscription", "server", "foreign data wrapper", "user mapping",
     "foreign schema", "access method", "event trigger"}
)  # fmt: skip
DCL_KINDS = frozenset({"role", "policy"})

PROTECTED = frozenset({"egress", "unknown", "code", "set_role", "set_session_authorization"})
"""Never covered by a group or by `*`: a rule must name the action itself."""

EVERYTHING = "everything"
"""In a rule: every action there is, the protected ones too, each as if named outright."""

ACTIONS: frozenset[str] = frozenset(action for group in GROUPS.values() for action in group) | PROTECTED


def groups_of(action: str, kind: str = "") -> tuple[str, ...]:
    """The group names, `*` included, that cover `action` on an object of `kind`; `()` for protected actions."""
    if action in PROTECTED:
        return ()
    if action in ("create", "alter", "drop", "comment"):
        group = "admin" if kind in ADMIN_KINDS else "dcl" if kind in DCL_KINDS else "ddl"
        return (group, "*")
    for group, actions in GROUPS.items():
        if action in actions:
            return (group, "*")
    return ()
