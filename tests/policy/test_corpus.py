"""The wire corpus, judged without a wire: the decision alone refuses what a real session must not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dbfirewall.policy.decision import decide
from dbfirewall.sql.analyze import analyze
from tests.policy.build import role
from tests.sql.scopes import SCOPES

CORPUS = Path(__file__).parents[1] / "corpus" / "wire.jsonl"
ONLY_A_CATALOG_SHOWS = {
    "f-secret-attribute", "operator", "operator-qualified", "cast", "cast-standard", "view",
    "dangerous-function-trap-96", "dangerous-function-trap-97",
}  # fmt: skip
"""Calls behind names of the corpus' own schema: tests/e2e has them, with a server."""

ENTRIES = [
    entry
    for entry in map(json.loads, CORPUS.read_text().splitlines())
    if entry["id"] not in ONLY_A_CATALOG_SHOWS
]
ANALYST = role(
    {"allow": "select", "on": ["public.*", "delete_me.*"]},
    {"deny": "select", "on": "public.secret"},
    {"allow": "call", "on": "public.f_read"},
    access="read-only",
)


def outcome(entry: dict[str, Any]) -> str:
    """What becomes of the entry's text, with no catalog at hand."""
    return decide(analyze(entry["sql"].encode(), SCOPES["offline"]), ANALYST).outcome


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_the_corpus_is_judged_offline_as_on_a_server(entry: dict[str, Any]) -> None:
    """What is to be refused is refused, and what is to run runs."""
    assert outcome(entry) == entry["expected"]
