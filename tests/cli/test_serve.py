"""`dbfirewall serve`: what it does before the proxy takes over, and the exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import uvloop
from click.testing import CliRunner, Result

from dbfirewall.cli.serve import raise_file_limit, serve
from dbfirewall.errors import AuditError, ConfigError
from dbfirewall.settings import Settings

Serve = Callable[..., Result]
ServeAdmin = Callable[..., Awaitable[None]]

RULES = """\
version: 1
roles:
  analyst:
    access: read-only
    rules:
      - allow: select
        on: public.orders
"""


class Proxy:
    """Stands in for the proxy: notes what it is given, and ends as a test wants."""

    def __init__(self) -> None:
        self.called: list[tuple[Settings, Path]] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.listened: tuple[str, int] | None = None
        self.admin: ServeAdmin | None = None
        self.end: int | Exception = 0

    async def serve(
        self, settings: Settings, rules_path: Path, listener: socket.socket, admin: ServeAdmin
    ) -> int:
        self.called.append((settings, rules_path))
        self.loop = asyncio.get_running_loop()
        self.listened = listener.getsockname()
        self.admin = admin
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """The proxy that `serve` finds."""
    proxy = Proxy()
    module = ModuleType("dbfirewall.proxy.server")
    module.serve = proxy.serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dbfirewall.proxy.server", module)
    return proxy


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Serve]:
    """Run `serve` with rules that are right, unless a test says other ones."""
    (tmp_path / "rules.yaml").write_text(RULES)
    root = logging.getLogger()
    handlers, level, mask = root.handlers[:], root.level, os.umask(0o022)

    def invoke(*arguments: str, **environ: str) -> Result:
        rules = [] if "--rules" in arguments else ["--rules", str(tmp_path / "rules.yaml")]
        free = {"DBFIREWALL_LISTEN": "127.0.0.1:0", "DBFIREWALL_ADMIN": "127.0.0.1:0"}
        environ = {"DBFIREWALL_STATE": str(tmp_path), **free, **environ}
        return CliRunner().invoke(serve, [*rules, *arguments], env=environ)

    yield invoke
    root.handlers[:] = handlers
    root.setLevel(level)
    os.umask(mask)


def test_flags_reach_the_proxy(run: Serve, proxy: Proxy, tmp_path: Path) -> None:
    """Every flag is a setting, and wins over its variable."""
    result = run(
        "--listen", "0.0.0.0:0", "--admin", "localhost:0", "--state", str(tmp_path / "s"), "--tls", "off",
        "--log-level", "error", "--log-format", "json", DBFIREWALL_LISTEN="127.0.0.1:0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    [(settings, rules)] = proxy.called
    assert rules == tmp_path / "rules.yaml"
    assert (str(settings.listen), str(settings.admin)) == ("0.0.0.0:0", "localhost:0")
    assert proxy.listened is not None
    assert proxy.listened[0] == "0.0.0.0"
    assert (settings.state, settings.tls) == (tmp_path / "s", "off")
    assert (settings.log.level, settings.log.format) == ("error", "json")


def test_it_runs_on_uvloop(run: Serve, proxy: Proxy) -> None:
    """The proxy's loop is uvloop's."""
    run()
    assert isinstance(proxy.loop, uvloop.Loop)


def test_files_made_while_serving_are_private(run: Serve, proxy: Proxy, tmp_path: Path) -> None:
    """Whatever is made from then on is readable for its owner alone."""
    run()
    (tmp_path / "made").touch()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_the_proxy_s_status_is_the_exit_status(run: Serve, proxy: Proxy) -> None:
    """What the proxy returns is what the process exits with."""
    proxy.end = 3
    assert run().exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "nowhere"], "--listen: 'nowhere' is not an address"),
        (["--log-level", "loud"], "--log-level: 'loud' is not one of"),
        (["--listen", "0.0.0.0:6432"], "listening on 0.0.0.0:6432 without TLS"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
        (["--rules", "/nowhere.yaml"], "/nowhere.yaml: no such file or folder"),
        (["--tls", "on"], "Invalid value for '--tls'"),
        (["--port", "1"], "No such option"),
    ],
)
def test_mistakes_exit_with_2(run: Serve, proxy: Proxy, arguments: list[str], said: str) -> None:
    """Wrong settings are told, and the proxy is never asked."""
    result = run(*arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert proxy.called == []


def test_a_port_in_use_exits_with_2(run: Serve, proxy: Proxy) -> None:
    """An address that can't be had is told, and the proxy is never asked."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--listen", "--admin"):
            result = run(option, address)
            assert (result.exit_code, result.output) == (
                2,
                f"cannot listen on {address}: Address already in use\n",
            )
    assert proxy.called == []


def test_wrong_rules_exit_with_2(run: Serve, proxy: Proxy, tmp_path: Path) -> None:
    """Wrong rules are told with file, line and column, and the proxy is never asked."""
    (tmp_path / "rules.yaml").write_text(RULES.replace("access", "acess"))
    result = run()
    assert result.exit_code == 2
    assert f"{tmp_path / 'rules.yaml'}:4:5: unknown key 'acess'" in result.output
    assert proxy.called == []


def test_rules_are_demanded(run: Serve, proxy: Proxy) -> None:
    """Without rules there is no firewall."""
    result = CliRunner().invoke(serve, [])
    assert result.exit_code == 2
    assert "--rules" in result.output


@pytest.mark.parametrize(
    ("error", "status"), [(ConfigError("cannot listen"), 2), (AuditError("another firewall writes"), 1)]
)
def test_failures_of_the_start_are_told(run: Serve, proxy: Proxy, error: Exception, status: int) -> None:
    """What the proxy can't do is one line and an exit status, no traceback."""
    proxy.end = error
    result = run()
    assert result.exit_code == status
    assert str(error) in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("address", "url", "warned"),
    [("0.0.0.0:0", "", True), ("0.0.0.0:0", "http://fw.example", True), ("0.0.0.0:0", "https://fw.example", False),
     ("127.0.0.1:0", "", False)],
)  # fmt: skip
def test_tokens_in_plain_text_are_warned_of(
    run: Serve, proxy: Proxy, address: str, url: str, warned: bool
) -> None:
    """An admin listener that others reach, without https in front of it, is warned of at start."""
    result = run("--admin", address, DBFIREWALL_APPROVALS_PUBLIC_URL=url)
    assert ("speak plain HTTP" in result.output) is warned


def test_the_process_may_open_as_many_files_as_its_connections_need(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The soft limit is raised as far as needed; where the hard one is too low, somebody is told."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))
    for limits in ((256, 100_000), (50_000, 100_000), (256, 1000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, limits=limits: limits)
        raise_file_limit(Settings())
    assert asked == [(2600, 100_000), (1000, 1000)]
    assert len(caplog.messages) == 1
    assert "1000 connections need 2600" in caplog.messages[0]
