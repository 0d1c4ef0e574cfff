"""The admin listener, over a real socket, on an event loop of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.metrics import Metrics
from dbfirewall.web.app import SECURITY_HEADERS, create_app
from dbfirewall.web.server import MAX_HEADER_BYTES, bind, serve_admin


@dataclass
class State:
    """A firewall that is as well as a test wants it."""

    metrics: Metrics = field(default_factory=Metrics)
    sick: list[str] = field(default_factory=list)
    unready: list[str] = field(default_factory=list)

    def metrics_text(self) -> bytes:
        return self.metrics.render()

    def health(self) -> list[str]:
        return self.sick

    def readiness(self) -> list[str]:
        return self.unready


class Admin:
    """A running admin listener."""

    def __init__(self) -> None:
        self.state = State()
        self.socket = bind("127.0.0.1", 0)
        self.socket.listen()  # so that a test that is quicker than the loop waits instead of failing
        self.port: int = self.socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._shutdown = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(serve_admin(create_app(self.state), self.socket, self._shutdown))
        self._loop.close()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._shutdown.set)
        self._thread.join()


@pytest.fixture(scope="module")
def running() -> Iterator[Admin]:
    """One listener for all tests of the module."""
    admin = Admin()
    yield admin
    admin.stop()


@pytest.fixture
def admin(running: Admin) -> Admin:
    """The listener, with a healthy state."""
    running.state.sick, running.state.unready = [], []
    return running


def test_metrics(admin: Admin) -> None:
    """/metrics answers Prometheus' text format."""
    admin.state.metrics.audit_failures.inc()
    status, headers, body = admin.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert b"dbfirewall_audit_failures_total 1.0\n" in body


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_well(admin: Admin, path: str) -> None:
    """A firewall without problems answers 200."""
    status, _, body = admin.get(path)
    assert (status, json.loads(body)) == (200, {"status": "ok"})


def test_unwell(admin: Admin) -> None:
    """A problem of the process answers 503 with the reason, on /healthz alone."""
    admin.state.sick = ["the disk is full"]
    status, _, body = admin.get("/healthz")
    assert (status, json.loads(body)) == (503, {"status": "failing", "problems": ["the disk is full"]})
    assert admin.get("/readyz")[0] == 200


def test_not_ready(admin: Admin) -> None:
    """A reason not to send agents answers 503 on /readyz alone."""
    admin.state.unready = ["shop: no catalog yet", "no rules"]
    status, _, body = admin.get("/readyz")
    assert (status, json.loads(body)["problems"]) == (503, ["shop: no catalog yet", "no rules"])
    assert admin.get("/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/", "/nothing", "/metrics/../etc"])
def test_security_headers(admin: Admin, path: str) -> None:
    """Every answer has all security headers, and none says what serves it."""
    _, headers, _ = admin.get(path)
    assert {name: headers.get(name.lower()) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/index.html", "/docs", "/openapi.json", "/metrics/x", "/static/x"])
def test_nothing_else_is_there(admin: Admin, path: str) -> None:
    """Other paths are 404."""
    assert admin.get(path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading(admin: Admin, method: str) -> None:
    """Other methods than GET and HEAD are 405."""
    assert admin.get("/metrics", method)[0] == 405


def test_a_broken_state_is_not_ok(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception while health is asked for answers 500 without its text."""

    def fail() -> list[str]:
        raise RuntimeError("secret")

    monkeypatch.setattr(admin.state, "health", fail)
    status, _, body = admin.get("/healthz")
    assert status == 500
    assert b"secret" not in body


def test_an_endless_head_is_refused(admin: Admin) -> None:
    """A request head over the limit is not waited for."""
    with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * MAX_HEADER_BYTES))
        assert stranger.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("garbage", [b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x16\x03\x01", b"hello\r\n\r\n"])
def test_garbage_is_refused(admin: Admin, garbage: bytes) -> None:
    """What is no HTTP gets an error, and the listener goes on."""
    with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as stranger:
        stranger.sendall(garbage + b"\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400")
    assert admin.get("/healthz")[0] == 200


def test_signals_stay_with_the_process() -> None:
    """Serving changes no signal handler, and shutdown ends it and frees the port."""

    async def serve() -> list[object]:
        sock = bind("127.0.0.1", 0)
        shutdown = asyncio.Event()
        loop = asyncio.get_running_loop()
        during: list[object] = []

        def look() -> None:
            during.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
            shutdown.set()

        loop.call_later(0.05, look)
        await serve_admin(create_app(State()), sock, shutdown)
        assert sock.fileno() == -1
        return during

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with asyncio.Runner() as runner:
        # The runner itself handles SIGINT while it runs.
        during = runner.run(serve())
    assert during[1] == before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_address_in_use_is_a_config_error() -> None:
    """A port that somebody else listens on is told before anything is served."""
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours(host: str) -> None:
    """An address that this machine does not have is a ConfigError."""
    with pytest.raises(ConfigError, match="cannot listen on"):
        bind(host, 0)
