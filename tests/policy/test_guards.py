"""Small conditions on which a refusal hangs, one by one: what was found by leaving them out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dbfirewall.policy.decision import Context, admit, decide
from dbfirewall.policy.names import identifier
from dbfirewall.policy.session import free
from dbfirewall.sql.facts import Analysis, Effect, Refusal
from tests.policy.build import analysis, on, role, select

DUMP = Context(application_name="pg_dump")


def outcome(
    effect: Effect, *rules: dict[str, Any], access: str = "read-write", context: Context = DUMP
) -> str:
    """What becomes of a statement with one effect."""
    return decide(analysis(effect), role(*rules, access=access), context).outcome


@pytest.mark.parametrize("rule", ["unknown", "everything"])
def test_a_text_that_is_not_understood_is_nothing_for_a_reader(rule: str) -> None:
    """A rule that names `unknown` has no effect for a read-only role."""
    unread = Analysis(refusal=Refusal("too-deep", "?", allowable=True))
    assert admit(unread, role({"allow": rule}, access="read-only")) is unread
    assert decide(unread, role({"allow": rule}, access="read-only")).sqlstate == "0A000"
    assert decide(unread, role({"allow": rule})).outcome == "allow"
    for rules in ([{"gate": rule}], [{"deny": rule}], [{"allow": rule, "on": "public.*"}], [{"allow": "*"}]):
        assert decide(unread, role(*rules)).sqlstate == "0A000"


def test_an_execute_of_what_nobody_saw_prepared_is_unknown() -> None:
    """It is judged as `unknown`, so what denies or gates that denies or gates it."""
    execute = on("execute", "seen_by_nobody")
    assert outcome(execute, {"allow": "unknown"}) == "allow"
    assert outcome(execute, {"allow": "unknown"}, {"deny": "unknown"}) == "deny"
    assert outcome(execute, {"allow": "unknown"}, {"gate": "unknown"}) == "gate"
    assert outcome(execute, {"allow": "unknown"}, access="read-only") == "deny"
    assert outcome(on("execute"), {"allow": "execute"}) == "deny"


@pytest.mark.parametrize("action", ["truncate", "lock_rows", "delete", "alter"])
def test_only_a_lock_of_a_table_is_pg_dumps(action: str) -> None:
    """What else may carry these words in its detail is decided as what it is."""
    effect = on(action, "public.t", detail="ACCESS SHARE")
    assert outcome(effect, {"allow": "select"}) == "deny"
    assert outcome(effect, {"allow": "select"}, access="read-only") == "deny"


def test_a_system_relation_whose_name_is_not_known_is_not_free() -> None:
    """It could be one that shows secrets."""
    for name in (("pg_catalog", None), (None, "pg_class"), (None, None)):
        assert outcome(Effect("select", name, columns=("x",))) == "deny"
    assert outcome(select("pg_catalog.pg_class", "relname")) == "allow"


def test_an_allow_of_everything_on_one_parameter_is_of_no_other() -> None:
    """A parameter whose name is not known is covered only where all are."""
    unnamed = on("set")
    assert outcome(unnamed, {"allow": "everything", "on": "work_mem"}) == "deny"
    assert outcome(unnamed, {"allow": "set"}) == "deny"
    assert outcome(unnamed, {"allow": "everything"}) == "allow"
    assert outcome(on("set", "search_path"), {"allow": "everything", "on": "work_mem"}) == "deny"


def test_a_deallocate_of_what_is_not_named_is_not_free() -> None:
    """DEALLOCATE ALL is a driver's own only after it has prepared statements by the protocol."""
    assert free(on("deallocate", "p"), role())
    for name in ("", "all", "ALL"):
        assert not free(on("deallocate", name), role())
        assert free(on("deallocate", name), role(), protocol_prepared=True)


def test_the_pattern_of_any_schema_covers_what_is_the_users_own() -> None:
    """`*.*` is every relation of every schema but the server's."""
    assert outcome(on("insert", "public.t", columns=("a",)), {"allow": "insert", "on": "*.*"}) == "allow"
    assert outcome(on("insert", "pg_catalog.t", columns=("a",)), {"allow": "insert", "on": "*.*"}) == "deny"


RELATIONS = (
    "select", "insert", "update", "delete", "merge", "truncate", "copy_from", "nextval", "setval", "lock_rows",
    "lock_table", "refresh", "vacuum", "analyze", "cluster", "call", "read", "write", "lock",
)  # fmt: skip
KINDS = (
    "table", "view", "materialized view", "index", "sequence", "function", "procedure", "aggregate", "type", "domain",
    "foreign table", "trigger", "rule", "policy", "statistics",
)  # fmt: skip


@pytest.mark.parametrize(
    "rule", [*({"deny": one} for one in RELATIONS), *({"deny": "drop", "kind": k} for k in KINDS)]
)
def test_a_pattern_that_could_match_nothing_is_a_mistake(rule: dict[str, Any]) -> None:
    """A relation or a function is never known by one part: such a deny would deny nothing."""
    with pytest.raises(ValidationError, match="has no schema"):
        role({**rule, "on": "secret"})
    assert role({**rule, "on": "*"}).rules
    assert role({**rule, "on": "*.secret"}).rules


@pytest.mark.parametrize("action", ["set", "reset", "show"])
def test_a_parameter_is_one_name_dots_and_all(action: str) -> None:
    """`deny: set` on `app.user` is about the parameter `app.user`, however its effect is cut into parts."""
    for effect in (Effect(action, ("app.user",)), Effect(action, ("app", "user"))):
        assert outcome(effect, {"allow": action}, {"deny": action, "on": "app.user"}) == "deny"
        assert outcome(effect, {"allow": action}, {"deny": action, "on": "app.*"}) == "deny"
        assert outcome(effect, {"allow": action, "on": "app.user"}) == "allow"


@pytest.mark.parametrize("name", ["a?", "a*", "?", "a.b", "", "a b"])
def test_a_column_is_one_name(name: str) -> None:
    """A glob or a dotted name among columns would match no column: it is a mistake, not a rule without effect."""
    with pytest.raises(ValueError, match="name"):
        identifier(name)
    with pytest.raises(ValidationError):
        role({"deny": "select", "columns": name})


def test_a_column_that_needs_quotes_is_taken_as_written() -> None:
    """In quotes any name is one."""
    assert [identifier(name) for name in ('"a?"', '"A.b"', "Plain")] == ["a?", "A.b", "plain"]


HARMLESS = """
    application_name bytea_output check_function_bodies client_min_messages constraint_exclusion
    constraints cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction datestyle
    default_text_search_config default_transaction_deferrable default_transaction_isolation
    effective_cache_size escape_string_warning extra_float_digits from_collapse_limit intervalstyle
    join_collapse_limit lc_monetary lc_numeric lc_time parallel_setup_cost parallel_tuple_cost
    plan_cache_mode quote_all_identifiers random_page_cost recursive_worktable_factor seq_page_cost
    synchronize_seqscans timezone transaction_deferrable transaction_isolation xmlbinary xmloption
"""


@pytest.mark.parametrize("name", HARMLESS.split())
def test_every_harmless_parameter_may_be_set_and_reset(name: str) -> None:
    """By a reader without any rule."""
    for action in ("set", "reset"):
        assert outcome(on(action, name, value="x"), access="read-only") == "allow"


@pytest.mark.parametrize("value", ["on", "true", "yes", "1", "t", "y", "tr", "tru", "ye", "ON"])
def test_every_spelling_of_on_is_on(value: str) -> None:
    """As PostgreSQL's parse_bool has it."""
    assert outcome(on("set", "standard_conforming_strings", value=value)) == "allow"


@pytest.mark.parametrize("value", ["off", "false", "no", "0", "o", "", None, "n", "f", "2", "tx"])
def test_nothing_else_is_on(value: str | None) -> None:
    """Not for how texts are read, nor for the read-only wall."""
    assert outcome(on("set", "standard_conforming_strings", value=value), {"allow": "set"}) == "deny"
    assert outcome(on("set", "transaction_read_only", value=value), access="read-only") == "deny"
