"""The statements under tests/sql/corpus: valid SQL on which the witnesses must agree."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "corpus"

FILES = sorted(path.name for path in _FOLDER.glob("*.sql"))


def statements(*files: str) -> list[str]:
    """The entries of `files`, or of all files; they end at a line `--;`."""
    return [
        text
        for name in files or FILES
        for text in (_FOLDER / name).read_text("utf-8").removesuffix("\n").split("\n--;\n")
    ]
