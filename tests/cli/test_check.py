"""`dbfirewall check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dbfirewall.cli import main
from tests.policy.example import EXAMPLE
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"


def check(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    """Run `dbfirewall check`."""
    return CliRunner().invoke(main, ["check", *map(str, arguments)], input=stdin)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The documentation's example as a file."""
    path = tmp_path / "rules.yaml"
    path.write_text(EXAMPLE)
    return path


@pytest.mark.parametrize(
    ("role", "sql", "status", "sqlstate"),
    [
        ("analyst", "SELECT id FROM orders", 0, ""),
        ("analyst", "SELECT id FROM Public.ORDERS o JOIN reporting.days d USING (id)", 0, ""),
        ("analyst", "SELECT revenue_by_month()", 0, ""),
        ("analyst", "SHOW server_version", 0, ""),
        ("analyst", "BEGIN; SELECT count(*) FROM orders; COMMIT", 0, ""),
        ("analyst", "", 0, ""),
        ("analyst", "SELECT * FROM customers", 3, "42501"),
        ("analyst", "SELECT ssn FROM customers", 3, "42501"),
        ("analyst", "SELECT other()", 3, "42501"),
        ("analyst", "UPDATE orders SET total = 0 WHERE id = 1", 3, "25006"),
        ("analyst", "WITH x AS (DELETE FROM orders RETURNING 1) SELECT * FROM x", 3, "25006"),
        ("analyst", "EXPLAIN ANALYZE DELETE FROM orders", 3, "25006"),
        ("analyst", "BEGIN READ WRITE", 3, "25006"),
        ("analyst", "SELCT 1", 3, "42601"),
        ("analyst", "EXECUTE p", 3, "0A000"),
        ("analyst", "SELECT state FROM dbfirewall.approvals WHERE id = 'apr_1'", 0, ""),
        ("analyst", "SELECT 1 FROM dbfirewall.my_rules, customers", 3, "42501"),
        ("maintainer", "DELETE FROM dbfirewall.approvals", 3, "0A000"),
        ("maintainer", "PREPARE p AS DELETE FROM orders", 3, "0A000"),
        ("maintainer", "INSERT INTO orders (id) VALUES (1)", 0, ""),
        ("maintainer", "TRUNCATE orders", 4, "ZG001"),
        ("maintainer", "UPDATE orders SET total = 0", 4, "ZG001"),
        ("maintainer", "CREATE TABLE t (a int)", 4, "ZG001"),
        ("maintainer", "DROP TABLE orders", 4, "ZG001"),
        ("maintainer", "DROP SCHEMA public CASCADE", 3, "42501"),
        ("maintainer", "COPY orders TO PROGRAM 'sh'", 3, "42501"),
    ],
)
def test_the_exit_status_is_the_decision(
    rules: Path, role: str, sql: str, status: int, sqlstate: str
) -> None:
    """0 allow, 3 deny, 4 gate; the JSON has the SQLSTATE that an agent would get."""
    result = check("--rules", rules, "--role", role, "--json", sql)
    assert result.exit_code == status, result.output
    answer = json.loads(result.output)
    assert answer["decision"] == {0: "allow", 3: "deny", 4: "gate"}[status]
    assert answer["sqlstate"] == sqlstate


def test_the_json_has_every_effect(rules: Path) -> None:
    """The documented shape, with the decision on each effect of each statement."""
    result = check(
        "--rules", rules, "--role", "analyst", "--json", "SELECT id, count(*) FROM orders; TABLE customers"
    )
    answer = json.loads(result.output)
    assert answer == {
        "decision": "deny",
        "rule": "deny select on public.customers columns ssn, card_number",
        "reason": "Card data is out of scope; use reporting.customers_masked.",
        "hint": answer["hint"],
        "sqlstate": "42501",
        "statements": [
            {
                "kind": "select",
                "decision": "allow",
                "effects": [
                    {
                        "action": "select",
                        "object": "public.orders",
                        "columns": ["id"],
                        "decision": "allow",
                        "rule": "allow select on public.orders, reporting.*",
                    }
                ],
            },
            {
                "kind": "select",
                "decision": "deny",
                "effects": [
                    {
                        "action": "select",
                        "object": "public.customers",
                        "columns": ["*"],
                        "decision": "deny",
                        "rule": "deny select on public.customers columns ssn, card_number",
                    }
                ],
            },
        ],
    }
    assert "leave out card_number, ssn" in answer["hint"]


def test_effects_without_columns_say_so(rules: Path) -> None:
    """`columns` is null where an action is not about columns."""
    answer = json.loads(check("--rules", rules, "--role", "maintainer", "--json", "TRUNCATE orders").output)
    assert answer["statements"][0]["effects"][0]["columns"] is None


def test_the_text_is_for_people(rules: Path) -> None:
    """The decision and why, the rule, the hint, and each effect."""
    lines = check("--rules", rules, "--role", "analyst", "SELECT ssn FROM customers").output.splitlines()
    assert lines == [
        "deny 42501  Card data is out of scope; use reporting.customers_masked.",
        "  rule: deny select on public.customers columns ssn, card_number",
        "  hint: Name the columns you need and leave out ssn (a * means all of them).",
        "  deny  select public.customers (ssn)  [deny select on public.customers columns ssn, card_number]",
    ]
    assert check("--rules", rules, "--role", "analyst", "SELECT id FROM orders").output.splitlines() == [
        "allow  allow select on public.orders, reporting.*",
        "  allow select public.orders (id)  [allow select on public.orders, reporting.*]",
    ]


def test_a_dash_reads_stdin(rules: Path) -> None:
    """Long statements need no quoting, and bytes that are no UTF-8 are judged as they are."""
    assert check("--rules", rules, "--role", "analyst", "-", stdin="SELECT id FROM orders\n").exit_code == 0
    result = check("--rules", rules, "--role", "analyst", "--json", "-", stdin=b"SELECT '\xff'")
    assert json.loads(result.output)["sqlstate"] == "42601"


def test_the_only_role_needs_no_naming(tmp_path: Path) -> None:
    """With one role in the file, --role may be left out; with several, they are told."""
    path = tmp_path / "one.yaml"
    path.write_text("version: 1\nroles: {r: {rules: [{allow: select, on: public.a}]}}\n")
    assert check("--rules", path, "TABLE a").exit_code == 0
    path.write_text(EXAMPLE)
    result = check("--rules", path, "TABLE a")
    assert result.exit_code == 2
    assert "one of analyst, maintainer" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--role", "analist", "SELECT 1"), "no role 'analist' is defined (did you mean 'analyst'?)"),
        (("--role", "analyst"), "give either one SQL text or --jsonl"),
        (("--jsonl", "SELECT 1"), "give either one SQL text or --jsonl"),
        (("--role", "analyst", "--database", "postgresql://127.0.0.1:1/x", "SELECT 1"), "cannot connect"),
    ],
)
def test_wrong_usage(rules: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit status 2, never one of a decision."""
    result = check("--rules", rules, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_wrong_rules(rules: Path) -> None:
    """Exit status 2 with the place of the mistake; nothing is decided by rules that do not load."""
    rules.write_text("version: 1\nroles: {r: {rules: [{alow: select}]}}\n")
    for arguments in (["--role", "r", "SELECT 1"], ["--jsonl"]):
        result = check("--rules", rules, *arguments)
        assert result.exit_code == 2
        assert f"{rules}:2:" in result.output
        assert "did you mean 'allow'?" in result.output


def answers(result: Result) -> list[dict[str, Any]]:
    """The lines that were written to stdout."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_jsonl(rules: Path) -> None:
    """One answer a line, in order, in the documented shape."""
    requests = [
        {"id": "a", "role": "analyst", "sql": "TABLE orders"},
        {"id": 2, "role": "maintainer", "sql": "TRUNCATE orders"},
        {"id": None, "role": "analyst", "sql": "TABLE customers"},
    ]
    result = check("--rules", rules, "--jsonl", stdin="\n".join(map(json.dumps, requests)) + "\n\n")
    assert result.exit_code == 0
    assert [(line["id"], line["decision"]) for line in answers(result)] == [
        ("a", "allow"),
        (2, "gate"),
        (None, "deny"),
    ]
    assert [sorted(line) for line in answers(result)] == [
        ["decision", "id", "reason", "rule", "sqlstate"]
    ] * 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "a line is an object"),
        (b'{"id": "x", "role": "analyst"}', "a line is an object"),
        (b'{"id": "x", "role": "analyst", "sql": 5}', "a line is an object"),
        (
            b'{"id": "x", "role": "analist", "sql": "SELECT 1"}',
            "no role 'analist' is defined (did you mean 'analyst'?)",
        ),
        (b'{"id": "x", "sql": "SELECT 1"}', "no role None is defined"),
    ],
)
def test_a_wrong_line_is_answered_and_the_rest_too(rules: Path, line: bytes, reason: str) -> None:
    """Its decision is `error`, never one that could be taken for a verdict; the exit status is 2 in the end."""
    good = b'{"id": "good", "role": "analyst", "sql": "TABLE orders"}'
    result = check("--rules", rules, "--jsonl", stdin=line + b"\n" + good + b"\n")
    assert result.exit_code == 2
    first, second = answers(result)
    assert first["decision"] == "error"
    assert reason in first["reason"]
    assert first["id"] in ("x", None)
    assert second["decision"] == "allow"
    assert "line 1: " in result.stderr


def test_a_role_for_all_lines(rules: Path) -> None:
    """--role is meant where a line names none."""
    result = check(
        "--rules", rules, "--role", "analyst", "--jsonl", stdin='{"id": 1, "sql": "TABLE orders"}\n'
    )
    assert answers(result)[0]["decision"] == "allow"


def test_jsonl_answers_each_line_at_once(rules: Path) -> None:
    """A program may ask and wait for each answer."""
    command = [sys.executable, "-m", "dbfirewall", "check", "--rules", str(rules), "--jsonl"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(
                json.dumps({"id": number, "role": "analyst", "sql": "SELECT 1"}).encode() + b"\n"
            )
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
    assert process.returncode == 0


def test_lone_surrogates_are_no_text(rules: Path) -> None:
    """JSON can write what no UTF-8 can; it is refused like any wrong encoding."""
    line = '{"id": 1, "role": "analyst", "sql": "SELECT \'\\ud800\'"}\n'
    assert answers(check("--rules", rules, "--jsonl", stdin=line))[0]["sqlstate"] == "42601"


LIVE_ONLY = frozenset({
    "f-secret-attribute", "operator", "operator-qualified", "cast", "cast-standard", "view",
    "dangerous-function-trap-96", "dangerous-function-trap-97",
})  # fmt: skip
"""Entries whose danger stands in the database alone, and in no text."""

CORPUS_RULES = """
version: 1
roles:
  analyst:
    rules:
      - allow: select
        on: [public.*, delete_me.*]
      - deny: select
        on: public.secret
      - allow: call
        on: public.f_read
"""


def corpus(tmp_path: Path, *arguments: str) -> list[str]:
    """The ids of the corpus' entries that are not decided as expected."""
    entries = [json.loads(line) for line in (CORPUS / "wire.jsonl").read_text().splitlines()]
    path = tmp_path / "corpus.yaml"
    path.write_text(CORPUS_RULES)
    lines = [json.dumps({"id": one["id"], "role": "analyst", "sql": one["sql"]}) for one in entries]
    result = check("--rules", path, "--jsonl", *arguments, stdin="\n".join(lines))
    assert result.exit_code == 0
    pairs = zip(entries, answers(result), strict=True)
    return [entry["id"] for entry, answer in pairs if entry["expected"] != answer["decision"]]


def test_the_corpus_offline(tmp_path: Path) -> None:
    """Every entry is decided as through the wire, but for those that no text shows."""
    assert set(corpus(tmp_path)) <= LIVE_ONLY


@pytest.mark.postgres
def test_the_corpus_against_a_live_database(tmp_path: Path, postgres: Postgres) -> None:
    """With the catalog at hand, every entry is decided as expected."""
    postgres.create_database("lab")
    postgres.sql((CORPUS / "schema.sql").read_text(), "lab")
    assert corpus(tmp_path, "--database", postgres.dsn("lab")) == []


def test_an_argument_that_is_no_utf8(rules: Path) -> None:
    """What the shell hands over is judged byte for byte."""
    command = [
        sys.executable,
        "-m",
        "dbfirewall",
        "check",
        "--rules",
        str(rules),
        "--role",
        "analyst",
        "--json",
    ]
    found = subprocess.run(
        [*map(os.fsencode, command), b"SELECT '\xff'"], cwd=ROOT, capture_output=True, check=False
    )
    assert found.returncode == 3
    assert json.loads(found.stdout)["sqlstate"] == "42601"
