"""What one part of the rules says of another: roles, databases, logins and verifiers that must exist."""

from __future__ import annotations

from collections.abc import Iterator

from dbfirewall.policy.certificate import CertificateName, parse_certificate
from dbfirewall.policy.fields import nearest
from dbfirewall.policy.models import Agent, Rules
from dbfirewall.policy.verifier import parse_verifier

Location = tuple[str | int, ...]


def wrong_references(rules: Rules) -> Iterator[tuple[str, Location]]:
    """Each mistake, in words, with its location."""
    for name, agent in rules.agents.items():
        yield from _agent(rules, name, agent)
    yield from _certificates(rules)
    for name, approver in rules.approvers.items():
        if not approver.token.startswith("sha256:"):
            yield (
                "a token is never written into the rules, only `sha256:` and its digest",
                ("approvers", name, "token"),
            )
    for database, settings in rules.databases.items():
        for role in settings.logins:
            if role not in rules.roles:
                yield (
                    f"no role {role!r} is defined{nearest(role, rules.roles)}",
                    ("databases", database, "logins", role),
                )


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
