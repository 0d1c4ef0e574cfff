"""Read queries as agents and BI tools write them: templates, expanded deterministically."""

from __future__ import annotations

import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent
_CHOICE = re.compile("«([^«»]*)»")


def templates() -> list[str]:
    """The templates of queries.sql."""
    blocks = (FOLDER / "queries.sql").read_text("utf-8").strip().split("\n\n")
    return [block for block in blocks if not block.startswith("--")]


def queries(count: int, seed: int = 1) -> list[str]:
    """`count` different queries, the templates in turn."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        for template in templates():
            found.setdefault(_expanded(template, rng))
    return list(found)[:count]


def _expanded(template: str, rng: random.Random) -> str:
    while (choice := _CHOICE.search(template)) is not None:
        picked = rng.choice(choice[1].split("¦"))
        template = template[: choice.start()] + picked + template[choice.end() :]
    return template.rstrip()
