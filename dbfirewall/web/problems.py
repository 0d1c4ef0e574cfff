"""What can be wrong with a request, as one exception: the API answers it as JSON, the console as a page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from dbfirewall.errors import DbfirewallError

CODES: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_type",
    421: "unknown_host",
    429: "too_many_attempts",
    500: "internal",
    503: "unavailable",
}


class Problem(DbfirewallError):  # noqa: N818  what it is, not that it is one
    """A request that is not done. `message`: a sentence that the caller may read. `retry_after`: in seconds."""

    def __init__(self, status: int, message: str, *, retry_after: int = 0) -> None:
        self.status = status
        self.message = message
        self.retry_after = retry_after
        super().__init__(message)

    @property
    def code(self) -> str:
        """The status in one word, for programs."""
        return CODES.get(self.status, "error")

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to it."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return headers | ({"WWW-Authenticate": 'Bearer realm="dbfirewall"'} if self.status == 401 else {})

    @property
    def title(self) -> str:
        """The status as people call it."""
        return HTTPStatus(self.status).phrase
