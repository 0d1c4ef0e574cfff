"""The changes: every mutant that a module's source offers, and the module's tree with one of them made."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("policy", "sql")

Words = Callable[[ast.AST], str]

NOT_RUN = ("annotation", "returns", "decorator_list")
"""Fields of nodes that are no behaviour worth a mutant."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """The `number`th change of `module`.

    `key`: the same for the same change of the same function (or of the same statement outside of one), whatever
    else is edited. `lines`: those of the statement that is changed. `names`: outside of functions, the names that
    the statement defines, by which others use it.
    """

    module: str
    number: int
    key: str
    line: int
    change: str
    lines: tuple[int, int]
    names: tuple[str, ...] = ()


def path_of(module: str) -> Path:
    """Where `sql.lexer` stands."""
    return ROOT / "dbfirewall" / (module.replace(".", "/") + ".py")


def modules() -> list[str]:
    """Every module of the packages under test."""
    return [
        f"{package}.{path.stem}"
        for package in PACKAGES
        for path in sorted((ROOT / "dbfirewall" / package).glob("*.py"))
        if path.stem != "__init__"
    ]


def mutants_of(module: str) -> list[Mutant]:
    """Every change that the module's source offers."""
    mutator = Mutator()
    mutator.visit(ast.parse(path_of(module).read_bytes()))
    counts: Counter[str] = Counter()
    found = []
    for number, (unit, statement, change) in enumerate(mutator.offered):
        digest = hashlib.sha256(ast.unparse(unit).encode()).hexdigest()[:12]
        names = () if isinstance(unit, ast.FunctionDef) else defined(statement)
        key = f"{module}:{digest}:{counts[digest]}"
        counts[digest] += 1
        line = statement.lineno
        found.append(Mutant(module, number, key, line, change, (line, _last_line(statement)), names))
    return found


def mutated(mutant: Mutant) -> ast.Module:
    """The module's tree with the change made."""
    tree = ast.parse(path_of(mutant.module).read_bytes())
    Mutator(mutant.number).visit(tree)
    return ast.fix_missing_locations(tree)


def defined(statement: ast.stmt) -> tuple[str, ...]:
    """The names that a statement outside of functions binds."""
    return tuple(
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def _last_line(statement: ast.stmt) -> int:
    """The last line that runs whenever the statement does: of `if` and the like that of the head."""
    match statement:
        case ast.FunctionDef() | ast.ClassDef():
            return statement.end_lineno or statement.lineno
        case ast.Match(subject=subject):
            return subject.end_lineno or statement.lineno
        case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
            return max(statement.lineno, statement.body[0].lineno - 1)
    return statement.end_lineno or statement.lineno


class Mutator(ast.NodeTransformer):
    """Counts the changes that a tree offers, and makes the one with the number `target`.

    `offered`: of each the function or statement by which it is known, the innermost statement, and its words.
    """

    def __init__(self, target: int = -1) -> None:
        self.target = target
        self.offered: list[tuple[ast.stmt, ast.stmt, str]] = []
        # Words are for people, and take most of the time.
        self._words: Words = ast.unparse if target < 0 else lambda _node: ""
        self._unit: ast.stmt = ast.Pass()
        self._statement: ast.stmt = self._unit

    def visit(self, node: ast.AST) -> ast.AST:
        """Inner nodes first, so that numbers do not depend on the change that is made."""
        if _says_nothing(node):
            return node
        unit, statement = self._unit, self._statement
        if isinstance(node, ast.stmt):
            self._statement = node
            if not isinstance(unit, ast.FunctionDef):
                # A copy, because the key is that of what stands in the file.
                self._unit = copy.deepcopy(node) if self.target < 0 else node
        aside = {name: getattr(node, name) for name in NOT_RUN if hasattr(node, name)}
        for name in aside:
            setattr(node, name, None)
        self.generic_visit(node)
        for name, value in aside.items():
            setattr(node, name, value)
        made = node
        for change, other in changes(node, self._words):
            if len(self.offered) == self.target:
                made = ast.copy_location(other, node)
            self.offered.append((self._unit, self._statement, change))
        self._unit, self._statement = unit, statement
        return made


def _says_nothing(node: ast.AST) -> bool:
    """Docstrings, imports, names of types, and checks for the type checker alone."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.arg() | ast.Assert() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id=name))):
            return name in (
                "Annotated",
                "Callable",
                "Iterable",
                "Literal",
                "Mapping",
                "dict",
                "list",
                "tuple",
            )
    return False


def changes(node: ast.AST, words: Words = ast.unparse) -> Iterator[tuple[str, ast.AST]]:
    """Each change of one node that may loosen what it says, with a few words about it."""
    match node:
        case ast.If(test=test, body=body, orelse=orelse):
            for value in (True, False):
                yield f"if {value}", ast.If(ast.Constant(value), body, orelse)
            yield f"if not ({words(test)})", ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(body=body, orelse=orelse):
            yield "always the first", body
            yield "always the second", orelse
        case ast.BoolOp(op=op, values=values):
            swapped: ast.boolop = ast.And() if isinstance(op, ast.Or) else ast.Or()
            yield type(swapped).__name__.lower(), ast.BoolOp(swapped, values)
            for at, operand in enumerate(values):
                yield f"without {words(operand)}", _boolean(op, values[:at] + values[at + 1 :])
        case ast.UnaryOp(op=ast.Not(), operand=denied):
            yield "without not", denied
        case ast.Compare(left=left, ops=[op], comparators=right) if type(op) in COMPARISONS:
            other = COMPARISONS[type(op)]
            yield other.__name__, ast.Compare(left, [other()], right)
        case ast.BinOp(left=left, op=ast.Add() | ast.BitOr() | ast.Sub() | ast.BitAnd(), right=right):
            yield f"only {words(left)[:40]}", left
            yield f"only {words(right)[:40]}", right
        case ast.comprehension(ifs=[_, *_]):
            yield "every one", ast.comprehension(node.target, node.iter, [], node.is_async)
        case _:
            yield from _in_statements(node, words)
            yield from _in_values(node, words)


def _boolean(op: ast.boolop, values: list[ast.expr]) -> ast.expr:
    return values[0] if len(values) == 1 else ast.BoolOp(op, values)


def _in_statements(node: ast.AST, words: Words) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Return(value=ast.Constant(value=bool() as value)):
            yield f"return {not value}", ast.Return(ast.Constant(not value))
        case ast.Return(value=ast.expr() as returned):
            several = isinstance(returned, ast.Tuple | ast.BinOp | ast.List)
            less = ast.Tuple([], ast.Load()) if several else ast.Constant(None)
            if ast.unparse(less) != ast.unparse(returned):
                yield f"return {words(less)}, not {words(returned)[:60]}", ast.Return(less)
        case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break():
            yield f"skip {words(node)[:60]}", ast.Pass()
        case ast.Expr(value=value):
            yield f"skip {words(value)[:60]}", ast.Pass()
        case ast.For(target=target, body=body, orelse=orelse):
            yield "never loop", ast.For(target, ast.Tuple([], ast.Load()), body, orelse)
        case ast.Match(subject=subject, cases=cases) if len(cases) > 1:
            for at, case in enumerate(cases):
                rest = cases[:at] + cases[at + 1 :]
                yield f"without case {words(case.pattern)[:50]}", ast.Match(subject, rest)
                if case.guard is not None:
                    free = ast.match_case(case.pattern, None, case.body)
                    yield (
                        f"no guard {words(case.guard)}",
                        ast.Match(subject, [*cases[:at], free, *cases[at + 1 :]]),
                    )


def _in_values(node: ast.AST, words: Words) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Set(elts=elements) | ast.List(elts=elements) | ast.Tuple(elts=elements, ctx=ast.Load()) if (
            elements
        ):
            for at, element in enumerate(elements):
                other = copy.copy(node)
                other.elts = elements[:at] + elements[at + 1 :]
                empty_set = isinstance(node, ast.Set) and len(elements) == 1
                yield (
                    f"without member {words(element)[:60]}",
                    (ast.parse("set()", mode="eval").body if empty_set else other),
                )
        case ast.Dict(keys=keys, values=values):
            for at, key in enumerate(keys):
                key_words = words(key) if key else "**"
                rest = ast.Dict(keys[:at] + keys[at + 1 :], values[:at] + values[at + 1 :])
                yield f"without key {key_words[:60]}", rest
        case ast.Call(func=ast.Name(id="words" | "_words"), args=[ast.Constant(value=str() as text)]):
            for word in text.split():
                others = " ".join(one for one in text.split() if one != word)
                yield f"without word {word}", ast.Call(node.func, [ast.Constant(others)], [])
        case ast.Call(func=func, args=args, keywords=keywords):
            for at, keyword in enumerate(keywords):
                less = ast.Call(func, args, keywords[:at] + keywords[at + 1 :])
                yield f"without {keyword.arg}=", less
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield f"{value + 1}, not {value}", ast.Constant(value + 1)
        case ast.Constant(value=bool() as value):
            yield f"{not value}", ast.Constant(not value)
