"""The API's endpoints as a table, and the OpenAPI document that is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dbfirewall import __version__
from dbfirewall.web.schema import ErrorOut

_REFERENCE: Final = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path. `name`: of the handler. `answer` None: a stream of events."""

    method: str
    path: str
    name: str
    summary: str
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = field(default=())


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `endpoints`."""
    table = tuple(endpoints)
    models = {model for one in table for model in (one.answer, one.body) if model is not None} | {ErrorOut}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for one in table:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dbfirewall",
            "version": __version__,
            "description": "Requests for approval: look at them, decide them. See docs/approvals.md.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(one: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [*_path_parameters(one.path), *_query_parameters(one.query)],
        "responses": {"200": _answer(one)}
        | {str(status): _error() for status in (401, 403, 429, *one.errors)},
    }
    if one.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(one.body)}
    return operation


def _answer(one: Endpoint) -> dict[str, Any]:
    if one.answer is None:
        description = "Server-sent events: `approval` (data: a RequestOut), `decision`, `again` (look anew)."
        return {"description": description, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    return {"description": "Done.", "content": _json(one.answer)}


def _error() -> dict[str, Any]:
    return {"description": "Not done.", "content": _json(ErrorOut)}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
