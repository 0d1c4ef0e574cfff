"""`dbfirewall agent add`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dbfirewall.cli import main
from dbfirewall.policy.loader import load_rules
from dbfirewall.policy.verifier import make_verifier, parse_verifier
from tests.policy.example import EXAMPLE


def add(rules: Path, name: str, *arguments: str, stdin: str | None = None) -> Result:
    """Run `dbfirewall agent add NAME --rules RULES …`."""
    return CliRunner().invoke(main, ["agent", "add", name, "--rules", str(rules), *arguments], input=stdin)


NEW = ("--role", "analyst", "--database", "shop")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The documentation's example as a file."""
    path = tmp_path / "rules.yaml"
    path.write_text(EXAMPLE)
    return path


def is_password_of(rules: Path, name: str, password: str) -> bool:
    """Whether the stored verifier is that of `password`."""
    stored = load_rules(rules).agents[name].password or ""
    salt = parse_verifier(stored).salt
    return make_verifier(password, salt=salt) == stored


def test_a_new_agent(rules: Path) -> None:
    """The password is printed once and fits the verifier; nothing else in the file changes."""
    result = add(rules, "bot", *NEW)
    assert result.exit_code == 0
    password = result.output.rsplit(": ", 1)[1].strip()
    assert is_password_of(rules, "bot", password)
    assert password not in rules.read_text()
    kept = [line for line in rules.read_text().splitlines() if not line.startswith("  bot:")]
    assert kept == EXAMPLE.splitlines()
    agent = load_rules(rules).agents["bot"]
    assert (agent.role, agent.database) == ("analyst", ("shop",))


def test_passwords_differ(rules: Path) -> None:
    """Each agent gets its own."""
    first, second = add(rules, "a", *NEW).output, add(rules, "b", *NEW).output
    assert first.rsplit(": ", 1)[1] != second.rsplit(": ", 1)[1]


def test_an_agent_is_not_replaced_by_accident(rules: Path) -> None:
    """Adding twice is refused; --rotate changes the password and no more."""
    result = add(rules, "nightly-report", *NEW)
    assert result.exit_code == 2
    assert "exists already: --rotate gives it a new password" in result.output
    assert rules.read_text() == EXAMPLE
    result = add(rules, "nightly-report", "--rotate")
    assert result.exit_code == 0
    assert is_password_of(rules, "nightly-report", result.output.rsplit(": ", 1)[1].strip())
    changed = [
        new
        for new, old in zip(rules.read_text().splitlines(), EXAMPLE.splitlines(), strict=True)
        if new != old
    ]
    assert len(changed) == 1
    assert changed[0].startswith(
        '  nightly-report: {role: analyst, database: shop, password: "SCRAM-SHA-256$'
    )


def test_rotating_nobody_is_refused(rules: Path) -> None:
    """A typo in the name makes no new agent."""
    result = add(rules, "nightly-reprot", "--rotate")
    assert result.exit_code == 2
    assert "is not there to rotate" in result.output


def test_a_given_password(rules: Path) -> None:
    """--password-stdin takes the first line, and never prints it."""
    result = add(rules, "bot", *NEW, "--password-stdin", stdin="s3cret pass\n")
    assert result.exit_code == 0
    assert "s3cret" not in result.output
    assert is_password_of(rules, "bot", "s3cret pass")


@pytest.mark.parametrize("stdin", ["", "\n"])
def test_an_empty_password_is_refused(rules: Path, stdin: str) -> None:
    """Nothing on stdin is no password."""
    result = add(rules, "bot", *NEW, "--password-stdin", stdin=stdin)
    assert result.exit_code == 2
    assert rules.read_text() == EXAMPLE


def test_json(rules: Path) -> None:
    """A script gets the password, the verifier and the file."""
    answer = json.loads(add(rules, "bot", *NEW, "--json").output)
    assert answer["agent"] == "bot"
    assert answer["file"] == str(rules)
    assert load_rules(rules).agents["bot"].password == answer["verifier"]
    assert is_password_of(rules, "bot", answer["password"])
    answer = json.loads(add(rules, "bot2", *NEW, "--password-stdin", "--json", stdin="x\n").output)
    assert "password" not in answer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--role", "analist", "--database", "shop"),
            "no role 'analist' is defined (did you mean 'analyst'?)",
        ),
        (("--role", "analyst", "--database", "shp"), "no database 'shp' is defined (did you mean 'shop'?)"),
        (("--role", "maintainer", "--database", "shop"), "no login for role 'maintainer'"),
        (("--role", "analyst"), "--role and --database are needed"),
        (("--database", "shop"), "--role and --database are needed"),
    ],
)
def test_nothing_is_written_unless_the_rules_load(
    rules: Path, arguments: tuple[str, ...], message: str
) -> None:
    """A wrong role or database is told as in the rules themselves."""
    result = add(rules, "bot", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert rules.read_text() == EXAMPLE


def test_wrong_rules_stay_as_they_are(rules: Path) -> None:
    """A file that does not load gets no agent."""
    rules.write_text("version: 1\nroles: [\n")
    assert add(rules, "bot", *NEW).exit_code == 2
    assert rules.read_text() == "version: 1\nroles: [\n"


@pytest.mark.parametrize("indent", ["      ", "    "], ids=["indented", "flush"])
def test_a_file_without_agents_gets_the_section(tmp_path: Path, indent: str) -> None:
    """The first agent brings its section along; lists stay indented as their author likes them."""
    path = tmp_path / "rules.yaml"
    text = f"""\
version: 1
# Who may do what.
roles:
  analyst:
    rules:
{indent}- allow: select  # everything
{indent}  on: [public.a, 'public."B"']
databases:
  shop: {{dsn: postgresql://db/shop, logins: {{analyst: {{user: ro}}}}}}
"""
    path.write_text(text)
    assert add(path, "bot", *NEW).exit_code == 0
    assert path.read_text().startswith(text + "agents:\n  bot: {role: analyst, ")


def test_a_folder_keeps_agents_where_they_are(tmp_path: Path) -> None:
    """The file that has agents gets the new one, or a new agents.yaml does; the mode of a file stays."""
    head, tail = EXAMPLE.split("agents:")
    (tmp_path / "roles.yaml").write_text(head)
    (tmp_path / "databases.yaml").write_text("version: 1\ndatabases:" + tail.split("databases:")[1])
    result = add(tmp_path, "bot", *NEW)
    assert result.exit_code == 0
    home = tmp_path / "agents.yaml"
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    home.chmod(0o640)
    assert add(tmp_path, "bot2", *NEW).exit_code == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o640
    assert home.read_text().count("SCRAM") == 2
    assert add(tmp_path, "bot", "--rotate").exit_code == 0
    assert sorted(load_rules(tmp_path).agents) == ["bot", "bot2"]
    assert (tmp_path / "roles.yaml").read_text() == head
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agents.yaml", "databases.yaml", "roles.yaml"]


def test_a_file_that_cannot_be_written(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a read-only folder leaves the old file, and is told."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", fail)
    result = add(rules, "bot", *NEW)
    assert result.exit_code == 2
    assert "cannot be written: No space left on device" in result.output
    assert rules.read_text() == EXAMPLE
