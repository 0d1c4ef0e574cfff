"""Our lexer cuts wounded statements as PostgreSQL's scanner does, or refuses them."""

from __future__ import annotations

from itertools import islice

from tests.fuzz.tokens import mutants
from tests.sql.soup import agree, cut_or_none

SEED, COUNT = 1, 10_000


def test_mutants_are_cut_as_postgres_cuts_them() -> None:
    """Where both scanners take a mutant, the boundaries are equal; what theirs refuses, ours refuses."""
    texts = list(islice(mutants(SEED), COUNT))
    assert [text for text in texts if not agree(text)] == []
    assert sum(cut_or_none(text) is not None for text in texts) > COUNT / 3
