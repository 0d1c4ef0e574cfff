"""Whatever a tree holds, facts or a refusal come out, and never silence where something was not understood."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.sql.actions import ACTIONS
from dbfirewall.sql.analyze import resolve
from dbfirewall.sql.facts import Analysis
from dbfirewall.sql.nodes import NODES, Tree, unknown_in
from dbfirewall.sql.reading import Parsed, Reading
from dbfirewall.sql.summary import summarise
from tests.sql.rendering import FACTS, read_cases
from tests.sql.scopes import SCOPES
from tests.sql.trees import trees_of

_WORDS = st.sampled_from(
    ["t", "public", "nextval", "set_config", "f_secret", "OBJECT_TABLE", "OBJECT_CAST", "OBJECT_TRIGGER",
     "VAR_SET_MULTI", "TRANS_STMT_BEGIN", "CMD_UPDATE", "SETOP_UNION", "AT_ChangeOwner", "DROP_CASCADE", ""]
)  # fmt: skip
_SCALARS = _WORDS | st.integers(-1, 64) | st.booleans() | st.none() | st.floats()


@st.composite
def nodes(draw: st.DrawFn, kind: str, depth: int) -> Tree:
    """Fields of a node that the allow-list accepts, whatever sense they make."""
    node: Tree = {}
    for field, child in NODES[kind].items():
        if not draw(st.booleans()):
            continue
        if not child:
            node[field] = draw(_SCALARS)
        elif depth <= 0:
            continue
        elif child == "*":
            node[field] = draw(st.lists(wrapped(depth - 1), max_size=2))
        elif child == "@":
            node[field] = draw(wrapped(depth - 1))
        else:
            node[field] = draw(nodes(child, depth - 1))
    return node


@st.composite
def wrapped(draw: st.DrawFn, depth: int, kinds: tuple[str, ...] = tuple(NODES)) -> Tree:
    """A wrapped node of any kind, or the grammar's NULL."""
    kind = draw(st.sampled_from(kinds))
    return {kind: draw(nodes(kind, depth))} if draw(st.integers(0, 9)) else {}


STATEMENTS = tuple(kind for kind in NODES if kind.endswith("Stmt"))
JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(NODES)), inner, max_size=2)
    ),
)
REAL = [
    tree for path in sorted(FACTS.glob("*.sql")) for case in read_cases(path) for tree in trees_of(case.sql)
]
SILENT = ("SelectStmt", "ExplainStmt", "CopyStmt")


def check(tree: Any) -> Analysis:
    """Resolve a tree in a complete and in an offline scope; the facts must be in the vocabulary."""
    summarise(tree) if isinstance(tree, dict) else None
    for name in ("offline", "offline unknown path", "live app, public"):
        analysis = resolve(Reading((Parsed(tree),)), SCOPES[name])
        (statement,) = analysis.statements
        assert {effect.action for effect in statement.effects} <= ACTIONS
        understood = isinstance(tree, dict) and next(iter(tree), None) in SILENT and unknown_in(tree) is None
        assert statement.effects or understood
    return analysis


@settings(max_examples=300, deadline=None)
@given(wrapped(4, STATEMENTS))
def test_any_tree_of_allowed_nodes_gives_facts(tree: Tree) -> None:
    """Allowed nodes in any arrangement: no exception, and no statement but a query is without effects."""
    check(tree)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_gives_facts(tree: Any) -> None:
    """Arbitrary JSON is unknown, not an error."""
    check(tree)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REAL), st.data())
def test_a_damaged_tree_gives_facts(tree: Tree, data: st.DataObject) -> None:
    """A real tree with a part cut out or replaced is understood or unknown, and never silent."""
    damaged = copy.deepcopy(tree)
    places = [place for place in _places(damaged) if place[0] is not damaged]
    if places:
        container, key = data.draw(st.sampled_from(places))
        if data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(_SCALARS | wrapped(1) | st.lists(wrapped(1), max_size=2))
    check(damaged)


@pytest.mark.parametrize("replacement", ["Var", "Query", "FuncExpr", "Surprise"])
def test_one_unknown_node_makes_the_statement_unknown(replacement: str) -> None:
    """A node outside of the allow-list, however deep, leaves no other effect standing."""
    for tree in REAL:
        places = [(c, k) for c, k in _places(copy.deepcopy(tree)) if isinstance(c, dict) and k in NODES]
        damaged = copy.deepcopy(tree)
        container, key = [(c, k) for c, k in _places(damaged) if isinstance(c, dict) and k in NODES][
            len(places) // 2
        ]
        container[replacement] = container.pop(key)
        (statement,) = resolve(Reading((Parsed(damaged),)), SCOPES["offline"]).statements
        assert [effect.action for effect in statement.effects] == ["unknown"]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in a tree."""
    found: list[tuple[Any, Any]] = []
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        found.append((tree, key))
        found += _places(value)
    return found
