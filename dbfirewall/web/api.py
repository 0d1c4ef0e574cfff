"""The JSON API under /api/v1, for programs: bearer tokens decide; a console's session may read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dbfirewall.approvals.model import State
from dbfirewall.approvals.store import Query
from dbfirewall.web import openapi, rules_view, schema
from dbfirewall.web.auth import Gatekeeper, Identity
from dbfirewall.web.desk import Desk
from dbfirewall.web.events import Streams
from dbfirewall.web.openapi import Endpoint
from dbfirewall.web.problems import Problem
from dbfirewall.web.shield import SAFE
from dbfirewall.web.state import ConsoleState

PREFIX: Final = "/api/v1"
_ONE: Final = f"{PREFIX}/approvals/{{id}}"
_DECIDING: Final = (400, 404, 409, 413, 503)

ENDPOINTS: Final = (
    Endpoint("GET", f"{PREFIX}/approvals", "list_approvals", "List requests, newest first.",
             schema.RequestsOut, query=schema.Listing, errors=(400, 503)),
    Endpoint("GET", _ONE, "get_approval", "One request.", schema.RequestOut, errors=(404, 503)),
    Endpoint("POST", f"{_ONE}/approve", "approve", "Let it run once.", schema.RequestOut,
             body=schema.ApproveBody, errors=_DECIDING),
    Endpoint("POST", f"{_ONE}/deny", "deny", "Refuse it.", schema.RequestOut,
             body=schema.DenyBody, errors=_DECIDING),
    Endpoint("POST", f"{_ONE}/settle", "settle", "Say what became of it, where that is not known.",
             schema.RequestOut, body=schema.SettleBody, errors=_DECIDING),
    Endpoint("POST", f"{_ONE}/preview", "renew_preview", "Make its preview anew.", schema.RequestOut,
             body=schema.NoBody, errors=_DECIDING),
    Endpoint("GET", f"{_ONE}/undo", "get_undo", "The SQL that restores what it changed.", schema.UndoOut,
             errors=(404, 503)),
    Endpoint("POST", f"{_ONE}/undo", "apply_undo", "Restore what it changed.", schema.UndoneOut,
             body=schema.UndoBody, errors=_DECIDING),
    Endpoint("GET", f"{PREFIX}/events", "events", "Requests and decisions as they come.", None,
             query=schema.Streaming, errors=(400, 503)),
    Endpoint("GET", f"{PREFIX}/sessions", "list_sessions", "The agents' sessions in this process.",
             schema.SessionsOut),
    Endpoint("GET", f"{PREFIX}/rules", "get_rules", "The rules in force, without credentials.", schema.RulesOut),
    Endpoint("GET", f"{PREFIX}/me", "me", "Who asks.", schema.MeOut),
)  # fmt: skip
"""Every endpoint. Handlers are methods of Api."""

_B = TypeVar("_B", bound=BaseModel)
Handler = Callable[[Request, Identity], Awaitable[Response]]


class Api:
    """The handlers; each is named in ENDPOINTS."""

    def __init__(
        self,
        state: ConsoleState,
        desk: Desk,
        gate: Callable[[], Awaitable[Gatekeeper]],
        streams: Streams,
    ) -> None:
        self._state = state
        self._gate = gate
        self._streams = streams
        self._desk = desk

    def routes(self) -> list[Route]:
        """One route for each endpoint, and the OpenAPI document."""
        text = json.dumps(openapi.document(ENDPOINTS))

        async def document(_request: Request) -> Response:
            return Response(text, media_type="application/json")

        return [
            Route("/api/openapi.json", document),
            *(
                Route(one.path, self._guarded(getattr(self, one.name)), methods=[one.method])
                for one in ENDPOINTS
            ),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            who = await (await self._gate()).identify(request)
            if who is None:
                raise Problem(401, "Give an approver's token: `Authorization: Bearer …`.")
            if who.way != "token" and request.method not in SAFE:
                raise Problem(401, "Decisions by the API need a bearer token.")
            return await handler(request, who)

        return endpoint

    async def list_approvals(self, request: Request, who: Identity) -> Response:
        """GET /approvals."""
        found = await self._desk.listing(listing_query(_query(request, schema.Listing)))
        texts = []
        for one in found:
            texts.append(json.dumps(self._desk.shown(who, one)))
            await asyncio.sleep(0)  # statements may be long, and agents wait for this event loop
        return Response(f'{{"approvals":[{",".join(texts)}]}}', media_type="application/json")

    async def get_approval(self, request: Request, who: Identity) -> Response:
        """GET /approvals/{id}."""
        return JSONResponse(self._desk.shown(who, await self._desk.one(request.path_params["id"])))

    async def approve(self, request: Request, who: Identity) -> Response:
        """POST /approvals/{id}/approve."""
        body = await _body(request, schema.ApproveBody)
        return JSONResponse(
            self._desk.shown(who, await self._desk.approve(who, request.path_params["id"], body))
        )

    async def deny(self, request: Request, who: Identity) -> Response:
        """POST /approvals/{id}/deny."""
        body = await _body(request, schema.DenyBody)
        return JSONResponse(
            self._desk.shown(who, await self._desk.deny(who, request.path_params["id"], body))
        )

    async def settle(self, request: Request, who: Identity) -> Response:
        """POST /approvals/{id}/settle."""
        body = await _body(request, schema.SettleBody)
        return JSONResponse(
            self._desk.shown(who, await self._desk.settle(who, request.path_params["id"], body))
        )

    async def renew_preview(self, request: Request, who: Identity) -> Response:
        """POST /approvals/{id}/preview."""
        await _body(request, schema.NoBody)
        return JSONResponse(
            self._desk.shown(who, await self._desk.renew_preview(who, request.path_params["id"]))
        )

    async def get_undo(self, request: Request, _who: Identity) -> Response:
        """GET /approvals/{id}/undo."""
        _, sql, tables = await self._desk.undo_plan(request.path_params["id"])
        return JSONResponse({"sql": sql, "tables": tables})

    async def apply_undo(self, request: Request, who: Identity) -> Response:
        """POST /approvals/{id}/undo."""
        await _body(request, schema.UndoBody)
        return JSONResponse({"applied": await self._desk.apply_undo(who, request.path_params["id"])})

    async def events(self, request: Request, who: Identity) -> Response:
        """GET /events."""
        only = _query(request, schema.Streaming).only
        holds = (await self._gate()).witness(request, who)
        return self._streams.open(who.approver, only, lambda one: self._desk.shown(who, one), holds)

    async def list_sessions(self, _request: Request, _who: Identity) -> Response:
        """GET /sessions."""
        return JSONResponse({"sessions": [
            {name: getattr(one, name) for name in schema.SessionOut.model_fields} for one in self._state.sessions()
        ]})  # fmt: skip

    async def get_rules(self, _request: Request, _who: Identity) -> Response:
        """GET /rules."""
        return JSONResponse(rules_view.shown(self._state.rules))

    async def me(self, _request: Request, who: Identity) -> Response:
        """GET /me."""
        return JSONResponse({"approver": who.approver, "groups": sorted(who.groups)})


def listing_query(asked: schema.Listing) -> Query:
    """`asked` as the store wants it. Raises Problem."""
    try:
        states = tuple(State(name.strip()) for name in asked.state.split(",") if name.strip())
    except ValueError:
        raise Problem(400, f"`state` names states: {', '.join(State)}.") from None
    return Query(
        states=states,
        agent=asked.agent,
        database=asked.database,
        role=asked.role,
        rule=asked.rule,
        before=_moment(asked.before) if asked.before else None,
        limit=asked.limit,
    )


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        # Shown times are cut to milliseconds: rather list one twice than leave one out.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() + 0.001
    except (ValueError, OverflowError):
        raise Problem(400, "`before` is a time such as 2026-01-31T12:00:00Z.") from None


def _query(request: Request, model: type[_B]) -> _B:
    given = request.query_params
    if len(given.multi_items()) != len(given):
        raise Problem(400, "A query parameter was given twice.")
    return _valid(model, dict(given))


async def _body(request: Request, model: type[_B]) -> _B:
    """The request's JSON body. Raises Problem."""
    raw = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and kind != "application/json":
        raise Problem(415, "Send JSON: `Content-Type: application/json`.")
    try:
        value: Any = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Problem(400, "The body is no JSON.") from None
    return _valid(model, value)


def _valid(model: type[_B], value: Any) -> _B:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise Problem(400, f"{place + ': ' if place else ''}{words}") from None
