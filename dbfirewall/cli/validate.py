"""`dbfirewall validate`: mistakes and doubts in a rules file or folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from dbfirewall.cli.live import read_catalog
from dbfirewall.errors import CatalogError, ConfigError
from dbfirewall.policy.loader import RulesError, load_rules, warnings
from dbfirewall.policy.models import Rules
from dbfirewall.policy.review import RuleWarning

EXIT_WRONG: Final = 2


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--database", "dsn", metavar="DSN", help="Also check that the names exist in this live database."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(*, path: Path, dsn: str | None, as_json: bool) -> None:
    """Check the rules at PATH, a file or a folder, without starting anything.

    Exit status: 0 where they load, warnings or not; 2 where they do not.
    """
    rules: Rules | None = None
    errors: tuple[ConfigError, ...] = ()
    found: list[RuleWarning] = []
    try:
        catalog = None if dsn is None else read_catalog(dsn)
        rules = load_rules(path)
        found = warnings(rules, catalog)
    except RulesError as error:
        errors = error.errors
    except ConfigError as error:
        errors = (error,)
    except CatalogError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_WRONG)
    if as_json:
        click.echo(json.dumps(_to_json(rules, errors, found), ensure_ascii=False))
    else:
        _print(rules, errors, found)
    sys.exit(EXIT_WRONG if errors else 0)


def _to_json(
    rules: Rules | None, errors: tuple[ConfigError, ...], found: list[RuleWarning]
) -> dict[str, Any]:
    return {
        "ok": not errors,
        "revision": "" if rules is None else rules.revision,
        "errors": [
            {"file": one.file, "line": one.line, "column": one.column, "message": one.message}
            for one in errors
        ],
        "warnings": [
            {
                "file": one.mark.file,
                "line": one.mark.line,
                "column": one.mark.column,
                "message": one.message,
            }
            for one in found
        ],
    }


def _print(rules: Rules | None, errors: tuple[ConfigError, ...], found: list[RuleWarning]) -> None:
    for error in errors:
        click.secho(str(error), fg="red")
    for warning in found:
        click.secho(str(warning), fg="yellow")
    if rules is not None:
        count = sum(len(role.rules) for role in rules.roles.values())
        parts = [_count(len(rules.roles), "role"), _count(count, "rule"), _count(len(rules.agents), "agent")]
        click.echo(f"{', '.join(parts)}; {_count(len(found), 'warning')}; revision {rules.revision}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
