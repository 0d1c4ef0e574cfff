"""Unknown keys of a rules file, found before anything else is judged, so that a typo is told as a typo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from dbfirewall.policy.base import Model

Location = tuple[str | int, ...]


def unknown_keys(value: Any, kind: Any, location: Location = ()) -> Iterator[tuple[Location, frozenset[str]]]:
    """Where `value` has keys that the model `kind` does not know, each with the keys that it does."""
    if isinstance(kind, type) and issubclass(kind, Model):
        yield from _of_model(value, kind, location)
    elif get_origin(kind) is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from unknown_keys(item, get_args(kind)[1], (*location, key))
    elif get_origin(kind) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_keys(item, get_args(kind)[0], (*location, index))
    else:
        for part in get_args(kind):
            if isinstance(part, type) and issubclass(part, Model):
                yield from _of_model(value, part, location)


def _of_model(value: Any, kind: type[Model], location: Location) -> Iterator[tuple[Location, frozenset[str]]]:
    if not isinstance(value, dict):
        return
    known = kind.yaml_keys()
    for key, item in value.items():
        field = kind.model_fields.get(str(key))
        if key not in known:
            yield (*location, key), known
        elif field is not None:
            yield from unknown_keys(item, field.annotation, (*location, key))
