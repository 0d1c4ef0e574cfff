"""What the types of a Parse's parameters run."""

from __future__ import annotations

import struct

from dbfirewall.catalog.types import Catalog, Function
from dbfirewall.sql.facts import Effect
from dbfirewall.sql.parameters import parameter_effects

IS_GOOD = Function("public", "is_good", "v", language="plpgsql")
REACH = Function("public", "dblink_check", "v", language="plpgsql")
CATALOG = Catalog(parameter_calls={20000: (IS_GOOD,), 20001: (IS_GOOD, REACH)})


def oids(*types: int) -> bytes:
    """As a Parse has them."""
    return struct.pack(f">{len(types)}I", *types)


def test_a_type_that_runs_a_function_calls_it() -> None:
    """Each function once, by the action that a call of it is."""
    good = Effect("call", ("public", "is_good"), "function", detail="type of a parameter")
    reach = Effect("egress", ("public", "dblink_check"), "function", detail="type of a parameter")
    assert parameter_effects(oids(23, 20000), CATALOG) == (good,)
    assert parameter_effects(oids(20000, 20001, 20000), CATALOG) == (good, reach)


def test_other_types_run_nothing() -> None:
    """Built-in ones, unknown ones (0), those of which the catalog says nothing; and where there are none at all."""
    assert parameter_effects(oids(0, 23, 25, 20002, 2**32 - 1), CATALOG) == ()
    assert parameter_effects(b"", CATALOG) == ()
    assert parameter_effects(oids(20000), Catalog()) == ()
