"""What is set when a session opens, and watched afterwards."""

from __future__ import annotations

from dbfirewall.policy.models import Role
from dbfirewall.proxy.pins import pins, tripwires

REPORTED = {
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "search_path": "public",
    "session_authorization": "app",
    "is_superuser": "off",
}
LEXING = {"client_encoding", "server_encoding", "standard_conforming_strings"}


def role(*allowed: str, **members: object) -> Role:
    rules = [{"allow": list(allowed)}] if allowed else []
    return Role.model_validate({"name": "r", "access": "read-write", "rules": rules, **members})


def test_a_pinned_path_is_set_and_watched() -> None:
    """So is who the session is."""
    assert pins(role(), ("public", "Odd"), 180000)["search_path"] == 'public, "Odd"'
    identity = {"search_path", "session_authorization", "is_superuser"}
    assert tripwires(role("*"), {}, REPORTED).keys() == LEXING | identity


def test_without_a_path_none_is_set_nor_watched() -> None:
    """`search_path: null`: the login's own holds."""
    free = role("*", search_path=None)
    assert "search_path" not in pins(free, None, 180000)
    assert "search_path" not in tripwires(free, {}, REPORTED)


def test_who_may_become_anybody_is_not_watched_for_it() -> None:
    """A function that the role may call does it as well as a statement; how texts are read stays watched."""
    assert tripwires(role("everything", search_path=None), {}, REPORTED).keys() == LEXING
