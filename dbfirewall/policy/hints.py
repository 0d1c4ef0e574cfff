"""The words of decisions: what was refused, why, and the next useful step. Nothing of other roles' rules."""

from __future__ import annotations

from collections.abc import Iterable

from dbfirewall.catalog.types import Catalog
from dbfirewall.policy.fields import KIND_ACTIONS
from dbfirewall.policy.matching import NO_COLUMN, REST
from dbfirewall.policy.models import Role
from dbfirewall.sql.actions import GROUPS
from dbfirewall.sql.facts import Effect, quote_identifier

APPROVAL = "A person has to approve this statement. Send it again, unchanged, once it is approved."
DIRECTLY = (
    "Send the statement itself and by itself, or have the driver prepare it (Parse and Bind instead of PREPARE and "
    "EXECUTE)."
)
COUNTABLE = (
    "Send it as an INSERT, UPDATE, DELETE or MERGE of its own: not inside WITH, EXPLAIN, COPY, PREPARE or EXECUTE, "
    "and not in one message with BEGIN or COMMIT."
)
WHERE = "Add a WHERE clause over the table's columns."

_MOST_NAMES = 20
_WORDS = {
    "lock_rows": "lock rows",
    "lock_table": "lock table",
    "advisory_lock": "take an advisory lock",
    "copy_from": "copy from",
    "two_phase": "two-phase commit",
    "set_role": "set role",
    "set_session_authorization": "set session authorization",
    "code": "run code",
    "egress": "reach outside the database",
    "alter_system": "alter system",
    "security_label": "security label",
    "default_privileges": "default privileges",
    "owner": "change the owner",
}

_BARE = frozenset(
    {"call", "nextval", "setval", "alter_system", "load", "set_role", "set_session_authorization"}
    | {*GROUPS["session"], *GROUPS["transaction"]}
)
"""Actions whose object follows them without a word between."""

_REPHRASE = {
    "syntax": "Check the statement's syntax.",
    "encoding": "Send the statement as valid UTF-8 text without NUL characters.",
    "too-long": "Send a shorter statement: pass long values as parameters, or split it.",
    "too-deep": "Nest less: use a WITH clause, or split the statement.",
    "virtual": "For example: SELECT * FROM dbfirewall.approvals WHERE id = 'apr_…'",
    "timeout": "Send a simpler statement, or split it.",
}


def what(effect: Effect) -> str:
    """The effect in a few words: `select on public.customers`."""
    words = _WORDS.get(effect.action, effect.action)
    if not effect.object:
        return words
    if effect.action == "comment":
        return f"comment on {effect.kind} {effect.object_name}"
    if effect.action in KIND_ACTIONS:
        return f"{words} {effect.kind} {effect.object_name}"
    link = " by " if effect.action == "egress" else " " if effect.action in _BARE else " on "
    return f"{words}{link}{effect.object_name}"


def denied(effect: Effect, columns: tuple[str, ...], *, by_rule: bool) -> str:
    """One sentence for a denial whose rule gives no reason, or that no rule gave."""
    of = f" ({_list(columns)})" if columns else ""
    detail = f" ({effect.detail})" if effect.detail else ""
    return (
        f"{what(effect)}{of}{detail} is denied by a rule."
        if by_rule
        else f"No rule allows {what(effect)}{of}{detail}."
    )


def read_only(effect: Effect) -> str:
    """The next step where a read-only role wanted more."""
    if effect.action in ("begin", "set", "commit", "rollback"):
        return "Work in the read-only mode that the session has, and end transactions without AND CHAIN."
    if effect.action == "lock_rows":
        return "Leave out FOR UPDATE / FOR SHARE."
    return "Use SELECT statements: this role cannot change anything."


def rephrase(code: str) -> str:
    """The next step where the firewall did not understand; `code`: of a `facts.Refusal`."""
    return _REPHRASE.get(
        code, "Write it in plain, common SQL: one statement, no unusual operators or escapes."
    )


def named_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Those of `columns` that stand for a column of that name."""
    return tuple(column for column in columns if column not in (REST, NO_COLUMN))


def known_columns(effect: Effect, catalog: Catalog | None) -> tuple[str, ...]:
    """The columns of the effect's relation, as far as the catalog knows them."""
    if catalog is None or len(effect.object) != 2:
        return ()
    schema, name = effect.object
    relation = catalog.relations.get((schema, name)) if schema is not None and name is not None else None
    return relation.columns or () if relation is not None else ()


def columns(effect: Effect, refused: tuple[str, ...], allowed: tuple[str, ...]) -> str:
    """The next step where columns are refused; `allowed`: those that are not, where they are known."""
    if allowed:
        verb = "read" if effect.action == "select" else effect.action.replace("_", " ")
        return f"Columns of {effect.object_name} that this role may {verb}: {_list(allowed)}."
    if not refused:
        return "Name the columns you need instead of *."
    return f"Name the columns you need and leave out {_list(refused)} (a * means all of them)."


def next_step(effect: Effect, role: Role) -> str:
    """The next step where no rule covers an effect: what this role may do of the kind, by its own rules."""
    patterns = sorted(
        {
            pattern.text
            for rule in role.rules
            if rule.effect == "allow" and rule.names_action(effect.action, effect.kind)
            for pattern in rule.on
        }
    )
    if patterns:
        return f"This role may {_verb(effect)}: {_texts(patterns)}, as far as no rule denies it."
    return f"No rule of this role allows to {_verb(effect)} anything: ask the owner of the rules."


def _verb(effect: Effect) -> str:
    return _WORDS.get(effect.action, effect.action)


def _list(names: tuple[str, ...]) -> str:
    return _texts([quote_identifier(name) for name in names])


def _texts(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
