"""Sessions of the console: a signed cookie and nothing else, so that every replica of one store knows them.

The cookie is `<payload>.<signature>`, both base64url. The payload says who, since when and until when, and a random
name of the session; the signature covers it together with the digest of the approver's token in the rules. So a
session ends when its approver or token leaves the rules, after `lifetime`, after `idle` without a request, and (on
the replica that was asked) when its holder signs out. Groups are never in it: they are looked up at each request.
"""

from __future__ import annotations

import binascii
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

SKEW: Final = 300.0
"""Seconds that another replica's clock may be ahead."""
RENEW_AFTER: Final = 60.0
"""Seconds after which a request gets a cookie with a new time in it."""
MAX_COOKIE: Final = 2048
"""Security limit: characters of a session cookie."""
MAX_SIGNED_OUT: Final = 10_000
"""Security limit: sessions remembered as signed out before their time."""


@dataclass(frozen=True, slots=True)
class WebSession:
    """One session. Times are Unix seconds; `name` is random."""

    approver: str
    name: str
    begun: float
    seen: float


class Sessions:
    """Issues and reads cookies. `secret`: shared by all replicas. `clock`: Unix seconds."""

    def __init__(self, secret: bytes, *, idle: float, lifetime: float, clock: Callable[[], float]) -> None:
        self._cookie_key = hmac.digest(secret, b"dbfirewall console cookie", "sha256")
        self._form_key = hmac.digest(secret, b"dbfirewall console form", "sha256")
        self._idle = idle
        self._lifetime = lifetime
        self._clock = clock
        self._signed_out: OrderedDict[str, None] = OrderedDict()

    def begin(self, approver: str) -> WebSession:
        """A new session of `approver`."""
        now = self._clock()
        return WebSession(approver, secrets.token_urlsafe(18), now, now)

    def renew(self, session: WebSession) -> WebSession | None:
        """`session` as seen now, where it is time to say so."""
        now = self._clock()
        return replace(session, seen=now) if abs(now - session.seen) > RENEW_AFTER else None

    def seal(self, session: WebSession, credential: str) -> str:
        """The cookie. `credential`: what the rules hold as the approver's token."""
        members = [session.approver, session.name, session.begun, session.seen]
        payload = urlsafe_b64encode(json.dumps(members).encode())
        return f"{payload.decode()}.{self._sign(payload, credential)}"

    def open(self, cookie: str, credential_of: Callable[[str], str | None]) -> WebSession | None:
        """The session of a cookie, None where it is forged or over.

        `credential_of`: what the rules hold as an approver's token; None for who is no approver.
        """
        if len(cookie) > MAX_COOKIE or not cookie.isascii():
            return None
        payload, _, signature = cookie.partition(".")
        session = _read(payload)
        if session is None:
            return None
        credential = credential_of(session.approver)
        if credential is None:
            return None
        if not hmac.compare_digest(self._sign(payload.encode(), credential), signature):
            return None
        now = self._clock()
        alive = (
            max(session.begun, session.seen) <= now + SKEW
            and now - session.begun < self._lifetime
            and now - session.seen < self._idle
            and session.name not in self._signed_out
        )
        return session if alive else None

    def end(self, session: WebSession) -> None:
        """Its holder signed out: here the cookie is worth nothing any more."""
        self._signed_out[session.name] = None
        if len(self._signed_out) > MAX_SIGNED_OUT:
            self._signed_out.popitem(last=False)

    def form_token(self, name: str) -> str:
        """What forms of the session `name` carry, so that no other site can send them."""
        return _text(hmac.digest(self._form_key, name.encode(), "sha256"))

    def _sign(self, payload: bytes, credential: str) -> str:
        return _text(hmac.digest(self._cookie_key, payload + b"\0" + credential.encode(), "sha256"))


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _read(payload: str) -> WebSession | None:
    """What a payload says; nothing of it is to be believed before its signature was looked at."""
    try:
        approver, name, begun, seen = json.loads(urlsafe_b64decode(payload))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        return None
    if not (isinstance(approver, str) and isinstance(name, str)):
        return None
    if not (isinstance(begun, int | float) and isinstance(seen, int | float)):
        return None
    return WebSession(approver, name, float(begun), float(seen))
