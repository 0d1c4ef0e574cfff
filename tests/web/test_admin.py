"""The admin listener, over a real socket, on an event loop of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette

from dbfirewall.errors import ConfigError
from dbfirewall.web.server import MAX_HEADER_BYTES, bind, serve_admin
from dbfirewall.web.shield import SECURITY_HEADERS
from tests.web.stage import Stage


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One listener for all tests of the module."""
    stage = Stage(tmp_path_factory.mktemp("admin"))
    yield stage
    stage.stop()


@pytest.fixture
def admin(running: Stage) -> Stage:
    """The listener, with a healthy state."""
    running.sick, running.unready = [], []
    return running


def test_metrics(admin: Stage) -> None:
    """/metrics answers Prometheus' text format."""
    admin.metrics.audit_failures.inc()
    answer = admin.ask("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b"dbfirewall_audit_failures_total 1.0\n" in answer.body


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
@pytest.mark.parametrize("host", [b"", b"Host: dbfirewall.monitoring.svc:8432\r\n"])
def test_probes(admin: Stage, path: str, host: bytes) -> None:
    """Probes that speak HTTP/1.0, or call the listener by some name of theirs, are answered."""
    with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as probe:
        probe.sendall(f"GET {path} HTTP/1.0\r\n".encode() + host + b"\r\n")
        assert b" 200 OK" in probe.recv(100)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_well(admin: Stage, path: str) -> None:
    """A firewall without problems answers 200."""
    answer = admin.ask(path)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_unwell(admin: Stage) -> None:
    """A problem of the process answers 503 with the reason, on /healthz alone."""
    admin.sick = ["the disk is full"]
    answer = admin.ask("/healthz")
    assert (answer.status, answer.json) == (503, {"status": "failing", "problems": ["the disk is full"]})
    assert admin.ask("/readyz").status == 200


def test_not_ready(admin: Stage) -> None:
    """A reason not to send agents answers 503 on /readyz alone."""
    admin.unready = ["shop: no catalog yet", "no rules"]
    answer = admin.ask("/readyz")
    assert (answer.status, answer.json["problems"]) == (503, ["shop: no catalog yet", "no rules"])
    assert admin.ask("/healthz").status == 200


@pytest.mark.parametrize(
    "path", ["/metrics", "/healthz", "/readyz", "/", "/login", "/nothing", "/metrics/../etc", "/api/v1/me"]
)
def test_security_headers(admin: Stage, path: str) -> None:
    """Every answer has all security headers, and none says what serves it."""
    headers = admin.ask(path).headers
    assert {name: headers.get(name.lower()) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/docs", "/openapi.json", "/api/v1", "/metrics/x", "/static/x", "/static/../app.py"],
)
def test_nothing_else_is_there(admin: Stage, path: str) -> None:
    """Other paths are 404."""
    assert admin.ask(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading(admin: Stage, method: str) -> None:
    """Other methods than GET and HEAD are 405."""
    assert admin.ask("/metrics", method).status == 405


def test_a_broken_state_is_not_ok(admin: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception while health is asked for answers 500 without its text."""

    def fail() -> list[str]:
        raise RuntimeError("secret")

    monkeypatch.setattr(admin, "health", fail)
    answer = admin.ask("/healthz")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert answer.headers["x-frame-options"] == "DENY"


def test_an_endless_head_is_refused(admin: Stage) -> None:
    """A request head over the limit is not waited for."""
    with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * MAX_HEADER_BYTES))
        assert stranger.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("garbage", [b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x16\x03\x01", b"hello\r\n\r\n"])
def test_garbage_is_refused(admin: Stage, garbage: bytes) -> None:
    """What is no HTTP gets an error, and the listener goes on."""
    with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as stranger:
        stranger.sendall(garbage + b"\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400")
    assert admin.ask("/healthz").status == 200


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
        await serve_admin(Starlette(), sock, shutdown)
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
