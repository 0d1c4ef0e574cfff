"""Which probes run which lines of the packages under test. A probe is a test, or a text of the corpora."""

from __future__ import annotations

import ast
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import coverage

from scripts.mutants.bring_in import forget
from scripts.mutants.changes import PACKAGES, ROOT, Mutant, defined, modules, path_of


@dataclass
class Record:
    """`probes`: the names, in the order of bits. `seconds`: the processor's, while each is watched.

    `runs`: bits by `sql.lexer:12`. `made`: just now, and not by an earlier run.
    """

    digest: str
    probes: list[str]
    seconds: list[float]
    runs: dict[str, int]
    made: bool = False

    def of(self, mutant: Mutant) -> set[str]:
        """The probes that run the changed line, or use the changed constant; else all of the module."""
        bits = self._at(mutant.module, *mutant.lines) if not mutant.names else 0
        for name in mutant.names:
            bits |= self._using(name, {name})
        bits = bits or self._at(mutant.module, 1, 100_000)
        return {name for bit, name in enumerate(self.probes) if bits >> bit & 1}

    @cached_property
    def cost(self) -> dict[str, float]:
        """Seconds by probe."""
        return dict(zip(self.probes, self.seconds, strict=True))

    def _at(self, module: str, first: int, last: int) -> int:
        bits = 0
        for line in range(first, min(last, 2000) + 1):
            bits |= self.runs.get(f"{module}:{line}", 0)
        return bits

    def _using(self, name: str, seen: set[str]) -> int:
        found = 0
        for module, line, other in _uses().get(name, ()):
            if not other:
                found |= self.runs.get(f"{module}:{line}", 0)
            elif other not in seen:
                seen.add(other)
                found |= self._using(other, seen)
        return found


_used: dict[str, list[tuple[str, int, str]]] = {}


def _uses() -> dict[str, list[tuple[str, int, str]]]:
    """Where names are used: module and line of a function, or the name that another statement defines by it."""
    if not _used:
        for module in modules():
            for statement in ast.parse(path_of(module).read_bytes()).body:
                _note(module, statement, _used)
    return _used


def _note(module: str, statement: ast.stmt, uses: dict[str, list[tuple[str, int, str]]]) -> None:
    if isinstance(statement, ast.ClassDef):
        for inner in statement.body:
            _note(module, inner, uses)
        return
    inside = isinstance(statement, ast.FunctionDef)
    targets = ("",) if inside else defined(statement)
    for node in ast.walk(statement):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name:
            uses.setdefault(name, []).extend((module, node.lineno, target) for target in targets)  # type: ignore[attr-defined]


def digest() -> str:
    """Of all that a record depends on."""
    folders = [ROOT / top / package for top in ("dbfirewall", "tests") for package in PACKAGES]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".sql"))
    said = hashlib.sha256()
    for path in files:
        said.update(path.read_bytes())
    return said.hexdigest()[:16]


def record(probes: Sequence[tuple[str, Callable[[], object]]], file: Path) -> Record:
    """The record of `file` if it is of this source; else run each probe, and write down which lines it runs."""
    now = digest()
    # One file for each choice of tests.
    chosen = hashlib.sha256(repr([name for name, _ in probes]).encode()).hexdigest()[:8]
    file = file.with_stem(f"{file.stem}.{chosen}")
    if file.exists():
        known = json.loads(file.read_text())
        if known["digest"] == now and known["probes"] == [name for name, _ in probes]:
            runs = {line: int(bits, 16) for line, bits in known["runs"].items()}
            return Record(now, known["probes"], known["seconds"], runs)
    sources = {module: str(path_of(module)) for module in modules()}
    watch = coverage.Coverage(data_file=None, include=list(sources.values()), config_file=False)
    seconds = []
    watch.start()
    for bit, (_, probe) in enumerate(probes):
        watch.switch_context(str(bit))
        forget()
        started = time.process_time()
        probe()
        seconds.append(round(time.process_time() - started, 4))
    watch.stop()
    data = watch.get_data()
    runs = defaultdict(int)
    for module, source in sources.items():
        for line, contexts in data.contexts_by_lineno(source).items():
            runs[f"{module}:{line}"] = sum(1 << int(context) for context in contexts if context)
    written = {line: f"{bits:x}" for line, bits in runs.items()}
    names = [name for name, _ in probes]
    file.write_text(json.dumps({"digest": now, "probes": names, "seconds": seconds, "runs": written}))
    return Record(now, names, seconds, dict(runs), made=True)
