"""Trials: each mutant in a fork of a process that has all tests collected and all modules imported."""

from __future__ import annotations

import functools
import gc
import json
import marshal
import os
import resource
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

from dbfirewall.sql import glot, pgquery
from scripts.mutants import fresh
from scripts.mutants.bring_in import bring_in, importers
from scripts.mutants.changes import Mutant
from scripts.mutants.corpora import texts
from scripts.mutants.lines import Record, record
from scripts.mutants.verdicts import Verdicts, outcomes

PATIENCE = 200
"""Seconds until a fork that says nothing is ended, and its mutant counts as killed."""

MEMORY = 4 << 30
"""Bytes of address space that a mutant may take."""

TEXT = "text: "
"""Begins the names of those probes that are texts of the corpora; the others are tests."""

_READERS = frozenset({"sql.glot", "sql.pgquery", "sql.keywords", "sql.reading"})
"""Modules on which the parsers' answers depend."""


class TooSlowError(BaseException):
    """A test takes many times as long as it should. No Exception, so that nothing that is tested catches it."""


class Trials:
    """A pytest plugin: where pytest would run the collected tests, each mutant runs some of them, in a fork.

    `budget`: seconds of tests that one mutant may take. `judge`: whether survivors are judged by the corpora.
    """

    def __init__(
        self, mutants: Sequence[Mutant], minutes: float, state: Path, jobs: int, budget: float, *, judge: bool
    ) -> None:
        self._mutants = mutants
        self._minutes = minutes
        self._state = state
        self._jobs = jobs
        self._budget = budget
        self._judge = judge
        self._failed = False
        self._tests: dict[str, pytest.Item] = {}

    def pytest_configure(self) -> None:
        """Hypothesis tries the same few examples each time."""
        settings.register_profile("mutants", max_examples=20, derandomize=True, database=None, deadline=None)
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that a test failed."""
        self._failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Share the mutants out among forks, and wait for them."""
        self._tests = {item.nodeid: item for item in session.items}
        remember_trees()
        probes: list[tuple[str, Callable[[], object]]] = [
            (name, functools.partial(self._must_pass, name)) for name in self._tests
        ]
        if self._judge:
            probes += [(TEXT + text, functools.partial(outcomes, text)) for text in texts()]
        known = record(probes, self._state.with_suffix(".lines.json"))
        verdicts = Verdicts() if self._judge else None
        if known.made:
            self._must_pass_in_a_fork()
        print(
            f"{len(self._tests)} tests, {len(texts())} texts; {len(self._mutants)} mutants to try", flush=True
        )
        deadline = time.monotonic() + self._minutes * 60
        gc.freeze()
        workers = [
            fork(functools.partial(self._work, self._mutants[job :: self._jobs], known, verdicts, deadline))
            for job in range(self._jobs)
        ]
        for worker in workers:
            os.waitpid(worker, 0)
        return True

    def _must_pass(self, name: str) -> None:
        if self._fails(self._tests[name]):
            pytest.exit(f"{name} fails without any change", 1)

    def _must_pass_in_a_fork(self) -> None:
        """A test that fails in each fork would kill every mutant."""

        def first() -> str:
            return next((name for name, test in self._tests.items() if self._fails(test)), "none")

        failed = heard(first, patience=900)
        if failed != "none":
            pytest.exit(f"in a fork, without any change, {failed or 'something'} fails", 1)

    def _work(
        self, mutants: Sequence[Mutant], known: Record, verdicts: Verdicts | None, deadline: float
    ) -> None:
        for mutant in mutants:
            if time.monotonic() > deadline:
                return
            started = time.monotonic()
            said = heard(functools.partial(self._try, mutant, known, verdicts))
            found = json.loads(said) if said else {"killed_by": "it crashes or does not end"}
            seconds = round(time.monotonic() - started, 2)
            line = {**asdict(mutant), "tests": known.digest, "seconds": seconds, **found}
            with self._state.open("a") as out:
                out.write(json.dumps(line) + "\n")

    def _try(self, mutant: Mutant, known: Record, verdicts: Verdicts | None) -> str:
        """In the fork: make the change, run tests until one fails; else see what becomes of the corpora."""
        if mutant.module in _READERS:
            forget_trees()
        try:
            bring_in(mutant)
        except Exception as error:  # noqa: BLE001  a module that cannot be imported is noticed by every test
            return json.dumps({"killed_by": f"import: {type(error).__name__}"})
        chosen = known.of(mutant)
        spent, left_out = 0.0, 0
        for name in sorted(chosen & self._tests.keys(), key=known.cost.__getitem__):
            spent += known.cost[name]
            if spent > self._budget:
                left_out += 1
                continue
            with within(2 + 10 * known.cost[name]):
                if self._fails(self._tests[name]):
                    return json.dumps({"killed_by": name})
        if verdicts is None:
            return json.dumps(
                {"killed_by": "", "left_out": left_out, "class_": "unjudged", "example": "", "tests": ""}
            )
        if fresh.needed(mutant) and (
            killer := fresh.killer(mutant, {self._tests[name].path for name in chosen & self._tests.keys()})
        ):
            return json.dumps({"killed_by": killer})
        affected = {mutant.module, *importers(mutant.module)}
        found = verdicts.difference([text for text in texts() if TEXT + text in chosen], affected)
        return json.dumps({"killed_by": "", "left_out": left_out, **asdict(found)})

    def _fails(self, item: pytest.Item) -> bool:
        """Whether a test fails. Without fixtures but the commonest it is simply called, which takes no time."""
        arguments: dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        fixtures = set(getattr(item, "fixturenames", ())) - {*arguments, "tmp_path_factory", "request"}
        if not isinstance(item, pytest.Function) or not fixtures <= {"monkeypatch", "tmp_path"}:
            self._failed = False
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            return self._failed
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            made = {"monkeypatch": patch, "tmp_path": Path(folder)}
            try:
                item.obj(**arguments, **{name: made[name] for name in fixtures})
            except BaseException:  # noqa: BLE001  pytest's own failures are no Exceptions
                return True
        return False


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in a block that takes more of the processor's time."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlowError

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def heard(task: Callable[[], str], patience: float = PATIENCE) -> str:
    """What `task` returns in a fork; "" where the fork dies, or takes longer than `patience` seconds."""
    reader, writer = os.pipe()

    def say() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.write(writer, task().encode()[:4000])

    child = fork(say)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], patience)
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said = os.read(reader, 5000) if ready else b""
    os.close(reader)
    return said.decode(errors="replace")


def fork(task: Callable[[], object]) -> int:
    """Run `task` in a silent fork; its process id."""
    child = os.fork()
    if child:
        return child
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        task()
    finally:
        os._exit(0)


_trees: dict[bytes, bytes] = {}
_summaries: dict[str, Any] = {}


def remember_trees() -> None:
    """Let both parsers answer from memory what they have been asked before: they are not what is changed."""
    parse, read_text = pgquery.parse, glot.read_text

    @functools.wraps(parse)
    def known_tree(sql: bytes) -> Any:
        if sql not in _trees:
            _trees[sql] = marshal.dumps(parse(sql))
        return marshal.loads(_trees[sql])  # noqa: S302  a copy, because some tests damage their trees

    @functools.wraps(read_text)
    def known_summary(text: str) -> Any:
        if text not in _summaries:
            _summaries[text] = read_text(text)
        return _summaries[text]

    pgquery.parse, glot.read_text = known_tree, known_summary


def forget_trees() -> None:
    """Ask the parsers again."""
    _trees.clear()
    _summaries.clear()
