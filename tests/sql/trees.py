"""Parse trees for tests."""

from __future__ import annotations

from dbfirewall.sql import pgquery
from dbfirewall.sql.nodes import Tree


def tree_of(sql: str) -> Tree:
    """The tree of the one statement in `sql`, from libpg_query, as `reading.Parsed` holds it."""
    (statement,) = pgquery.parse(sql.encode())
    tree: Tree = statement["stmt"]
    return tree
