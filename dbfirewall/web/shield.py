"""ASGI middleware in front of everything: headers, bodies, and requests that another site made a browser send."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dbfirewall.web.options import WebOptions
from dbfirewall.web.problems import Problem

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Not no-referrer: browsers then send `Origin: null` with forms, and nobody could tell whose they are.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

MAX_BODY: Final = 64 * 1024
"""Security limit: bytes of a request's body; Slack's and ours are a few kilobytes."""
BODY_SECONDS: Final = 10.0
"""Security limit: how long a request's body may take."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OPEN_TO_ANY_HOST: Final = frozenset({"/metrics", "/healthz", "/readyz", "/slack/interactive"})
"""Paths that show nothing to hide, or that prove by a signature who calls."""


class Shield:
    """See the module. Requests with a bearer token may name any host: no other site can make a browser send one."""

    def __init__(self, app: ASGIApp, options: WebOptions) -> None:
        self.app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        try:
            self._check(scope)
            if scope["method"] not in SAFE:
                receive = _replay(await _body(Headers(scope=scope), receive))
        except Problem as problem:
            answer = JSONResponse(
                {"error": {"code": problem.code, "message": problem.message}}, problem.status, problem.headers
            )
            await answer(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["path"] not in OPEN_TO_ANY_HOST:
            if len(headers.getlist("host")) != 1:
                raise Problem(400, "A request has exactly one Host header.")
            if not is_bearer(headers) and not self._options.knows_host(host):
                words = "This host name is not the console's. Set approvals.public_url or console.hosts."
                raise Problem(421, words)
        if scope["method"] not in SAFE and is_foreign(headers, self._options.scheme(host)):
            raise Problem(403, "This request comes from another site.")


def is_bearer(headers: Headers) -> bool:
    """Whether a request brings a token of its own."""
    return headers.get("authorization", "")[:7].lower() == "bearer "


def is_foreign(headers: Headers, scheme: str) -> bool:
    """Whether a browser says that a request comes from elsewhere. `scheme`: of the console."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return True
    return parts.scheme != scheme or parts.netloc.lower() != headers.get("host", "").lower()


def is_native(headers: Headers) -> bool:
    """Whether a browser says that a request comes from our own pages. Ask `is_foreign` first."""
    return "sec-fetch-site" in headers or "origin" in headers


async def _body(headers: Headers, receive: Receive) -> bytes:
    """A request's whole body. Raises Problem where it is too large, too slow, or never comes."""
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MAX_BODY:
        raise Problem(413, f"A request's body has at most {MAX_BODY} bytes.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Problem(400, "The request broke off.")
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise Problem(413, f"A request's body has at most {MAX_BODY} bytes.")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Problem(408, "The request's body took too long.") from None


def _replay(body: bytes) -> Receive:
    """A `receive` that gives `body` once; after that nothing more is asked for."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
