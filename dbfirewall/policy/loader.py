"""Rules files (YAML 1.2) → `Rules`, with every mistake placed at file:line:column.

`load_rules` reads one file, or every `*.yaml` and `*.yml` of a folder (policy tests, `*.test.yaml`, left out)
as if they were one file. Nothing is loaded unless everything is right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dbfirewall.errors import ConfigError
from dbfirewall.policy.base import Model
from dbfirewall.policy.fields import Mark, nearest
from dbfirewall.policy.keys import unknown_keys
from dbfirewall.policy.models import EFFECTS, Rules
from dbfirewall.policy.references import wrong_references
from dbfirewall.policy.review import warnings

__all__ = ["RulesError", "load_rules", "parse_rules", "warnings"]

Location = tuple[str | int, ...]

_SECTIONS = ("roles", "agents", "approvers", "databases")
_SECRET = frozenset({"password", "token"})
"""Keys whose values no error repeats, whatever somebody wrote there."""
_MAX_DEPTH = 20
_MAX_BYTES = 4_000_000

_WORDS = {
    "missing": "`{key}` is missing",
    "string_type": "a text is wanted here, not {given}",
    "bool_type": "true or false is wanted here, not {given}",
    "int_type": "a whole number is wanted here, not {given}",
    "dict_type": "a mapping is wanted here, not {given}",
    "model_type": "a mapping is wanted here, not {given}",
    "tuple_type": "a list is wanted here, not {given}",
    "string_pattern_mismatch": "a member id of Slack such as U024BE7LH is wanted here, not {given}",
    "greater_than_equal": "at least 1 is wanted here, not {given}",
}


class RulesError(ConfigError):
    """Rules that do not load. `str()` is one line per mistake, `errors` the mistakes one by one."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        first, *rest = self.errors
        message = "\n".join([first.message, *(str(error) for error in rest)])
        super().__init__(message, file=first.file, line=first.line, column=first.column)


class Document:
    """One parsed file: its data, and where each key and value stands."""

    def __init__(self, path: Path, tree: CommentedMap) -> None:
        self.file = str(path)
        self.tree = tree
        self.data: dict[str, Any] = _plain(tree, self.file)

    def mark(self, location: Location) -> Mark:
        """Where the thing at `location` stands: its key in a mapping, its place in a list."""
        node: Any = self.tree
        line, column = 0, 0
        for step in location:
            key = _step(node, step)
            if key is None:
                break
            if key in (node.lc.data or ()):  # else it is merged (`<<`), and has no place of its own
                line, column = node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key)
            node = node[key]
        return Mark(self.file, line + 1, column + 1)

    def error(self, message: str, location: Location = ()) -> ConfigError:
        """A ConfigError at `location`."""
        mark = self.mark(location)
        return ConfigError(message, file=mark.file, line=mark.line, column=mark.column)


def _step(node: Any, step: str | int) -> str | int | None:
    """The key or index that `step` of a model's location is in the file, or None where it has none there."""
    if isinstance(node, CommentedMap):
        if step == "actions":
            return next((effect for effect in EFFECTS if effect in node), None)
        return step if step in node else None
    if isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
        return step
    return None


def _plain(node: Any, file: str, depth: int = 0) -> Any:
    """`node` as plain dicts, lists and scalars."""
    if depth > _MAX_DEPTH:
        raise ConfigError("nested too deeply (an alias of itself?)", file=file)
    if isinstance(node, CommentedMap):
        return {key: _plain(value, file, depth + 1) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value, file, depth + 1) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def rules_files(path: Path) -> list[Path]:
    """The rules files at `path`: itself, or those of the folder. Raises ConfigError where there are none."""
    if not path.exists():
        raise ConfigError("no such file or folder", file=str(path))
    if not path.is_dir():
        return [path]
    files = [
        file
        for file in sorted(path.iterdir())
        if file.suffix in (".yaml", ".yml") and not file.name.endswith((".test.yaml", ".test.yml"))
    ]
    if not files:
        raise ConfigError("no *.yaml file in this folder: refusing to start without rules", file=str(path))
    return files


def read_file(path: Path) -> bytes:
    """The contents of one file. Raises ConfigError where it cannot be read, or is far too large."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from None
    if len(text) > _MAX_BYTES:
        raise ConfigError(f"larger than {_MAX_BYTES} bytes", file=str(path))
    return text


def parse_document(path: Path, text: bytes) -> Document:
    """Parse one file. Raises ConfigError at what is no YAML, no mapping, or a duplicate key."""
    try:
        tree = YAML(typ="rt").load(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", file=str(path)) from None
    except MarkedYAMLError as error:
        at = error.problem_mark
        message = (error.problem or "is not YAML").split("\n")[0].split(" with value ")[0]
        line, column = (at.line + 1, at.column + 1) if at is not None else (0, 0)
        raise ConfigError(message, file=str(path), line=line, column=column) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"is not YAML: {str(error).splitlines()[0]}", file=str(path)) from None
    if tree is None:
        raise ConfigError("the file is empty: refusing to start without rules", file=str(path))
    if not isinstance(tree, CommentedMap):
        raise ConfigError(
            "a rules file is a mapping that begins with `version: 1`", file=str(path), line=1, column=1
        )
    return Document(path, tree)


def load_rules(path: Path) -> Rules:
    """The rules at `path`, checked whole. Raises `RulesError` (a ConfigError) with every mistake found."""
    return parse_rules({file: read_file(file) for file in rules_files(path)})


def parse_rules(texts: Mapping[Path, bytes]) -> Rules:
    """As `load_rules`, from the contents of rules files."""
    documents: list[Document] = []
    errors: list[ConfigError] = []
    for file, text in texts.items():
        try:
            documents.append(parse_document(file, text))
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise RulesError(errors)
    for document in documents:
        errors.extend(_version_errors(document))
    data, origin, duplicates = _merge(documents)
    errors.extend(duplicates)
    rules, wrong = _validate(data, origin)
    errors.extend(wrong)
    if rules is not None:
        errors.extend(
            origin(location).error(message, location) for message, location in wrong_references(rules)
        )
        if not errors and not any(role.rules for role in rules.roles.values()):
            errors.append(ConfigError("no rules: refusing to start", file=documents[0].file))
    if rules is None or errors:
        raise RulesError(_in_order(errors))
    _place(rules, (), origin)
    return rules


def _version_errors(document: Document) -> Iterator[ConfigError]:
    if "version" not in document.data:
        yield ConfigError("`version: 1` is missing", file=document.file, line=1, column=1)
    elif document.data["version"] != 1 or document.data["version"] is True:
        yield document.error(
            f"version {document.data['version']!r} is not known: write `version: 1`", ("version",)
        )


Origin = Callable[[Location], Document]


def _merge(documents: Sequence[Document]) -> tuple[dict[str, Any], Origin, list[ConfigError]]:
    """All documents as one mapping, the way back from a location to its document, and duplicates."""
    merged: dict[str, Any] = {"version": 1}
    homes: dict[Location, Document] = {}
    errors: list[ConfigError] = []
    for document in documents:
        for key, value in document.data.items():
            if key not in _SECTIONS or not isinstance(value, dict):
                merged[key] = value
                homes.setdefault((key,), document)
                continue
            section = merged.setdefault(key, {})
            for name, item in value.items():
                if isinstance(section, dict) and name in section:
                    first = homes[key, name].mark((key, name))
                    errors.append(document.error(f"{name!r} is defined twice, first at {first}", (key, name)))
                    continue
                homes[key, name] = document
                if isinstance(section, dict):
                    section[name] = item
    merged["version"] = 1

    def origin(location: Location) -> Document:
        return homes.get(location[:2]) or homes.get(location[:1]) or documents[0]

    return merged, origin, errors


def _validate(data: dict[str, Any], origin: Origin) -> tuple[Rules | None, list[ConfigError]]:
    errors = [
        origin(location).error(f"unknown key {location[-1]!r}{nearest(str(location[-1]), known)}", location)
        for location, known in unknown_keys(data, Rules)
    ]
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
    try:
        return Rules.model_validate({**data, "revision": digest[:12]}), errors
    except ValidationError as error:
        for item in error.errors(include_url=False):
            location, message = _explain(item)
            errors.append(origin(location).error(message, location))
    return None, errors


def _explain(item: Any) -> tuple[Location, str]:
    """The location and the words for one of pydantic's errors."""
    location: Location = tuple(item["loc"])
    context = item.get("ctx") or {}
    if item["type"] == "rules":
        return (*location, context["key"]) if context["key"] else location, context["message"]
    if item["type"] == "value_error":
        return location, str(context["error"])
    if item["type"] == "literal_error":
        given, expected = str(item["input"]), context["expected"].replace("'", "").replace(" or ", ", ")
        return location, f"{given!r} is not one of {expected}{nearest(given, expected.split(', '))}"
    template = _WORDS.get(item["type"])
    if template is None:
        return location, str(item["msg"])
    given = "that" if _SECRET.intersection(map(str, location)) else _show(item["input"])
    return location, template.format(key=location[-1] if location else "", given=given)


def _show(value: object) -> str:
    names = {dict: "a mapping", list: "a list", tuple: "a list", type(None): "nothing"}
    return names.get(type(value)) or repr(value)


def _in_order(errors: Sequence[ConfigError]) -> list[ConfigError]:
    """By place, one per place: what follows from a mistake is reported after it, or not at all."""
    seen: dict[tuple[str, int, int], ConfigError] = {}
    for error in errors:
        seen.setdefault((error.file, error.line, error.column), error)
    return sorted(seen.values(), key=lambda error: (error.file, error.line, error.column))


def _place(value: object, location: Location, origin: Origin) -> None:
    """Tell every model of `value` where it stands in its file."""
    if isinstance(value, Model):
        value._mark = origin(location).mark(location)  # noqa: SLF001  the loader is what sets it
        for name in type(value).model_fields:
            _place(getattr(value, name), (*location, name), origin)
    elif isinstance(value, dict):
        for key, item in value.items():
            _place(item, (*location, key), origin)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, BaseModel):
                _place(item, (*location, index), origin)
