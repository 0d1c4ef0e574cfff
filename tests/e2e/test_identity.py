"""Who an agent is: passwords, certificates, both; what failures tell, and how they slow down whoever guesses."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, rules
from tests.support.ca import Authority, Pair
from tests.support.firewall import Firewall
from tests.support.raw import RawClient, message, startup
from tests.support.scram import verifier

pytestmark = pytest.mark.postgres

AGENTS = """
  by-name: {role: reader, database: e2e, certificate: "CN=by-name"}
  by-print: {role: reader, database: e2e, certificate: "sha256:%(print)s"}
  by-both: {role: reader, database: e2e, certificate: "CN=by-both", password: "%(both)s"}
databases:
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the firewall trusts."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def printed(authority: Authority) -> Pair:
    """The certificate of the agent that is known by its fingerprint."""
    return authority.issue("whatever-it-says")


@pytest.fixture(scope="module")
def door(world: World, firewall: StartFirewall, authority: Authority, printed: Pair) -> Firewall:
    """A firewall with TLS that knows agents by certificates too."""
    server = authority.issue("server")
    agents = AGENTS % {"print": printed.fingerprint, "both": verifier("by-both-agent")}
    environment = {
        "E2E_PASSWORD": LOGIN_PASSWORD,
        "DBFIREWALL_TLS_CERT": str(server.cert),
        "DBFIREWALL_TLS_KEY": str(server.key),
        "DBFIREWALL_TLS_CLIENT_CA": str(authority.cert),
        "DBFIREWALL_LIMITS_HANDSHAKE_TIMEOUT": "3s",
    }
    return firewall(rules(world.postgres).replace("\ndatabases:\n", agents, 1), environment=environment)


def connect(door: Firewall, agent: str, password: str = "", **options: str) -> str:
    """What a query says through a new connection. Raises psycopg.OperationalError."""
    parameters = {"sslmode": "require", **options}
    with psycopg.connect(
        make_conninfo(
            host=door.host, port=door.port, user=agent, dbname=DATABASE, password=password, **parameters
        )
    ) as connection:
        row = connection.execute("SELECT current_user::text").fetchone()
        assert row is not None
        return str(row[0])


def refusal(door: Firewall, agent: str, password: str = "", **options: str) -> str:
    """The error of a connection that fails, the agent's name left out."""
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(door, agent, password, **options)
    return str(caught.value).replace(agent, "X").partition("FATAL: ")[2].strip()


WRONG = 'password authentication failed for user "X"'


def test_a_certificate_is_enough_where_the_rules_ask_for_no_password(
    door: Firewall, authority: Authority, printed: Pair
) -> None:
    """By common name or by fingerprint, without any password, by SSLRequest and by direct TLS."""
    named = authority.issue("by-name")
    assert connect(door, "by-name", **named.options) == "e2e_reader"
    assert connect(door, "by-name", sslnegotiation="direct", **named.options) == "e2e_reader"
    assert connect(door, "by-print", **printed.options) == "e2e_reader"


def test_a_renewed_certificate_counts_by_its_name_and_not_by_its_fingerprint(
    door: Firewall, authority: Authority
) -> None:
    """A common name outlives its certificate, a fingerprint does not."""
    assert connect(door, "by-name", **authority.issue("renewed", ("by-name",)).options) == "e2e_reader"
    assert refusal(door, "by-print", "x", **authority.issue("again", ("whatever-it-says",)).options) == WRONG


def test_certificate_and_password_are_both_needed(door: Firewall, authority: Authority) -> None:
    """Either alone is a wrong password; both together let in, bound to the channel too."""
    both = authority.issue("by-both")
    other = authority.issue("by-name")
    assert refusal(door, "by-both", "by-both-agent") == WRONG
    assert refusal(door, "by-both", "by-both-agent", **other.options) == WRONG
    assert (
        connect(door, "by-both", "by-both-agent", channel_binding="require", **both.options) == "e2e_reader"
    )
    assert refusal(door, "by-both", "wrong", **both.options) == WRONG
    assert connect(door, "by-both", "by-both-agent", **both.options) == "e2e_reader"


def test_a_certificate_lets_in_nobody_but_its_agent(door: Firewall, authority: Authority) -> None:
    """The name in the startup packet must be the agent's; whose certificate it is does not matter otherwise."""
    named = authority.issue("by-name")
    assert refusal(door, "by-print", "x", **named.options) == WRONG
    assert refusal(door, "reader", "x", **named.options) == WRONG
    assert connect(door, "reader", "reader-agent", **named.options) == "e2e_reader"


def test_two_common_names_are_none(door: Firewall, authority: Authority) -> None:
    """Whichever of them comes first."""
    for number, names in enumerate([("by-name", "other"), ("other", "by-name")]):
        pair = authority.issue(f"two-{number}", names)
        assert refusal(door, "by-name", "x", **pair.options) == WRONG
    assert connect(door, "by-name", **authority.issue("by-name").options)


@pytest.mark.parametrize("why", ["another authority", "expired"])
def test_a_certificate_that_nobody_vouches_for_ends_the_handshake(
    door: Firewall, authority: Authority, tmp_path: Path, why: str
) -> None:
    """Whoever shows a certificate that does not verify is not even asked for a password."""
    issuer = Authority(tmp_path, "ca") if why == "another authority" else authority
    pair = issuer.issue("by-name", days=1 if why == "another authority" else -1)
    with pytest.raises(psycopg.OperationalError, match=r"(?i)ssl|closed|reset"):
        connect(door, "by-name", **pair.options)


def test_an_agent_with_a_certificate_looks_like_nobody_without_it(door: Firewall) -> None:
    """The same messages in the same order and of the same length, for each kind of agent and for none."""
    names = ("by-name", "by-both", "by-nobody", "by-print", "reader")
    kinds = {name: conversation(door, name) for name in names}
    assert len(set(map(tuple, kinds.values()))) == 1, kinds


def conversation(door: Firewall, agent: str) -> list[tuple[bytes, int]]:
    """Type and length (less the name's own) of all that a failing plaintext login is answered."""
    with RawClient(door.host, door.port) as client:
        client.send(startup({"user": agent, "database": DATABASE}))
        seen = client.until(b"R", b"E")
        first = b"n,,n=,r=abcdefghijklmnopqrst"
        client.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        seen += client.until(b"R", b"E")
        nonce = seen[-1].body[4:].partition(b"r=")[2].partition(b",")[0]
        client.send(message(b"p", b"c=biws,r=" + nonce + b",p=" + b"A" * 43 + b"="))
        seen += client.until(b"E")
        return [(one.type, len(one.body) - one.body.count(agent.encode()) * len(agent)) for one in seen]


def test_rules_with_certificates_need_an_authority(world: World, tmp_path: Path) -> None:
    """Without tls.client_ca the firewall does not start: nothing would check what agents show."""
    agent = '\n  c: {role: reader, database: e2e, certificate: "CN=c"}\ndatabases:\n'
    text = rules(world.postgres).replace("\ndatabases:\n", agent, 1)
    refused = Firewall(text, tmp_path, environment={"E2E_PASSWORD": LOGIN_PASSWORD})
    assert refused.launch().wait(30) == 2
    assert "tls.client_ca" in refused.errors()


# -- guessing -----------------------------------------------------------------------------------------------


def guess(door: Firewall, agent: str, number: int) -> dict[str, str]:
    """What a wrong password is answered."""
    with RawClient(door.host, door.port, seconds=30) as client:
        return client.log_in(agent, f"guess-{number}", database=DATABASE)[-1].fields


def test_guesses_side_by_side_are_slowed_down_as_one_after_the_other(door: Firewall) -> None:
    """Of thirty guesses at once a handful is looked at; the others are told to wait, known agent or not.

    The agent itself, at another address, comes in meanwhile.
    """
    for agent in ("writer", "no-such-agent"):
        with ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(partial(guess, door, agent), range(30)))
        assert {told["C"] for told in answers} == {"28P01"}
        assert len({told["M"] for told in answers}) == 1
        judged = [told for told in answers if "H" not in told]
        assert 3 <= len(judged) <= 8
        assert all("retry in" in told.get("H", "retry in") for told in answers)
    failures = [record for record in door.audit() if record["event"] == "auth_failure"]
    assert {"writer", "no-such-agent"} <= {record["agent"] for record in failures}
    with RawClient(door.host, door.port, source="127.0.0.2") as elsewhere:
        assert elsewhere.log_in("writer", "writer-agent", database=DATABASE)[-1].type == b"Z"
