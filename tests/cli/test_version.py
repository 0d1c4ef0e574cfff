"""`dbfirewall version`."""

from __future__ import annotations

import json
import platform
from importlib import import_module
from importlib.metadata import version as package_version

from click.testing import CliRunner

from dbfirewall import __version__
from dbfirewall.cli.version import GRAMMAR, version


def test_for_people() -> None:
    """The first line is the firewall's own version."""
    result = CliRunner().invoke(version)
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == f"dbfirewall {__version__}"
    assert f"  sqlglot {package_version('sqlglot')}" in result.output


def test_for_scripts() -> None:
    """`--json` names firewall, parsers and Python."""
    versions = json.loads(CliRunner().invoke(version, ["--json"]).output)
    assert versions["dbfirewall"] == __version__
    assert versions["python"] == platform.python_version()
    assert GRAMMAR in versions["libpg_query"]


def test_the_grammar_is_the_one_that_is_named() -> None:
    """The pinned libpg_query parses by the grammar that we say."""
    parsed = import_module("postgast").parse("SELECT 1")
    assert f"PostgreSQL {parsed.version // 10_000}" == GRAMMAR
