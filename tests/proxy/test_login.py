"""An agent proves who it is; who can't, learns nothing by trying."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbfirewall.errors import ConfigError
from dbfirewall.policy.models import Agent, Rules
from dbfirewall.proxy.login import MOCK_SECRET_BYTES, MOCK_SECRET_FILE, Doorkeeper
from dbfirewall.wire.authentication import SASLInitialResponse, encode_sasl_initial_response
from tests.proxy.certificates import make_certificate
from tests.proxy.running import verifier

RULES = Rules(version=1, agents={"bot": Agent(role="r", database=("d",), password=verifier())})


def doorkeeper(state: Path, certificate: Path | None = None) -> Doorkeeper:
    keeper = Doorkeeper(state, certificate)
    keeper.load(RULES)
    return keeper


def challenge(keeper: Doorkeeper, agent: str) -> tuple[str, ...]:
    """The salt and the iterations that `agent` is shown."""
    exchange = keeper.exchange(agent, None, encrypted=False)
    exchange.begin()
    first = SASLInitialResponse("SCRAM-SHA-256", b"n,,n=,r=abcdefghijklmnopqrst")
    answer = exchange.receive(encode_sasl_initial_response(first)[5:])
    return tuple(answer[9:].decode().split(",")[1:])


def test_an_unknown_agents_challenge_never_changes(tmp_path: Path) -> None:
    """Not from try to try, and not over a restart: one that did would tell that there is no such agent."""
    before = doorkeeper(tmp_path)
    first = challenge(before, "nobody")
    assert first == challenge(before, "nobody") == challenge(doorkeeper(tmp_path), "nobody")
    assert first != challenge(before, "somebody")
    assert challenge(before, "bot") == challenge(doorkeeper(tmp_path), "bot")
    assert first[1] == challenge(before, "bot")[1]


def test_the_secret_behind_it_is_nobody_elses(tmp_path: Path) -> None:
    """Each state folder has its own, which only its owner may read."""
    doorkeeper(tmp_path)
    file = tmp_path / MOCK_SECRET_FILE
    assert (file.stat().st_mode & 0o777, file.stat().st_size) == (0o600, MOCK_SECRET_BYTES)
    (tmp_path / "other").mkdir()
    assert challenge(doorkeeper(tmp_path / "other"), "nobody") != challenge(doorkeeper(tmp_path), "nobody")


def test_a_secret_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    """A crash while it was written must not leave one that can be guessed."""
    (tmp_path / MOCK_SECRET_FILE).write_bytes(b"short")
    doorkeeper(tmp_path)
    assert (tmp_path / MOCK_SECRET_FILE).stat().st_size == MOCK_SECRET_BYTES


def test_a_secret_that_is_somewhere_else_is_refused(tmp_path: Path) -> None:
    """A link could make us overwrite another file."""
    (tmp_path / MOCK_SECRET_FILE).symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="cannot use"):
        doorkeeper(tmp_path)
    assert not (tmp_path / "target").exists()


def test_channel_binding_is_offered_over_tls_alone(tmp_path: Path) -> None:
    """With the certificate that agents are shown: the first in the file."""
    certificate = make_certificate(tmp_path)
    keeper = doorkeeper(tmp_path, certificate.cert)
    assert b"SCRAM-SHA-256-PLUS" in keeper.exchange("bot", None, encrypted=True).begin()
    assert b"SCRAM-SHA-256-PLUS" not in keeper.exchange("bot", None, encrypted=False).begin()
    assert keeper.exchange("nobody", None, encrypted=True).begin() == keeper.exchange(
        "bot", None, encrypted=True
    ).begin()  # fmt: skip
