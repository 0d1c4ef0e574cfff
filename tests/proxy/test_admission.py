"""An agent's way in, with the peer played by the test: encryption, versions, startup parameters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbfirewall.errors import ProtocolError
from dbfirewall.policy.models import Agent, Role
from dbfirewall.proxy.admission import (
    Request,
    Turned,
    check_database,
    read_request,
    startup_framer,
    startup_parameters,
)
from dbfirewall.proxy.peer import Peer
from dbfirewall.wire import messages as m
from dbfirewall.wire.startup import (
    CancelRequest,
    NegotiateProtocolVersion,
    StartupMessage,
    encode_cancel_request,
    encode_negotiate_protocol_version,
    encode_startup_message,
)
from tests.policy.build import role
from tests.proxy.stage import FakeTransport

TURNS = 20
"""Turns of the loop that a reader gets before the next chunk arrives: no clock, so no luck."""

SETTER = role({"allow": "set"})


def startup(version: int = m.PROTOCOL_3_0, /, **parameters: str) -> bytes:
    return encode_startup_message(StartupMessage(version, {"user": "bot", **parameters}))


def admit(*chunks: bytes) -> tuple[Request | CancelRequest, bytes]:
    """What `read_request` made of these chunks, and what it sent."""
    transport = FakeTransport("agent")

    async def arrive(peer: Peer) -> None:
        for chunk in chunks:
            peer.data_received(chunk)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        peer.connection_lost(None)

    async def run() -> Request | CancelRequest:
        peer = Peer()
        peer.connection_made(transport)
        arriving = asyncio.get_running_loop().create_task(arrive(peer))
        try:
            return await read_request(peer, startup_framer(), None)
        finally:
            arriving.cancel()

    return asyncio.run(run()), bytes(transport.sent)


def request(**parameters: str) -> Request:
    found, _ = admit(startup(**parameters))
    assert isinstance(found, Request)
    return found


def asked(role: Role = SETTER, **parameters: str) -> dict[str, str]:
    return startup_parameters(request(**parameters), role)


# -- encryption and versions ----------------------------------------------------------------------------------


def test_a_startup_packet_is_read_whole_or_byte_by_byte() -> None:
    """User, database and the other parameters come out, however the packet was cut."""
    packet = startup(database="shop", application_name="test")
    for chunks in ([packet], [packet[i : i + 1] for i in range(len(packet))]):
        found, sent = admit(*chunks)
        assert isinstance(found, Request)
        assert (found.user, found.database, found.parameters) == ("bot", "shop", {"application_name": "test"})
        assert (found.version, found.negotiate, found.encrypted, sent) == (m.PROTOCOL_3_0, b"", False, b"")


def test_without_tls_both_requests_for_encryption_are_answered_with_no() -> None:
    """GSSENCRequest, then SSLRequest: libpq asks both and then goes on in plaintext."""
    found, sent = admit(m.GSSENC_REQUEST_MESSAGE, m.SSL_REQUEST_MESSAGE, startup())
    assert isinstance(found, Request)
    assert sent == b"NN"


@pytest.mark.parametrize("asked_for", [m.SSL_REQUEST_MESSAGE, m.GSSENC_REQUEST_MESSAGE])
def test_encryption_is_asked_for_once(asked_for: bytes) -> None:
    """The second SSLRequest or GSSENCRequest ends the connection: no endless ping-pong."""
    with pytest.raises(ProtocolError, match="twice"):
        admit(asked_for, asked_for, startup())


def test_a_peer_that_leaves_in_the_middle_is_a_lost_connection() -> None:
    """Half a packet and then nothing: ConnectionResetError, as for any lost peer."""
    with pytest.raises(ConnectionResetError):
        admit(startup()[:7])


def test_a_cancel_request_is_handed_on() -> None:
    """It takes the place of a startup packet, also after a request for encryption."""
    cancel = CancelRequest(7, b"0123")
    assert admit(m.SSL_REQUEST_MESSAGE, encode_cancel_request(cancel))[0] == cancel


@pytest.mark.parametrize(
    ("sent", "spoken", "told"),
    [
        (m.PROTOCOL_3_0, m.PROTOCOL_3_0, None),
        (m.PROTOCOL_3_0 + 1, m.PROTOCOL_3_0, m.PROTOCOL_3_0),
        (m.PROTOCOL_3_2, m.PROTOCOL_3_2, None),
        (m.PROTOCOL_3_2 + 1, m.PROTOCOL_3_2, m.PROTOCOL_3_2),
        (m.PROTOCOL_3_0 + 9999, m.PROTOCOL_3_2, m.PROTOCOL_3_2),
    ],
)
def test_a_version_that_we_do_not_speak_is_negotiated_down(sent: int, spoken: int, told: int | None) -> None:
    """3.0 and 3.2 as they are, anything else of 3.x to the next lower one, and the client is told."""
    found, _ = admit(startup(sent))
    assert isinstance(found, Request)
    answer = b"" if told is None else encode_negotiate_protocol_version(NegotiateProtocolVersion(told))
    assert (found.version, found.negotiate) == (spoken, answer)


def test_protocol_extensions_are_negotiated_away() -> None:
    """`_pq_.…` parameters are named as not supported, and go no further."""
    found = request(**{"_pq_.wished": "on"})
    wanted = NegotiateProtocolVersion(m.PROTOCOL_3_0, ("_pq_.wished",))
    assert found.negotiate == encode_negotiate_protocol_version(wanted)
    assert found.parameters == {}


def test_a_packet_without_a_user_is_turned_away() -> None:
    """28000, as Postgres says."""
    packet = encode_startup_message(StartupMessage(m.PROTOCOL_3_0, {"database": "shop"}))
    with pytest.raises(Turned) as turned:
        admit(packet)
    assert turned.value.sqlstate == "28000"


@pytest.mark.parametrize("value", ["true", "database", "on", "1", "YES"])
def test_replication_is_turned_away(value: str) -> None:
    """A replication connection speaks another language: 0A000."""
    with pytest.raises(Turned) as turned:
        request(replication=value)
    assert (turned.value.sqlstate, turned.value.reason) == ("0A000", "replication")


@pytest.mark.parametrize("value", ["false", "off", "no", "0", ""])
def test_no_replication_is_no_replication(value: str) -> None:
    """Clients that say so explicitly get in, and the parameter goes no further."""
    assert request(replication=value).parameters == {}


# -- parameters -----------------------------------------------------------------------------------------------


def test_parameters_are_judged_like_set() -> None:
    """What SET may change may be given at startup, by name or in `options`; the name is folded."""
    found = asked(
        role(), TimeZone="UTC", options=r" -c extra_float_digits=3 --DateStyle=ISO,\ DMY -cgeqo=off"
    )
    assert found == {"timezone": "UTC", "extra_float_digits": "3", "datestyle": "ISO, DMY", "geqo": "off"}


def test_the_application_name_needs_no_rule() -> None:
    """It says who is asking, and is never judged."""
    assert asked(role({"deny": "set"}), application_name="x") == {"application_name": "x"}


def test_a_parameter_that_set_may_not_change_is_turned_away() -> None:
    """42501 with the rule's refusal, machine-readable detail included."""
    with pytest.raises(Turned) as turned:
        asked(role(), search_path="secret")
    assert turned.value.sqlstate == "42501"
    assert '"decision": "deny"' in turned.value.detail


@pytest.mark.parametrize("options", ["-c", "-c x", "--", "-B 100", "-c a=b c", "-c 1=2", "nonsense"])
def test_options_that_are_not_understood_are_turned_away(options: str) -> None:
    """Only `-c name=value` and `--name=value` pass, and nothing beside them."""
    with pytest.raises(Turned) as turned:
        asked(options=options)
    assert turned.value.reason == "options"


@pytest.mark.parametrize("name", ["user", "database", "replication", "options", "_pq_.x"])
@pytest.mark.parametrize("way", ["as a parameter", "-c {}=postgres", "--{}=postgres"])
def test_no_parameter_chooses_the_login(name: str, way: str) -> None:
    """What only a startup packet may say is no parameter, even for a role that may SET everything.

    Otherwise `USER` or `-c user=…` would take the place of the firewall's own login.
    """
    given: dict[str, Any] = (
        {name.upper(): "postgres"} if way == "as a parameter" else {"options": way.format(name)}
    )
    with pytest.raises(Turned) as turned:
        asked(**given)
    assert turned.value.reason == "options"


@pytest.mark.parametrize("database", [None, "", "shop"])
def test_the_agents_own_database_is_let_in(database: str | None) -> None:
    """Named, or not named at all: then it is the agent's first."""
    agent = Agent(role="r", database=("shop", "test"), password="x")
    parameters = {} if database is None else {"database": database}
    assert check_database(request(**parameters), agent) == "shop"


def test_an_agent_may_have_several_databases() -> None:
    """Each that the rules name is let in by its name; the hint of a refusal lists them."""
    agent = Agent(role="r", database=("shop", "test"), password="x")
    assert check_database(request(database="test"), agent) == "test"
    with pytest.raises(Turned) as turned:
        check_database(request(database="other"), agent)
    assert turned.value.hint == "This agent's databases are shop, test."


def test_another_database_is_turned_away() -> None:
    """3D000, and the hint says which one is this agent's."""
    with pytest.raises(Turned) as turned:
        check_database(request(database="other"), Agent(role="r", database=("shop",), password="x"))
    assert turned.value.sqlstate == "3D000"
    assert "shop" in turned.value.hint
