"""Fixtures for every test: a real Postgres, once a session, and firewalls in front of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# Before anything imports them: their asserts speak for themselves.
pytest.register_assert_rewrite("tests.proxy.notation", "tests.proxy.stage")

from tests.support.firewall import Firewall  # noqa: E402
from tests.support.postgres import Postgres, running_postgres  # noqa: E402

StartFirewall = Callable[..., Firewall]
_started: list[Firewall] = []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test session; see tests/support/postgres.py for which one."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def firewall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartFirewall]:
    """`firewall(rules, **options)` starts one, see tests.support.firewall; all stop after the module."""
    with ExitStack() as running:

        def start(rules: str | Path, **options: Any) -> Firewall:
            new = Firewall(rules, tmp_path_factory.mktemp("firewall"), **options)
            _started.append(new)
            return running.enter_context(new)

        yield start
    _started.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the firewalls of its module had to say."""
    report = yield
    if report.failed:
        report.sections += [(f"firewall on port {one.port}", one.errors()) for one in _started]
    return report
