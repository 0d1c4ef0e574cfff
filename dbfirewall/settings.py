"""How a firewall process is run: addresses, TLS, limits, audit. What agents may do is in the rules, not here.

Each key comes from the first of these that has it: a flag, the environment (`audit.max_bytes` is
`DBFIREWALL_AUDIT_MAX_BYTES`), the `--config` file, the default. Reference: docs/settings.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dbfirewall.errors import ConfigError
from dbfirewall.policy.base import Model
from dbfirewall.policy.fields import nearest
from dbfirewall.policy.keys import Location, unknown_keys
from dbfirewall.policy.loader import Document, parse_document, read_file
from dbfirewall.policy.units import parse_duration
from dbfirewall.web_names import parse_header, parse_hosts, parse_networks

ENVIRONMENT_PREFIX: Final = "DBFIREWALL_"

_SIZE: Final = re.compile(r"([0-9]{1,12})(KiB|MiB|GiB)?")
_UNITS: Final = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})d")
_ADDRESS: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0: any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> Address:
    """The address that `127.0.0.1:6432` or `[::1]:6432` names. ValueError for anything else."""
    if isinstance(value, Address):
        return value
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[3]) > 65535:
        msg = f"{value!r} is not an address: write HOST:PORT, such as 127.0.0.1:6432 or [::1]:6432"
        raise ValueError(msg)
    return Address(match[1] or match[2], int(match[3]))


def parse_size(value: object) -> int:
    """Bytes of `65536`, `256KiB`, `64MiB` or `1GiB`. ValueError for anything else, zero included."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    size = int(match[1]) * _UNITS[match[2]] if match else 0
    if size == 0:
        msg = f"{value!r} is not a size: write bytes or a number of KiB, MiB or GiB, such as 64MiB"
        raise ValueError(msg)
    return size


def parse_seconds(value: object) -> float:
    """Seconds of a duration such as `500ms`, `10s` or `5m`. ValueError for anything else, zero included."""
    return parse_duration(value) / 1000


def parse_span(value: object) -> float:
    """Seconds of a duration, also in days (`30d`). ValueError for anything else, zero included."""
    match = _DAYS.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) * 86_400.0 if match else parse_seconds(value)


def parse_url(value: object) -> str:
    """`https://dbfirewall.example` without a slash at its end. ValueError for anything else."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        msg = f"{value!r} is not a URL: write https://HOST, or http://HOST:PORT"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        raise ValueError("a URL that other ones begin with has no ? and no #")
    return parts.geturl().rstrip("/")


def is_dsn(store: str) -> bool:
    """Whether `approvals.store` names a Postgres database, not a file."""
    return store.startswith(("postgresql://", "postgres://"))


def has_password(dsn: str) -> bool:
    """Whether a DSN holds a password. One that can't be read might."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return True
    return parts.password is not None or "password=" in parts.query


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _path(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) and value else value


def _tls(value: object) -> object:
    """`off` however YAML spells it, or what may become a `Tls`."""
    if value is False:
        return "off"
    if value is None or value == "off" or isinstance(value, dict | Tls):
        return value
    msg = f"{value!r} is not wanted here: write `off`, or a mapping with `cert` and `key`"
    raise ValueError(msg)


Listen = Annotated[Address, PlainValidator(parse_address)]
Size = Annotated[int, PlainValidator(parse_size)]
Seconds = Annotated[float, PlainValidator(parse_seconds)]
Span = Annotated[float, PlainValidator(parse_span)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1, le=1_000_000)]
FilePath = Annotated[Path, BeforeValidator(_path)]


class Tls(Model):
    """The firewall's certificate towards agents, and its private key: PEM files.

    `client_ca`: the authorities whose word on agents' own certificates counts; None: agents are asked for none.
    """

    cert: FilePath
    key: FilePath
    client_ca: FilePath | None = None


class LogSettings(Model):
    """The process's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class LimitSettings(Model):
    """Security limits of the process. Times in seconds, sizes in bytes.

    `connections`: of all agents; `connections_per_agent`: of each, where its role says nothing;
    `unauthenticated`: of those that have not logged in; `handshake_timeout`: from connect to logged in;
    `idle_timeout`: of a session that sends nothing (None: forever); `drain_timeout`: what sessions get to
    finish at shutdown; `message_bytes`: one protocol message; `sql_bytes`: one SQL text.
    """

    connections: Count = 1000
    connections_per_agent: Count = 100
    unauthenticated: Count = 100
    handshake_timeout: Seconds = 10.0
    idle_timeout: Seconds | None = None
    drain_timeout: Seconds = 30.0
    message_bytes: Size = 64 << 20
    sql_bytes: Size = 256 << 10


class AuditSettings(Model):
    """The audit record. `fsync`, `max_bytes`, `sql`: as AuditLog has them."""

    fsync: Literal["off", "interval", "always"] = "interval"
    max_bytes: Size = 256 << 20
    sql: Literal["full", "fingerprint"] = "full"


class ParseSettings(Model):
    """Reading SQL: texts up to `inline_bytes` on the event loop, longer ones in a worker with a deadline."""

    inline_bytes: Size = 4 << 10
    deadline: Seconds = 2.0


class CatalogSettings(Model):
    """The snapshot of each database's catalog. `refresh`: seconds between readings; DDL refreshes at once."""

    refresh: Seconds = 60.0


class ApprovalSettings(Model):
    """Release gates. `store`: a file, or a `postgresql://` DSN without a password; empty: a file in `state`.

    `store_password_file`: where the DSN's password is. `retention`: seconds for which ended requests are kept.
    `public_url`: what links to the console begin with; empty: the admin listener's address.
    """

    store: Annotated[str, Field(repr=False)] = ""
    store_password_file: FilePath | None = None
    retention: Span = 30 * 86_400.0
    public_url: Annotated[str, PlainValidator(parse_url)] = ""


class ConsoleSettings(Model):
    """The approvers' console. `hosts`: further names by which people reach it. Times in seconds.

    `auth_header`: where an authenticating reverse proxy names the approver; `trusted_proxies`: those whose word
    counts, for that and for X-Forwarded-For. `idle_timeout`, `lifetime`: of who is signed in.
    """

    hosts: Annotated[tuple[str, ...], PlainValidator(parse_hosts)] = ()
    auth_header: Annotated[str, PlainValidator(parse_header)] = ""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], PlainValidator(parse_networks)] = ()
    idle_timeout: Seconds = 1800.0
    lifetime: Seconds = 43_200.0

    @model_validator(mode="after")
    def _somebody_is_trusted(self) -> Self:
        if self.auth_header and not self.trusted_proxies:
            raise ValueError("`auth_header` needs `trusted_proxies`: whose word would it be otherwise?")
        return self


class Settings(Model):
    """All settings of one process. `tls`: None where nothing was said, "off" where that was said."""

    listen: Listen = Address("127.0.0.1", 6432)
    admin: Listen = Address("127.0.0.1", 8432)
    state: FilePath = Path()
    tls: Annotated[Tls | Literal["off"] | None, BeforeValidator(_tls)] = None
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()
    audit: AuditSettings = AuditSettings()
    parse: ParseSettings = ParseSettings()
    catalog: CatalogSettings = CatalogSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    console: ConsoleSettings = ConsoleSettings()


def setting_keys() -> tuple[str, ...]:
    """Every key that can be set, dotted: `listen`, `tls.cert`, `audit.fsync`, …"""
    return tuple(".".join(map(str, path)) for path in _paths(Settings))


def environment_name(key: str) -> str:
    """The environment variable of the dotted `key`."""
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def _paths(model: type[Model]) -> Iterator[Location]:
    for name, info in model.model_fields.items():
        kind = Tls if name == "tls" else info.annotation
        if isinstance(kind, type) and issubclass(kind, Model):
            yield from ((name, *rest) for rest in _paths(kind))
        else:
            yield (name,)
    if model is Settings:
        yield ("tls",)


def default_state(environ: Mapping[str, str]) -> Path:
    """`DBFIREWALL_STATE`, else `$XDG_STATE_HOME/dbfirewall`, else `~/.local/state/dbfirewall`."""
    if named := environ.get(environment_name("state")):
        return Path(named).expanduser()
    if base := environ.get("XDG_STATE_HOME"):
        return Path(base) / "dbfirewall"
    try:
        return Path.home() / ".local" / "state" / "dbfirewall"
    except RuntimeError:
        raise ConfigError("there is no home folder: say --state or DBFIREWALL_STATE") from None


def load_settings(
    config: Path | None, environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None
) -> Settings:
    """The settings in force. `flags`: by dotted key, None where not given.

    Raises ConfigError with the place (file:line:column, the variable, or the flag) of the first mistake, and
    where a listener that others can reach would go without TLS.
    """
    source = _Source()
    if config is not None:
        source.add_file(parse_document(config, read_file(config)), config.parent)
    for path in _paths(Settings):
        key = ".".join(map(str, path))
        if value := environ.get(environment_name(key)):
            source.put(path, value, environment_name(key))
        if value := (flags or {}).get(key):
            source.put(path, value, f"--{key.replace('.', '-')}")
    if "state" not in source.data:
        source.put(("state",), str(default_state(environ)), "the default state folder")
    settings = source.validate()
    if settings.tls is None and not settings.listen.loopback:
        raise ConfigError(
            f"listening on {settings.listen} without TLS would let others read what agents send: "
            "set tls.cert and tls.key, or say `tls: off`"
        )
    return settings


class _Source:
    """Settings as they were given, and who gave what, so that a mistake is reported at its place."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self._given: dict[Location, str] = {}
        self._document: Document | None = None

    def add_file(self, document: Document, folder: Path) -> None:
        self.data = document.data
        self._document = document
        for location, known in unknown_keys(document.data, Settings):
            hint = nearest(str(location[-1]), known)
            raise document.error(f"unknown key {location[-1]!r}{hint}", location)
        tls, approvals = document.data.get("tls"), document.data.get("approvals")
        paths = [(document.data, "state"), (approvals, "store"), (approvals, "store_password_file")]
        for section, key in (*paths, *((tls, key) for key in Tls.model_fields)):
            if not isinstance(section, dict) or not isinstance(given := section.get(key), str):
                continue
            if not is_dsn(given):
                section[key] = str(folder / Path(given).expanduser())
            elif has_password(given):
                hint = "use approvals.store_password_file, or say the DSN in DBFIREWALL_APPROVALS_STORE"
                raise document.error(f"a password does not belong into this file: {hint}", ("approvals", key))

    def put(self, path: Location, value: str, giver: str) -> None:
        section = self.data
        for step in path[:-1]:
            inner = section.get(str(step))
            section[str(step)] = section = inner if isinstance(inner, dict) else {}
        section[str(path[-1])] = value
        self._given[path] = giver

    def validate(self) -> Settings:
        try:
            settings = Settings.model_validate(self.data)
        except ValidationError as error:
            location, message = _explain(error.errors(include_url=False)[0])
            raise self._error(message, location) from None
        files: list[tuple[str, str, Path | None]] = []
        if isinstance(settings.tls, Tls):
            files = [("tls", name, getattr(settings.tls, name)) for name in Tls.model_fields]
        files.append(("approvals", "store_password_file", settings.approvals.store_password_file))
        for section, name, path in files:
            if path is not None and not path.is_file():
                raise self._error(f"there is no file {path}", (section, name))
        return settings

    def _error(self, message: str, location: Location) -> ConfigError:
        for length in range(len(location), 0, -1):
            giver = self._given.get(location[:length])
            if giver is not None:
                return ConfigError(message, file=giver)
        if self._document is not None:
            return self._document.error(message, location)
        return ConfigError(f"{'.'.join(map(str, location))}: {message}")


def _explain(item: ErrorDetails) -> tuple[Location, str]:
    """The location and the words for one of pydantic's errors."""
    # Pydantic names the branch of a union too: `tls.Tls.cert`.
    location = tuple(step for step in item["loc"] if step != Tls.__name__)
    context = item.get("ctx") or {}
    kind, given = item["type"], item["input"]
    if kind == "missing":
        return location, f"`{location[-1]}` is missing"
    if kind == "literal_error":
        expected = context["expected"].replace("'", "").replace(" or ", ", ")
        return location, f"{given!r} is not one of {expected}{nearest(str(given), expected.split(', '))}"
    if kind == "model_type":
        return location, f"a mapping is wanted here, not {given!r}"
    return location, str(context.get("error", item["msg"]))
