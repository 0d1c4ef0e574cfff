"""Who and what is around the roles: approvers, databases with their logins, and channels for notifications."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from dbfirewall.policy.base import Model
from dbfirewall.policy.fields import Texts, rules_error


class Approver(Model):
    """One person who may approve. `token`: `sha256:` and the hex digest of the token. `slack`: their member id."""

    groups: Texts = ()
    slack: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{1,30}$")] | None = None
    token: Annotated[str, Field(repr=False)]


class SecretSource(Model):
    """Where a secret is read from at start: an environment variable, a file, or a command's output."""

    env: str | None = None
    file: str | None = None
    command: Texts | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(source is not None for source in (self.env, self.file, self.command)) != 1:
            raise rules_error("a secret comes from exactly one of env, file and command")
        return self


def _no_literal(value: object) -> object:
    if isinstance(value, str | int | float):
        raise rules_error(
            "a secret is never written into the rules, where version control and logs would keep it: "
            "use {env: NAME}, {file: PATH} or {command: [...]}"
        )
    return value


Secret = Annotated[SecretSource | None, BeforeValidator(_no_literal)]


class Login(Model):
    """The firewall's own login for one role. `password` None: the server asks for none."""

    user: str
    password: Secret = None


class Database(Model):
    """One database behind the firewall. `dsn`: `postgresql://host:port/name?sslmode=…`, no user, no password.

    `logins`: by role.
    """

    dsn: str
    logins: dict[str, Login] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _dsn_is_a_place(self) -> Self:
        if not self.dsn.startswith(("postgresql://", "postgres://")):
            raise rules_error("a dsn is written postgresql://host:port/database", key="dsn")
        try:
            parts = urlsplit(self.dsn)
        except ValueError:  # its words may quote a password that stands where none should
            raise rules_error("the dsn is malformed", key="dsn") from None
        if "@" in self.dsn or "password=" in parts.query:
            raise rules_error("a dsn holds no user and no password: they stand under `logins`", key="dsn")
        return self


class Notify(Model):
    """Where notifications about requests for approval go: a webhook, or a Slack channel.

    `secret`: a webhook's signing key, or the signing secret of the Slack app (for buttons). `groups`: only requests
    that these may decide; all where empty. `redact`: `literals` where no data may leave.
    """

    webhook: Secret = None
    slack: Secret = None
    secret: Secret = None
    groups: Texts = ()
    redact: Literal["nothing", "literals"] = "nothing"

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.webhook is None) == (self.slack is None):
            raise rules_error("notifications go to a `webhook` or to `slack`: name exactly one")
        if self.webhook is not None and self.secret is None:
            raise rules_error("a webhook is signed: name its `secret`", key="webhook")
        return self
