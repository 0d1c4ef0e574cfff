"""What needs no rule: transaction control, harmless session statements, and reading the system catalogs.

These are what drivers, ORMs and psql send on their own. An explicit `deny` still denies them. A session
statement that is not harmless needs a rule; a few would undo the walls of the firewall itself, and no rule
allows those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dbfirewall.catalog.builtin import SECRET_COLUMNS, SECRET_RELATIONS, SYSTEM_SCHEMAS
from dbfirewall.policy.fields import TIMEOUTS
from dbfirewall.policy.models import Limits, Role
from dbfirewall.policy.units import show_duration
from dbfirewall.sql.facts import Effect
from dbfirewall.sql.virtual import KIND as VIRTUAL

HARMLESS_PARAMETERS = frozenset({
    # How values look.
    "application_name", "bytea_output", "datestyle", "extra_float_digits", "intervalstyle", "lc_monetary",
    "lc_numeric", "lc_time", "quote_all_identifiers", "timezone", "xmlbinary", "xmloption",
    # What the server tells the client.
    "client_min_messages", "escape_string_warning",
    # How queries are planned.
    "constraint_exclusion", "cursor_tuple_fraction", "effective_cache_size",
    "from_collapse_limit", "join_collapse_limit", "plan_cache_mode", "random_page_cost", "seq_page_cost",
    "cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost", "parallel_setup_cost",
    "parallel_tuple_cost", "recursive_worktable_factor", "synchronize_seqscans",
    # What a name without schema means to full-text search; how transactions are isolated.
    "default_text_search_config", "default_transaction_isolation", "transaction_isolation",
    "default_transaction_deferrable", "transaction_deferrable",
    # What CREATE FUNCTION checks; CREATE FUNCTION itself needs its rule.
    "check_function_bodies",
    # SET CONSTRAINTS: when constraints are checked, at the latest at commit.
    "constraints",
})  # fmt: skip
"""Parameters that any session may set to anything: none changes what a statement may touch."""

HARMLESS_PREFIXES = ("enable_", "geqo", "jit")
"""Families of planner parameters, as harmless as the ones above."""

READ_ONLY_PARAMETERS = frozenset({"default_transaction_read_only", "transaction_read_only"})
"""The parameters that hold the read-only wall: free to be set to on."""

LEXING_PARAMETERS = {
    "client_encoding": frozenset({"utf8", "unicode"}),
    "standard_conforming_strings": frozenset({"on", "true", "yes", "1", "t", "y", "tr", "tru", "ye"}),
}
"""Parameters that change what a text means before it is parsed, with the only values that are safe."""

GUARDED_PARAMETERS = frozenset({
    "search_path", "row_security", "session_replication_role", "role", "session_authorization",
    "local_preload_libraries", "session_preload_libraries", "dynamic_library_path",
    "allow_system_table_mods", "default_tablespace", "temp_tablespaces", "debug_discard_caches",
}) | READ_ONLY_PARAMETERS | TIMEOUTS  # fmt: skip
"""Parameters that only a rule which names the action may allow: no group and no `*` covers them."""

_ON = LEXING_PARAMETERS["standard_conforming_strings"]
_TIMEOUT = re.compile(r"\s*([1-9][0-9]{0,9})\s*(ms|s|min|h|d)?\s*")
_UNITS = {None: 1, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}

FREE_ACTIONS = frozenset(
    {"begin", "commit", "rollback", "savepoint", "show", "prepare", "declare", "fetch", "close"}
)
"""Actions that need no rule, whatever their object: what they run is judged as effects of its own."""

ALL = "all"
"""The object of RESET ALL and DEALLOCATE ALL."""

READ_WRITE = "read write"
"""The value of a `begin` that asks for it."""

AND_CHAIN = "and chain"
"""In the detail of a `commit` or `rollback` that begins the next transaction, whose mode may be changed again."""

PG_DUMP = "pg_dump"
"""The application_name of pg_dump's sessions."""


@dataclass(frozen=True, slots=True)
class Wall:
    """Why an effect is refused whatever the rules say."""

    reason: str
    hint: str = ""


def free(effect: Effect, role: Role, *, protocol_prepared: bool = False) -> bool:
    """Whether `effect` is a transaction or session statement that needs no rule.

    `protocol_prepared`: the session prepared statements by Parse, so that DEALLOCATE ALL is its driver's own.
    """
    match effect.action:
        case "set":
            return _free_set(effect, role)
        case "reset":
            name = parameter(effect)
            return _harmless(name) or name in TIMEOUTS or name in LEXING_PARAMETERS
        case "deallocate":
            return parameter(effect) not in ("", ALL) or protocol_prepared
        case "select":
            return effect.kind == VIRTUAL
        case "begin":
            return not (role.read_only and effect.value == READ_WRITE)
        case "commit" | "rollback":
            return not (role.read_only and AND_CHAIN in effect.detail)
        case action:
            return action in FREE_ACTIONS


def wall(effect: Effect, role: Role) -> Wall | None:
    """The wall that a session statement would break, which no rule lifts."""
    name = parameter(effect)
    if effect.action != "set":
        return None
    if name in LEXING_PARAMETERS and not _safe_lexing(name, effect.value):
        return Wall(
            f"{name} decides how the server reads a statement, and the firewall must read it the same way.",
            f"Leave {name} at {'UTF8' if name == 'client_encoding' else 'on'}.",
        )
    limit = limit_of(role.limits, name)
    if limit is not None and not _within(effect.value, limit):
        return Wall(
            f"{name} may be shortened, but not above this role's {show_duration(limit)}, nor switched off.",
            f"Set {name} to a value from 1ms to {show_duration(limit)}.",
        )
    return None


def limit_of(limits: Limits, parameter: str) -> int | None:
    """The role's limit for a timeout parameter, in milliseconds; None where there is none."""
    return getattr(limits, parameter) if parameter in TIMEOUTS else None


def guarded(effect: Effect) -> bool:
    """Whether only a rule that names the action may allow this parameter; an unknown one, none may."""
    name = parameter(effect)
    return effect.action in ("set", "reset") and (not name or name in GUARDED_PARAMETERS)


def shared_lock(effect: Effect, application_name: str) -> bool:
    """Whether `effect` is pg_dump's lock on a relation that it is about to read: no stronger than a SELECT's."""
    return application_name == PG_DUMP and effect.action == "lock_table" and effect.detail == "ACCESS SHARE"


def guarded_columns(effect: Effect) -> frozenset[str] | None:
    """The columns of a system relation that do need a rule; None where `effect` reads no such relation."""
    if effect.action != "select" or len(effect.object) != 2 or effect.object[0] not in SYSTEM_SCHEMAS:
        return None
    schema, name = effect.object
    if schema is None or name is None or (schema, name) in SECRET_RELATIONS:
        return None
    return SECRET_COLUMNS.get((schema, name), frozenset())


def parameter(effect: Effect) -> str:
    """The configuration parameter that `effect` sets or resets, in lower case."""
    return ".".join(part or "" for part in effect.object).lower()


def _harmless(name: str) -> bool:
    return name in HARMLESS_PARAMETERS or name.startswith(HARMLESS_PREFIXES)


def _free_set(effect: Effect, role: Role) -> bool:
    name = parameter(effect)
    if name in LEXING_PARAMETERS:
        return _safe_lexing(name, effect.value)
    if name in READ_ONLY_PARAMETERS:
        return not role.read_only or (effect.value or "").lower() in _ON
    if name in TIMEOUTS:
        return _within(effect.value, limit_of(role.limits, name))
    return _harmless(name)


def _safe_lexing(name: str, value: str | None) -> bool:
    """PostgreSQL reads an encoding's name by its letters and digits alone (asyncpg sends `'utf-8'`, with quotes)."""
    folded = "".join(c for c in (value or "").lower() if c.isascii() and c.isalnum())
    return folded in LEXING_PARAMETERS[name]


def _within(value: str | None, limit: int | None) -> bool:
    """Whether `value` is a constant above zero, and at most `limit` milliseconds."""
    match = _TIMEOUT.fullmatch(value or "")
    return match is not None and (limit is None or int(match[1]) * _UNITS[match[2]] <= limit)
