"""What the built-in functions do beyond computing a value: the lists behind the function wall.

A built-in that is immutable or stable is harmless, less DENIED; a volatile one isn't, less HARMLESS_VOLATILE.
Where a function does what another action of the vocabulary names, ACTIONS has it, so that a rule about
`nextval`, `advisory_lock` or `egress` covers the function too. All else that is not harmless stays a `call`.

Sources: pg_proc of PostgreSQL 14 to 18; https://www.postgresql.org/docs/current/functions.html
"""

from __future__ import annotations

from typing import Final

from dbfirewall.catalog.builtin import SECRET_FUNCTIONS
from dbfirewall.catalog.types import Function


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BY_NAME_OR_TEXT = _words(
    """
    table_to_xml table_to_xmlschema table_to_xml_and_xmlschema query_to_xml query_to_xmlschema
    query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema schema_to_xml schema_to_xmlschema
    schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
    ts_stat currtid2
    """
)
"""Read relations that an argument names at run time, or run SQL from a string: no parser sees which."""

_RUN_CODE_OF_TYPES = _words(
    """
    domain_in domain_recv pg_input_is_valid pg_input_error_info array_in record_in range_in multirange_in
    satisfies_hash_partition fmgr_sql_validator
    """
)
"""Run code of whatever type, table or function an argument names at run time: input functions, CHECK functions of
domains (inside of arrays, rows and ranges, too), hash functions of a partitioned table, what reading a body runs."""

_TAKE_A_TRANSACTION_ID = _words("pg_current_xact_id txid_current")
"""Declared stable, yet they assign the transaction a permanent id: a write, also under READ ONLY."""

DENIED: Final = _BY_NAME_OR_TEXT | _RUN_CODE_OF_TYPES | _TAKE_A_TRANSACTION_ID | SECRET_FUNCTIONS
"""Built-ins that need a rule whatever their volatility."""

_FRESH_VALUES = _words(
    """
    random random_normal array_sample array_shuffle clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7
    currval lastval timezone
    """
)
"""Volatile because the value differs from call to call. currval and lastval repeat what this session drew.

`timezone(text, timetz)`, which is AT TIME ZONE, was declared volatile up to PostgreSQL 15.
"""

_SAMPLING = _words("bernoulli system")
"""What TABLESAMPLE runs, also behind a view. No statement can call them: they take `internal`."""

_SIZES = _words(
    """
    pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size pg_tablespace_size
    """
)
"""Numbers about storage, which psql's \\d+ and \\l+ ask for. No content."""

_SERVER_STATE = _words(
    """
    pg_is_in_recovery pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_last_wal_receive_lsn
    pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_current_wal_lsn pg_current_wal_insert_lsn
    pg_current_wal_flush_lsn pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status pg_prepared_xact
    pg_jit_available pg_notification_queue_usage pg_xact_status txid_status pg_xact_commit_timestamp
    pg_xact_commit_timestamp_origin pg_last_committed_xact pg_timezone_names pg_cursor pg_prepared_statement
    pg_get_wait_events pg_stat_have_stats pg_listening_channels
    """
)
"""Positions, states and names that change on their own: what monitoring and drivers ask. No effects."""

_CATALOG_LOOKUPS = _words(
    """
    pg_partition_tree pg_partition_ancestors pg_collation_actual_version pg_database_collation_actual_version
    """
)
"""Structure that psql and pg_dump ask for."""

HARMLESS_VOLATILE: Final = _FRESH_VALUES | _SAMPLING | _SIZES | _SERVER_STATE | _CATALOG_LOOKUPS
HARMLESS_VOLATILE_PREFIXES: Final = ("pg_stat_get_",)
"""The functions behind the pg_stat_* views, in versions that declare them volatile."""

ACTIONS: Final[dict[str, str]] = {
    "nextval": "nextval",
    "setval": "setval",
    "set_config": "set",
    "pg_notify": "notify",
    "pg_replication_slot_advance": "replication",
    "pg_drop_replication_slot": "replication",
    "pg_create_physical_replication_slot": "replication",
    "pg_create_logical_replication_slot": "replication",
    "pg_copy_physical_replication_slot": "replication",
    "pg_copy_logical_replication_slot": "replication",
    "pg_sync_replication_slots": "replication",
}
ACTION_PREFIXES: Final[tuple[tuple[str, str], ...]] = (
    # Locks that outlive the statement, and often the transaction.
    ("pg_advisory_", "advisory_lock"),
    ("pg_try_advisory_", "advisory_lock"),
    # Files of the server.
    ("pg_read_", "egress"),
    ("pg_ls_", "egress"),
    ("pg_stat_file", "egress"),
    ("pg_current_logfile", "egress"),
    ("pg_hba_file_rules", "egress"),
    ("pg_ident_file_mappings", "egress"),
    ("pg_show_all_file_settings", "egress"),
    # Large objects: reading and writing past every rule on tables, import and export of files.
    ("lo_", "egress"),
    ("loread", "egress"),
    ("lowrite", "egress"),
    # The content of the write-ahead log: every table's changes.
    ("pg_logical_", "egress"),
    ("pg_replication_origin_", "replication"),
)
"""Actions of built-in functions that are not harmless, by name and by prefix of the name."""

FOREIGN_PREFIXES: Final = (
    "dblink", "http", "file_fdw", "pg_file_", "pg_logdir_ls", "lo_", "query_export_to_s3",
    "table_import_from_s3",
)  # fmt: skip
"""Functions of well-known extensions that reach other servers or the server's files, by prefix of the name.

They count as `egress` in any schema, as extensions live where the DBA put them.
"""

HIDE_THE_ROW: Final = _words(
    """
    count pg_typeof pg_column_size pg_column_compression pg_column_toast_chunk_id pg_collation_for num_nulls
    num_nonnulls mode rank dense_rank percent_rank cume_dist
    """
)
"""Functions of any value that say nothing of its content, so that `t.count` reads no column of t.

The last five need WITHIN GROUP or OVER, so that attribute notation can't call them at all.
"""

TYPE_NAMES: Final = _words(
    """
    bool bytea int2 int4 int8 float4 float8 numeric text varchar bpchar name oid uuid json jsonb jsonpath xml
    date time timetz timestamp timestamptz interval inet cidr macaddr macaddr8 money point line lseg box path
    polygon circle bit varbit tsvector tsquery int4range int8range numrange tsrange tstzrange daterange
    regclass regtype regproc regprocedure regnamespace regrole regoper regoperator regconfig regdictionary
    regcollation tid xid xid8 cid pg_lsn
    """
)
"""Built-in types: `uuid('…')` is a cast where no function has that name. Casts to them run no user code."""


def harmless(function: Function) -> bool:
    """Whether a direct call needs no rule."""
    if function.builtin:
        name = function.name
        if function.volatility == "v":
            known = name in HARMLESS_VOLATILE or name.startswith(HARMLESS_VOLATILE_PREFIXES)
        else:
            known = name not in DENIED
        # Not trusted: of a server newer than the lists here.
        return known and function.trusted
    # C code of an extension, immutable by its author's word (vector distances, citext, trigrams). Stable ones
    # may read tables by name (crosstab, xpath_table), so they need a rule where they are not known.
    compiled = function.trusted and function.volatility == "i" and not function.security_definer
    return compiled or function.known_harmless


def harmless_in_view(function: Function) -> bool:
    """Whether a view may run it for its reader without a rule: the DBA wrote the view."""
    if function.builtin:
        return harmless(function)
    return function.known_harmless or (function.volatility != "v" and not function.security_definer)


def action_of(name: str, *, builtin: bool) -> str:
    """The action of calling `name`, a function that is not harmless: mostly `call`."""
    if builtin:
        for prefix, action in ACTION_PREFIXES:
            if name.startswith(prefix):
                return action
        return ACTIONS.get(name, "call")
    return "egress" if name.startswith(FOREIGN_PREFIXES) else "call"
