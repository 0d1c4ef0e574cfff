"""The approvers' console: pages for people. Reading and deciding work without JavaScript.

Rules of this file:

- A page is shown to an approver only; everybody else gets the form to sign in.
- Whatever changes something is a form: it carries the session's form token, and a browser that says so sends it from
  our own pages (the shield has refused those from elsewhere).
- What did not work shows as the same page with a sentence at its top, and nothing that was typed is lost.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dbfirewall.approvals.model import Request, State
from dbfirewall.approvals.store import Query
from dbfirewall.approvals.words import object_words
from dbfirewall.errors import AuditError
from dbfirewall.web import decisions, pages, rules_view
from dbfirewall.web.auth import SECURE_COOKIE, Gatekeeper, Identity
from dbfirewall.web.desk import Desk
from dbfirewall.web.problems import Problem
from dbfirewall.web.render import page
from dbfirewall.web.schema import MAX_REASON, ApproveBody, DenyBody, SettleBody
from dbfirewall.web.sessions import WebSession
from dbfirewall.web.shield import is_native
from dbfirewall.web.state import ConsoleState

PAGE_SIZE: Final = 50
"""Requests on one page."""
MAX_SESSIONS: Final = 500
"""Sessions of agents on their page."""
MAX_FIELDS: Final = 20
"""Security limit: fields of a form."""
FILTERS: Final = ("state", "agent", "database", "role", "rule")
DONE: Final = {
    "approved": "Approved.",
    "vote": "Your approval counts. It needs more.",
    "denied": "Denied. The agent is told why.",
    "settled": "Settled.",
    "undone": "The rows were restored.",
    "preview": "The preview was made anew.",
}
"""What a page says after a form; the address holds the key only."""
UNTYPED: Final = {"reason": "", "envelope": "default", "percent": "10", "accept_undo": False}

_B = TypeVar("_B", bound=BaseModel)
Page = Callable[[HttpRequest, Identity], Awaitable[Response]]


class Console:
    """The pages. `gate`: finds out who asks; Problem 503 while the store's secret can't be read."""

    def __init__(self, state: ConsoleState, desk: Desk, gate: Callable[[], Awaitable[Gatekeeper]]) -> None:
        self._state = state
        self._gate = gate
        self._desk = desk

    def routes(self) -> list[Route]:
        """All pages and forms."""
        one = "/approvals/{id}"
        return [
            Route("/", self._home),
            Route("/login", self._login_form, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._form(self._logout), methods=["POST"]),
            Route("/approvals", self._page(self._waiting)),
            Route(one, self._page(self._request)),
            Route(f"{one}/decide", self._form(self._decide), methods=["POST"]),
            Route(f"{one}/settle", self._form(self._settle), methods=["POST"]),
            Route(f"{one}/preview", self._form(self._preview), methods=["POST"]),
            Route(f"{one}/undo", self._page(self._undo), methods=["GET"]),
            Route(f"{one}/undo", self._form(self._apply_undo), methods=["POST"]),
            Route("/history", self._page(self._history)),
            Route("/decisions", self._page(self._decisions)),
            Route("/sessions", self._page(self._sessions)),
            Route("/rules", self._page(self._rules)),
        ]

    # -- who asks ---------------------------------------------------------------------------------------------

    def _page(self, show: Page) -> Callable[[HttpRequest], Awaitable[Response]]:
        """`show`, for approvers; the form to sign in for everybody else."""

        async def endpoint(request: HttpRequest) -> Response:
            gate = await self._gate()
            who = await gate.identify(request)
            if who is None:
                return _to_login(request)
            response = await show(request, who)
            renewed = gate.sessions.renew(who.session) if who.session else None
            # What a page asks for on its own is no sign of a person.
            if renewed is not None and "x-live" not in request.headers:
                _set_cookie(response, gate, request.headers, renewed)
            return response

        return endpoint

    def _form(self, act: Callable[[HttpRequest, Identity, Mapping[str, str]], Awaitable[Response]]) -> Any:
        """`act`, for an approver's own form."""

        async def endpoint(request: HttpRequest) -> Response:
            gate = await self._gate()
            who = await gate.identify(request)
            if who is None:
                raise Problem(401, "You are signed out. Sign in and do it again.")
            fields = await _fields(request)
            if who.way == "token" or not is_native(request.headers):
                raise Problem(403, "This form is for the console only; programs use the API.")
            if not hmac.compare_digest(fields.get("csrf", "").encode(), who.form_token.encode()):
                raise Problem(403, "This form is not of your session. Load the page anew and do it again.")
            return await act(request, who, fields)

        return endpoint

    async def _home(self, _request: HttpRequest) -> Response:
        return RedirectResponse("/approvals", 303)

    async def _login_form(self, request: HttpRequest) -> Response:
        following = _local(request.query_params.get("next", ""))
        gate = await self._gate()
        if await gate.identify(request) is not None:
            return RedirectResponse(following, 303)
        return page("login.html", next=following, problem="")

    async def _login(self, request: HttpRequest) -> Response:
        fields = await _fields(request)
        following = _local(fields.get("next", ""))
        if not is_native(request.headers):
            raise Problem(403, "Sign in with a browser; programs use the API.")
        gate = await self._gate()
        try:
            name = await gate.check_token(request, fields.get("token", "").strip())
        except Problem as problem:
            answer = page("login.html", problem.status, next=following, problem=problem.message)
            answer.headers.update(problem.headers)
            return answer
        response = RedirectResponse(following, 303)
        _set_cookie(response, gate, request.headers, gate.sessions.begin(name))
        return response

    async def _logout(self, request: HttpRequest, who: Identity, _fields: Mapping[str, str]) -> Response:
        gate = await self._gate()
        if who.session is not None:
            gate.sessions.end(who.session)
        response = RedirectResponse("/login", 303)
        name = gate.cookie_name(request.headers)
        response.delete_cookie(name, secure=name == SECURE_COOKIE, httponly=True, samesite="strict")
        return response

    # -- pages ------------------------------------------------------------------------------------------------

    async def _waiting(self, _request: HttpRequest, who: Identity) -> Response:
        now = time.time()
        found = {
            state: [
                pages.shown(one, now) for one in await self._desk.listing(Query((state,), limit=PAGE_SIZE))
            ]
            for state in (State.PENDING, State.APPROVED, State.UNKNOWN)
        }
        return page(
            "approvals.html", who=who, here="/approvals", events="approval", now=now,
            pending=found[State.PENDING], approved=found[State.APPROVED], unknown=found[State.UNKNOWN],
            more=len(found[State.PENDING]) == PAGE_SIZE,
        )  # fmt: skip

    async def _request(self, request: HttpRequest, who: Identity) -> Response:
        one = await self._desk.one(request.path_params["id"])
        return self._show(who, one, done=DONE.get(request.query_params.get("done", ""), ""))

    def _show(
        self,
        who: Identity,
        one: Request,
        *,
        done: str = "",
        problem: Problem | None = None,
        typed: Mapping[str, Any] = UNTYPED,
    ) -> Response:
        response = page(
            "request.html", problem.status if problem else 200, who=who, here="", events="approval",
            one=pages.shown(one, time.time()), obstacle=self._desk.obstacle(who, one),
            mine=self._desk.concerns(who, one), words=pages.tolerance_words,
            object_words=object_words, done=done,
            problem=problem.message if problem else "", typed=typed, max_reason=MAX_REASON,
        )  # fmt: skip
        if problem:
            response.headers.update(problem.headers)
        return response

    async def _history(self, request: HttpRequest, who: Identity) -> Response:
        filters = {name: request.query_params.get(name, "").strip() for name in FILTERS}
        now = time.time()
        try:
            query = Query(
                states=(State(filters["state"]),) if filters["state"] else (),
                agent=filters["agent"], database=filters["database"], role=filters["role"], rule=filters["rule"],
                before=float(request.query_params["before"]) if "before" in request.query_params else None,
                limit=PAGE_SIZE,
            )  # fmt: skip
        except ValueError:
            raise Problem(400, "There is no such filter.") from None
        found = await self._desk.listing(query)
        older = ""
        if len(found) == PAGE_SIZE:
            older = urlencode({name: value for name, value in filters.items() if value} | {
                "before": repr(found[-1].created_at)
            })  # fmt: skip
        return page(
            "history.html", who=who, here="/history", now=now, filters=filters, filtered=any(filters.values()),
            states=[(str(state), label) for state, (_, label) in pages.STATES.items()], older=older,
            requests=[pages.shown(one, now) for one in found],
        )  # fmt: skip

    async def _decisions(self, _request: HttpRequest, who: Identity) -> Response:
        try:
            recent = await asyncio.to_thread(decisions.recent, self._state.audit_folder)
        except AuditError as error:
            raise Problem(503, f"The audit record can't be read: {error}") from error
        return page("decisions.html", who=who, here="/decisions", events="decision", decisions=recent)

    async def _sessions(self, _request: HttpRequest, who: Identity) -> Response:
        found = self._state.sessions()
        hidden = max(len(found) - MAX_SESSIONS, 0)
        return page("sessions.html", who=who, here="/sessions", sessions=found, hidden=hidden)

    async def _rules(self, _request: HttpRequest, who: Identity) -> Response:
        return page("rules.html", who=who, here="/rules", rules=rules_view.shown(self._state.rules))

    async def _undo(self, request: HttpRequest, who: Identity) -> Response:
        return await self._show_undo(who, request.path_params["id"])

    async def _show_undo(self, who: Identity, request_id: str, problem: Problem | None = None) -> Response:
        one, sql, tables = await self._desk.undo_plan(request_id)
        return page(
            "undo.html", problem.status if problem else 200, who=who, here="", sql=sql, tables=tables,
            one=pages.shown(one, time.time()), problem=problem.message if problem else "",
        )  # fmt: skip

    # -- forms ------------------------------------------------------------------------------------------------

    async def _decide(self, request: HttpRequest, who: Identity, fields: Mapping[str, str]) -> Response:
        request_id = request.path_params["id"]
        try:
            if _chosen(fields, "decision", "approve", "deny"):
                one = await self._desk.approve(who, request_id, _approval(fields))
                done = "vote" if one.state is State.PENDING else "approved"
            else:
                body = _valid(DenyBody, reason=fields.get("reason", ""), seen=fields.get("seen"))
                await self._desk.deny(who, request_id, body)
                done = "denied"
        except Problem as problem:
            return await self._again(who, request_id, fields, problem)
        return _to(request_id, done)

    async def _settle(self, request: HttpRequest, who: Identity, fields: Mapping[str, str]) -> Response:
        request_id = request.path_params["id"]
        try:
            ran = _chosen(fields, "ran", "yes", "no")
            body = _valid(SettleBody, ran=ran, reason=fields.get("reason", ""))
            await self._desk.settle(who, request_id, body)
        except Problem as problem:
            return await self._again(who, request_id, fields, problem)
        return _to(request_id, "settled")

    async def _preview(self, request: HttpRequest, who: Identity, fields: Mapping[str, str]) -> Response:
        request_id = request.path_params["id"]
        try:
            await self._desk.renew_preview(who, request_id)
        except Problem as problem:
            return await self._again(who, request_id, fields, problem)
        return _to(request_id, "preview")

    async def _apply_undo(self, request: HttpRequest, who: Identity, _fields: Mapping[str, str]) -> Response:
        request_id = request.path_params["id"]
        try:
            await self._desk.apply_undo(who, request_id)
        except Problem as problem:
            return await self._show_undo(who, request_id, problem)
        return _to(request_id, "undone")

    async def _again(
        self, who: Identity, request_id: str, fields: Mapping[str, str], problem: Problem
    ) -> Response:
        """The request's page, with what is wrong and what was typed."""
        if problem.status in (404, 503):
            raise problem
        typed = {
            "reason": fields.get("reason", "")[:MAX_REASON],
            "envelope": fields.get("envelope", "default"),
            "percent": fields.get("percent", "10"),
            "accept_undo": "accept_undo" in fields,
        }
        return self._show(who, await self._desk.one(request_id), problem=problem, typed=typed)


def _chosen(fields: Mapping[str, str], name: str, yes: str, no: str) -> bool:
    """Which of two buttons was pressed. Raises Problem where it was neither."""
    if fields.get(name) not in (yes, no):
        raise Problem(400, "Press one of the two buttons.")
    return fields[name] == yes


def _approval(fields: Mapping[str, str]) -> ApproveBody:
    """What the form says of an approval."""
    choice = fields.get("envelope", "default")
    tolerance = None
    if choice == "within":
        try:
            tolerance = float(fields.get("percent", "").replace(",", ".")) / 100
        except ValueError:
            raise Problem(400, "Say how many per cent more or less the rows may be.") from None
    return _valid(
        ApproveBody,
        reason=fields.get("reason", ""),
        envelope="lifted" if choice == "lifted" else "default",
        tolerance=tolerance,
        accept_undo=fields.get("accept_undo") == "yes",
        seen=fields.get("seen", ""),
    )


def _valid(model: type[_B], **values: Any) -> _B:
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "The form"
        words = first["msg"].removeprefix("Value error, ")
        raise Problem(400, f"{field.capitalize()} {words[:1].lower()}{words[1:]}.") from None


async def _fields(request: HttpRequest) -> dict[str, str]:
    """A form's fields. Raises Problem for anything but a small, plain form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "This is no form.")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, strict_parsing=True,
            errors="strict", max_num_fields=MAX_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise Problem(400, "This form is not well made.") from None
    if len(dict(pairs)) != len(pairs):
        raise Problem(400, "A field was given twice.")
    return dict(pairs)


def _set_cookie(response: Response, gate: Gatekeeper, headers: Headers, session: WebSession) -> None:
    credential = gate.credential(session.approver)
    if credential is None:  # the rules were reloaded at this very moment
        return
    name = gate.cookie_name(headers)
    sealed = gate.sessions.seal(session, credential)
    response.set_cookie(
        name, sealed, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="strict"
    )


def _to_login(request: HttpRequest) -> Response:
    """Where somebody goes who is not signed in, or only seems so."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        # They followed a link from elsewhere (a chat, a mail), and a strict cookie does not come along with that:
        # once more from here, and it does.
        return page("opening.html", path=_local(path))
    return RedirectResponse(f"/login?next={quote(path, safe='')}", 303)


def _to(request_id: str, done: str) -> Response:
    return RedirectResponse(f"/approvals/{quote(request_id, safe='')}?done={done}", 303)


def _local(path: str) -> str:
    """`path` where it is one of this console's pages, else the first one."""
    known = ("/approvals", "/history", "/decisions", "/sessions", "/rules")
    fits = any(path == one or path.startswith((f"{one}/", f"{one}?")) for one in known)
    return path if fits and path.isascii() and path.isprintable() else "/approvals"
