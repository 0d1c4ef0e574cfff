"""A pytest plugin for one mutant in a process of its own, where it is made before anything is imported.

Slow, and needed where `bring_in` comes too late: pydantic compiles a model's fields when its class is made.
"""

from __future__ import annotations

import importlib.machinery
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import CodeType, ModuleType

from scripts.mutants.changes import ROOT, Mutant, mutants_of, mutated, path_of

VARIABLE = "DBFIREWALL_TEST_MUTANT"
"""Names the mutant: `policy.models:12`."""

PATIENCE = 120
"""Seconds until a run that does not end counts as failed."""


def needed(mutant: Mutant) -> bool:
    """Whether `mutant` changes what pydantic has compiled by the time that anything could be taken over."""
    return bool(mutant.names) and "pydantic" in path_of(mutant.module).read_text()


def killer(mutant: Mutant, files: Iterable[Path]) -> str:
    """The first test of `files` that fails; "" where all pass."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "scripts.mutants.fresh",
        "-p",
        "no:cacheprovider",
    ]
    environment = os.environ | {VARIABLE: f"{mutant.module}:{mutant.number}"}
    chosen = ["-m", "not hypothesis", *sorted(map(str, files))]
    try:
        run = subprocess.run(
            [*command, *chosen],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it does not end"
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    return "" if run.returncode == 0 else failed[1] if failed else "import"


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(path_of(mutant.module)))
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(mutated(self._mutant), self.path, "exec")


class _Finder(MetaPathFinder):
    """Finds the changed module in the place of the one on disk."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The specification of the changed module; None for every other."""
        if fullname != f"dbfirewall.{self._mutant.module}":
            return None
        loader = _Loader(fullname, self._mutant)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=loader.path)


if VARIABLE in os.environ:
    _module, _, _number = os.environ[VARIABLE].partition(":")
    sys.meta_path.insert(0, _Finder(mutants_of(_module)[int(_number)]))
