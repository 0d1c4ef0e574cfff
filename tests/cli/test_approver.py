"""`dbfirewall approver add`: what is written, what is shown, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dbfirewall.cli import main
from dbfirewall.policy.loader import load_rules

RULES = """\
version: 1
roles:
  maintainer:  # keeps this comment
    access: read-write
    rules:
      - gate: delete
        on: public.*
        approvers: [dba]
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rules file without approvers."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def add(path: Path, *arguments: str) -> Result:
    """Run `dbfirewall approver add`."""
    return CliRunner().invoke(main, ["approver", "add", "--rules", str(path), *arguments])


def test_the_token_is_shown_once_and_its_digest_kept(rules: Path) -> None:
    """The rules hold `sha256:` and the digest of the token that was printed, and the file's comments."""
    result = add(rules, "alice", "--group", "dba", "--json")
    answer = json.loads(result.output)
    alice = load_rules(rules).approvers["alice"]
    assert alice.token == "sha256:" + hashlib.sha256(answer["token"].encode()).hexdigest()
    assert alice.groups == ("dba",)
    assert answer["token"] not in rules.read_text()
    assert "# keeps this comment" in rules.read_text()


def test_rotating_keeps_the_groups(rules: Path) -> None:
    """--rotate gives a new token and leaves the groups as they are, unless new ones are named."""
    add(rules, "alice", "--group", "dba")
    before = load_rules(rules).approvers["alice"]
    assert "Changed approver alice" in add(rules, "alice", "--rotate").output
    after = load_rules(rules).approvers["alice"]
    assert (after.groups, after.token == before.token) == (before.groups, False)
    add(rules, "alice", "--rotate", "--group", "security")
    assert load_rules(rules).approvers["alice"].groups == ("security",)


def test_nobody_is_replaced_by_accident(rules: Path) -> None:
    """Adding a name twice, or rotating one that is not there, is refused and changes nothing."""
    add(rules, "alice", "--group", "dba")
    text = rules.read_text()
    twice, nobody = add(rules, "alice", "--group", "dba"), add(rules, "bob", "--rotate")
    assert (twice.exit_code, nobody.exit_code) == (2, 2)
    assert "exists already: --rotate gives it a new token" in twice.output
    assert "approver 'bob' is not there to rotate" in nobody.output
    assert rules.read_text() == text


def test_a_folder_gets_a_file_of_its_own(tmp_path: Path) -> None:
    """In a folder of rules without approvers they go into approvers.yaml."""
    (tmp_path / "roles.yaml").write_text(RULES)
    assert add(tmp_path, "alice").exit_code == 0
    assert "alice" in (tmp_path / "approvers.yaml").read_text()
