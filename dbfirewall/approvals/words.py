"""Parts of a request in words, for terminals and pages alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def object_words(item: Mapping[str, Any]) -> str:
    """An object of a preview, such as `table public.orders, 20 rows, 32 kB, under ACCESS EXCLUSIVE`."""
    rest = dict(item)
    parts = [f"{rest.pop('kind', 'object')} {rest.pop('object', '')}".strip()]
    rows, exact = rest.pop("rows", None), rest.pop("exact", False)
    if rows is not None:
        parts.append(f"{'' if exact else 'about '}{rows} row{'' if rows == 1 else 's'}")
    size = rest.pop("bytes", None)
    if size is not None:
        parts.append(size_words(size))
    lock = rest.pop("lock", None)
    if lock:
        parts.append(f"under {lock}")
    parts += [f"{name} {value}" for name, value in rest.items() if value is not None]
    return ", ".join(parts)


def size_words(size: float) -> str:
    """`size` bytes as PostgreSQL's pg_size_pretty says them, in units of 1024."""
    for unit in _UNITS:
        if size < 10 * 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}"
