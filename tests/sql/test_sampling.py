"""TABLESAMPLE, also where a view has it."""

from __future__ import annotations

import pytest

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.sql.functions import harmless_in_view


@pytest.mark.parametrize("method", ["bernoulli", "system"])
def test_a_view_that_samples_needs_no_rule_for_the_method(method: str) -> None:
    """The built-in sampling methods are declared volatile, and do no more than choose rows."""
    functions = offline_catalog().functions[method]
    assert functions
    assert all(map(harmless_in_view, functions))
