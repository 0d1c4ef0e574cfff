"""`dbfirewall agent add`: a credential for an agent. The rules file keeps a verifier, never the password."""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.util import load_yaml_guess_indent

from dbfirewall.errors import ConfigError
from dbfirewall.policy.loader import parse_rules, read_file, rules_files
from dbfirewall.policy.verifier import make_verifier

EXIT_WRONG: Final = 2
PASSWORD_BYTES: Final = 24
_NEW_FILE: Final = "agents.yaml"
_EMPTY: Final = b"version: 1\nagents:\n"


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
        file = write_agent(
            path, name, {key: value for key, value in changes.items() if value is not None}, rotate
        )
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


def write_agent(path: Path, name: str, members: dict[str, str], rotate: bool) -> Path:
    """Write the agent into the rules at `path`; the file that was changed. Raises ConfigError, and writes nothing."""
    texts = {file: read_file(file) for file in rules_files(path)}
    target = _home(path, texts, name)
    before = texts.get(target, _EMPTY)
    texts[target] = _with_agent(before, target, name, members, rotate=rotate)
    parse_rules(texts)
    _replace(target, texts[target])
    return target


def _home(path: Path, texts: dict[Path, bytes], name: str) -> Path:
    """The file that holds the agent, or else the one to put it into."""
    if not path.is_dir():
        return path
    homes = {file: _agents(_load(file, text)) for file, text in texts.items()}
    with_agents = [file for file, agents in homes.items() if agents is not None]
    named = [file for file, agents in homes.items() if agents is not None and name in agents]
    return next(iter(named or with_agents), path / _NEW_FILE)


def _load(file: Path, text: bytes) -> Any:
    """The tree of one file, after `parse_rules`' own checks of what is YAML and what is a mapping."""
    from dbfirewall.policy.loader import parse_document  # noqa: PLC0415

    return parse_document(file, text).tree


def _agents(tree: Any) -> Any:
    return tree.get("agents") if isinstance(tree.get("agents"), CommentedMap) else None


def _with_agent(text: bytes, file: Path, name: str, members: dict[str, str], *, rotate: bool) -> bytes:
    _load(file, text)
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10_000
    tree, indent, offset = load_yaml_guess_indent(text.decode(), yaml=yaml)
    agents = _agents(tree)
    if agents is None:
        agents = tree["agents"] = CommentedMap()
    if (name in agents) != rotate:
        known = (
            "exists already: --rotate gives it a new password" if name in agents else "is not there to rotate"
        )
        raise ConfigError(f"agent {name!r} {known}", file=str(file))
    entry = agents.setdefault(name, CommentedMap())
    if not rotate:
        entry.fa.set_flow_style()
    entry.update({**members, "password": DoubleQuotedScalarString(members["password"])})
    yaml.indent(mapping=2, sequence=indent or 4, offset=offset if offset is not None else 2)
    out = io.BytesIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _replace(file: Path, text: bytes) -> None:
    """Put `text` into `file` at once or not at all; its mode stays."""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    try:
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(file)) from None
