"""Who gives way when there is no room for a newcomer."""

from __future__ import annotations

from dbfirewall.proxy.waiting import WaitingRoom


class One:
    """A connection that only notes that it was told to go."""

    def __init__(self) -> None:
        self.gone = False

    def give_way(self) -> None:
        self.gone = True


def test_an_empty_room_has_nobody_to_send_away() -> None:
    """Then all places are taken by sessions."""
    assert WaitingRoom().longest() is None


def test_the_oldest_of_the_fullest_address_gives_way() -> None:
    """An address with many places loses its oldest one, however old others' are."""
    room, old, crowd = WaitingRoom(), One(), [One() for _ in range(3)]
    room.enter(old, "192.0.2.1")
    for one in crowd:
        room.enter(one, "192.0.2.2")
    assert room.longest() is crowd[0]
    assert room.leave(crowd[0], "192.0.2.2")
    assert not room.leave(crowd[0], "192.0.2.2")
    assert room.longest() is crowd[1]
    for one in crowd[1:]:
        room.leave(one, "192.0.2.2")
    assert room.longest() is old


def test_addresses_that_one_may_have_many_of_count_as_one() -> None:
    """An IPv6 /64 is one; an IPv4 address is itself, mapped into IPv6 or not; a Unix socket is one."""
    room, first, second, other = WaitingRoom(), One(), One(), One()
    room.enter(other, "2001:db8:0:1::1")
    room.enter(first, "2001:db8::1")
    room.enter(second, "2001:db8::ffff:2")
    assert room.longest() is first
    assert room.leave(first, "2001:db8::1")
    assert room.leave(second, "2001:db8::ffff:2")
    assert room.leave(other, "2001:db8:0:1::1")
    mapped, plain, local = One(), One(), One()
    room.enter(local, "local")
    room.enter(mapped, "::ffff:192.0.2.1")
    room.enter(plain, "192.0.2.1")
    assert room.longest() is mapped
