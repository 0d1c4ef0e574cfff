"""What needs no rule, and what no rule allows."""

from __future__ import annotations

import pytest

from dbfirewall.policy.decision import Context, decide
from dbfirewall.policy.matching import REST, Case
from dbfirewall.policy.models import Role
from dbfirewall.sql.facts import Effect
from tests.policy.build import analysis, on, role, select

NOBODY = role()
READER = role(access="read-only")
LIMITED = role(limits={"statement_timeout": "30s"})


def outcome(name: str, value: str | None, who: Role = NOBODY, action: str = "set") -> str:
    """What becomes of setting a parameter."""
    return decide(analysis(on(action, name, value=value)), who).outcome


@pytest.mark.parametrize(
    "action", ["begin", "commit", "rollback", "savepoint", "show", "prepare", "declare", "fetch", "close"]
)
@pytest.mark.parametrize("who", [NOBODY, READER], ids=["read-write", "read-only"])
def test_transactions_and_cursors_need_no_rule(action: str, who: Role) -> None:
    """Drivers send them; what a cursor or a prepared statement reads is an effect of its own."""
    assert decide(analysis(on(action, "x")), who).outcome == "allow"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("application_name", "psql"),
        ("TimeZone", "UTC"),
        ("datestyle", "ISO"),
        ("extra_float_digits", "3"),
        ("jit", "off"),
        ("jit_above_cost", "1"),
        ("enable_seqscan", "off"),
        ("geqo", "off"),
        ("synchronize_seqscans", "off"),
        ("transaction_isolation", "repeatable read"),
        ("client_encoding", "UTF8"),
        ("client_encoding", "utf-8"),
        ("client_encoding", "Unicode"),
        ("standard_conforming_strings", "ON"),
        ("transaction_read_only", "on"),
        ("default_transaction_read_only", "true"),
        ("statement_timeout", "100"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "1min"),
        ("idle_in_transaction_session_timeout", "1h"),
        ("transaction_timeout", " 1 d "),
    ],
)
def test_a_harmless_parameter_may_be_set(name: str, value: str) -> None:
    """What psql, drivers and ORMs set works for every role, read-only ones included."""
    assert outcome(name, value) == "allow"
    assert outcome(name, value, READER) == "allow"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("search_path", "evil"),
        ("row_security", "off"),
        ("session_replication_role", "replica"),
        ("local_preload_libraries", "x"),
        ("work_mem", "10GB"),
        ("statement_timeout", "0"),
        ("statement_timeout", None),
        ("statement_timeout", "-1"),
        ("statement_timeout", "010"),
        ("statement_timeout", "0x10"),
        ("statement_timeout", "1.5s"),
        ("statement_timeout", "1us"),
        ("lock_timeout", "0"),
        ("made.up", "x"),
    ],
)
def test_other_parameters_need_a_rule(name: str, value: str | None) -> None:
    """Denied by default, 25006 for a read-only role."""
    assert outcome(name, value) == "deny"
    assert decide(analysis(on("set", name, value=value)), READER).sqlstate == "25006"


@pytest.mark.parametrize("value", ["off", "false", None, ""])
@pytest.mark.parametrize("name", ["transaction_read_only", "default_transaction_read_only"])
def test_a_read_only_role_stays_read_only(name: str, value: str | None) -> None:
    """The parameters of the session wall may be set to on alone; a role that may write is free."""
    assert decide(analysis(on("set", name, value=value)), READER).sqlstate == "25006"
    assert outcome(name, value) == "allow"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_encoding", "SJIS"),
        ("client_encoding", None),
        ("client_encoding", "sql_ascii"),
        ("standard_conforming_strings", "off"),
        ("standard_conforming_strings", None),
    ],
)
def test_no_rule_changes_how_texts_are_read(name: str, value: str | None) -> None:
    """The firewall reads a text as the server does, or not at all."""
    who = role({"allow": "set", "on": name}, {"allow": "*"})
    decision = decide(analysis(on("set", name, value=value)), who)
    assert (decision.outcome, decision.sqlstate) == ("deny", "42501")
    assert name in decision.reason
    assert decision.hint.startswith(f"Leave {name} at")


@pytest.mark.parametrize(
    ("value", "expected"), [("30s", "allow"), ("30000", "allow"), ("30001", "deny"), ("0", "deny")]
)
def test_no_rule_lifts_a_role_above_its_limit(value: str, expected: str) -> None:
    """A session may shorten its role's timeout, neither exceed it nor switch it off."""
    who = role({"allow": "set", "on": "statement_timeout"}, limits={"statement_timeout": "30s"})
    assert outcome("statement_timeout", value, LIMITED) == expected
    assert outcome("statement_timeout", value, who) == expected
    assert "30s" in decide(analysis(on("set", "statement_timeout", value="0")), who).hint


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"allow": "set", "on": "search_path"}, "allow"),
        ({"allow": "set", "on": "search_*"}, "allow"),
        ({"allow": "set"}, "allow"),
        ({"allow": ["set", "session"], "on": "work_mem"}, "deny"),
        ({"allow": "session", "on": "search_path"}, "deny"),
        ({"allow": "*"}, "deny"),
        ({"gate": "set", "on": "search_path"}, "gate"),
    ],
)
def test_a_guarded_parameter_needs_the_actions_name(rule: dict[str, str], expected: str) -> None:
    """Nobody loosens the walls by a group or by `*`."""
    assert outcome("search_path", "x", role(rule)) == expected


@pytest.mark.parametrize("rule", [{"allow": "set", "on": "work_mem"}, {"allow": "session"}, {"allow": "*"}])
def test_a_parameter_that_is_not_guarded_takes_any_rule(rule: dict[str, str]) -> None:
    """Groups and `*` cover the ordinary ones."""
    assert outcome("work_mem", "1GB", role(rule)) == "allow"


@pytest.mark.parametrize(("name", "expected"), [
    ("timezone", "allow"), ("statement_timeout", "allow"), ("client_encoding", "allow"),
    ("work_mem", "deny"), ("search_path", "deny"), ("role", "deny"), ("all", "deny"),
])  # fmt: skip
def test_reset_goes_back_to_the_pins(name: str, expected: str) -> None:
    """RESET of what may be set is free; RESET ALL is not."""
    assert outcome(name, None, action="reset") == expected


def test_deallocate_all_is_a_drivers_own_once_it_has_prepared() -> None:
    """psycopg sends DEALLOCATE ALL itself, after it prepared statements by the protocol."""
    every = analysis(on("deallocate", "all"))
    assert decide(every, NOBODY).outcome == "deny"
    assert decide(every, READER, Context(protocol_prepared=True)).outcome == "allow"
    assert decide(analysis(on("deallocate", "s")), READER).outcome == "allow"


@pytest.mark.parametrize("effect", [
    on("begin", value="read write"), on("commit", detail="and chain"), on("rollback", detail="and chain"),
])  # fmt: skip
def test_a_read_only_role_keeps_its_transactions_read_only(effect: Effect) -> None:
    """BEGIN READ WRITE lifts the mode, and after AND CHAIN it can be lifted again."""
    assert decide(analysis(effect), READER).sqlstate == "25006"
    assert decide(analysis(effect), NOBODY).outcome == "allow"
    assert decide(analysis(on("begin", value="read only")), READER).outcome == "allow"


def test_a_parameter_that_is_not_known_could_be_any() -> None:
    """set_config with a name that is no constant is covered by no rule."""
    effect = Effect("set", (None,), detail="set_config", value="x")
    assert decide(analysis(effect), role({"allow": "set"}, {"allow": "*"})).outcome == "deny"


@pytest.mark.parametrize("effect", [on("discard"), on("listen", "c"), on("notify", "c"), on("two_phase", "x"),
                                    on("set_role", "x"), on("set_session_authorization", "x")])  # fmt: skip
def test_the_rest_of_the_session_needs_a_rule(effect: Effect) -> None:
    """DISCARD, LISTEN, NOTIFY, PREPARE TRANSACTION and role changes are denied out of the box."""
    assert decide(analysis(effect), NOBODY).sqlstate == "42501"
    assert decide(analysis(effect), READER).sqlstate == "25006"


def test_a_deny_denies_what_is_free() -> None:
    """An explicit deny wins over everything that works out of the box."""
    assert outcome("timezone", "UTC", role({"deny": "set", "on": "timezone"})) == "deny"
    assert decide(analysis(on("begin")), role({"deny": "transaction"})).outcome == "deny"
    assert decide(analysis(select("pg_catalog.pg_class", "oid")), role({"deny": "select"})).outcome == "deny"


def test_a_gate_gates_what_is_free_only_by_name() -> None:
    """`gate: "*"` means the agent's work, not its driver's housekeeping."""
    for rule in ({"gate": "*"}, {"gate": "session"}, {"gate": "read"}):
        assert outcome("timezone", "UTC", role(rule)) == "allow"
        assert decide(analysis(select("pg_catalog.pg_class", "oid")), role(rule)).outcome == "allow"
    assert outcome("timezone", "UTC", role({"gate": "set", "on": "timezone"})) == "gate"
    named = role({"gate": "select", "on": "pg_catalog.pg_class"})
    assert decide(analysis(select("pg_catalog.pg_class", "oid")), named).outcome == "gate"


@pytest.mark.parametrize("name", ["pg_catalog.pg_class", "information_schema.tables", "pg_catalog.pg_roles"])
def test_system_catalogs_are_free_to_read(name: str) -> None:
    """psql, pg_dump, drivers and ORMs read them."""
    assert decide(analysis(select(name, "*")), READER).outcome == "allow"
    assert decide(analysis(select(name)), READER).outcome == "allow"


@pytest.mark.parametrize(
    ("on_", "expected"),
    [
        ("*", "deny"),
        ("*.*", "deny"),
        ("pg_catalog.*", "allow"),
        ("*.pg_authid", "allow"),
        ("pg_catalog.pg_authid", "allow"),
    ],
)
def test_secret_relations_need_an_outright_rule(on_: str, expected: str) -> None:
    """Password hashes and server files are read only by a role whose rule names them, or their schema."""
    who = role({"allow": "select", "on": on_}, access="read-only")
    assert decide(analysis(select("pg_catalog.pg_authid", "rolname")), who).outcome == expected


def test_secret_columns_need_an_outright_rule() -> None:
    """Other sessions' statements in pg_stat_activity are no part of what is free; its other columns are."""
    everyone = role({"allow": "select"}, access="read-only")
    assert (
        decide(analysis(select("pg_catalog.pg_stat_activity", "pid", "state")), everyone).outcome == "allow"
    )
    assert decide(analysis(select("pg_catalog.pg_stat_activity")), everyone).outcome == "allow"
    for columns in (("query",), ("*",), ("pid", "query")):
        effect = select("pg_catalog.pg_stat_activity", *columns)
        assert decide(analysis(effect), everyone).outcome == "deny"
        assert decide(analysis(effect), role({"allow": "select", "on": "pg_catalog.*"})).outcome == "allow"


@pytest.mark.parametrize("action", ["update", "delete", "insert", "lock_table", "drop"])
def test_star_does_not_reach_into_system_schemas(action: str) -> None:
    """`allow: "*"` is about the database, not about the server's own catalogs."""
    effect = on(action, "pg_catalog.pg_proc", kind="function")
    assert decide(analysis(effect), role({"allow": "*"})).outcome == "deny"
    assert decide(analysis(effect), role({"allow": "*", "on": "pg_catalog.*"})).outcome == "allow"


@pytest.mark.parametrize(
    ("function", "star"),
    [("pg_sleep", "allow"), ("query_to_xml", "deny"), ("pg_stat_get_activity", "deny"), ("ts_stat", "deny")],
)
def test_functions_that_reach_past_the_rules_are_named(function: str, star: str) -> None:
    """`allow: call` covers the server's functions, but not those that read by name or show secrets."""
    call = analysis(on("call", f"pg_catalog.{function}", kind="function"))
    for rule in ({"allow": "call"}, {"allow": "*"}, {"allow": "call", "on": "*.*"}):
        assert decide(call, role(rule)).outcome == star
    assert decide(call, role({"allow": "call", "on": f"pg_catalog.{function}"})).outcome == "allow"
    assert decide(call, role({"allow": "call", "on": "public.*"})).outcome == "deny"


@pytest.mark.parametrize(
    "name",
    ["search_path", "row_security", "session_replication_role", "role", "session_authorization",
     "local_preload_libraries", "session_preload_libraries", "dynamic_library_path", "allow_system_table_mods",
     "default_tablespace", "temp_tablespaces", "debug_discard_caches", "transaction_read_only",
     "default_transaction_read_only", "statement_timeout", "lock_timeout",
     "idle_in_transaction_session_timeout", "transaction_timeout"],
)  # fmt: skip
def test_each_guarded_parameter_needs_its_action_named(name: str) -> None:
    """No group and no `*` reaches one of these: only a rule that names `set` or `reset` does."""
    for words in ("*", "session"):
        for action in ("set", "reset"):
            assert not _lifted(name, action, words)
    assert _lifted(name, "set", "set")


def _lifted(name: str, action: str, words: str) -> bool:
    """Whether a rule of `words` covers what no built-in permission does."""
    case = Case(on(action, name, value="x"), role({"allow": words}), free=False)
    return case.verdict(REST).outcome == "allow"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("60000", "allow"), ("60001", "deny"), ("60000ms", "allow"), ("60001ms", "deny"), ("60s", "allow"),
     ("61s", "deny"), ("1min", "allow"), ("2min", "deny"), ("1h", "deny"), ("1d", "deny")],
)  # fmt: skip
def test_a_timeout_is_compared_in_every_unit(value: str, expected: str) -> None:
    """A session may shorten its role's limit to the millisecond, whatever the unit, and not exceed it."""
    assert outcome("statement_timeout", value, role(limits={"statement_timeout": "1min"})) == expected


@pytest.mark.parametrize(("unit", "limit"), [("h", "1h"), ("d", "24h")])
def test_hours_and_days_are_as_long_as_postgres_takes_them(unit: str, limit: str) -> None:
    """One of the unit is just within its own length, two are not."""
    who = role(limits={"statement_timeout": limit})
    assert outcome("statement_timeout", f"1{unit}", who) == "allow"
    assert outcome("statement_timeout", f"2{unit}", who) == "deny"
