"""The admin listener: metrics and health for machines, the JSON API for programs, the console for approvers.

`/healthz` asks whether the process should be restarted, `/readyz` whether it should be sent agents. Both answer 200
`{"status":"ok"}`, or 503 `{"status":"failing","problems":[…]}`. They and `/metrics` ask nobody who they are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from dbfirewall.errors import StoreError
from dbfirewall.metrics import CONTENT_TYPE
from dbfirewall.web.api import Api
from dbfirewall.web.auth import Gatekeeper
from dbfirewall.web.console import Console
from dbfirewall.web.desk import Desk
from dbfirewall.web.events import Streams
from dbfirewall.web.guard import Guard
from dbfirewall.web.options import WebOptions
from dbfirewall.web.problems import Problem
from dbfirewall.web.render import page
from dbfirewall.web.sessions import Sessions
from dbfirewall.web.shield import Shield
from dbfirewall.web.state import AdminState, ConsoleState

log = logging.getLogger(__name__)

STATIC: Final = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}


def create_app(state: ConsoleState, options: WebOptions, stopping: asyncio.Event) -> ASGIApp:
    """The admin application over `state`. `stopping`: set at shutdown, ends streams of events."""
    gate, desk = _gate(state, options), Desk(state)

    async def slack(request: Request) -> Response:
        if state.slack is None:
            raise Problem(404, "Slack's buttons are not set up.")
        status, answer = await state.slack(await request.body(), dict(request.headers))
        return JSONResponse(answer, status)

    routes: list[BaseRoute] = [
        *_health_routes(state),
        *Api(state, desk, gate, Streams(state, stopping)).routes(),
        *Console(state, desk, gate).routes(),
        *(Route(f"/static/{name}", _static(name, kind)) for name, kind in STATIC.items()),
        Route("/slack/interactive", slack, methods=["POST"]),
    ]
    handlers: dict[type[Exception] | int, Callable[[Request, Exception], Response]] = {
        Problem: _problem,
        HTTPException: _http_problem,
        Exception: _bug,
    }
    # The shield stands outside of everything, so that even the answer to a bug has its headers.
    return Shield(Starlette(routes=routes, exception_handlers=handlers), options)


def _health_routes(state: AdminState) -> list[Route]:
    async def metrics(_request: Request) -> Response:
        return Response(state.metrics_text(), media_type=CONTENT_TYPE)

    async def healthz(_request: Request) -> Response:
        return _verdict(state.health)

    async def readyz(_request: Request) -> Response:
        return _verdict(state.readiness)

    return [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]


def _verdict(ask: Callable[[], list[str]]) -> Response:
    problems = ask()
    if problems:
        return JSONResponse({"status": "failing", "problems": problems}, status_code=503)
    return JSONResponse({"status": "ok"})


def _gate(state: ConsoleState, options: WebOptions) -> Callable[[], Awaitable[Gatekeeper]]:
    """The gatekeeper, made when the store first gives its secret. Raises Problem 503 until then."""
    made: list[Gatekeeper] = []
    guard = Guard(time.monotonic)

    async def gate() -> Gatekeeper:
        if not made:
            try:
                secret = await state.approvals.secret("console")
            except StoreError as error:
                raise Problem(
                    503, f"The store of approvals does not answer: {error}", retry_after=5
                ) from error
            sessions = Sessions(secret, idle=options.idle, lifetime=options.lifetime, clock=time.time)
            made[:] = [Gatekeeper(lambda: state.rules, sessions, options, guard, state.refused)]
        return made[0]

    return gate


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("dbfirewall.web").joinpath("static", name).read_bytes()

    async def serve(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return serve


def _problem(request: Request, problem: Exception) -> Response:
    """A page for people, JSON for programs."""
    if not isinstance(problem, Problem):
        raise problem
    path = request.url.path
    if not _is_for_people(path):
        answer: Response = JSONResponse(
            {"error": {"code": problem.code, "message": problem.message}}, problem.status
        )
    else:
        parts = path.split("/")
        one = path.startswith("/approvals/") and len(parts) > 3 and problem.status != HTTPStatus.NOT_FOUND
        answer = page(
            "problem.html", problem.status, problem=problem, back="/".join(parts[:3]) if one else "/approvals"
        )
    answer.headers.update(problem.headers)
    return answer


def _is_for_people(path: str) -> bool:
    return not path.startswith(("/api/", "/slack/", "/static/", "/metrics", "/healthz", "/readyz"))


def _http_problem(request: Request, error: Exception) -> Response:
    """What Starlette's router refuses: paths that are not there, methods that a path has not."""
    if not isinstance(error, HTTPException):
        raise error
    words = {404: "There is nothing here.", 405: "This is not how to ask here."}
    answer = _problem(request, Problem(error.status_code, words.get(error.status_code, error.detail)))
    answer.headers.update(error.headers or {})
    return answer


def _bug(request: Request, error: Exception) -> Response:
    """A mistake of ours: the log has the details, and nobody else."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _problem(request, Problem(500, "Something went wrong here. The firewall's log has the details."))
