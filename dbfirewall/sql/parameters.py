"""What the types of parameters run: a Parse may name any type by its OID, without a word about it in the text.

A value of a domain is checked where the Bind is read, and an implicit cast of a user's may take it from there.
"""

from __future__ import annotations

import struct

from dbfirewall.catalog.types import Catalog
from dbfirewall.sql.facts import Effect
from dbfirewall.sql.functions import action_of


def parameter_effects(oids: bytes, catalog: Catalog) -> tuple[Effect, ...]:
    """The calls that need a rule and that parameters of these types may run. `oids`: 4 bytes each, big-endian."""
    known = catalog.parameter_calls
    if not known:
        return ()
    return tuple(
        dict.fromkeys(
            Effect(
                action_of(function.name, builtin=function.builtin),
                function.qualified_name,
                "function",
                detail="type of a parameter",
            )
            for (oid,) in struct.iter_unpack(">I", oids)
            for function in known.get(oid, ())
        )
    )
