"""What users can write, call or meet is documented, and what is documented is so."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from dbfirewall.errors import SqlState
from dbfirewall.metrics import Metrics
from dbfirewall.policy.base import Model
from dbfirewall.policy.loader import load_rules
from dbfirewall.policy.models import Limits, Rules
from dbfirewall.settings import environment_name, setting_keys
from dbfirewall.sql.actions import ACTIONS, GROUPS
from scripts import generate_reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "dbfirewall"
PAGES = [
    *sorted(DOCS.glob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
YAML_BLOCK = re.compile(r"^```yaml\n(version: 1\n.*?)^```", re.DOTALL | re.MULTILINE)


def missing(page: str, names: Iterator[str] | list[str]) -> list[str]:
    """Those of `names` that do not stand in backticks on the page."""
    text = (DOCS / page).read_text()
    return sorted({name for name in names if not re.search(rf"`[^`\n]*(?<!\w){re.escape(name)}(?!\w)", text)})


def rules_keys(kind: Any = Rules) -> Iterator[str]:
    """Every key that a rules file may have, at any depth."""
    if isinstance(kind, type) and issubclass(kind, Model):
        yield from kind.yaml_keys()
        for field in kind.model_fields.values():
            yield from rules_keys(field.annotation)
    else:
        for part in get_args(kind):
            yield from rules_keys(part)


def test_every_command_and_option_is_documented() -> None:
    """docs/cli.md is what `python -m scripts.generate_reference` writes."""
    assert generate_reference.PAGE.read_text() == generate_reference.page()


def test_every_settings_key_is_documented() -> None:
    """With the name of its environment variable."""
    keys = list(setting_keys())
    assert missing("settings.md", [*keys, *map(environment_name, keys)]) == []


def test_every_rules_key_is_documented() -> None:
    """At whatever depth it stands."""
    assert missing("rules.md", rules_keys()) == []


def test_every_action_and_group_is_documented() -> None:
    """What a rule may name."""
    assert missing("rules.md", [*ACTIONS, *GROUPS]) == []


def test_every_metric_is_documented() -> None:
    """By its full name."""
    assert missing("metrics.md", [family.name for family in Metrics().families()]) == []


def test_every_sqlstate_is_documented() -> None:
    """Every SQLSTATE that we put into an error."""
    assert missing("errors.md", [state.value for state in SqlState]) == []


def limits_in_the_code() -> Iterator[str]:
    """Every constant that its docstring calls a security limit, and all of the modules that hold nothing else."""
    whole = {PACKAGE / "limits.py", PACKAGE / "sql" / "caps.py", PACKAGE / "wire" / "limits.py"}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef):
                for one, after in pairwise(node.body):
                    told = isinstance(after, ast.Expr) and "Security limit" in ast.unparse(after)
                    if isinstance(one, ast.Assign | ast.AnnAssign) and (told or file in whole):
                        targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                        yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_every_limit_is_documented() -> None:
    """Those of the code, of the settings and of a role."""
    names = {name for name in limits_in_the_code() if name.isupper()}
    assert {"STARTUP_PACKET", "MAX_DEPTH", "FREE_ATTEMPTS", "COLD_BUFFER_LIMIT", "MAX_BYTES"} <= names
    settings = [key for key in setting_keys() if key.startswith("limits.")]
    assert missing("limits.md", [*names, *settings, *Limits.yaml_keys()]) == []


def test_every_proof_exists() -> None:
    """The tests that the security model names are there."""
    named = re.findall(r"`(tests/[\w./]+|\w+\.sql)`", (DOCS / "security-model.md").read_text())
    assert len(named) > 10
    assert [
        name for name in named if not ((ROOT / name).exists() or list(ROOT.glob(f"tests/*/*/{name}")))
    ] == []


def test_every_runtime_dependency_is_explained() -> None:
    """docs/dependencies.md names each dependency of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[\[<>=~!; ]", wanted)[0] for wanted in project["dependencies"]]
    text = (DOCS / "dependencies.md").read_text()
    assert [name for name in names if f"\n| {name} " not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is to a file that is there."""
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rules_in_the_docs_are_valid(page: Path, tmp_path: Path) -> None:
    """Every complete rules file that is shown loads."""
    for number, text in enumerate(YAML_BLOCK.findall(page.read_text())):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        assert load_rules(file).version == 1


def test_the_index_names_every_page() -> None:
    """No page is unreachable from docs/index.md."""
    linked = set(LINK.findall((DOCS / "index.md").read_text()))
    assert {page.name for page in DOCS.glob("*.md")} - linked == {"index.md"}
