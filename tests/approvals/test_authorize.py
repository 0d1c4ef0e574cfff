"""Who may decide: tokens, groups, and that an agent never does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.approvals import authorize
from dbfirewall.approvals.authorize import Person, authenticate, narrower, refusal, satisfied
from dbfirewall.approvals.model import Envelope, Options, Request, State, Terms, Vote
from dbfirewall.policy.models import Rules
from dbfirewall.policy.verifier import make_verifier
from tests.approvals.places import ASKED, NOW


def digest(token: str) -> str:
    """As the rules hold it."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def rules(
    approvers: Mapping[str, tuple[str, tuple[str, ...]]], agents: Mapping[str, str | None] | None = None
) -> Rules:
    """Rules with approvers (name → token, groups) and agents (name → password; None: a certificate)."""
    return Rules.model_validate(
        {
            "version": 1,
            "approvers": {
                n: {"token": digest(token), "groups": groups} for n, (token, groups) in approvers.items()
            },
            "agents": {
                name: {"role": "r", "database": ("d",)}
                | ({"certificate": "CN=x"} if password is None else {"password": make_verifier(password)})
                for name, password in (agents or {}).items()
            },
        }
    )


ALICE = {"alice": ("t0ken", ("dba",))}


def test_a_token_names_its_approver() -> None:
    """And their groups; a digest may be written in capitals."""
    two = rules({**ALICE, "bob": ("other", ())})
    assert authenticate(two, "t0ken") == Person("alice", ("dba",))
    assert authenticate(two, "other") == Person("bob", ())
    capitals = two.approvers["alice"].model_copy(update={"token": "sha256:" + digest("t0ken")[7:].upper()})
    assert authenticate(two.model_copy(update={"approvers": {"alice": capitals}}), "t0ken") is not None


@pytest.mark.parametrize(
    "token",
    ["", "T0ken", "t0ken ", "t0ke", digest("t0ken"), digest("t0ken")[7:], "t0ken\0", "\udcff", "x" * 2000],
)
def test_nothing_else_does(token: str) -> None:
    """Not its digest, not a part of it; nor what is no text, or too long to be looked at."""
    assert authenticate(rules(ALICE), token) is None
    assert authenticate(rules({}), token) is None


@given(st.text(max_size=2000))
def test_no_other_text_is_a_token(token: str) -> None:
    """Whatever is sent, it is answered."""
    assert authenticate(rules(ALICE), token) is None or token == "t0ken"


@pytest.mark.parametrize("password", ["t0ken", "pass wörd\N{NO-BREAK SPACE}x"])
def test_an_agent_s_password_is_no_token(password: str) -> None:
    """Not even where the rules give an approver the same secret; asked again, the answer is the same."""
    mine = {"alice": (password, ("dba",))}
    assert authenticate(rules(mine, {"cleaner": "else"}), password) == Person("alice", ("dba",))
    for _ in range(2):
        assert authenticate(rules(mine, {"other": "else", "cleaner": password}), password) is None
    assert authenticate(rules(mine, {"other": "else"}), password) is not None


def test_an_agent_s_name_is_no_approver_s() -> None:
    """Whatever the agent logs in with."""
    for password in ("else", None):
        assert authenticate(rules(ALICE, {"alice": password}), "t0ken") is None
        assert authenticate(rules(ALICE, {"bob": password}), "t0ken") is not None


def test_one_token_is_one_person() -> None:
    """Where two names have it, it is always the first one's: nobody is two people."""
    twice = rules({"alice": ("t0ken", ("dba",)), "alice2": ("t0ken", ("dba",))})
    assert authenticate(twice, "t0ken") == Person("alice", ("dba",))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And holds no token."""
    monkeypatch.setattr(authorize, "MAX_ANSWERS", 3)
    authorize._answers.clear()
    for n in range(10):
        authenticate(rules({"alice": (f"t{n}", ())}), f"t{n}")
    assert len(authorize._answers) <= 3
    assert not any("t9" in repr(key) for key in authorize._answers)


def requested(terms: tuple[Terms, ...]) -> Request:
    """A pending request with these terms."""
    return Request("apr_1", State.PENDING, ASKED, terms, Options(), NOW, NOW + 60.0, NOW)


@pytest.mark.parametrize(
    ("terms", "groups", "may"),
    [
        ((Terms("a", ("dba",)),), ("dba",), True),
        ((Terms("a", ("dba",)),), ("dev",), False),
        ((Terms("a", ("dba",)),), (), False),
        ((Terms("a", ("dba", "sec")),), ("x", "sec"), True),
        ((Terms("a"),), (), True),
        ((Terms("a", ("dba",)), Terms("b", ("sec",))), ("sec",), True),
        ((), ("dba",), False),
    ],
)
def test_who_may_decide(terms: tuple[Terms, ...], groups: tuple[str, ...], may: bool) -> None:
    """Somebody of a group that one of the gates names; the agent itself never."""
    assert (refusal(requested(terms), Person("alice", groups)) == "") is may
    assert "who asks does not decide" in refusal(requested(terms), Person(ASKED.agent, groups))


def vote(approver: str, *groups: str, approve: bool = True) -> Vote:
    """A vote of somebody of these groups."""
    return Vote(approver, approve, NOW, groups=groups)


A, B, C = vote("a", "dba"), vote("b", "dba"), vote("c", "sec")


@pytest.mark.parametrize(
    ("terms", "votes", "enough"),
    [
        ((Terms("x", ("dba",)),), (A,), True),
        ((Terms("x", ("dba",)),), (C,), False),
        ((Terms("x", ("dba",)),), (), False),
        ((Terms("x", ("dba",), 2),), (A,), False),
        ((Terms("x", ("dba",), 2),), (A, A), False),
        ((Terms("x", ("dba",), 2),), (A, vote("a", "dba", "other")), False),
        ((Terms("x", ("dba",), 2),), (A, B), True),
        ((Terms("x", ("dba",), 2),), (A, C), False),
        ((Terms("x", (), 2),), (A, C), True),
        ((Terms("x", ("dba",)), Terms("y", ("sec",))), (A, B), False),
        ((Terms("x", ("dba",)), Terms("y", ("sec",))), (A, C), True),
        ((Terms("x", ("dba",)), Terms("y", ("sec",))), (vote("d", "dba", "sec"),), True),
        ((Terms("x", ("dba",), 0),), (), False),
        ((), (A,), False),
        ((Terms("x", ("dba",)),), (A, vote("b", "dba", approve=False)), False),
        ((Terms("x", ("dba",)),), (vote("agent", "dba"),), False),
    ],
)
def test_when_it_is_decided(terms: tuple[Terms, ...], votes: tuple[Vote, ...], enough: bool) -> None:
    """Each gate's number of different people of its groups, in whatever order; one denial denies."""
    for order in permutations(votes):
        assert satisfied(terms, order, "agent") is enough


envelopes = st.one_of(st.none(), st.builds(Envelope, st.just((3, None)), st.floats(0, 10)))


@given(envelopes, envelopes, st.tuples(st.integers(0, 50), st.none() | st.integers(0, 9)))
def test_the_narrower_envelope_keeps_both(one: Any, other: Any, actual: Any) -> None:
    """What it lets through, both would."""
    kept = narrower(one, other)
    if kept is None:
        assert one is other is None
    elif kept.holds(actual):
        assert all(envelope is None or envelope.holds(actual) for envelope in (one, other))


def test_envelopes_around_other_counts_have_no_narrower_one() -> None:
    """People who approved other numbers of rows did not approve the same thing."""
    with pytest.raises(ValueError, match="different numbers"):
        narrower(Envelope((3,)), Envelope((4,), 10.0))
