"""Bring a change into modules that are imported already: functions get other code, constants other values.

What other modules made of a changed constant when they were imported is made again, too.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

from scripts.mutants.changes import Mutant, modules, mutated, path_of


def bring_in(mutant: Mutant) -> None:
    """Make `mutant`'s change in this process."""
    name = f"dbfirewall.{mutant.module}"
    changed = _take_over(name, compile(mutated(mutant), str(sys.modules[name].__file__), "exec"))
    if changed and mutant.names:
        for other in importers(mutant.module):
            _take_over(f"dbfirewall.{other}", _code(f"dbfirewall.{other}"))
    forget()


def forget() -> None:
    """Empty the caches that hold what unchanged code made."""
    for module in _ours():
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear") and getattr(value, "__module__", "") in _MUTATED:
                value.cache_clear()


_MUTATED = {f"dbfirewall.{module}" for module in modules()}


def _ours() -> list[ModuleType]:
    return [one for name, one in list(sys.modules.items()) if name.startswith(("dbfirewall", "tests"))]


def _code(name: str) -> CodeType:
    code = importlib.util.find_spec(name).loader.get_code(name)  # type: ignore[union-attr]  # ours are files
    return cast("CodeType", code)


@cache
def _imports() -> dict[str, set[str]]:
    """Which modules under test each of them imports, those first that import none."""
    found: dict[str, set[str]] = {}
    for module in modules():
        tree = ast.parse(path_of(module).read_bytes())
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        named = {
            name
            for one in froms
            for name in (one.module or "", *(f"{one.module}.{a.name}" for a in one.names))
        }
        found[module] = {name.removeprefix("dbfirewall.") for name in named} & set(modules())
    return {module: found[module] for module in TopologicalSorter(found).static_order()}


def importers(module: str) -> list[str]:
    """The modules under test that import `module`, directly or not, in an order in which they can be imported."""
    found = {module}
    for other, imported in _imports().items():
        if not imported.isdisjoint(found):
            found.add(other)
    return [other for other in _imports() if other in found - {module}]


def _take_over(name: str, code: CodeType) -> bool:
    """Run `code` as the module `name`, and let what is imported take over what differs; whether a constant did."""
    old = sys.modules[name]
    new: dict[str, Any] = {"__name__": name, "__file__": old.__file__}
    exec(code, new)  # noqa: S102  as an import does
    known = {one.__qualname__: one for one in _functions(vars(old), name)}
    for function in _functions(new, name):
        _give_code(known[function.__qualname__], function)
    for table, value in vars(old).items():
        _give_closures(value, new.get(table))
    changed = _rebind(vars(old), new, known, everywhere=True)
    for key, value in list(vars(old).items()):
        if isinstance(value, type) and value.__module__ == name and isinstance(new.get(key), type):
            changed |= _rebind(dict(vars(value)), dict(vars(new[key])), known, owner=value)
    return changed


def _functions(members: Mapping[str, Any], module: str) -> Iterator[FunctionType]:
    """Every function that a module or a class of it defines, below decorators too."""
    for member in list(members.values()):
        found = getattr(member, "fget", None) or getattr(member, "func", None) or member
        found = getattr(found, "__func__", found)  # of a class method, which is not callable itself
        found = inspect.unwrap(found) if callable(found) else found
        if isinstance(found, FunctionType) and found.__module__ == module:
            yield found
        elif isinstance(found, type) and found.__module__ == module and found is not members.get("__class__"):
            yield from _functions(vars(found), module)


def _give_code(old: FunctionType, new: FunctionType) -> None:
    if old.__code__ != new.__code__ and "<string>" not in new.__code__.co_filename:
        old.__code__ = new.__code__
    if repr(old.__defaults__) != repr(new.__defaults__):
        old.__defaults__ = new.__defaults__
    if repr(old.__kwdefaults__) != repr(new.__kwdefaults__):
        old.__kwdefaults__ = new.__kwdefaults__


def _give_closures(old: Any, new: Any) -> None:
    """Functions that other functions have made, in the tables of a module."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, made in old.items():
            again = new.get(key)
            if (
                isinstance(made, FunctionType)
                and isinstance(again, FunctionType)
                and _inner(made) == _inner(again)
            ):
                _give_code(made, again)


def _inner(function: FunctionType) -> str:
    return function.__qualname__ if "<locals>" in function.__qualname__ else f"no closure: {id(function)}"


def _rebind(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    known: Mapping[str, FunctionType],
    *,
    owner: type | None = None,
    everywhere: bool = False,
) -> bool:
    """Give each constant that has changed its new value, under every name by which it was imported."""
    changed = False
    for key, value in list(new.items()):
        before = old.get(key)
        if before is value or (isinstance(value, dict | frozenset | str | int) and before == value):
            continue
        if key.startswith("__") or callable(value) or isinstance(value, ModuleType | classmethod | property):
            continue
        translated = _translated(value, known)
        if _shown(before) == _shown(translated):
            continue
        changed = True
        if owner is not None and type(value).__name__ != "member_descriptor":
            setattr(owner, key, translated)
        for module in _ours() if everywhere else ():
            for name, bound in list(vars(module).items()):
                if bound is before and (name == key or not isinstance(bound, int | str)):
                    setattr(module, name, translated)
    return changed


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
