"""`dbfirewall audit tail|search|verify`: reads the audit record in the state folder; needs no firewall."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, Final, ParamSpec

import click

from dbfirewall.audit.reader import Follower, Record, last_lines, parse, read_records, verify
from dbfirewall.audit.record import FIRST_PREV
from dbfirewall.audit.search import Entry, Query, merged, parse_time, search
from dbfirewall.cli.audit_view import View
from dbfirewall.cli.terminal import color
from dbfirewall.errors import AuditError, ConfigError
from dbfirewall.settings import default_state

POLL: Final = 0.2
"""Seconds between two looks at a record that is followed."""

P = ParamSpec("P")


@click.group()
def audit() -> None:
    """Read and verify the audit record."""


def _on_folder(command: Callable[Concatenate[Path, P], None]) -> Callable[..., None]:
    """Give a command `--state`, and turn what can't be read into exit status 2."""

    @click.option(
        "--state", type=click.Path(path_type=Path), envvar="DBFIREWALL_STATE", show_envvar=True,
        help="The state folder that holds the record.",
    )  # fmt: skip
    @wraps(command)
    def run(state: Path | None, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(state or default_state(os.environ), *args, **kwargs)
        except (AuditError, ConfigError) as error:
            click.echo(str(error), err=True)
            sys.exit(2)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)

    return run


@audit.command()
@click.option("-n", "--lines", "count", type=click.IntRange(0, 100_000), default=20, show_default=True,
              help="How many of the newest entries.")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the records as they are, one JSON object a line."
)
@_on_folder
def tail(folder: Path, /, *, count: int, follow: bool, as_json: bool) -> None:
    """Show the newest entries."""
    follower = Follower(folder) if follow else None
    # A statement and its outcome are two records but one entry.
    lines = last_lines(folder, count if as_json else 3 * count) if count else []
    view = _view()
    if as_json:
        _echo_raw(lines)
    else:
        entries = [entry for entry in merged(_parsed(lines)) if entry.record.get("event") != "outcome"]
        _echo(view, entries[-count:] if count else [])
    if follower is not None:
        seen = frozenset(lines)
        # SIGINT is the way to end it, whatever it is doing: reading, waiting or printing.
        with suppress(KeyboardInterrupt), closing(follower):
            for batch in _batches(follower):
                fresh = [line for line in batch if line not in seen]
                if as_json:
                    _echo_raw(fresh)
                else:
                    _echo(view, merged(_parsed(fresh)))


@audit.command("search")
@click.option("--agent", help="Records of this agent.")
@click.option("--role", help="Records of this role.")
@click.option("--database", help="Records about this database.")
@click.option("--session", help="Records of this session.")
@click.option("--decision", type=click.Choice(["allow", "deny", "gate"]), help="Statements decided so.")
@click.option("--event", help="Records of this event.")
@click.option("--rule", help="Statements decided by this rule.")
@click.option("--sqlstate", help="Refusals with this SQLSTATE.")
@click.option("--approval", help="Records about this approval.")
@click.option(
    "--since", metavar="TIME", help="From this time on: 2026-01-31T12:00:00Z, 2026-01-31, or 10m (ago)."
)
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--sql", metavar="REGEX", help="Statements whose text matches (case does not matter).")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the records as they are, one JSON object a line."
)
@_on_folder
def search_command(
    folder: Path,
    /,
    *,
    since: str | None,
    until: str | None,
    sql: str | None,
    as_json: bool,
    **members: str | None,
) -> None:
    """Show the entries that match every option given, and the outcomes of matching statements."""
    query = Query(
        equal=tuple((name, value) for name, value in members.items() if value is not None),
        since=_moment("--since", since) if since else "",
        until=_moment("--until", until) if until else "~",
        sql=_pattern(sql) if sql else None,
    )
    found = search(read_records(folder), query)
    if as_json:
        for record in found:
            click.echo(json.dumps(record, separators=(",", ":")))
    else:
        _echo(_view(), merged(found))


@audit.command("verify")
@click.option(
    "--start", metavar="HASH", default=FIRST_PREV, help="The hash that the oldest record must follow."
)
@click.option("--contains", metavar="HASH", help="A hash noted earlier that must still be in the record.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_on_folder
def verify_command(folder: Path, /, *, start: str, contains: str | None, as_json: bool) -> None:
    """Check that no record was changed, removed, inserted or moved.

    Exits with 0 where the record is intact, with 1 where it is not, with 2 where there is none.
    """
    report = verify(folder, start=start, contains=contains)
    if as_json:
        click.echo(json.dumps({"ok": report.ok, **asdict(report)}, default=str))
        sys.exit(0 if report.ok else 1)
    for warning in report.warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {warning}", err=True, color=color())
    for problem in report.problems:
        click.echo(f"{click.style('broken', fg='red', bold=True)}: {problem}", err=True, color=color())
    if not report.ok:
        sys.exit(1)
    click.echo(
        f"{click.style('intact', fg='green')}: {report.records} records in {report.files} files, "
        f"newest hash {report.head}",
        color=color(),
    )


def _view() -> View:
    width = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 160
    return View(width)


def _echo(view: View, entries: Iterable[Entry]) -> None:
    for entry in entries:
        for line in view.lines(entry):
            click.echo(line, color=color())


def _echo_raw(lines: Iterable[bytes]) -> None:
    for line in lines:
        click.echo(line.decode("ascii", "backslashreplace"), nl=False)


def _parsed(lines: Iterable[bytes]) -> Iterator[Record]:
    return (record for line in lines if (record := parse(line)) is not None)


def _batches(follower: Follower) -> Iterator[list[bytes]]:
    while True:
        yield follower.poll()
        time.sleep(POLL)


def _moment(option: str, text: str) -> str:
    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        msg = f"{text!r} is no regular expression: {error}"
        raise click.BadParameter(msg, param_hint="--sql") from None
