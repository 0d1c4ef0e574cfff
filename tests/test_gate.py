"""The pipeline: what is remembered, what is not, and what a verdict carries; on real texts and real rules."""

from __future__ import annotations

from typing import Any

import pytest

from dbfirewall import gate
from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.gate import HOUSEKEEPING, UNCHANGED, ByteBoundedCache, Judge, SessionFacts, Verdict, weight
from dbfirewall.metrics import Metrics
from dbfirewall.policy.decision import Decision
from dbfirewall.sql.facts import Analysis, Effect, Refusal, Statement
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Reading
from tests.policy.build import role

READER = role({"allow": "select", "on": "public.orders"}, access="read-only")
WRITER = role(
    {"allow": ["select", "insert", "copy_from", "create", "discard", "set", "call"], "on": "*"},
    {"allow": ["code", "set_role"]},
    {"allow": ["set", "reset"], "on": "search_path"},
    {"gate": "delete", "on": "public.orders"},
)
ANY = SessionFacts()


def judge_of(chosen: Any = WRITER, **options: Any) -> Judge:
    return Judge(chosen, offline_catalog(), Metrics(), **options)


def verdict(judge: Judge, sql: bytes, session: SessionFacts = ANY) -> Verdict:
    found = judge.judge(sql, session)
    assert found is not None
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The texts that were really read."""
    texts: list[bytes] = []

    def noting(sql: bytes) -> Reading:
        texts.append(sql)
        return read(sql)

    monkeypatch.setattr(gate, "read", noting)
    return texts


def test_a_verdict_carries_its_caps() -> None:
    """By statement, in order; a single number for all of them is the lowest."""
    judge = judge_of(role({"allow": "update", "max_rows_affected": 7}, {"allow": ["select", "delete"]}))
    several = verdict(judge, b"DELETE FROM public.a; UPDATE public.a SET x = 1; SELECT 1")
    assert (several.outcome, several.caps, several.cap) == ("allow", (None, 7, None), 7)
    free = verdict(judge, b"DELETE FROM public.a")
    assert (free.caps, free.cap) == ((None,), None)
    assert verdict(judge, b"WITH x AS (UPDATE public.a SET x = 1) SELECT 1").outcome == "deny"


def test_a_verdict_carries_what_runs_in_the_place_of_the_firewalls_own_tables() -> None:
    """The text that was judged, and which rows it needs; remembered for these very bytes alone."""
    judge = judge_of(READER)
    sql = b"SELECT rule FROM dbfirewall.approvals WHERE id = 'apr_1'"
    found = verdict(judge, sql)
    assert (found.outcome, found.virtual) == ("allow", frozenset({"approvals"}))
    assert found.forward is not None
    assert found.forward.endswith(b"AS approvals WHERE id = 'apr_1'")
    assert b"select" in found.audit.encode()
    assert verdict(judge, sql) is found
    other = verdict(judge, sql.replace(b"apr_1", b"apr_2"))
    assert other.forward is not None
    assert other.forward.endswith(b"'apr_2'")
    plain = verdict(judge, b"SELECT a FROM orders")
    assert (plain.forward, plain.virtual) == (None, frozenset())


def test_a_long_text_may_not_read_the_firewalls_own_tables() -> None:
    """It would be read here, and not by the worker: refused where it comes back from that."""
    judge = judge_of(READER, inline_bytes=50)
    sql = b"SELECT rule FROM dbfirewall.approvals WHERE id = 'apr_1'"
    assert judge.judge(sql, ANY) is None
    found = judge.judge_reading(sql, read(sql), ANY)
    assert (found.outcome, found.decision.sqlstate, found.forward) == ("deny", "0A000", None)
    assert verdict(judge, b"TABLE dbfirewall.approvals").outcome == "allow"


# -- outcomes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "outcome", "state"),
    [
        (b"SELECT a FROM orders", "allow", ""),
        (b"SELECT a FROM secret", "deny", "42501"),
        (b"DELETE FROM orders", "deny", "25006"),
        (b"SELEC", "deny", "42601"),
        (b"SELECT '\xff'", "deny", "42601"),
        (b"SELECT 1\0", "deny", "42601"),
        (b"SELECT " + b"(" * 1000 + b"1" + b")" * 1000, "deny", "0A000"),
        (b"", "allow", ""),
        (b"-- nothing", "allow", ""),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_verdict_carries_what_enforcement_needs(sql: bytes, outcome: str, state: str) -> None:
    """The outcome, the error unless it is an allow, and the audit members of both."""
    found = verdict(judge_of(READER), sql)
    assert found.outcome == outcome
    assert f'"decision":"{outcome}"' in found.audit
    if found.error is None:
        assert outcome == "allow"
    else:
        assert found.error.sqlstate == state
        assert state in found.audit


def test_a_gated_statement_is_neither_allowed_nor_denied() -> None:
    """ZG001, with the hint to ask for approval."""
    found = verdict(judge_of(), b"DELETE FROM orders WHERE id = 1")
    assert (found.outcome, found.error is not None and found.error.sqlstate) == ("gate", "ZG001")


def test_decisions_are_counted_by_role_action_and_outcome() -> None:
    """The cell of a verdict is the one that its statements count in."""
    judge = judge_of(READER)
    cells = judge._metrics.decisions
    assert verdict(judge, b"SELECT a FROM orders").cell is cells.cell("r", "select", "allow")
    assert verdict(judge, b"DROP TABLE orders").cell is cells.cell("r", "drop", "deny")
    assert verdict(judge, b"").cell is cells.cell("r", "none", "allow")


def test_what_is_not_understood_is_counted_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disagreement of the parsers counts as such, too."""
    judge = judge_of()
    verdict(judge, b"SELEC")
    reading = Reading(refusal=Refusal("disagreement", "two readings differ"))
    assert judge.judge_reading(b"SELECT 1", reading, ANY).outcome == "deny"
    counted = {code: judge._metrics.unreadable.cell(code).value for code in ("syntax", "disagreement")}
    assert (counted, judge._metrics.disagreements.cell().value) == ({"syntax": 1, "disagreement": 1}, 1)


# -- lengths --------------------------------------------------------------------------------------------------


def test_a_text_that_is_too_long_is_refused_unread(reads: list[bytes]) -> None:
    """Before any cache, template or parser."""
    judge = judge_of(max_text_bytes=100)
    assert verdict(judge, b"SELECT 1" + b" " * 92).outcome == "allow"
    found = verdict(judge, b"SELECT 1" + b" " * 93)
    assert found.error is not None
    assert (found.error.sqlstate, judge._metrics.unreadable.cell("too-long").value) == ("0A000", 1)
    assert len(reads) == 1


def test_a_longer_text_is_left_to_a_worker(reads: list[bytes]) -> None:
    """And once its reading was judged, it is remembered like any other."""
    judge = judge_of(inline_bytes=20)
    sql = b"SELECT a FROM orders WHERE b = $1"
    assert judge.judge(sql, ANY) is None
    first = judge.judge_reading(sql, read(sql), ANY)
    assert judge.judge(sql, ANY) is first
    assert reads == []


# -- what is remembered ---------------------------------------------------------------------------------------


def test_the_same_text_is_read_once(reads: list[bytes]) -> None:
    """Also where it has no template."""
    judge = judge_of()
    for sql in (b"SELECT a FROM orders WHERE b = $1", b"SELECT a FROM orders -- why"):
        assert verdict(judge, sql) is verdict(judge, sql)
    assert len(reads) == 2
    levels = {
        level: judge._metrics.decision_cache.cell(level).value for level in ("exact", "template", "miss")
    }
    assert levels == {"exact": 2, "template": 0, "miss": 2}


def test_texts_that_differ_in_literals_are_read_once(reads: list[bytes]) -> None:
    """Where the facts do not depend on them."""
    judge = judge_of()
    first = verdict(judge, b"SELECT a FROM orders WHERE b = 1 AND c = 'x'")
    assert verdict(judge, b"SELECT a FROM orders WHERE b = 23 AND c = 'it''s'") is first
    assert len(reads) == 1
    assert judge._metrics.decision_cache.cell("template").value == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"SET search_path = 'public'", b"SET search_path = 'secret'"),
        (b"SET statement_timeout = '1s'", b"SET statement_timeout = '0'"),
        (b"SELECT set_config('timezone', 'UTC', false)", b"SELECT set_config('role', 'postgres', false)"),
        (b"DO 'BEGIN END'", b"DO 'BEGIN DROP TABLE orders; END'"),
    ],
)
def test_literals_that_matter_are_judged_each_time(reads: list[bytes], first: bytes, second: bytes) -> None:
    """A text whose meaning depends on a literal is remembered as it is, and no other by it."""
    judge = judge_of()
    verdict(judge, first)
    verdict(judge, second)
    assert reads == [first, second]
    verdict(judge, second)
    assert len(reads) == 2


@pytest.mark.parametrize("sql", [b"EXECUTE a", b"PREPARE a AS SELECT 1", b"DEALLOCATE ALL", b"DISCARD ALL"])
def test_what_depends_on_the_session_is_not_remembered(reads: list[bytes], sql: bytes) -> None:
    """Another session's EXECUTE may run something else."""
    judge = judge_of()
    first = verdict(judge, sql)
    assert not first.reusable
    assert verdict(judge, sql) is not first
    assert reads == [sql, sql]


def test_execute_asks_the_session_what_it_runs() -> None:
    """The verdict is that of the prepared statement, which must not wait; without one it is refused."""
    judge = judge_of()
    denied = verdict(judge, b"DELETE FROM orders").decision
    known = {"a": Decision.allowed("test"), "b": denied}
    session = SessionFacts(executable=known.get)
    outcomes = [verdict(judge, b"EXECUTE " + name, session).outcome for name in (b"a", b"b", b"c")]
    assert outcomes == ["allow", "deny", "deny"]
    assert verdict(judge, b"EXECUTE a").outcome == "deny"


# -- housekeeping ---------------------------------------------------------------------------------------------


def test_housekeeping_is_known_by_its_exact_text() -> None:
    """One byte more, and it is a statement like any other."""
    text = b"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
    judge = judge_of(READER)
    assert verdict(judge, text).decision is HOUSEKEEPING
    assert verdict(judge, text + b" ").outcome == "deny"


def test_pg_dump_may_empty_its_search_path() -> None:
    """Its tripwire stands down for that, and unqualified names mean nothing afterwards; for others it is denied."""
    text = b"SELECT pg_catalog.set_config('search_path', '', false);"
    found = verdict(judge_of(READER, application_name="pg_dump"), text)
    assert (found.outcome, found.loosens, found.search_path) == ("allow", frozenset({"search_path"}), ())
    assert verdict(judge_of(READER), text).outcome == "deny"


# -- what a statement changes in its session ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "loosens", "path"),
    [
        (b"SELECT 1", set(), UNCHANGED),
        (b"SET search_path = public", {"search_path"}, None),
        (b"RESET search_path", {"search_path"}, None),
        (b"SET application_name = 'x'", {"application_name"}, UNCHANGED),
        (b"RESET ALL", {"*"}, None),
        (b"DISCARD ALL", {"*"}, None),
        (b"DO 'x'", {"*"}, None),
        (b"SET ROLE x", {"*"}, None),
    ],
)
def test_a_verdict_says_which_tripwires_stand_down(sql: bytes, loosens: set[str], path: Any) -> None:
    """Those of parameters that the statement may change: code may change any."""
    found = verdict(judge_of(), sql)
    assert (set(found.loosens), found.search_path) == (loosens, path)
    assert found.plain == (not loosens)


@pytest.mark.parametrize(
    ("sql", "member", "value"),
    [
        (b"COPY orders FROM STDIN", "copy_in", 1),
        (b"COPY orders FROM STDIN; COPY orders FROM STDIN", "copy_in", 2),
        (b"COPY orders TO STDOUT", "copy_in", 0),
        (b"CREATE TABLE t (a int)", "changes_catalog", True),
        (b"INSERT INTO orders VALUES (1)", "changes_catalog", False),
        (b"PREPARE A AS SELECT 1; PREPARE b AS SELECT 2", "prepares", (b"a", b"b")),
        (b"DEALLOCATE a", "deallocates", True),
        (b"DISCARD ALL", "deallocates", True),
        (b"SELECT 1", "deallocates", False),
    ],
)
def test_a_verdict_says_what_the_session_must_know(sql: bytes, member: str, value: object) -> None:
    """COPY that is fed, names that change, prepared statements that come and go."""
    assert getattr(verdict(judge_of(), sql), member) == value


# -- the cache ------------------------------------------------------------------------------------------------

NOTHING = verdict(judge_of(), b"")


def with_effects(count: int) -> Verdict:
    effects = tuple(Effect("select", ("public", f"t{number}")) for number in range(count))
    return judge_of()._verdict(Analysis((Statement("select", effects),)), Decision.allowed("test"))


def test_a_cache_keeps_at_most_its_bytes() -> None:
    """Two generations: what has not been put for that long is gone, the newest is there."""
    each = weight(b"000", NOTHING)
    cache = ByteBoundedCache(each * 8)
    for number in range(100):
        cache.put(b"%03d" % number, NOTHING)
        assert cache.get(b"%03d" % number) is NOTHING
    kept = [number for number in range(100) if cache.get(b"%03d" % number) is not None]
    assert 4 <= len(kept) <= 8
    assert kept == list(range(100 - len(kept), 100))


def test_what_does_not_fit_is_not_kept_and_displaces_nothing() -> None:
    """A text that is larger than a generation."""
    cache = ByteBoundedCache(4 * weight(b"key", NOTHING))
    cache.put(b"key", NOTHING)
    cache.put(b"x" * 10_000, NOTHING)
    assert (cache.get(b"x" * 10_000), cache.get(b"key")) == (None, NOTHING)


def test_a_decision_weighs_as_much_as_its_effects() -> None:
    """A few bytes of text can name thousands of relations: they must not fill the memory."""
    assert weight(b"", with_effects(1000)) - weight(b"", with_effects(0)) > 900_000
