"""The command group."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from dbfirewall.cli import COMMANDS, main


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_listed_command_is_there(name: str) -> None:
    """Each name in the help is a command that has a help of its own."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_the_help_lists_the_commands() -> None:
    """`dbfirewall --help` says what each does."""
    assert main.list_commands(click.Context(main)) == sorted(COMMANDS)
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, words in COMMANDS.items():
        assert name in result.output
        assert words in result.output


def test_an_unknown_command_is_wrong_usage() -> None:
    """Exit status 2, as for every wrong usage."""
    assert CliRunner().invoke(main, ["chekc"]).exit_code == 2


def test_a_command_imports_what_it_needs_alone() -> None:
    """`check` starts without the proxy, its event loop, the web console or the database driver."""
    code = (
        "import sys, dbfirewall.cli, dbfirewall.cli.check\n"
        "print([name for name in ('uvloop', 'asyncpg', 'starlette', 'uvicorn', 'prometheus_client') "
        "if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
