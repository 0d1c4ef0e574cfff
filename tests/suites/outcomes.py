"""What a suite's tests came to, directly and through the firewall, and which differences are known."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ruamel.yaml import YAML

KNOWN = Path(__file__).with_name("differences.yaml")

Outcomes = Mapping[str, bool]
"""Test → whether it passed. Skipped ones are not in it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`lost`: pass directly, do not pass through the firewall, and nobody has said why."""

    direct: int
    through: int
    known: tuple[str, ...]
    lost: tuple[str, ...]


def compare(suite: str, direct: Outcomes, through: Outcomes) -> Comparison:
    """What of the tests that pass directly does not pass through the firewall."""
    passing = {name for name, passed in direct.items() if passed}
    missing = sorted(name for name in passing if not through.get(name, False))
    patterns = known(suite)
    excused = tuple(name for name in missing if any(fnmatchcase(name, pattern) for pattern in patterns))
    return Comparison(
        len(passing),
        sum(through.values()),
        excused,
        tuple(name for name in missing if name not in excused),
    )


def known(suite: str) -> dict[str, str]:
    """Pattern of test names → reason, of the differences that are meant to be."""
    document = YAML(typ="safe").load(KNOWN.read_text())
    return {pattern: entry["reason"] for entry in document.get(suite) or () for pattern in entry["tests"]}


def from_junit(path: Path) -> dict[str, bool]:
    """The outcomes in a JUnit file. A test that is there more than once (a subtest) passes if all do."""
    outcomes: dict[str, bool] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        name = f"{case.get('classname')}::{case.get('name')}"
        passed = case.find("failure") is None and case.find("error") is None
        outcomes[name] = outcomes.get(name, True) and passed
    return outcomes
