"""How the demo looks: colours where the output is a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import sys

from demo.steps import Outcome, Step

COLOURED = "NO_COLOR" not in os.environ and (sys.stdout.isatty() or "FORCE_COLOR" in os.environ)
RED, GREEN, YELLOW, BOLD, DIM = "31;1", "32;1", "33;1", "1", "2"


def paint(text: str, colour: str) -> str:
    """`text` in a colour, if there are colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if COLOURED else text


def say(text: str = "") -> None:
    """Print a line now, whoever reads the pipe."""
    print(text, flush=True)


def heading(text: str) -> None:
    """A section begins."""
    say()
    say(paint(text, BOLD))


def show(number: int, step: Step, outcome: Outcome) -> None:
    """One step: its title and statement, and what came back."""
    say()
    say(f"{paint(str(number), BOLD)}  {paint(step.title, BOLD)}")
    say(f"   {paint(step.sql, DIM)}")
    if not outcome.sqlstate:
        say(f"   {paint('allowed', GREEN)}  {outcome.tag}")
        table(outcome)
        return
    word, colour = ("gated", YELLOW) if outcome.sqlstate == "ZG001" else ("denied", RED)
    say(f"   {paint(f'{word:7}', colour)}  {outcome.sqlstate}  {outcome.message}")
    if outcome.hint:
        say(f"            {paint('hint: ' + outcome.hint, DIM)}")


def table(outcome: Outcome) -> None:
    """The first rows, in columns; nothing for a statement without any."""
    lines = [outcome.columns, *[tuple(str(value) for value in row) for row in outcome.rows[:5]]]
    if not outcome.columns:
        return
    widths = [max(len(line[at]) for line in lines) for at in range(len(outcome.columns))]
    for line in lines:
        say("            " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))
