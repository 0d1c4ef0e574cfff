"""A web server on this machine that keeps what is posted to it, and answers as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """`url`: where it listens. `answers`: statuses of the next posts (then 200). `hang`: posts wait for `release`."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    hang: bool = False
    release: threading.Event = field(default_factory=threading.Event)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """One post: kept, and then answered."""
        with self.arrived:
            self.posts.append((headers, body))
            status = self.answers.pop(0) if self.answers else 200
            self.arrived.notify_all()
        if self.hang:
            self.release.wait(30)
        return status

    def wait(self, count: int, seconds: float = 20.0) -> list[Any]:
        """The JSON bodies of the posts, once there are `count` of them."""
        with self.arrived:
            came = self.arrived.wait_for(lambda: len(self.posts) >= count, seconds)
            assert came, f"{len(self.posts)} posts came, {count} were waited for"
            return [json.loads(body) for _, body in self.posts]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that runs."""
    one = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status = one.take({key.lower(): value for key, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield one
    finally:
        one.release.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
