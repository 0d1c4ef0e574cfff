"""`dbfirewall validate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dbfirewall.cli import main
from tests.policy.example import EXAMPLE
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]


def validate(*arguments: str | Path) -> Result:
    """Run `dbfirewall validate`."""
    return CliRunner().invoke(main, ["validate", *map(str, arguments)])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The documentation's example as a file."""
    path = tmp_path / "rules.yaml"
    path.write_text(EXAMPLE)
    return path


def test_rules_that_load(rules: Path) -> None:
    """Exit status 0, the doubts, and a count."""
    result = validate(rules)
    assert result.exit_code == 0
    assert f"{rules}:24:9: warning: " in result.output
    assert "2 roles, 8 rules, 1 agent; 1 warning; revision " in result.output


def test_rules_that_do_not(rules: Path) -> None:
    """Exit status 2, and every mistake with its place."""
    rules.write_text(EXAMPLE.replace("access:", "acess:"))
    result = validate(rules)
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"{rules}:4:5: unknown key 'acess' (did you mean 'access'?)",
        f"{rules}:20:5: unknown key 'acess' (did you mean 'access'?)",
    ]


def test_json(rules: Path) -> None:
    """One object with errors and warnings, each with its place."""
    answer = json.loads(validate(rules, "--json").output)
    assert answer["ok"]
    assert answer["errors"] == []
    assert len(answer["revision"]) == 12
    assert [warning["line"] for warning in answer["warnings"]] == [24]
    rules.write_text("version: 3\n")
    result = validate(rules, "--json")
    assert result.exit_code == 2
    answer = json.loads(result.output)
    assert not answer["ok"]
    assert answer["errors"][0] == {
        "file": str(rules), "line": 1, "column": 1, "message": "version 3 is not known: write `version: 1`"
    }  # fmt: skip


def test_no_such_file(tmp_path: Path) -> None:
    """A wrong path is an error as any other."""
    result = validate(tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "no such file" in result.output


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_examples_are_without_a_doubt(path: Path) -> None:
    """Each example loads alone and has nothing to warn about."""
    result = validate(path)
    assert result.exit_code == 0
    assert "0 warnings" in result.output


def test_a_database_that_is_not_there(rules: Path) -> None:
    """A live check that cannot be made is no success."""
    result = validate(rules, "--database", "postgresql://127.0.0.1:1/x")
    assert result.exit_code == 2
    assert "--database: cannot connect" in result.output


@pytest.mark.postgres
def test_names_are_checked_against_a_live_database(rules: Path, postgres: Postgres) -> None:
    """A pattern that matches nothing there is a warning."""
    result = validate(rules, "--database", postgres.dsn())
    assert result.exit_code == 0
    assert "reporting.* matches nothing in the database" in result.output
