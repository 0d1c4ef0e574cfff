"""How requests for approval look to a person in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from dbfirewall.approvals.words import object_words
from dbfirewall.cli.terminal import printable

COLORS: Final = {
    "pending": "yellow", "approved": "green", "releasing": "cyan", "done": "green", "outside": "red",
    "failed": "red", "unknown": "magenta", "denied": "red", "expired": "white", "withdrawn": "white",
}  # fmt: skip
MAX_CELL: Final = 32
"""Characters of one value in a sample of rows."""

_SPACES: Final = re.compile(r"\s+")


def line(one: dict[str, Any], now: datetime, width: int) -> str:
    """One request in one line."""
    head = f"{printable(one['id'])}  "
    state = click.style(f"{printable(one['state']):<9}", fg=COLORS.get(one["state"]), bold=True)
    who = f"  {printable(one['agent']):<16} {printable(one['database']):<10} "
    age = f"{_ago(one['created_at'], now):>5}  {_rows(one):>9}  "
    sql = _SPACES.sub(" ", one["sql"]).strip()
    room = max(width - len(head) - 9 - len(who) - len(age), 30)
    shown = printable(sql)
    return head + state + who + age + (shown if len(shown) <= room else shown[: room - 1] + "…")


def heading(width: int) -> str:
    """The line above the lines."""
    text = f"{'ID':<26}  {'STATE':<9}  {'AGENT':<16} {'DATABASE':<10} {'AGE':>5}  {'ROWS':>9}  STATEMENT"
    return click.style(text[:width], dim=True)


def page(one: dict[str, Any], now: datetime) -> Iterator[str]:
    """Everything that there is to know about one request."""
    state = click.style(printable(one["state"]), fg=COLORS.get(one["state"]), bold=True)
    yield f"{click.style(printable(one['id']), bold=True)}  {state}"
    for name, value in _facts(one, now):
        yield f"  {name:<12} {printable(value)}"
    yield ""
    yield from (f"    {printable(text)}" for text in one["sql"].splitlines() or [""])
    for number, parameter in enumerate(one["parameters"], 1):
        value = "NULL" if parameter["null"] else repr(parameter["value"])
        yield f"    ${number} = {printable(value)}"
    yield from _preview(one["preview"])
    yield from _votes(one)


def _facts(one: dict[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    yield "agent", f"{one['agent']} (role {one['role']}), {one['peer'] or 'unknown address'}"
    if one["application"]:
        yield "application", one["application"]
    yield "database", one["database"] + (", inside an open transaction" if one["in_transaction"] else "")
    yield "rule", one["rule"]
    if one["reason"]:
        yield "why", one["reason"]
    for effect in one["effects"][:20]:
        yield "effect", f"{effect['action']} {effect['object']}"
    for terms in one["terms"]:
        who = " or ".join(terms["groups"]) or "any approver"
        yield "needs", f"{terms['count']} of {who}" if terms["count"] > 1 else who
    yield "asked", f"{one['created_at']} ({_ago(one['created_at'], now)} ago)"
    yield "expires", one["expires_at"]
    if one["agent_gone"]:
        yield "agent gone", "its connection ended; what is approved waits for it to send the statement again"
    if one["envelope"]:
        yield "envelope", _envelope(one["envelope"])
    if one["affected"]:
        yield "affected", _counts(one["affected"])
    for name in ("error", "note"):
        if one[name]:
            yield name, one[name]
    if one["undo"]["available"]:
        yield "undo", f"{one['undo']['rows']} rows kept: dbfirewall approvals undo {one['id']}"


def _preview(preview: dict[str, Any] | None) -> Iterator[str]:
    yield ""
    if preview is None:
        yield click.style("  No preview yet.", dim=True)
        return
    if preview["rows"]:
        yield f"  It would change {click.style(_counts(preview['rows']), bold=True)} rows."
    elif preview["estimate"] is not None:
        yield f"  The planner expects about {preview['estimate']:.0f} rows."
    for table in preview["tables"]:
        yield from _table(table)
    for one in preview["objects"]:
        yield "  " + printable(object_words(one))
    for note in preview["notes"]:
        yield f"  • {printable(note)}"
    if preview["undo_problem"]:
        yield f"  • undo: {printable(preview['undo_problem'])}"
    if preview["plan"]:
        yield ""
        yield from (click.style(f"    {printable(text)}", dim=True) for text in preview["plan"].splitlines())


def _table(table: dict[str, Any]) -> Iterator[str]:
    """A sample of rows; for an UPDATE each row's new form below it, where it changes."""
    pairs = [
        (mark, row)
        for at, row in enumerate(table["rows"])
        for mark, row in (("-", row), ("+", table["after"][at] if at < len(table["after"]) else None))
        if row is not None
    ]
    cells = [[_cell(value) for value in row] for _, row in pairs]
    widths = [
        max(map(len, column))
        for column in zip([printable(name) for name in table["columns"]], *cells, strict=True)
    ]
    yield f"  {printable(table['name'])}"
    yield click.style(f"      {_joined(table['columns'], widths)}", dim=True)
    for (mark, _), row in zip(pairs, cells, strict=True):
        yield click.style(f"    {mark} {_joined(row, widths)}", fg="red" if mark == "-" else "green")


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        f"{printable(cell):<{width}}" for cell, width in zip(cells, widths, strict=True)
    ).rstrip()


def _cell(value: str | None) -> str:
    text = "NULL" if value is None else printable(value)
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def _votes(one: dict[str, Any]) -> Iterator[str]:
    for vote in one["votes"]:
        verb = click.style("approved", fg="green") if vote["approve"] else click.style("denied", fg="red")
        reason = f": {printable(vote['reason'])}" if vote["reason"] else ""
        yield f"  {verb} by {printable(vote['approver'])} at {vote['at']} from {printable(vote['origin'])}{reason}"


def _rows(one: dict[str, Any]) -> str:
    if one["affected"]:
        return _counts(one["affected"])
    preview = one["preview"]
    if preview is None:
        return "…"
    if preview["rows"]:
        return _counts(preview["rows"])
    return f"~{preview['estimate']:.0f}" if preview["estimate"] is not None else "-"


def _counts(counts: Sequence[int | None]) -> str:
    return " + ".join("?" if count is None else str(count) for count in counts)


def _envelope(envelope: dict[str, Any]) -> str:
    tolerance = envelope["tolerance"]
    allowed = f" ± {tolerance:.0%}" if tolerance else ", exactly"
    return f"{_counts(envelope['rows'])} rows{allowed}"


def _ago(moment: str, now: datetime) -> str:
    seconds = max((now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds(), 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"
