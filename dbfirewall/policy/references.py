"""What one part of the rules says of another: roles, databases, logins and verifiers that must exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dbfirewall.policy.certificate import CertificateName, parse_certificate
from dbfirewall.policy.fields import nearest
from dbfirewall.policy.models import Agent, Rules
from dbfirewall.policy.verifier import parse_verifier

_DIGEST: Final = re.compile(r"sha256:[0-9a-fA-F]{64}")

Location = tuple[str | int, ...]


def wrong_references(rules: Rules) -> Iterator[tuple[str, Location]]:
    """Each mistake, in words, with its location."""
    for name, agent in rules.agents.items():
        yield from _agent(rules, name, agent)
    yield from _certificates(rules)
    yield from _tokens(rules)
    for database, settings in rules.databases.items():
        for role in settings.logins:
            if role not in rules.roles:
                yield (
                    f"no role {role!r} is defined{nearest(role, rules.roles)}",
                    ("databases", database, "logins", role),
                )


def _tokens(rules: Rules) -> Iterator[tuple[str, Location]]:
    """Digests of tokens, each of one person: two names for one token would be two people to whoever has it."""
    holders: dict[str, str] = {}
    for name, approver in rules.approvers.items():
        at = ("approvers", name, "token")
        if not approver.token.startswith("sha256:"):
            yield "a token is never written into the rules, only `sha256:` and its digest", at
        elif not _DIGEST.fullmatch(approver.token):
            yield "after `sha256:` there are the 64 hexadecimal digits of a token's digest", at
        elif (holder := holders.setdefault(approver.token.lower(), name)) != name:
            yield f"this is also the token of {holder!r}: each approver has their own", at


def _agent(rules: Rules, name: str, agent: Agent) -> Iterator[tuple[str, Location]]:
    at = ("agents", name)
    if agent.role not in rules.roles:
        yield f"no role {agent.role!r} is defined{nearest(agent.role, rules.roles)}", (*at, "role")
    for name in agent.database:
        database = rules.databases.get(name)
        if database is None:
            words = nearest(name, rules.databases)
            yield f"no database {name!r} is defined{words}", (*at, "database")
        elif agent.role in rules.roles and agent.role not in database.logins:
            where = f"databases.{name}.logins"
            yield f"no login for role {agent.role!r}: add one under {where}", (*at, "database")
    if agent.password is not None:
        try:
            parse_verifier(agent.password)
        except ValueError as error:
            yield f"{error} (`dbfirewall agent add` makes one)", (*at, "password")


def _certificates(rules: Rules) -> Iterator[tuple[str, Location]]:
    """A certificate is one agent's: who shows it is that agent and no other."""
    owners: dict[CertificateName, str] = {}
    for name, agent in rules.agents.items():
        if agent.certificate is None:
            continue
        at = ("agents", name, "certificate")
        try:
            owner = owners.setdefault(parse_certificate(agent.certificate), name)
        except ValueError as error:
            yield str(error), at
            continue
        if owner != name:
            yield f"this is the certificate of agent {owner!r} already", at
