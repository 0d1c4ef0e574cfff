"""No disguise gets a write, a forbidden relation, column or function through; and no disguise is itself refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz import grammar
from tests.fuzz.arena import Arena
from tests.fuzz.hunt import hunt_alarms, hunt_armed
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

SEED = 1
ARMED, HARMLESS = 3000, 1500


@pytest.fixture(scope="module")
def arena(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The two databases, and a judge for the reader of them."""
    arena = Arena(postgres, tmp_path_factory.mktemp("arena") / "rules.yaml")
    yield arena
    arena.close()


def test_what_is_allowed_changes_and_tells_nothing(arena: Arena) -> None:
    """Of thousands of armed statements none that is allowed writes, or tells what is forbidden."""
    catch = hunt_armed(arena, SEED, ARMED)
    assert catch.harm == []
    assert catch.valid > catch.sampled * 0.6


def test_a_disguise_alone_is_no_reason(arena: Arena) -> None:
    """In the same disguises every harmless statement that Postgres runs is allowed."""
    catch = hunt_alarms(arena, SEED, HARMLESS)
    assert catch.alarms == []
    assert catch.allowed > catch.tried * 0.9


@pytest.mark.parametrize("sql", grammar.FORBIDDEN_READS)
def test_forbidden_reads(arena: Arena, sql: str) -> None:
    """Each of them is refused as it stands."""
    assert not arena.allows(sql.encode())


@pytest.mark.parametrize("expression", grammar.FORBIDDEN_CALLS)
def test_forbidden_calls(arena: Arena, expression: str) -> None:
    """Each of them is refused as it stands."""
    assert not arena.allows(f"SELECT {expression}".encode())


@pytest.mark.parametrize("sql", grammar.WRITES)
def test_writes(arena: Arena, sql: str) -> None:
    """Each of them is refused as it stands."""
    assert not arena.allows(sql.encode())


@pytest.mark.parametrize(
    "sql", [*grammar.HARMLESS_READS, *(f"SELECT {call}" for call in grammar.HARMLESS_CALLS)]
)
def test_harmless_texts(arena: Arena, sql: str) -> None:
    """Each of them is allowed, and does and tells nothing."""
    assert arena.allows(sql.encode())
    assert arena.harm(sql.encode()) == ""


def test_the_arena_notices(arena: Arena) -> None:
    """Had it been allowed, it would have been noticed: the payloads that this server can run do harm."""
    payloads = [*grammar.FORBIDDEN_READS, *(f"SELECT {call}" for call in grammar.FORBIDDEN_CALLS)]
    unnoticed = [sql for sql in payloads if arena.runs(sql.encode()) and not arena.harm(sql.encode())]
    assert [sql for sql in unnoticed if not any(one in sql for one in TRACELESS)] == []


TRACELESS = (
    "pg_authid", "pg_shadow", "pg_advisory_xact_lock", "lo_open", "pg_logical_emit_message", "pg_switch_wal",
    "pg_create_physical_replication_slot", "pg_export_snapshot", "pg_reload_conf", "pg_stat_reset", "setseed",
    "pg_stat_get_activity",
    "pg_create_restore_point", "pg_rotate_logfile", "pg_cancel_backend", "pg_terminate_backend",
)  # fmt: skip
"""In payloads whose harm the arena can't see; that they are refused is tested above."""
