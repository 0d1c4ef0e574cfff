"""The container files keep the promises of docs/deployment.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dbfirewall.policy.loader import load_rules

DOCKER = Path(__file__).parents[1] / "docker"


@pytest.fixture(scope="module")
def compose() -> Any:
    """compose.yaml as values."""
    return YAML(typ="safe").load((DOCKER / "compose.yaml").read_text())


def test_the_agent_reaches_nothing_but_the_firewall(compose: Any) -> None:
    """Its only network is internal, and of the other services only the firewall is on it."""
    assert compose["services"]["agent"]["networks"] == ["agents"]
    assert compose["networks"]["agents"]["internal"] is True
    others = {name for name, service in compose["services"].items() if "agents" in service["networks"]}
    assert others == {"agent", "firewall"}


def test_the_admin_listener_is_on_the_inner_network_alone(compose: Any) -> None:
    """It listens on the firewall's address in `inner`, which Prometheus scrapes."""
    firewall = compose["services"]["firewall"]
    address = firewall["networks"]["inner"]["ipv4_address"]
    assert firewall["environment"]["DBFIREWALL_ADMIN"] == f"{address}:8432"
    assert f'"{address}:8432"' in (DOCKER / "prometheus.yml").read_text()


def test_the_example_rules_load_and_their_login_exists(compose: Any) -> None:
    """The rules that compose mounts are valid, and init.sql makes the login that they name."""
    rules = load_rules(DOCKER / "rules")
    login = rules.databases["shop"].logins["analyst"]
    assert re.search(rf"CREATE ROLE {login.user} LOGIN", (DOCKER / "init.sql").read_text())
    assert login.password is not None
    assert login.password.env in compose["services"]["firewall"]["environment"]


def test_the_image_does_not_run_as_root() -> None:
    """A numeric user other than 0, in the last stage."""
    last_stage = (DOCKER / "Dockerfile").read_text().rpartition("FROM ")[2]
    user = re.search(r"^USER (\d+):\d+$", last_stage, re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
