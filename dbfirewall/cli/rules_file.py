"""Writing an `agents` or `approvers` entry into a rules file: comments stay, what would not load is not written."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.util import load_yaml_guess_indent

from dbfirewall.errors import ConfigError
from dbfirewall.policy.loader import parse_document, parse_rules, read_file, rules_files

SECRETS: Final = frozenset({"password", "token"})
"""Members whose values are quoted: they hold colons."""


def write_entry(path: Path, section: str, name: str, members: Mapping[str, Any], *, rotate: bool) -> Path:
    """Write `members` under `section` and `name` into the rules at `path`; the file that was changed.

    `section`: `agents` or `approvers`. `rotate`: the entry must be there, and the members replace its own. Raises
    ConfigError, and writes nothing, where the rules would not load.
    """
    texts = {file: read_file(file) for file in rules_files(path)}
    target = _home(path, texts, section, name)
    before = texts.get(target, b"version: 1\n")
    texts[target] = _with_entry(before, target, section, name, members, rotate=rotate)
    parse_rules(texts)
    _replace(target, texts[target])
    return target


def _home(path: Path, texts: dict[Path, bytes], section: str, name: str) -> Path:
    """The file that holds the entry, or else the one to put it into."""
    if not path.is_dir():
        return path
    homes = {file: _entries(parse_document(file, text).tree, section) for file, text in texts.items()}
    with_section = [file for file, entries in homes.items() if entries is not None]
    named = [file for file, entries in homes.items() if entries is not None and name in entries]
    return next(iter(named or with_section), path / f"{section}.yaml")


def _entries(tree: Any, section: str) -> Any:
    return tree.get(section) if isinstance(tree.get(section), CommentedMap) else None


def _with_entry(
    text: bytes, file: Path, section: str, name: str, members: Mapping[str, Any], *, rotate: bool
) -> bytes:
    parse_document(file, text)
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10_000
    tree, indent, offset = load_yaml_guess_indent(text.decode(), yaml=yaml)
    entries = _entries(tree, section)
    if entries is None:
        entries = tree[section] = CommentedMap()
    if (name in entries) != rotate:
        secret = next(iter(SECRETS.intersection(members)))
        exists = f"exists already: --rotate gives it a new {secret}"
        known = exists if name in entries else "is not there to rotate"
        raise ConfigError(f"{section.removesuffix('s')} {name!r} {known}", file=str(file))
    entry = entries.setdefault(name, CommentedMap())
    if not rotate:
        entry.fa.set_flow_style()
    entry.update(
        {key: DoubleQuotedScalarString(value) if key in SECRETS else value for key, value in members.items()}
    )
    yaml.indent(mapping=2, sequence=indent or 4, offset=offset if offset is not None else 2)
    out = io.BytesIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _replace(file: Path, text: bytes) -> None:
    """Put `text` into `file` at once or not at all; its mode stays."""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    try:
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(file)) from None
