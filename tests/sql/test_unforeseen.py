"""Trees that today's grammar never builds, but a later one might: each part is judged, never passed over."""

from __future__ import annotations

from typing import Any

import pytest

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Catalog, Function, Scope
from dbfirewall.sql import pgquery
from dbfirewall.sql.actions import groups_of
from dbfirewall.sql.analyze import analyze, resolve
from dbfirewall.sql.constants import constant, identifier_parts
from dbfirewall.sql.facts import Effect
from dbfirewall.sql.lexer import LexError, tokenize
from dbfirewall.sql.outline import outline
from dbfirewall.sql.reading import Parsed, Reading
from dbfirewall.sql.summary import summarise
from tests.sql.scopes import SCOPES
from tests.sql.trees import tree_of

RELATION = {"RangeVar": {"relname": "secret", "inh": True, "relpersistence": "p"}}
STRING = {"A_Const": {"sval": {"sval": "x"}}}


def effects(tree: dict[str, Any], scope: str = "live") -> tuple[Effect, ...]:
    """What a statement's tree does."""
    (only,) = resolve(Reading((Parsed(tree),)), SCOPES[scope]).statements
    return only.effects


def select(value: dict[str, Any], **clauses: Any) -> dict[str, Any]:
    """SELECT of one expression, with further clauses."""
    return {"SelectStmt": {"targetList": [{"ResTarget": {"val": value}}], **clauses}}


def test_a_merge_clause_of_another_kind_is_unknown() -> None:
    """WHEN … THEN with a command that MERGE does not have is not taken for DO NOTHING."""
    tree = tree_of("MERGE INTO users USING orders ON true WHEN MATCHED THEN DELETE")
    tree["MergeStmt"]["mergeWhenClauses"][0]["MergeWhenClause"]["commandType"] = "CMD_UTILITY"
    assert Effect("unknown", detail="MergeWhenClause") in effects(tree)


def test_a_copy_of_nothing_is_unknown() -> None:
    """COPY with neither a relation nor a query is not taken for one that reads nothing."""
    assert Effect("unknown", detail="CopyStmt") in effects({"CopyStmt": {}})


def test_a_transaction_mode_of_another_name_is_unknown() -> None:
    """SET TRANSACTION with a mode that is not known is not passed over."""
    tree = tree_of("SET TRANSACTION READ ONLY")
    tree["VariableSetStmt"]["args"][0]["DefElem"]["defname"] = "transaction_of_tomorrow"
    assert Effect("unknown", detail="VariableSetStmt") in effects(tree)


def test_a_sub_select_of_another_kind_is_unknown() -> None:
    """FROM (…) with anything but a SELECT inside is not taken for an empty table."""
    entry = {"RangeSubselect": {"subquery": tree_of("DELETE FROM users")}}
    assert Effect("unknown", detail="DeleteStmt") in effects(select(STRING, fromClause=[entry]))
    assert Effect("unknown", detail="RangeSubselect") in effects(
        select(STRING, fromClause=[{"RangeSubselect": {}}])
    )


def test_a_from_item_of_another_kind_is_unknown() -> None:
    """FROM with an item that no reader knows is not taken for an empty one."""
    assert Effect("unknown", detail="A_Const") in effects(select(STRING, fromClause=[STRING]))


COMPOUND: list[dict[str, Any]] = [{"larg": {}}, {"rarg": {}}, {"op": "SETOP_EXCEPT"}]
NOT_UNDERSTOOD: list[tuple[dict[str, Any], str]] = [
    ({"TransactionStmt": {"kind": "TRANS_STMT_TOMORROW"}}, "TransactionStmt"),
    ({"GrantStmt": {"objtype": "OBJECT_TOMORROW", "objects": [{}]}}, "revoke on OBJECT_TOMORROW"),
    ({"GrantStmt": {"objtype": "OBJECT_TABLE", "objects": [STRING]}}, "revoke on OBJECT_TABLE"),
    ({"DropStmt": {"removeType": "OBJECT_TOMORROW", "objects": [{}]}}, "drop of OBJECT_TOMORROW"),
    (
        {"DropStmt": {"removeType": "OBJECT_TOMORROW", "objects": [{"String": {"sval": "x"}}]}},
        "drop of OBJECT_TOMORROW",
    ),
    ({"DefineStmt": {"kind": "OBJECT_TOMORROW"}}, "DefineStmt OBJECT_TOMORROW"),
    ({"CommentStmt": {"objtype": "OBJECT_TOMORROW", "object": {}}}, "comment on OBJECT_TOMORROW"),
    ({"RenameStmt": {"renameType": "OBJECT_TOMORROW"}}, "alter of an unknown object"),
    ({"TruncateStmt": {}}, "TruncateStmt of nothing"),
    ({"PrepareStmt": {"query": STRING}}, "A_Const"),
    ({"SelectStmt": {"withClause": {"ctes": [STRING]}}}, "A_Const"),
    ({"SelectStmt": {"withClause": {"ctes": [{"CommonTableExpr": {"ctequery": STRING}}]}}}, "A_Const"),
    ({"SelectStmt": {"op": "SETOP_UNION", "targetList": []}}, "SelectStmt"),
    *(
        (
            {"SelectStmt": {**compound, clause: {} if clause in ("whereClause", "havingClause") else []}},
            "SelectStmt",
        )
        for compound in COMPOUND
        for clause in (
            "fromClause",
            "groupClause",
            "windowClause",
            "valuesLists",
            "distinctClause",
            "whereClause",
            "havingClause",
        )
    ),
]


@pytest.mark.parametrize(("tree", "detail"), NOT_UNDERSTOOD)
def test_a_part_of_another_kind_is_unknown(tree: dict[str, Any], detail: str) -> None:
    """A kind, an object type or a node that no handler knows is an unknown effect, named for what it is."""
    assert Effect("unknown", detail=detail) in effects(tree)
    assert Effect("unknown", detail=detail) in effects(tree, "offline")


def test_the_summary_of_a_with_of_another_kind_is_unknown() -> None:
    """A CTE that is none leaves nothing to compare with the other witnesses."""
    assert summarise({"SelectStmt": {"withClause": {"ctes": [STRING]}}}).kind == "unknown"
    assert summarise({"SelectStmt": {"tomorrow": 1}}).kind == "unknown"
    assert summarise({}).kind == "unknown"


def test_an_operator_without_name_runs_nothing_known() -> None:
    """What is around it is judged all the same."""
    tree = select({"A_Expr": {"lexpr": {"FuncCall": {"funcname": [{"String": {"sval": "f_write"}}]}}}})
    assert effects(tree) == (Effect("call", ("public", "f_write"), "function"),)


def test_a_conversion_without_function_is_created_all_the_same() -> None:
    """A function that is not named adds nothing, and hides nothing."""
    tree = {"CreateConversionStmt": {"conversion_name": [{"String": {"sval": "c"}}]}}
    assert [one.action for one in effects(tree)] == ["create"]


@pytest.mark.parametrize(
    "functions", [[], [{"List": {}}], [{"List": {"items": []}}], [{"List": {"items": [{}]}}]]
)
def test_a_function_in_from_without_call_has_no_name(functions: list[dict[str, Any]]) -> None:
    """A FROM item of no function runs nothing, and does not break what is around it."""
    entries = [{"RangeFunction": {"functions": functions}}, RELATION]
    assert effects(select(STRING, fromClause=entries)) == (
        Effect("select", ("public", "secret"), "table", ()),
    )


def test_a_relation_among_expressions_is_read() -> None:
    """A relation where an expression is expected counts as read with all of its columns."""
    assert effects(select(RELATION)) == (Effect("select", ("public", "secret"), "table", ("id", "ssn")),)


@pytest.mark.parametrize(
    "sql", ["CREATE TEMP TABLE s AS SELECT 1", "SELECT 1 INTO TEMP s", "CREATE TEMP VIEW s AS SELECT 1"]
)
def test_a_temporary_relation_is_in_no_schema_of_the_path(sql: str) -> None:
    """What is made as temporary never counts as an object of the pinned schemas."""
    assert [one.object for one in effects(tree_of(sql)) if one.action == "create"] == [("pg_temp", "s")]


def test_a_lock_takes_hold_even_of_nothing() -> None:
    """FOR UPDATE where no table is in sight is a lock all the same."""
    assert effects(tree_of("SELECT 1 FOR UPDATE")) == (Effect("lock_rows", detail="FOR UPDATE"),)


def test_the_same_lock_twice_is_one() -> None:
    """A repeated locking clause adds nothing, and costs nothing."""
    assert effects(tree_of("SELECT 1 FROM users FOR SHARE FOR SHARE")) == effects(
        tree_of("SELECT 1 FROM users FOR SHARE")
    )


@pytest.mark.parametrize("node", ["ColumnRef", "TypeName"])
def test_a_name_without_parts_reads_nothing(node: str) -> None:
    """A reference to no name at all has no effect of its own, and does not break what is around it."""
    assert effects(
        select({"FuncCall": {"funcname": [{"String": {"sval": "f_write"}}], "args": [{node: {}}]}})
    ) == (Effect("call", ("public", "f_write"), "function"),)


@pytest.mark.parametrize(
    ("literal", "text"),
    [("'a'", "a"), ("12", "12"), ("1.50", "1.50"), ("true", "true"), ("false", "false"), ("0", "0"),
     ("NULL", None), ("1 + 1", None), ("'x'::regclass", "x"), ("''", "")],
)  # fmt: skip
def test_the_text_of_a_constant(literal: str, text: str | None) -> None:
    """Literals have a text, NULL and expressions none."""
    tree = tree_of(f"SELECT {literal}")
    assert constant(tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]) == text


@pytest.mark.parametrize("text", ["", " ", "a.", "a b", '"a', "1a", "a..b"])
def test_what_is_no_name_has_no_parts(text: str) -> None:
    """A string that PostgreSQL would not read as a name is none, rather than the beginning of one."""
    assert identifier_parts(text) is None


def test_an_action_that_is_not_known_is_in_no_group() -> None:
    """No group, and no `*`, covers an action that nobody has sorted."""
    assert groups_of("made up") == ()


def test_an_answer_that_is_no_json_is_a_failure() -> None:
    """Whatever else the parser's library may give back is a failure, never an empty list of statements."""
    with pytest.raises(pgquery.ParserFailureError, match="not JSON"):
        pgquery._statements(b"{")


def test_brackets_alone_have_no_keyword() -> None:
    """A statement of nothing but brackets begins with no word."""
    assert [one.keyword for one in outline(tokenize("(("))] == [""]


def test_a_function_is_not_special_by_its_name_alone() -> None:
    """A user's own `nextval` or `pg_notify` is a call of that function, not the action of the built-in one."""
    for name in ("nextval", "pg_notify", "pg_advisory_lock"):
        own = Function("public", name, "v", min_args=0, max_args=9, language="plpgsql")
        scope = Scope(Catalog(functions={name: (own,)}, schemas=frozenset({"public"}), complete=True))
        (only,) = analyze(f"SELECT public.{name}('x')".encode(), scope).statements
        assert only.effects == (Effect("call", ("public", name), "function"),)


def test_a_name_that_no_schema_of_the_path_can_hold_is_in_an_unknown_one() -> None:
    """With an empty search_path a relation keeps two parts, so that a deny of any schema's still fits."""
    (only,) = analyze(b"SELECT a FROM nowhere", Scope(offline_catalog(), ())).statements
    assert [one.object for one in only.effects] == [(None, "nowhere")]


@pytest.mark.parametrize("sql", ["SELECT $$a", "SELECT $x$a$$", "SELECT $x$a$x"])
def test_a_dollar_quote_without_end_is_refused(sql: str) -> None:
    """The lexer itself says so, before any parser is asked."""
    with pytest.raises(LexError, match="unterminated dollar-quoted string"):
        tokenize(sql)
