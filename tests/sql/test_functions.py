"""The lists behind the function wall: each name on them, and each condition beside them."""

from __future__ import annotations

from itertools import product

import pytest

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Function
from dbfirewall.sql.functions import action_of, harmless, harmless_in_view

BUILT_IN = offline_catalog().functions
NEED_A_RULE = """
    table_to_xml table_to_xmlschema table_to_xml_and_xmlschema query_to_xml query_to_xmlschema
    query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema schema_to_xml schema_to_xmlschema
    schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema ts_stat currtid2
    domain_in domain_recv pg_input_is_valid pg_input_error_info pg_current_xact_id txid_current array_in record_in
    range_in multirange_in satisfies_hash_partition fmgr_sql_validator
"""
NEED_NONE = """
    random random_normal array_sample array_shuffle clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 currval
    lastval timezone bernoulli system pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size
    pg_database_size pg_tablespace_size pg_is_in_recovery pg_is_wal_replay_paused pg_get_wal_replay_pause_state
    pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_current_wal_lsn
    pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status
    pg_prepared_xact pg_jit_available pg_notification_queue_usage pg_xact_status txid_status pg_xact_commit_timestamp
    pg_xact_commit_timestamp_origin pg_last_committed_xact pg_timezone_names pg_cursor pg_prepared_statement
    pg_get_wait_events pg_stat_have_stats pg_listening_channels pg_partition_tree pg_partition_ancestors
    pg_collation_actual_version pg_database_collation_actual_version pg_stat_get_numscans
"""


def built_in(name: str, volatility: str, *, trusted: bool = True) -> Function:
    """An overload of a built-in."""
    return Function("pg_catalog", name, volatility, trusted=trusted, builtin=True)


@pytest.mark.parametrize("name", NEED_A_RULE.split())
def test_what_reads_by_name_or_writes_needs_a_rule(name: str) -> None:
    """Whatever its volatility is said to be, here and in every version of the server."""
    assert not any(harmless(built_in(name, volatility)) for volatility in "isv")
    assert not any(harmless_in_view(built_in(name, volatility)) for volatility in "isv")
    assert not any(map(harmless, BUILT_IN.get(name, ())))


@pytest.mark.parametrize("name", NEED_NONE.split())
def test_volatile_ones_that_only_tell_need_none(name: str) -> None:
    """In whatever version declares them volatile."""
    assert harmless(built_in(name, "v"))


@pytest.mark.parametrize(
    "name",
    [
        "setseed",
        "pg_sleep",
        "pg_terminate_backend",
        "pg_reload_conf",
        "pg_stat_reset",
        "pg_stat_ge",
        "nextval",
    ],
)
def test_other_volatile_ones_need_a_rule(name: str) -> None:
    """What is on no list is not harmless."""
    assert not harmless(built_in(name, "v"))


def test_a_built_in_of_a_newer_server_needs_a_rule() -> None:
    """The lists say nothing of what they were not made for."""
    assert harmless(built_in("lower", "i"))
    assert not harmless(built_in("lower", "i", trusted=False))
    assert not harmless(built_in("random", "v", trusted=False))


@pytest.mark.parametrize(
    ("volatility", "trusted", "definer", "known"),
    list(product("isv", (True, False), (True, False), (True, False))),
)
def test_an_own_function_needs_a_rule(volatility: str, trusted: bool, definer: bool, known: bool) -> None:
    """But for immutable C code of an extension, and what is known; in a view what is not volatile needs none."""
    own = Function("ext", "f", volatility, security_definer=definer, trusted=trusted, known_harmless=known)
    assert harmless(own) == (known or (trusted and volatility == "i" and not definer))
    assert harmless_in_view(own) == (known or (volatility != "v" and not definer))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("nextval", "nextval"),
        ("setval", "setval"),
        ("set_config", "set"),
        ("pg_notify", "notify"),
        ("pg_replication_slot_advance", "replication"),
        ("pg_drop_replication_slot", "replication"),
        ("pg_create_physical_replication_slot", "replication"),
        ("pg_create_logical_replication_slot", "replication"),
        ("pg_copy_physical_replication_slot", "replication"),
        ("pg_copy_logical_replication_slot", "replication"),
        ("pg_sync_replication_slots", "replication"),
        ("pg_replication_origin_create", "replication"),
        ("pg_advisory_lock", "advisory_lock"),
        ("pg_try_advisory_xact_lock_shared", "advisory_lock"),
        ("pg_read_file", "egress"),
        ("pg_read_binary_file", "egress"),
        ("pg_ls_dir", "egress"),
        ("pg_stat_file", "egress"),
        ("pg_current_logfile", "egress"),
        ("pg_hba_file_rules", "egress"),
        ("pg_ident_file_mappings", "egress"),
        ("pg_show_all_file_settings", "egress"),
        ("lo_export", "egress"),
        ("loread", "egress"),
        ("lowrite", "egress"),
        ("pg_logical_slot_get_changes", "egress"),
        ("pg_logical_emit_message", "egress"),
        ("pg_sleep", "call"),
        ("pg_terminate_backend", "call"),
    ],
)
def test_a_built_in_is_the_action_that_it_does(name: str, action: str) -> None:
    """So a rule about `egress` or `replication` covers it, and `allow: call` does not."""
    assert action_of(name, builtin=True) == action
    assert not any(map(harmless, BUILT_IN.get(name, ())))


@pytest.mark.parametrize(
    "name",
    ["dblink", "dblink_exec", "http", "http_get", "file_fdw_handler", "pg_file_write", "pg_file_unlink",
     "pg_logdir_ls", "lo_manage", "query_export_to_s3", "table_import_from_s3"],
)  # fmt: skip
def test_an_extensions_way_out_is_egress(name: str) -> None:
    """In any schema, as extensions live where the DBA put them."""
    assert action_of(name, builtin=False) == "egress"
    assert action_of(f"my_{name}", builtin=False) == "call"


def test_an_own_function_is_a_call_whatever_its_name() -> None:
    """A name alone does not make an action of a built-in."""
    for name in ("nextval", "pg_read_file", "pg_advisory_lock", "set_config"):
        assert action_of(name, builtin=False) == "call"
