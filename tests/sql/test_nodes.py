"""The allow-list of parse nodes is libpg_query's own grammar, less what only the analyser builds."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from dbfirewall.sql.nodes import NODES, unknown_in

# Built after parsing (by the analyser, the rewriter, the planner, PL/pgSQL), so never in a raw tree.
_NOT_RAW = """
TableFunc Var Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr
DistinctExpr NullIfExpr ScalarArrayOpExpr SubPlan AlternativeSubPlan FieldSelect FieldStore
RelabelType CoerceViaIO ArrayCoerceExpr ConvertRowtypeExpr CollateExpr CaseTestExpr ArrayExpr
RowCompareExpr JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin
MergeAction CoerceToDomain CoerceToDomainValue NextValueExpr InferenceElem ReturningExpr TargetEntry
RangeTblRef FromExpr OnConflictExpr Query RangeTblEntry RTEPermissionInfo RangeTblFunction
TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause SetOperationStmt
PLAssignStmt RawStmt InlineCodeBlock CallContext IntList OidList
"""
NOT_RAW = set(_NOT_RAW.split())


def grammar() -> dict[str, Any]:
    """Message descriptors of every node the library knows, by name."""
    messages = import_module("postgast.pg_query_pb2").DESCRIPTOR.message_types_by_name
    alternatives = messages["Node"].oneofs[0].fields
    return {field.message_type.name: field.message_type for field in alternatives}


def test_every_node_of_the_grammar_is_allowed_or_named_as_never_raw() -> None:
    """A node that a new library brings is neither, so this fails until someone decides."""
    assert set(NODES) | NOT_RAW == set(grammar())
    assert not set(NODES) & NOT_RAW


@pytest.mark.parametrize("name", sorted(NODES))
def test_fields_and_their_kinds_are_the_grammars(name: str) -> None:
    """Every field that a raw tree may carry is listed with the kind of child the descriptor gives it."""
    expected = {"location": ""}
    for field in grammar()[name].fields:
        child = field.message_type.name if field.message_type else ""
        if child in NOT_RAW or field.name == "xpr":
            continue
        expected[field.json_name] = ("*" if field.is_repeated else "@") if child == "Node" else child
    assert NODES[name] == expected


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"SelectStmt": {}}, None),
        ({"SelectStmt": {"targetList": [{}]}}, None),
        ({"Query": {}}, "Query"),
        ({"SelectStmt": {"targetList": [{"Var": {}}]}}, "Var"),
        ({"SelectStmt": {"surprise": 1}}, "SelectStmt.surprise"),
        ({"SelectStmt": {"targetList": {"A_Star": {}}}}, "SelectStmt.targetList"),
        ({"SelectStmt": {"op": {"A_Star": {}}}}, "SelectStmt.op"),
        ({"SelectStmt": {"larg": []}}, "SelectStmt"),
        ({"SelectStmt": {"whereClause": {"A_Star": {}, "ColumnRef": {}}}}, "SelectStmt.whereClause"),
        ({"SelectStmt": {"whereClause": 1}}, "SelectStmt.whereClause"),
        ([], "statement"),
        (None, "statement"),
    ],
)
def test_the_first_unknown_part_is_named(tree: Any, problem: str | None) -> None:
    """Unknown nodes, unknown fields and wrong shapes are all told apart from what is known."""
    assert unknown_in(tree) == problem
