"""The framer: phases, limits, and what it holds."""

from __future__ import annotations

import pytest

from dbfirewall.errors import ProtocolError
from dbfirewall.wire import limits
from dbfirewall.wire import messages as m
from dbfirewall.wire.framing import Frame, Framer, Phase

AUTHENTICATION_OK = b"R\x00\x00\x00\x08\x00\x00\x00\x00"
READY = b"Z\x00\x00\x00\x05I"


@pytest.mark.parametrize("length", [0, 1, 3, 10_005, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_a_bad_startup_length_is_refused_at_its_header(length: int) -> None:
    """Less than the length itself, or more than a startup packet may have: refused with the fourth byte."""
    framer = Framer(Phase.STARTUP)
    framer.feed(length.to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="length"):
        framer.next()


@pytest.mark.parametrize("length", [0, 3, 65_536, 0x4000_0000, 0xFFFF_FFFF])
@pytest.mark.parametrize(("phase", "kind"), [(Phase.CLIENT_AUTH, b"p"), (Phase.SERVER_STARTUP, b"R")])
def test_a_bad_length_is_refused_at_its_header(phase: Phase, kind: bytes, length: int) -> None:
    """No body is waited for that is longer than the phase allows."""
    framer = Framer(phase)
    framer.feed(kind + length.to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="length"):
        framer.next()


@pytest.mark.parametrize("kind", sorted(set(range(256)) - {m.PASSWORD, m.TERMINATE}))
def test_a_client_may_only_answer_during_authentication(kind: int) -> None:
    """Every type but `p` and Terminate is refused at its first byte while a client is not authenticated."""
    framer = Framer(Phase.CLIENT_AUTH)
    framer.feed(bytes((kind,)))
    with pytest.raises(ProtocolError, match="type"):
        framer.next()


@pytest.mark.parametrize("kind", sorted(set(range(256)) - set(b"RvENSKZ")))
def test_a_server_may_not_send_results_before_it_is_ready(kind: int) -> None:
    """Every type that does not belong to a server's startup is refused at its first byte."""
    framer = Framer(Phase.SERVER_STARTUP)
    framer.feed(bytes((kind,)))
    with pytest.raises(ProtocolError, match="type"):
        framer.next()


def test_the_largest_startup_packet_passes() -> None:
    """A startup packet of exactly the limit is given out."""
    framer = Framer(Phase.STARTUP)
    framer.feed((limits.STARTUP_PACKET + 4).to_bytes(4, "big") + b"x" * limits.STARTUP_PACKET)
    assert framer.next() == Frame(0, b"x" * limits.STARTUP_PACKET)


def test_an_agent_cannot_fill_the_memory_before_it_is_known() -> None:
    """More than one startup packet's worth of unread bytes is refused and dropped."""
    framer = Framer(Phase.STARTUP)
    framer.feed(b"\x00\x00\x27\x14" + b"x" * 9_000)
    with pytest.raises(ProtocolError, match="too much data"):
        framer.feed(b"x" * 1_001)
    assert framer.buffered == 0


def test_limits_are_parameters() -> None:
    """A caller may set a smaller message and a smaller buffer than the phase's defaults."""
    framer = Framer(Phase.CLIENT_AUTH, limit=8, capacity=20)
    framer.feed(b"p\x00\x00\x00\x0c" + b"x" * 8)
    assert framer.next() == Frame(m.PASSWORD, b"x" * 8)
    framer.feed(b"p\x00\x00\x00\x0d")
    with pytest.raises(ProtocolError, match="length"):
        framer.next()
    with pytest.raises(ProtocolError, match="too much data"):
        framer.feed(b"x" * 16)


def test_a_servers_startup_comes_as_one_chunk() -> None:
    """Several messages fed at once are given out one by one, in order."""
    framer = Framer(Phase.SERVER_STARTUP)
    framer.feed(AUTHENTICATION_OK + READY)
    assert framer.next() == Frame(m.AUTHENTICATION, b"\x00\x00\x00\x00")
    assert framer.next() == Frame(m.READY_FOR_QUERY, b"I")
    assert framer.next() is None


def test_what_follows_is_read_by_the_next_phases_rules() -> None:
    """Bytes that came along with the startup packet belong to the phase that is entered after it."""
    framer = Framer(Phase.STARTUP)
    framer.feed(m.SSL_REQUEST_MESSAGE + b"p\x00\x00\x00\x06x\x00")
    assert framer.next() == Frame(0, m.SSL_REQUEST_MESSAGE[4:])
    framer.enter(Phase.CLIENT_AUTH)
    assert framer.next() == Frame(m.PASSWORD, b"x\x00")


def test_a_client_may_leave_during_authentication() -> None:
    """Terminate is a message like any other while a client is not authenticated."""
    framer = Framer(Phase.CLIENT_AUTH)
    framer.feed(m.TERMINATE_MESSAGE)
    assert framer.next() == Frame(m.TERMINATE, b"")


def test_limits_cover_what_an_authenticated_agent_may_send() -> None:
    """Every frontend type has a limit, except `p`, which nobody may send after authentication."""
    assert set(limits.FRONTEND) == m.FRONTEND_TYPES - {m.PASSWORD}
    assert all(0 < limit <= limits.LARGE_MESSAGE for limit in limits.FRONTEND.values())
