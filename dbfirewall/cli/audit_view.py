"""How an audit entry looks to a person: one line, the decision in colour, the outcome beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click

from dbfirewall.audit.reader import Record
from dbfirewall.audit.search import Entry
from dbfirewall.cli.terminal import printable

COLORS: Final = {"allow": "green", "deny": "red", "gate": "yellow"}
ALARMS: Final = frozenset(
    {"tripwire", "auth_failure", "resume", "kill", "rules_rejected", "refused_connection"}
)
"""Events that a reader should not overlook."""
MIN_SQL: Final = 30
"""Characters of a statement that are shown however narrow the terminal is."""

_SPACES: Final = re.compile(r"\s+")
_DETAILS: Final = (
    "application",
    "peer",
    "role",
    "database",
    "rule",
    "sqlstate",
    "approval",
    "approver",
    "sql",
    "error",
)


class View:
    """Renders entries for a terminal of `width` columns; a line with the date goes before each new day."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._day = ""

    def lines(self, entry: Entry) -> Iterator[str]:
        """The line of `entry`, and before it the date where that is a new one."""
        day, _, clock = printable(entry.record.get("ts")).partition("T")
        if day != self._day:
            self._day = day
            yield click.style(f"{day} (UTC)", dim=True)
        agent = printable(entry.record.get("agent") or "-")
        used = len("12:00:00.000 ") + max(len(agent), 16) + 1
        yield f"{click.style(clock[:12], dim=True)} {agent:<16} {self._rest(entry, used)}"

    def _rest(self, entry: Entry, used: int) -> str:
        record = entry.record
        if record.get("event") != "statement":
            return _event(record)
        decision = printable(record.get("decision"))
        rule = printable(record.get("rule") or "-")
        if record.get("sqlstate"):
            rule = f"{printable(record['sqlstate'])} {rule}"
        result = _result(entry.outcome)
        room = max(self._width - used - 6 - len(rule) - 2 - len(result), MIN_SQL)
        sql = _shorten(_statement(record), room)
        badge = click.style(f"{decision.upper():<5}", fg=COLORS.get(decision, "magenta"), bold=True)
        return f"{badge} {click.style(rule, dim=True)}  {sql}{click.style(result, dim=True)}"


def _statement(record: Record) -> str:
    if record.get("sql") is not None:
        return _SPACES.sub(" ", str(record["sql"])).strip()
    return f"(sha256 {record.get('fingerprint')})"


def _event(record: Record) -> str:
    event = printable(record.get("event"))
    name = click.style(event, fg="red", bold=True) if event in ALARMS else click.style(event, fg="cyan")
    if event == "outcome":
        return name + _result(record)
    details = [f"{key}={printable(record[key])}" for key in _DETAILS if record.get(key) is not None]
    return " ".join([name, *details])


def _result(outcome: Record | None) -> str:
    """What became of a statement, in a few words, with the space before it."""
    if outcome is None:
        return ""
    parts: list[str] = []
    if outcome.get("error"):
        parts.append(f"error {printable(outcome['error'])}")
    rows = outcome.get("rows")
    if rows is not None:
        parts.append(f"{printable(rows)} row{'' if rows == 1 else 's'}")
    parts.append(f"{printable(outcome.get('duration_ms'))} ms")
    return f"  ({', '.join(parts)})"


def _shorten(text: str, room: int) -> str:
    text = printable(text)
    return text if len(text) <= room else text[: room - 1] + "…"
