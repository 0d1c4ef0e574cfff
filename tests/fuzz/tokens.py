"""Token fuzzing: real statements cut up and put together again, against libpg_query's scanner.

tests/sql/test_lexer.py throws soup at the lexer; here the texts are mostly valid SQL with a few wounds, so that
the scanners meet each other's states in the midst of long statements.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.fuzz.grammar import Grammar
from tests.sql.recorded import statements
from tests.sql.soup import PIECES

LONGEST = 2000
"""Characters of a recorded statement that are used: more only takes time."""


def mutants(seed: int) -> Iterator[str]:
    """Texts without end; the same seed gives the same ones."""
    rng = random.Random(seed)
    recorded = [text[:LONGEST] for text in statements()]
    armed = Grammar(seed, armed=True)
    while True:
        text = rng.choice(recorded) if rng.random() < 0.6 else armed.one().sql
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            text = _wound(text, rng, recorded)
        yield text


def _wound(text: str, rng: random.Random, others: list[str]) -> str:
    here = rng.randrange(len(text) + 1)
    there = min(len(text), here + rng.choice((0, 1, 1, 2, 5, 20)))
    match rng.randrange(5):
        case 0:  # something between
            return text[:here] + "".join(rng.choices(PIECES, k=rng.choice((1, 1, 2, 4)))) + text[here:]
        case 1:  # something missing
            return text[:here] + text[there:]
        case 2:  # something twice, elsewhere
            place = rng.randrange(len(text) + 1)
            return text[:place] + text[here:there] + text[place:]
        case 3:  # the rest of another one
            other = rng.choice(others)
            return text[:here] + other[rng.randrange(len(other)) :]
        case _:  # something else instead
            return text[:here] + rng.choice(PIECES) + text[there:]
