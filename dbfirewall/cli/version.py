"""`dbfirewall version`: what is running."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version as package_version

import click

from dbfirewall import __version__

GRAMMAR = "PostgreSQL 18"
"""The grammar of the libpg_query that the pinned postgast carries."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(*, as_json: bool) -> None:
    """Print the versions of dbfirewall, of its SQL parsers and of Python."""
    versions = {
        "dbfirewall": __version__,
        "sqlglot": package_version("sqlglot"),
        "libpg_query": f"{GRAMMAR} grammar (postgast {package_version('postgast')})",
        "python": platform.python_version(),
    }
    if as_json:
        click.echo(json.dumps(versions))
        return
    click.echo(f"dbfirewall {versions.pop('dbfirewall')}")
    for name, value in versions.items():
        click.echo(f"  {name} {value}")
