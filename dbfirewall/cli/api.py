"""The command line's way to a running firewall: its JSON API, with an approver's token (docs/approvals.md)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import httpx

from dbfirewall.errors import DbfirewallError

DEFAULT_URL: Final = "http://127.0.0.1:8432"
PREFIX: Final = "/api/v1"
SECONDS: Final = 30.0
"""How long one answer may take."""


class ApiError(DbfirewallError):
    """The firewall can't be reached, or did not do what was asked.

    `refused`: it understood and refused (the request is not pending any more, or is not this approver's to decide);
    otherwise the address, the token or the usage is wrong.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        self.refused = refused
        super().__init__(message)


class Api:
    """One approver's connection. Raises ApiError for whatever is not an answer."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=url.rstrip("/") + PREFIX,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "dbfirewall"},
            timeout=SECONDS,
            follow_redirects=False,
        )

    @classmethod
    def from_environment(cls, url: str | None) -> Api:
        """`url`, or `DBFIREWALL_URL`, or this machine's firewall; the token is in `DBFIREWALL_TOKEN`."""
        token = os.environ.get("DBFIREWALL_TOKEN", "").strip()
        if not token:
            raise ApiError("set DBFIREWALL_TOKEN to your approver's token (`dbfirewall approver add`)")
        if not token.isascii() or not token.isprintable():
            raise ApiError("DBFIREWALL_TOKEN is no token: it holds characters that no token has")
        try:
            return cls(url or os.environ.get("DBFIREWALL_URL") or DEFAULT_URL, token)
        except httpx.InvalidURL as error:
            raise ApiError(f"that is no address: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON value at `path`."""
        return self._ask("GET", path, params={key: value for key, value in query.items() if value})

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON value that `body`, sent to `path`, is answered with."""
        return self._ask("POST", path, json=body)

    def events(self) -> Iterator[tuple[str, Any]]:
        """Events as they come: (name, JSON value). Ends when the firewall ends the stream."""
        name, data = "", ""
        with self._reaching(), self._client.stream("GET", "/events", timeout=None) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                raise _error(answer)
            for line in answer.iter_lines():
                key, _, value = line.partition(":")
                if not line and data:
                    yield name, json.loads(data)
                if not line:
                    name = data = ""
                elif key == "event":
                    name = value.strip()
                elif key == "data":
                    data += value.strip()

    def _ask(self, method: str, path: str, **rest: Any) -> Any:
        with self._reaching():
            answer = self._client.request(method, path, **rest)
            if answer.is_success:
                return answer.json()
        raise _error(answer)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = str(error) or type(error).__name__
            raise ApiError(f"cannot reach the firewall at {self._client.base_url.host}: {words}") from None
        except ValueError:
            raise ApiError("what answers there is no dbfirewall") from None


def _error(answer: httpx.Response) -> ApiError:
    try:
        message = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the firewall answered {answer.status_code} {answer.reason_phrase}"
    refused = answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.CONFLICT)
    return ApiError(message, refused=refused)
