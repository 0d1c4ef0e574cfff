"""Break `sql/` and `policy/` a little, thousands of times over, and see whether the tests notice.

A mutant is one small change of one module's syntax tree: a condition negated, a member of a set gone, a `return` of
None, a `raise` skipped, … pytest collects the tests of both packages once; then each mutant gets a fork of that
process, in which functions take over the changed code and constants the changed values, and runs the module's own
tests, the fixtures of facts, the corpus and the rest until one fails. What no test notices has survived.

Usage: python -m scripts.mutants [--minutes N] [--seed N] [--jobs N] [--state FILE] [module …]

The order is shuffled by the seed. Results are appended to the state file, and what it has (for the same source) is
not tried again, so that a run can be stopped and taken up at any time; after new tests, remove the file. Nothing in
the work tree is changed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import hashlib
import importlib
import inspect
import json
import os
import random
import re
import resource
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sql", "policy")
PATIENCE = 90
"""Seconds until a mutant that does not end counts as killed."""

MEMORY = 4 << 30
"""Bytes of address space that a mutant may take."""

NEIGHBOURS = {"policy.matching": ("decision",), "policy.hints": ("decision",), "policy.fields": ("loader",)}
"""Test files beside a module's own that are about it."""

FOR_THEIR_OWN = {
    "test_template",
    "test_totality",
    "test_uescape",
    "test_expansion",
    "test_glot",
    "test_verifier",
    "test_certificate",
}
"""Slow test files that say nothing of other modules than their own."""

NOT_RUN = ("annotation", "returns", "decorator_list")
"""Fields of nodes that are no behaviour worth a mutant."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """The `number`th change of `module`, as a person reads it, and as a key that outlives other edits."""

    module: str
    number: int
    line: int
    change: str

    @property
    def key(self) -> str:
        """The same for the same change of the same source."""
        digest = hashlib.sha256(path_of(self.module).read_bytes()).hexdigest()[:12]
        return f"{self.module}:{digest}:{self.number}"


class Mutator(ast.NodeTransformer):
    """Counts the changes that a tree offers, and makes the one with the number `target`."""

    def __init__(self, target: int = -1) -> None:
        self.target = target
        self.offered: list[tuple[int, str]] = []

    def visit(self, node: ast.AST) -> ast.AST:
        """Inner nodes first, so that numbers do not depend on the change that is made."""
        if _says_nothing(node):
            return node
        aside = {name: getattr(node, name) for name in NOT_RUN if hasattr(node, name)}
        for name in aside:
            setattr(node, name, None)
        self.generic_visit(node)
        for name, value in aside.items():
            setattr(node, name, value)
        made = node
        for change, other in changes(node):
            if len(self.offered) == self.target:
                made = ast.copy_location(other, node)
            self.offered.append((getattr(node, "lineno", 0), change))
        return made


def _says_nothing(node: ast.AST) -> bool:
    """Docstrings, annotations' imports and checks for the type checker alone."""
    return isinstance(node, ast.Import | ast.ImportFrom | ast.arg | ast.Assert | ast.JoinedStr) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each change of one node that may loosen what it says, with a few words about it."""
    match node:
        case ast.If(test=test, body=body, orelse=orelse):
            for value in (True, False):
                yield f"if {value}", ast.If(ast.Constant(value), body, orelse)
            yield f"if not ({ast.unparse(test)})", ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(body=body, orelse=orelse):
            yield "always the first", body
            yield "always the second", orelse
        case ast.BoolOp(op=op, values=values):
            swapped: ast.boolop = ast.And() if isinstance(op, ast.Or) else ast.Or()
            yield type(swapped).__name__.lower(), ast.BoolOp(swapped, values)
            for at, operand in enumerate(values):
                yield f"without {ast.unparse(operand)}", _boolean(op, values[:at] + values[at + 1 :])
        case ast.UnaryOp(op=ast.Not(), operand=denied):
            yield "without not", denied
        case ast.Compare(left=left, ops=[op], comparators=right) if type(op) in COMPARISONS:
            other = COMPARISONS[type(op)]
            yield other.__name__, ast.Compare(left, [other()], right)
        case ast.BinOp(left=left, op=ast.Add() | ast.BitOr() | ast.Sub() | ast.BitAnd(), right=right):
            yield f"only {ast.unparse(left)[:40]}", left
            yield f"only {ast.unparse(right)[:40]}", right
        case ast.comprehension(ifs=[_, *_]):
            yield "every one", ast.comprehension(node.target, node.iter, [], node.is_async)
        case _:
            yield from _in_statements(node)
            yield from _in_values(node)


def _boolean(op: ast.boolop, values: list[ast.expr]) -> ast.expr:
    return values[0] if len(values) == 1 else ast.BoolOp(op, values)


def _in_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Return(value=ast.Constant(value=bool() as value)):
            yield f"return {not value}", ast.Return(ast.Constant(not value))
        case ast.Return(value=ast.expr() as returned):
            several = isinstance(returned, ast.Tuple | ast.BinOp | ast.List)
            less = ast.Tuple([], ast.Load()) if several else ast.Constant(None)
            if ast.unparse(less) != ast.unparse(returned):
                yield f"return {ast.unparse(less)}, not {ast.unparse(returned)[:60]}", ast.Return(less)
        case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break():
            yield f"skip {ast.unparse(node)[:60]}", ast.Pass()
        case ast.Expr(value=value):
            yield f"skip {ast.unparse(value)[:60]}", ast.Pass()
        case ast.For(target=target, body=body, orelse=orelse):
            yield "never loop", ast.For(target, ast.Tuple([], ast.Load()), body, orelse)
        case ast.Match(subject=subject, cases=cases) if len(cases) > 1:
            for at, case in enumerate(cases):
                rest = cases[:at] + cases[at + 1 :]
                yield f"without case {ast.unparse(case.pattern)[:50]}", ast.Match(subject, rest)
                if case.guard is not None:
                    free = ast.match_case(case.pattern, None, case.body)
                    yield (
                        f"no guard {ast.unparse(case.guard)}",
                        ast.Match(subject, [*cases[:at], free, *cases[at + 1 :]]),
                    )


def _in_values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Set(elts=elements) | ast.List(elts=elements) | ast.Tuple(elts=elements, ctx=ast.Load()) if (
            elements
        ):
            for at, element in enumerate(elements):
                other = copy.copy(node)
                other.elts = elements[:at] + elements[at + 1 :]
                empty_set = isinstance(node, ast.Set) and len(elements) == 1
                yield (
                    f"without member {ast.unparse(element)[:60]}",
                    (ast.parse("set()", mode="eval").body if empty_set else other),
                )
        case ast.Dict(keys=keys, values=values):
            for at, key in enumerate(keys):
                words = ast.unparse(key) if key else "**"
                rest = ast.Dict(keys[:at] + keys[at + 1 :], values[:at] + values[at + 1 :])
                yield f"without key {words[:60]}", rest
        case ast.Call(func=func, args=args, keywords=keywords):
            for at, keyword in enumerate(keywords):
                less = ast.Call(func, args, keywords[:at] + keywords[at + 1 :])
                yield f"without {keyword.arg}=", less
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield f"{value + 1}, not {value}", ast.Constant(value + 1)
        case ast.Constant(value=bool() as value):
            yield f"{not value}", ast.Constant(not value)


def path_of(module: str) -> Path:
    """Where `sql.lexer` stands."""
    return ROOT / "dbfirewall" / (module.replace(".", "/") + ".py")


def mutants_of(module: str) -> list[Mutant]:
    """Every change that the module's source offers."""
    counter = Mutator()
    counter.visit(ast.parse(path_of(module).read_bytes()))
    return [Mutant(module, number, *offer) for number, offer in enumerate(counter.offered)]


def mutated(mutant: Mutant) -> ast.Module:
    """The module's tree with the change made."""
    tree = ast.parse(path_of(mutant.module).read_bytes())
    Mutator(mutant.number).visit(tree)
    return ast.fix_missing_locations(tree)


def tests_of(module: str, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests that may kill a mutant of `module`, the likeliest first."""
    package, _, name = module.partition(".")
    own = [f"test_{one}" for one in (name, *NEIGHBOURS.get(module, ()))]
    order = [*own, "test_facts", "test_corpus"]

    def rank(item: pytest.Item) -> tuple[bool, int]:
        stem = item.path.stem
        return _many(item), order.index(stem) if stem in order else len(order)

    def fit(item: pytest.Item) -> bool:
        stem = item.path.stem
        slow = stem in FOR_THEIR_OWN or _many(item)
        return stem in own or (not slow and package in ("sql", item.path.parent.name))

    return sorted(filter(fit, items), key=rank)


def _many(item: pytest.Item) -> bool:
    """Whether a test is one of hypothesis, which runs many examples."""
    return getattr(getattr(item, "obj", None), "is_hypothesis_test", False)


class Runner:
    """A pytest plugin: where pytest would run the collected tests, each mutant runs them, in a fork."""

    def __init__(self, mutants: Sequence[Mutant], deadline: float, state: Path, jobs: int) -> None:
        self.mutants = mutants
        self.deadline = deadline
        self.state = state
        self.jobs = jobs
        self.failed = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Share the mutants out among forks, and wait for them."""
        from hypothesis import settings  # noqa: PLC0415  not before pytest has seen to its plugins

        settings.register_profile("mutants", max_examples=20, derandomize=True, database=None, deadline=None)
        settings.load_profile("mutants")
        gc.freeze()
        workers = [_fork(partial(self._work, job, session.items)) for job in range(self.jobs)]
        for worker in workers:
            os.waitpid(worker, 0)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that a test failed."""
        self.failed |= report.failed

    def _work(self, job: int, items: Sequence[pytest.Item]) -> None:
        for mutant in self.mutants[job :: self.jobs]:
            if time.monotonic() > self.deadline:
                return
            outcome = {"key": mutant.key, **asdict(mutant), "killed_by": self._killer(mutant, items)}
            with self.state.open("a") as out:
                out.write(json.dumps(outcome) + "\n")

    def _killer(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str:
        """What kills `mutant`, found in a fork; empty where nothing does."""
        reader, writer = os.pipe()
        child = _fork(lambda: os.write(writer, b"=" + self._noticed(mutant, items).encode()[:500]))
        os.close(writer)
        ready, _, _ = select.select([reader], [], [], PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said = os.read(reader, 600)
        os.close(reader)
        return said.decode(errors="replace")[1:] if said else "crash" if ready else "does not end"

    def _noticed(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str:
        """In the fork: make the change, and run tests until one fails."""
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            apply(mutant)
        except Exception as error:  # noqa: BLE001  a module that cannot be imported is noticed by every test
            return f"import: {type(error).__name__}"
        chosen = tests_of(mutant.module, items)
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            if self._fails(item, following):
                return item.nodeid
        return ""

    def _fails(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Whether a test fails; one that needs no fixture but `monkeypatch` is simply called."""
        arguments: dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        if isinstance(item, pytest.Function) and {*arguments, "monkeypatch"} >= set(item.fixturenames):
            with pytest.MonkeyPatch.context() as patch:
                if "monkeypatch" in item.fixturenames:
                    arguments["monkeypatch"] = patch
                try:
                    item.obj(**arguments)
                except BaseException:  # noqa: BLE001  pytest's own failures are no Exceptions
                    return True
            return False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return self.failed


def apply(mutant: Mutant) -> None:
    """Bring the change into the module as it is imported: functions get other code, constants other values."""
    name = f"dbfirewall.{mutant.module}"
    old = importlib.import_module(name)
    new: dict[str, Any] = {"__name__": name, "__file__": old.__file__}
    exec(compile(mutated(mutant), str(old.__file__), "exec"), new)  # noqa: S102  as an import does
    known = {one.__qualname__: one for one in _functions(vars(old), name)}
    for function in _functions(new, name):
        _take_over(known[function.__qualname__], function)
    _rebind(vars(old), new, known, everywhere=True)
    for key, value in vars(old).items():
        if isinstance(value, type) and value.__module__ == name and isinstance(new.get(key), type):
            _rebind(dict(vars(value)), dict(vars(new[key])), known, owner=value)


def _functions(members: Mapping[str, Any], module: str) -> Iterator[FunctionType]:
    """Every function that a module or a class of it defines, below decorators too."""
    for member in list(members.values()):
        found = getattr(member, "fget", None) or getattr(member, "func", None) or member
        found = inspect.unwrap(getattr(found, "__func__", found)) if callable(found) else found
        if isinstance(found, FunctionType) and found.__module__ == module:
            yield found
        elif isinstance(found, type) and found.__module__ == module and found is not members.get("__class__"):
            yield from _functions(vars(found), module)


def _take_over(old: FunctionType, new: FunctionType) -> None:
    if old.__code__ != new.__code__ and "<string>" not in new.__code__.co_filename:
        old.__code__ = new.__code__
    if repr(old.__defaults__) != repr(new.__defaults__):
        old.__defaults__ = new.__defaults__
    if repr(old.__kwdefaults__) != repr(new.__kwdefaults__):
        old.__kwdefaults__ = new.__kwdefaults__


def _rebind(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    known: Mapping[str, FunctionType],
    *,
    owner: type | None = None,
    everywhere: bool = False,
) -> None:
    """Give each constant that has changed its new value, under every name by which it was imported."""
    for key, value in list(new.items()):
        before = old.get(key)
        if key.startswith("__") or callable(value) or isinstance(value, ModuleType | classmethod | property):
            continue
        translated = _translated(value, known)
        if _shown(before) == _shown(translated):
            continue
        if owner is not None and type(value).__name__ != "member_descriptor":
            setattr(owner, key, translated)
        for module in list(sys.modules.values()) if everywhere else ():
            if module.__name__.startswith(("dbfirewall", "tests")):
                for name, bound in list(vars(module).items()):
                    if bound is before and (name == key or not isinstance(bound, int | str)):
                        setattr(module, name, translated)


def _translated(value: Any, known: Mapping[str, FunctionType]) -> Any:
    """`value` with the functions of the changed module replaced by those that everyone else holds."""
    match value:
        case dict():
            return {_translated(k, known): _translated(v, known) for k, v in value.items()}
        case tuple() | list() | set() | frozenset() if not hasattr(value, "_fields"):
            return type(value)(_translated(one, known) for one in value)
        case FunctionType():
            return known.get(value.__qualname__, value)
    return value


def _shown(value: Any) -> str:
    """A text that is the same for equal constants, whatever the order of a set."""
    match value:
        case dict():
            return "{" + ", ".join(sorted(f"{_shown(k)}: {_shown(v)}" for k, v in value.items())) + "}"
        case tuple() | list():
            return type(value).__name__ + "(" + ", ".join(map(_shown, value)) + ")"
        case set() | frozenset():
            return "{" + ", ".join(sorted(map(_shown, value))) + "}"
        case FunctionType():
            return value.__qualname__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _fork(task: Callable[[], object]) -> int:
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


def modules() -> list[str]:
    """Every module of the packages under test."""
    return [
        f"{package}.{path.stem}"
        for package in PACKAGES
        for path in sorted((ROOT / "dbfirewall" / package).glob("*.py"))
        if path.stem != "__init__"
    ]


def main() -> None:
    """Try mutants until all are done or the time is up, then report."""
    parser = argparse.ArgumentParser(description="Mutation tests of dbfirewall's sql and policy.")
    parser.add_argument("modules", nargs="*", help="such as sql.lexer; all of sql and policy without")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--state", type=Path, default=ROOT / ".state" / "mutants.jsonl")
    options = parser.parse_args()
    options.state.parent.mkdir(parents=True, exist_ok=True)
    wanted = [one for module in options.modules or modules() for one in mutants_of(module)]
    random.Random(options.seed).shuffle(wanted)  # noqa: S311  a sample, not a secret
    done = outcomes(options.state)
    left = [mutant for mutant in wanted if mutant.key not in done]
    print(f"{len(wanted)} mutants, {len(wanted) - len(left)} of them tried before", flush=True)
    deadline = time.monotonic() + options.minutes * 60
    runner = Runner(left, deadline, options.state, options.jobs)
    folders = [str(ROOT / "tests" / package) for package in PACKAGES]
    pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=0", "--assert=plain", *folders], plugins=[runner])
    report(wanted, outcomes(options.state))


def outcomes(state: Path) -> dict[str, str]:
    """What is known: which mutant was killed by what."""
    lines = state.read_text().splitlines() if state.exists() else []
    return {one["key"]: one["killed_by"] for one in map(json.loads, lines)}


def report(wanted: Sequence[Mutant], known: dict[str, str]) -> None:
    """Per module: tried, killed; then each survivor."""
    keys = {mutant.key: mutant for mutant in wanted}
    tried = Counter(mutant.module for key, mutant in keys.items() if key in known)
    alive = sorted(
        (mutant for key, mutant in keys.items() if known.get(key) == ""),
        key=lambda one: (one.module, one.line, one.number),
    )
    survived = Counter(mutant.module for mutant in alive)
    for module in sorted(tried):
        print(f"{module:28} {tried[module]:5} tried {tried[module] - survived[module]:5} killed")
    for mutant in alive:
        print(f"survived  dbfirewall/{mutant.module.replace('.', '/')}.py:{mutant.line}: {mutant.change}")
    total = tried.total()
    print(f"{total} tried, {total - len(alive)} killed, {len(alive)} survived, {len(keys) - total} not tried")


if __name__ == "__main__":
    main()
