"""The `dbfirewall` command. Each subcommand is imported only when it is asked for, for a quick start."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "agent": "Add an agent to a rules file.",
    "approvals": "See and decide what waits at a gate.",
    "approver": "Add an approver to a rules file.",
    "audit": "Read and verify the audit record.",
    "check": "Decide a statement by the rules, without running it.",
    "serve": "Run the firewall.",
    "validate": "Check a rules file or folder for mistakes.",
    "version": "Print the versions of dbfirewall and of its parsers.",
}
"""Subcommands and what they do. `dbfirewall.cli.NAME` holds a click command named NAME."""


class LazyGroup(click.Group):
    """A group whose subcommands are modules of `dbfirewall.cli`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"dbfirewall.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A PostgreSQL firewall for AI agents: every statement is allowed, denied or gated by per-role rules."""
