"""The admin listener's pages: `/metrics`, `/healthz`, `/readyz`, and nothing else.

`/healthz` asks whether the process should be restarted, `/readyz` whether it should be sent agents. Both
answer 200 `{"status":"ok"}`, or 503 `{"status":"failing","problems":[…]}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dbfirewall.metrics import CONTENT_TYPE

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class AdminState(Protocol):
    """What the admin listener asks of the firewall, on the event loop: nothing of it may block."""

    def metrics_text(self) -> bytes:
        """The metrics in Prometheus' text format."""

    def health(self) -> list[str]:
        """What is wrong with the process, in sentences; empty: nothing."""

    def readiness(self) -> list[str]:
        """Why agents can't be served, in sentences; empty: they can."""


def create_app(state: AdminState) -> Starlette:
    """The admin application over `state`."""

    async def metrics(_request: Request) -> Response:
        return Response(state.metrics_text(), media_type=CONTENT_TYPE)

    async def healthz(_request: Request) -> Response:
        return _verdict(state.health)

    async def readyz(_request: Request) -> Response:
        return _verdict(state.readiness)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
        middleware=[Middleware(SecurityHeaders)],
    )


def _verdict(ask: Callable[[], list[str]]) -> Response:
    problems = ask()
    if problems:
        return JSONResponse({"status": "failing", "problems": problems}, status_code=503)
    return JSONResponse({"status": "ok"})


class SecurityHeaders:
    """ASGI middleware: puts SECURITY_HEADERS on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)
