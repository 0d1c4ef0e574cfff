"""How suites are compared: what is lost is told, what is known is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbfirewall.policy.loader import parse_rules
from tests.suites import outcomes
from tests.suites.ground import rules
from tests.support.embedded import EmbeddedPostgres

KNOWN = "some:\n  - tests: ['slow*']\n    reason: It takes time.\n"


def test_what_passes_directly_and_not_through_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed or not there at all; but not what fails directly, and not what is known."""
    monkeypatch.setattr(outcomes, "KNOWN", tmp_path / "known.yaml")
    outcomes.KNOWN.write_text(KNOWN)
    direct = {"a": True, "b": True, "c": True, "broken": False, "slow 1": True}
    found = outcomes.compare("some", direct, {"a": True, "b": False, "broken": False, "slow 1": False})
    assert (found.direct, found.through) == (4, 1)
    assert found.lost == ("b", "c")
    assert found.known == ("slow 1",)


def test_every_known_difference_has_its_reason() -> None:
    """A pattern without one is an error."""
    assert all(
        reason
        for suite in ("asyncpg", "libpq-go", "pg8000", "sqlalchemy-psycopg", "sqlalchemy-asyncpg")
        for reason in outcomes.known(suite).values()
    )


def test_outcomes_are_read_from_junit(tmp_path: Path) -> None:
    """Skipped tests are left out, and one failed subtest fails its test."""
    report = tmp_path / "junit.xml"
    report.write_text(
        "<testsuites><testsuite>"
        "<testcase classname='m' name='a'/><testcase classname='m' name='b'/>"
        "<testcase classname='m' name='b'><failure/></testcase>"
        "<testcase classname='m' name='c'><skipped/></testcase>"
        "<testcase classname='m' name='d'><error/></testcase>"
        "</testsuite></testsuites>"
    )
    assert outcomes.from_junit(report) == {"m::a": True, "m::b": False, "m::d": False}


def test_the_suites_role_may_do_everything() -> None:
    """The rules that the suites run with load, with every database in the agent's reach."""
    text = rules(EmbeddedPostgres(port=1), ("one", "two"))
    loaded = parse_rules({Path("rules.yaml"): text.encode()})
    assert loaded.agents["postgres"].database == ("one", "two")
    assert loaded.roles["owner"].grants("unknown")
