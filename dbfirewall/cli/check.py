"""`dbfirewall check`: what the rules say of a statement, without running it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.types import Catalog, Scope
from dbfirewall.cli.live import read_catalog
from dbfirewall.errors import CatalogError, ConfigError
from dbfirewall.policy.decision import Context, Decision, decide
from dbfirewall.policy.fields import USER_SCHEMA, nearest
from dbfirewall.policy.loader import load_rules
from dbfirewall.policy.models import Role, Rules
from dbfirewall.sql.read import INLINE_BYTES, read
from dbfirewall.sql.virtual import facts

EXIT: Final = {"allow": 0, "deny": 3, "gate": 4}
EXIT_USAGE: Final = 2
_STYLE: Final = {"allow": "green", "deny": "red", "gate": "yellow", "error": "red"}


@click.command()
@click.option(
    "--rules", "path", required=True, type=click.Path(path_type=Path), envvar="DBFIREWALL_RULES",
    help="A rules file, or a folder of them.",
)  # fmt: skip
@click.option("--role", "role_name", metavar="ROLE", help="The role to decide for.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole decision as JSON.")
@click.option(
    "--jsonl", is_flag=True,
    help='Read {"id","role","sql"} a line from stdin, and write one decision a line, in order.',
)  # fmt: skip
@click.option(
    "--database", "dsn", metavar="DSN",
    help="Judge by the names of this live database rather than by those that every PostgreSQL has.",
)  # fmt: skip
@click.argument("sql", required=False)
def check(
    *, path: Path, role_name: str | None, as_json: bool, jsonl: bool, dsn: str | None, sql: str | None
) -> None:
    """Decide SQL by the rules, without running it; a SQL of - is read from stdin.

    Exit status: 0 allow, 3 deny, 4 gate, 2 wrong usage or wrong rules. With --jsonl: 0, or 2 where a line
    could not be decided (its decision is then "error").
    """
    if jsonl == (sql is not None):
        raise click.UsageError("give either one SQL text or --jsonl")
    try:
        rules = load_rules(path)
        catalog = offline_catalog() if dsn is None else read_catalog(dsn)
    except (ConfigError, CatalogError) as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_USAGE)
    if jsonl:
        sys.exit(_stream(rules, catalog, role_name))
    if role_name is None:
        if len(rules.roles) != 1:
            raise click.UsageError(f"--role is missing: one of {', '.join(sorted(rules.roles))}")
        role_name = next(iter(rules.roles))
    if role_name not in rules.roles:
        raise click.UsageError(f"no role {role_name!r} is defined{nearest(role_name, rules.roles)}")
    text = sys.stdin.buffer.read() if sql == "-" else os.fsencode(sql or "")
    decision = _judge(rules.roles[role_name], catalog)(text)
    if as_json:
        click.echo(json.dumps(to_json(decision), ensure_ascii=False))
    else:
        _print(decision)
    sys.exit(EXIT[decision.outcome])


def _judge(role: Role, catalog: Catalog) -> Callable[[bytes], Decision]:
    path = role.search_path
    scope = Scope(catalog, None if path is None else tuple(each for each in path if each != USER_SCHEMA))
    context = Context(catalog=catalog)

    def judge(sql: bytes) -> Decision:
        analysis, _ = facts(sql, read(sql), scope, max_bytes=INLINE_BYTES)
        return decide(analysis, role, context)

    return judge


def to_json(decision: Decision) -> dict[str, Any]:
    """The decision in the documented shape."""
    return {
        "decision": decision.outcome,
        "rule": decision.rule,
        "reason": decision.reason,
        "hint": decision.hint,
        "sqlstate": str(decision.sqlstate),
        "statements": [
            {
                "kind": statement.kind,
                "decision": statement.outcome,
                "effects": [
                    {
                        "action": one.effect.action,
                        "object": one.effect.object_name,
                        "columns": None if one.effect.columns is None else list(one.effect.columns),
                        "decision": one.outcome,
                        "rule": one.rule,
                    }
                    for one in statement.effects
                ],
            }
            for statement in decision.statements
        ],
    }


def _print(decision: Decision) -> None:
    outcome = click.style(decision.outcome, fg=_STYLE[decision.outcome], bold=True)
    state = f" {decision.sqlstate}" if decision.sqlstate else ""
    click.echo(f"{outcome}{state}  {decision.reason or decision.rule}")
    if decision.reason and decision.rule:
        click.echo(f"  rule: {decision.rule}")
    if decision.hint:
        click.echo(f"  hint: {decision.hint}")
    for statement in decision.statements:
        for one in statement.effects:
            columns = f" ({', '.join(one.effect.columns)})" if one.effect.columns else ""
            words = f"{one.effect.action} {one.effect.object_name}{columns}".rstrip()
            click.echo(f"  {click.style(one.outcome, fg=_STYLE[one.outcome]):<14} {words}  [{one.rule}]")


def _stream(rules: Rules, catalog: Catalog, role_name: str | None) -> int:
    """Answer every line of stdin on stdout; the exit status."""
    judges = {name: _judge(role, catalog) for name, role in rules.roles.items()}
    status = 0
    for number, answer in enumerate(_answers(judges, role_name), start=1):
        click.echo(json.dumps(answer, ensure_ascii=False))
        if answer["decision"] == "error":
            click.echo(f"line {number}: {answer['reason']}", err=True)
            status = EXIT_USAGE
    return status


def _answers(
    judges: dict[str, Callable[[bytes], Decision]], role_name: str | None
) -> Iterator[dict[str, str | None]]:
    """One answer for each line that is not blank, also for a wrong one, so that none gets lost."""
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        try:
            request = json.loads(line)
        except ValueError as error:
            yield _error(None, f"not JSON: {error}")
            continue
        if not isinstance(request, dict) or not isinstance(request.get("sql"), str):
            yield _error(request, 'a line is an object with the texts "id", "role" and "sql"')
            continue
        name = request.get("role", role_name)
        judge = judges.get(name) if isinstance(name, str) else None
        if judge is None:
            yield _error(request, f"no role {name!r} is defined{nearest(str(name), judges)}")
            continue
        decision = judge(request["sql"].encode("utf-8", "surrogatepass"))
        yield {
            "id": request.get("id"),
            "decision": decision.outcome,
            "sqlstate": str(decision.sqlstate),
            "rule": decision.rule,
            "reason": decision.reason,
        }


def _error(request: object, reason: str) -> dict[str, str | None]:
    identifier = request.get("id") if isinstance(request, dict) else None
    return {"id": identifier, "decision": "error", "sqlstate": "", "rule": "", "reason": reason}
