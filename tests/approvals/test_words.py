"""Previews in words."""

from __future__ import annotations

import pytest

from dbfirewall.approvals.words import object_words, size_words


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            {"object": "public.orders", "kind": "table", "rows": 20, "exact": True, "bytes": 32768,
             "lock": "ACCESS EXCLUSIVE"},
            "table public.orders, 20 rows, 32 kB, under ACCESS EXCLUSIVE",
        ),
        ({"object": "t", "rows": 1, "exact": False, "bytes": None}, "object t, about 1 row"),
        ({"object": "v", "kind": "view", "taken along": "by CASCADE"}, "view v, taken along by CASCADE"),
        ({}, "object"),
    ],
)  # fmt: skip
def test_an_object_in_words(item: dict[str, object], words: str) -> None:
    """What is not known is not said; what is not foreseen is said as it is."""
    assert object_words(item) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (10_239, "10239 bytes"),
        (10_240, "10 kB"),
        (5 << 30, "5120 MB"),
        (9 << 60, "9437184 TB"),
    ],
)
def test_sizes_are_said_as_the_server_says_them(size: int, words: str) -> None:
    """As pg_size_pretty."""
    assert size_words(size) == words
