"""What a terminal may be shown, and whether in colour."""

from __future__ import annotations

import os
from typing import Any


def printable(value: Any) -> str:
    """`value` as text that can't move the cursor, colour the terminal or turn the line around."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def color() -> bool | None:
    """Whether to colour; None: where the output is a terminal. See no-color.org and force-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None
