"""Write docs/cli.md from the commands themselves. `--check` only says whether it is up to date.

Usage: python -m scripts.generate_reference [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dbfirewall.cli import main as dbfirewall

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

INTRODUCTION = """# Commands

<!-- Written by scripts/generate_reference.py: change the commands' own help instead. -->

`python -m dbfirewall` is the same as `dbfirewall`. Every command has `--help`.
"""


def main() -> None:
    """Write the page, or check it."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        raise SystemExit(f"{PAGE.name} is out of date: run python -m scripts.generate_reference")


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(section(path, command) for path, command in commands(dbfirewall))])


def commands(group: click.Group, path: str = "dbfirewall") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        elif command is not None:
            yield f"{path} {name}", command


def section(path: str, command: click.Command) -> str:
    """One command: its synopsis, its help and its options."""
    arguments = [one.human_readable_name for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    lines = [f"## {path}", "", "```", " ".join([path, "[OPTIONS]", *arguments]), "```", ""]
    lines += [_paragraphs(command.help or ""), ""]
    if options:
        lines += ["| option | |", "|---|---|", *map(_row, options), ""]
    return "\n".join(lines)


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    words = [" ".join((option.help or "").split())]
    if option.envvar:
        words.append(f"Environment: `{option.envvar}`.")
    if option.required:
        words.append("Required.")
    return f"| {names} | {' '.join(words)} |"


def _paragraphs(text: str) -> str:
    """Click's help, with its line breaks inside of paragraphs taken back."""
    text = text.replace("\b\n", "")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


if __name__ == "__main__":
    main()
