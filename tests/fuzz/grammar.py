"""Armed statements from a seed: a payload, wrapped in what the grammar offers, then disguised."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.disguise import DECOYS, disguise

TEXTS = Path(__file__).parent / "texts"


def texts(name: str) -> tuple[str, ...]:
    """The lines of a file of `texts/`, without its comments."""
    lines = (TEXTS / f"{name}.sql").read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("-- "))


FORBIDDEN_READS, FORBIDDEN_CALLS, WRITES = map(texts, ("forbidden_reads", "forbidden_calls", "writes"))
HARMLESS_READS, HARMLESS_CALLS = map(texts, ("harmless_reads", "harmless_calls"))
AROUND_QUERIES, AROUND_EXPRESSIONS = map(texts, ("around_queries", "around_expressions"))
AROUND_STATEMENTS, WRITING_STATEMENTS = map(texts, ("around_statements", "writing_statements"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text, and the payload that is in it."""

    sql: str
    payload: str


class Grammar:
    """Candidates without end; the same seed gives the same ones."""

    def __init__(self, seed: int, *, armed: bool) -> None:
        """`armed`: with a payload that the role is denied; otherwise with one that it is allowed."""
        self._rng = random.Random(seed)
        self._armed = armed
        self._reads = FORBIDDEN_READS if armed else HARMLESS_READS
        self._calls = FORBIDDEN_CALLS if armed else HARMLESS_CALLS
        self._count = 0

    def __iter__(self) -> Iterator[Candidate]:
        while True:
            yield self.one()

    def one(self) -> Candidate:
        """The next one."""
        if self._armed and self._rng.random() < 0.2:
            payload = self._rng.choice(WRITES)
            sql = payload
        else:
            payload, query = self._query()
            sql = self._fill(self._rng.choice(self._statements()), q=query)
        decoy = self._rng.choice(DECOYS) if self._armed and self._rng.random() < 0.3 else "{0}"
        return Candidate(decoy.replace("{0}", disguise(sql, self._rng)), payload)

    def _statements(self) -> tuple[str, ...]:
        writing = self._armed and self._rng.random() < 0.2
        if writing:
            return WRITING_STATEMENTS
        return AROUND_STATEMENTS if self._rng.random() < 0.8 else ("{q}",)

    def _query(self) -> tuple[str, str]:
        if self._rng.random() < 0.5:
            payload = query = self._rng.choice(self._reads)
        else:
            payload = self._rng.choice(self._calls)
            query = self._fill(self._rng.choice(AROUND_EXPRESSIONS), e=payload)
        for _ in range(self._rng.choice((0, 0, 1, 1, 2, 3))):
            if self._rng.random() < 0.15:
                around = self._rng.choice(AROUND_EXPRESSIONS)
                query = self._fill(
                    around, e=f"(SELECT ascii(substr(c, 7)) FROM ({query}) AS s{self._count} (c) LIMIT 1)"
                )
            else:
                query = self._fill(self._rng.choice(AROUND_QUERIES), q=query)
        return payload, query

    def _fill(self, template: str, **parts: str) -> str:
        self._count += 1
        return template.format(n=self._count, **parts)
