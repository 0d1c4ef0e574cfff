"""Facts as text, and fixture files of SQL with the facts that are expected below each statement.

A fixture file is made of blocks, with blank lines between them. A block is SQL, then one line `--> …` for each
effect (or `--> nothing`). The line `-- scope: NAME` says in which of `tests.sql.scopes` the blocks after it are
read; other `--` lines are comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dbfirewall.sql.facts import Effect, Statement

FACTS = Path(__file__).parent / "facts"


@dataclass(frozen=True, slots=True)
class Case:
    """One block of a fixture file."""

    scope: str
    sql: str
    expected: tuple[str, ...]


def effect_line(effect: Effect) -> str:
    """`update public.t (a, b) without where [detail] = value`, with the object's kind in front where it has one."""
    parts = [effect.action]
    if effect.kind:
        parts.append(f"<{effect.kind}>")
    if effect.object:
        parts.append(effect.object_name)
    if effect.columns is not None:
        parts.append(f"({', '.join(effect.columns)})")
    if not effect.where:
        parts.append("without where")
    if effect.detail:
        parts.append(f"[{effect.detail}]")
    if effect.value is not None:
        parts.append(f"= {effect.value or repr('')}")
    return " ".join(parts)


def lines_of(statement: Statement) -> tuple[str, ...]:
    """One line an effect, in the statement's order."""
    return tuple(map(effect_line, statement.effects)) or ("nothing",)


def read_cases(path: Path) -> list[Case]:
    """The blocks of a fixture file."""
    cases: list[Case] = []
    scope, sql, expected = "offline", [""][:0], [""][:0]
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("-- scope: "):
            scope = line.removeprefix("-- scope: ")
        elif line.startswith("--> "):
            expected.append(line.removeprefix("--> "))
        elif line.startswith("-- ") or (not line and not expected):
            continue
        elif line:
            sql.append(line)
        else:
            cases.append(Case(scope, "\n".join(sql), tuple(expected)))
            sql, expected = [], []
    return cases
