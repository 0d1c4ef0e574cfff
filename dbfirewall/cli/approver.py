"""`dbfirewall approver add`: a token for a person. The rules file keeps its digest, never the token."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Final

import click

from dbfirewall.cli.rules_file import write_entry
from dbfirewall.errors import ConfigError

EXIT_WRONG: Final = 2
TOKEN_BYTES: Final = 32
"""Enough that a digest without salt gives nothing away."""


@click.group()
def approver() -> None:
    """Manage the approvers of a rules file."""


@approver.command()
@click.argument("name")
@click.option(
    "--rules", "path", required=True, type=click.Path(path_type=Path), envvar="DBFIREWALL_RULES",
    help="The rules file or folder to write to.",
)  # fmt: skip
@click.option(
    "--group",
    "groups",
    multiple=True,
    help="A group that the person belongs to; may be repeated. None: decides gates that name no approvers.",
)
@click.option("--rotate", is_flag=True, help="Give an approver that exists a new token.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def add(*, name: str, path: Path, groups: tuple[str, ...], rotate: bool, as_json: bool) -> None:
    """Add the approver NAME, and print the token: the only time that anybody sees it.

    Comments in the rules file stay. Nothing is written unless the rules load with the new approver in them. A running
    firewall takes the change up when it reloads its rules.
    """
    token = "dbfa_" + secrets.token_urlsafe(TOKEN_BYTES)
    digest = "sha256:" + hashlib.sha256(token.encode()).hexdigest()
    members: dict[str, Any] = {"token": digest}
    if groups:
        members = {"groups": list(groups), "token": digest}
    try:
        file = write_entry(path, "approvers", name, members, rotate=rotate)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_WRONG)
    if as_json:
        click.echo(json.dumps({"approver": name, "file": str(file), "digest": digest, "token": token}))
        return
    click.echo(f"{'Changed' if rotate else 'Added'} approver {name} in {file}.")
    click.echo(f"The token, shown this once: {token}")
