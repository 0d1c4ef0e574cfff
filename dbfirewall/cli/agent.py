"""`dbfirewall agent add`: a credential for an agent. The rules file keeps a verifier, never the password."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Final

import click

from dbfirewall.cli.rules_file import write_entry
from dbfirewall.errors import ConfigError
from dbfirewall.policy.verifier import make_verifier

EXIT_WRONG: Final = 2
PASSWORD_BYTES: Final = 24


@click.group()
def agent() -> None:
    """Manage the agents of a rules file."""


@agent.command()
@click.argument("name")
@click.option(
    "--rules", "path", required=True, type=click.Path(path_type=Path), envvar="DBFIREWALL_RULES",
    help="The rules file or folder to write to.",
)  # fmt: skip
@click.option("--role", help="The agent's role.")
@click.option("--database", help="The database that it may connect to, by its name in the rules.")
@click.option("--rotate", is_flag=True, help="Give an agent that exists a new password.")
@click.option("--password-stdin", is_flag=True, help="Take the password from stdin instead of making one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def add(
    *, name: str, path: Path, role: str | None, database: str | None, rotate: bool, password_stdin: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Add the agent NAME, and print its password: the only time that anybody sees it.

    Comments in the rules file stay. Nothing is written unless the rules load with the new agent in them. A running
    firewall takes the change up when it reloads its rules.
    """
    if not rotate and (role is None or database is None):
        raise click.UsageError("--role and --database are needed for a new agent")
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else ""
    if password_stdin and not given:
        raise click.UsageError("--password-stdin: stdin has no password")
    password = given or secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        verifier = make_verifier(password)
        changes = {"role": role, "database": database, "password": verifier}
        given_changes = {key: value for key, value in changes.items() if value is not None}
        file = write_entry(path, "agents", name, given_changes, rotate=rotate)
    except (ConfigError, ValueError) as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_WRONG)
    if as_json:
        answer = {"agent": name, "file": str(file), "verifier": verifier}
        click.echo(json.dumps(answer if given else {**answer, "password": password}))
        return
    click.echo(f"{'Changed' if rotate else 'Added'} agent {name} in {file}.")
    if not given:
        click.echo(f"Its password, shown this once: {password}")
