"""Parse trees for tests."""

from __future__ import annotations

from dbfirewall.sql import pgquery
from dbfirewall.sql.nodes import Tree


def trees_of(sql: str) -> list[Tree]:
    """The trees of the statements in `sql`, from libpg_query, as `reading.Parsed` holds them."""
    return [statement["stmt"] for statement in pgquery.parse(sql.encode())]


def tree_of(sql: str) -> Tree:
    """The tree of the one statement in `sql`."""
    (tree,) = trees_of(sql)
    return tree
