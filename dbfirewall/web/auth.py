"""Who asks: by bearer token, by the console's session, or by the word of an authenticating reverse proxy.

Rules of this file:

- An approver is who the rules in force *now* name; groups are taken from there at each request.
- An agent's credential, or an approver with an agent's name, is nobody's: who asks must never approve
  (dbfirewall.approvals.authorize).
- The proxy's header counts only from the networks in the settings; anybody else who sends it is refused, even
  with a token.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from dbfirewall.approvals.authorize import authenticate, holder
from dbfirewall.policy.models import Rules
from dbfirewall.web.guard import Guard
from dbfirewall.web.options import WebOptions
from dbfirewall.web.problems import Problem
from dbfirewall.web.sessions import Sessions, WebSession

PLAIN_COOKIE: Final = "dbfirewall_session"
SECURE_COOKIE: Final = "__Host-dbfirewall_session"
Way = Literal["token", "session", "proxy"]


@dataclass(frozen=True, slots=True)
class Identity:
    """An approver who asks. `address`: where from. `form_token`: what their forms must carry."""

    approver: str
    groups: frozenset[str]
    way: Way
    address: str
    form_token: str = ""
    session: WebSession | None = None

    @property
    def origin(self) -> str:
        """Address and channel, for the audit."""
        return f"{self.address} {'api' if self.way == 'token' else 'console'}"


class Gatekeeper:
    """Finds out who asks. `rules`: those in force. `refused`: records (address, what happened)."""

    def __init__(
        self,
        rules: Callable[[], Rules],
        sessions: Sessions,
        options: WebOptions,
        guard: Guard,
        refused: Callable[[str, str], None],
    ) -> None:
        self._rules = rules
        self.sessions = sessions
        self._options = options
        self._guard = guard
        self._refused = refused

    def address(self, connection: HTTPConnection) -> str:
        """Where a request comes from; a reverse proxy of ours is believed when it says for whom it speaks."""
        address = connection.client.host if connection.client else ""
        if self._options.trusts(address):
            for hop in reversed(",".join(connection.headers.getlist("x-forwarded-for")).split(",")):
                try:
                    address = str(ip_address(hop.strip()))
                except ValueError:
                    break
                if not self._options.trusts(address):
                    break
        return address

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Who asks; None where nobody says so. Raises Problem for a claim that does not hold."""
        proxied = self._by_proxy(connection)
        authorization = connection.headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise Problem(401, "Only bearer tokens are known here.")
            return self._named(await self.check_token(connection, token.strip()), "token", connection)
        return proxied or self._by_cookie(connection)

    async def check_token(self, connection: HTTPConnection, token: str) -> str:
        """The approver whose token it is. Raises Problem 401, and 429 where too many were tried."""
        address = self.address(connection)
        if (wait := self._guard.wait(address)) > 0.0:
            self._refused(address, "too many attempts at a token")
            seconds = math.ceil(wait)
            raise Problem(429, f"Too many attempts. Wait {seconds} s.", retry_after=seconds)
        # What is nobody's is counted before anybody else gets to run, so that guesses side by side wait, too.
        person = holder(self._rules(), token)
        if person is not None:
            person = await asyncio.to_thread(authenticate, self._rules(), token)
        if person is None:
            self._guard.failed(address)
            self._refused(address, "a token that is no approver's")
            raise Problem(401, "This token is no approver's.")
        self._guard.succeeded(address)
        return person.name

    def witness(self, connection: HTTPConnection, who: Identity) -> Callable[[], bool]:
        """Whether `who` would still be let in, for as long as a stream to them lasts."""
        credential = self.credential(who.approver)

        def holds() -> bool:
            if credential is None or self.credential(who.approver) != credential:
                return False
            return who.way != "session" or self._by_cookie(connection) is not None

        return holds

    def credential(self, approver: str) -> str | None:
        """What the rules hold as the token of `approver`."""
        rules = self._rules()
        found = None if approver in rules.agents else rules.approvers.get(approver)
        return None if found is None else found.token

    def cookie_name(self, headers: Headers) -> str:
        """The session cookie's name: `__Host-` binds it to this host and to https, where there is https."""
        return SECURE_COOKIE if self._options.scheme(headers.get("host", "")) == "https" else PLAIN_COOKIE

    def _by_cookie(self, connection: HTTPConnection) -> Identity | None:
        cookie = connection.cookies.get(self.cookie_name(connection.headers))
        session = self.sessions.open(cookie, self.credential) if cookie else None
        if session is None:
            return None
        return self._named(session.approver, "session", connection, session)

    def _by_proxy(self, connection: HTTPConnection) -> Identity | None:
        """Whom the proxy names; refused where somebody else names anybody."""
        header = self._options.auth_header
        values = connection.headers.getlist(header) if header else []
        if not values:
            return None
        peer = connection.client.host if connection.client else ""
        if not self._options.trusts(peer):
            self._refused(peer, f"the header {header} from elsewhere than the trusted proxies")
            raise Problem(403, f"The header {header} is taken from the authenticating proxy only.")
        name = values[0].strip()
        if len(values) != 1 or self.credential(name) is None:
            self._refused(self.address(connection), f"the proxy names {name[:100]!r}, who is no approver")
            raise Problem(403, "Whom the authenticating proxy names is no approver in the rules.")
        return self._named(name, "proxy", connection)

    def _named(
        self, name: str, way: Way, connection: HTTPConnection, session: WebSession | None = None
    ) -> Identity:
        approver = self._rules().approvers.get(name)
        if approver is None:  # the rules were reloaded at this very moment
            raise Problem(401, "This token is no approver's.")
        form_token = ""
        if way != "token":
            form_token = self.sessions.form_token(session.name if session else f"proxy {name}")
        return Identity(name, frozenset(approver.groups), way, self.address(connection), form_token, session)
