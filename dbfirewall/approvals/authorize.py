"""Who may decide a request, and when it has been decided. Pure.

- An approver proves who they are by a token, of which the rules hold the SHA-256 (`authenticate`).
- Who asks never approves: no agent's name and no agent's password is an approver's, whatever the rules say.
- Each of a request's terms (one for each gate that held the statement) wants a number of different people of its
  groups. One person counts once in each; one denial denies.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dbfirewall.approvals.model import Envelope, Request, Terms, Vote
from dbfirewall.policy.models import Rules
from dbfirewall.policy.verifier import Verifier, parse_verifier, prepare_password

TOKEN_MARK: Final = "sha256:"  # noqa: S105  not a secret

MAX_TOKEN: Final = 1024
"""Security limit: characters of a token that is looked at at all."""

MAX_ANSWERS: Final = 256
"""How many (agents, token) pairs are remembered, so that PBKDF2 is not computed at every request."""

_answers: dict[tuple[tuple[str, ...], bytes], bool] = {}


@dataclass(frozen=True, slots=True)
class Person:
    """An approver who has proven who they are."""

    name: str
    groups: tuple[str, ...]


def authenticate(rules: Rules, token: str) -> Person | None:
    """The approver whose token this is, or None. The time it takes says nothing about which tokens there are.

    None also for an agent's credential: an approver who bears an agent's name, or a token that is an agent's
    password. The latter costs a PBKDF2 for each agent, once for each token and rules: not for the event loop where
    there are many agents. Where two approvers have one token, it is the first one's only.
    """
    found = holder(rules, token)
    if found is None or found.name in rules.agents or _is_an_agents(rules, token):
        return None
    return found


def holder(rules: Rules, token: str) -> Person | None:
    """As `authenticate`, but for what costs time: an agent's password passes. Fit for the event loop."""
    if not token or len(token) > MAX_TOKEN:
        return None
    try:
        raw = token.encode()
    except UnicodeEncodeError:
        return None
    digest = hashlib.sha256(raw).hexdigest().encode()
    found: Person | None = None
    for name, approver in rules.approvers.items():
        wanted = approver.token.removeprefix(TOKEN_MARK).lower().encode("utf-8", "replace")
        if hmac.compare_digest(wanted, digest) and found is None:
            found = Person(name, approver.groups)
    return found


def _is_an_agents(rules: Rules, token: str) -> bool:
    verifiers = tuple(agent.password for agent in rules.agents.values() if agent.password is not None)
    key = (verifiers, hashlib.sha256(token.encode()).digest())
    answer = _answers.get(key)
    if answer is None:
        answer = any(_opens(parse_verifier(text), token) for text in verifiers)
        if len(_answers) >= MAX_ANSWERS:
            _answers.clear()  # another thread may do so at any moment: nothing is read from it again
        _answers[key] = answer
    return answer


def _opens(verifier: Verifier, token: str) -> bool:
    """Whether `token` is the password of this SCRAM verifier (RFC 5802: StoredKey)."""
    salted = hashlib.pbkdf2_hmac("sha256", prepare_password(token), verifier.salt, verifier.iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key)


def refusal(request: Request, person: Person) -> str:
    """Why this person may not decide this request; empty where they may."""
    if person.name == request.snapshot.agent:
        return f"{person.name} asked for it, and who asks does not decide"
    if any(_fits(terms, person.groups) for terms in request.terms):
        return ""
    wanted = sorted({group for terms in request.terms for group in terms.groups})
    return f"only {' or '.join(wanted) or 'nobody'} may decide this, and {person.name} is not one of them"


def satisfied(terms: Sequence[Terms], votes: Sequence[Vote], agent: str = "") -> bool:
    """Whether nobody denied, and each of `terms` has as many different approvers of its groups as it wants.

    No terms at all are never satisfied; `agent`'s own vote, should there ever be one, does not count.
    """
    if not terms or any(not vote.approve for vote in votes):
        return False
    return all(
        len({vote.approver for vote in votes if vote.approver != agent and _fits(one, vote.groups)})
        >= max(1, one.count)
        for one in terms
    )


def narrower(one: Envelope | None, other: Envelope | None) -> Envelope | None:
    """The envelope that keeps both; None (lifted) gives way. ValueError where they are around other counts."""
    if one is None or other is None:
        return one or other
    if one.rows != other.rows:
        raise ValueError("the envelopes are around different numbers of rows")
    return one if one.tolerance <= other.tolerance else other


def _fits(terms: Terms, groups: Sequence[str]) -> bool:
    return not terms.groups or not set(terms.groups).isdisjoint(groups)
