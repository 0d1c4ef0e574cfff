"""Settings: who wins, what is refused and where that is said, and the rule about TLS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.errors import ConfigError
from dbfirewall.settings import (
    Address,
    Settings,
    Tls,
    default_state,
    environment_name,
    load_settings,
    parse_address,
    parse_seconds,
    parse_size,
    setting_keys,
)

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
NOWHERE = {"XDG_STATE_HOME": "/nowhere"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file to write."""
    return tmp_path / "settings.yaml"


def complaint(config: Path | None = None, flags: dict[str, str | None] | None = None, **environ: str) -> str:
    """What load_settings says is wrong, the folder of the settings file left out."""
    with pytest.raises(ConfigError) as caught:
        load_settings(config, {**NOWHERE, **environ}, flags)
    return str(caught.value).replace(f"{config.parent}/" if config else "\0", "")


def test_defaults() -> None:
    """Without anything said, both listeners are on loopback and state is in XDG_STATE_HOME."""
    settings = load_settings(None, NOWHERE)
    assert (str(settings.listen), str(settings.admin)) == ("127.0.0.1:6432", "127.0.0.1:8432")
    assert settings.state == Path("/nowhere/dbfirewall")
    assert settings.tls is None


def test_who_wins(config: Path) -> None:
    """A flag wins over the environment, that over the file, that over the default."""
    config.write_text("log: {level: error, format: json}\naudit: {fsync: always, sql: fingerprint}\n")
    environ = {**NOWHERE, "DBFIREWALL_LOG_LEVEL": "warning", "DBFIREWALL_AUDIT_FSYNC": "off"}
    settings = load_settings(config, environ, {"log.level": "debug", "listen": None})
    assert settings.log.level == "debug"
    assert settings.audit.fsync == "off"
    assert (settings.audit.sql, settings.log.format) == ("fingerprint", "json")
    assert settings.audit.max_bytes == 256 << 20


def test_every_value_can_come_from_the_file(config: Path, tmp_path: Path) -> None:
    """All keys of the reference page, with other values than the defaults."""
    for name in ("cert.pem", "key.pem", "password"):
        (tmp_path / name).touch()
    config.write_text(
        """\
listen: 0.0.0.0:6433
admin: "[::1]:8433"
state: here
tls: {cert: cert.pem, key: key.pem}
log: {level: debug, format: json}
limits:
  connections: 1
  connections_per_agent: 2
  unauthenticated: 3
  handshake_timeout: 4s
  idle_timeout: 5m
  drain_timeout: 500ms
  message_bytes: 1KiB
  sql_bytes: 2000
audit: {fsync: always, max_bytes: 1GiB, sql: fingerprint}
parse: {inline_bytes: 1KiB, deadline: 1s}
catalog: {refresh: 1h}
approvals: {store: a.db, store_password_file: password, retention: 7d, public_url: "https://gate.example/x/"}
console:
  {hosts: [a.example], auth_header: X-User, trusted_proxies: [::1], idle_timeout: 1m, lifetime: 1h}
"""
    )
    settings = load_settings(config, {})
    assert settings.state == tmp_path / "here"
    assert settings.tls == Tls(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    assert settings.limits.idle_timeout == 300.0
    assert settings.limits.drain_timeout == 0.5
    assert (settings.limits.message_bytes, settings.limits.sql_bytes) == (1024, 2000)
    assert settings.catalog.refresh == 3600.0
    assert settings.approvals.store == str(tmp_path / "a.db")
    assert settings.approvals.store_password_file == tmp_path / "password"
    assert settings.approvals.retention == 7 * 86_400.0
    assert settings.approvals.public_url == "https://gate.example/x"
    for name in type(settings).model_fields:
        assert getattr(settings, name) != getattr(Settings(), name)


def test_every_value_can_come_from_the_environment(tmp_path: Path) -> None:
    """Each key has a variable, whatever its type."""
    (tmp_path / "pem").touch()
    values = {
        "listen": "127.0.0.1:1", "admin": "127.0.0.1:2", "state": str(tmp_path), "log.level": "error",
        "log.format": "json", "limits.connections": "1", "limits.connections_per_agent": "1",
        "limits.unauthenticated": "1", "limits.handshake_timeout": "1s", "limits.idle_timeout": "1s",
        "limits.drain_timeout": "1s", "limits.message_bytes": "1KiB", "limits.sql_bytes": "1",
        "audit.fsync": "off", "audit.max_bytes": "1", "audit.sql": "fingerprint", "parse.inline_bytes": "1",
        "parse.deadline": "1s", "catalog.refresh": "1s", "tls.cert": str(tmp_path / "pem"),
        "tls.key": str(tmp_path / "pem"), "tls.client_ca": str(tmp_path / "pem"),
        "approvals.store": "postgresql://me:secret@localhost/store", "approvals.retention": "1h",
        "approvals.store_password_file": str(tmp_path / "pem"), "approvals.public_url": "http://gate:1",
        "console.hosts": "gate", "console.auth_header": "X-User", "console.trusted_proxies": "::1, 10.0.0.0/8",
        "console.idle_timeout": "1m", "console.lifetime": "1h",
    }  # fmt: skip
    assert {*values, "tls"} == set(setting_keys())
    settings = load_settings(None, {environment_name(key): value for key, value in values.items()})
    for name in type(settings).model_fields:
        assert getattr(settings, name) != getattr(Settings(), name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listn: x", "settings.yaml:1:1: unknown key 'listn' (did you mean 'listen'?)"),
        ("audit:\n  fsnc: off", "settings.yaml:2:3: unknown key 'fsnc' (did you mean 'fsync'?)"),
        ("tls:\n  certificate: x", "settings.yaml:2:3: unknown key 'certificate'"),
        ("audit: {fsync: nevr}", "settings.yaml:1:9: 'nevr' is not one of off, interval, always"),
        ("audit: 3", "settings.yaml:1:1: a mapping is wanted here, not 3"),
        ("listen: 6432", "settings.yaml:1:1: 6432 is not an address"),
        ("limits:\n  connections: 0", "settings.yaml:2:3: Input should be greater than or equal to 1"),
        ("limits:\n  handshake_timeout: 10", "settings.yaml:2:3: 10 is not a duration"),
        ("limits:\n  sql_bytes: 1kB", "settings.yaml:2:3: '1kB' is not a size"),
        ("tls: on", "settings.yaml:1:1: 'on' is not wanted here: write `off`, or a mapping"),
        ("approvals: {retention: 0d}", "settings.yaml:1:13: '0d' is not a duration"),
        ("approvals: {public_url: gate}", "settings.yaml:1:13: 'gate' is not a URL"),
        ("approvals: {public_url: 'http://g/?a'}", "settings.yaml:1:13: a URL that other ones begin with"),
        ("approvals: {store: 'postgresql://u:p@h/d'}", "settings.yaml:1:13: a password does not belong"),
        (
            "approvals: {store: 'postgresql://u@h/d?password=p'}",
            "settings.yaml:1:13: a password does not belong",
        ),
        ("approvals: {store: 'postgres://u@[h/d'}", "settings.yaml:1:13: a password does not belong"),
        ("approvals: {store_password_file: nothing}", "settings.yaml:1:13: there is no file"),
        ("tls: {cert: settings.yaml}", "settings.yaml:1:1: `key` is missing"),
        ("tls: {cert: settings.yaml, key: nothing}", "settings.yaml:1:28: there is no file"),
        ("listen: [", "settings.yaml:1:10: "),
        ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", "settings.yaml:2:1: "),
    ],
)
def test_mistakes_in_the_file_are_placed(config: Path, text: str, said: str) -> None:
    """A mistake is told with file, line and column, and the nearest valid spelling."""
    config.write_text(text)
    assert complaint(config).startswith(said)


def test_a_missing_file(config: Path) -> None:
    """A settings file that is named must be there."""
    assert complaint(config) == "settings.yaml: cannot be read: No such file or directory"


def test_mistakes_in_the_environment_name_the_variable() -> None:
    """A mistake names the variable that made it."""
    assert complaint(DBFIREWALL_AUDIT_FSYNC="nevr").startswith("DBFIREWALL_AUDIT_FSYNC: 'nevr' is not one of")
    assert complaint(DBFIREWALL_LISTEN="x").startswith("DBFIREWALL_LISTEN: 'x' is not an address")
    assert complaint(DBFIREWALL_TLS_CERT="x") == "tls.key: `key` is missing"


def test_mistakes_in_flags_name_the_flag() -> None:
    """A mistake names the flag, also where a variable that it overrides was right."""
    said = complaint(flags={"log.level": "loud"}, DBFIREWALL_LOG_LEVEL="info")
    assert said.startswith("--log-level: 'loud' is not one of")


@pytest.mark.parametrize(
    ("listen", "tls", "fine"),
    [
        ("127.0.0.1:0", None, True),
        ("127.8.8.8:0", None, True),
        ("[::1]:0", None, True),
        ("localhost:0", None, True),
        ("0.0.0.0:0", None, False),
        ("[::]:0", None, False),
        ("192.0.2.1:0", None, False),
        ("db.internal:0", None, False),
        ("0.0.0.0:0", "off", True),
        ("[::]:0", "off", True),
    ],
)
def test_tls_is_demanded_where_others_can_listen_in(listen: str, tls: str | None, fine: bool) -> None:
    """Off loopback there is TLS, or somebody said `tls: off`."""
    environ = {**NOWHERE, "DBFIREWALL_LISTEN": listen} | ({"DBFIREWALL_TLS": tls} if tls else {})
    if fine:
        assert load_settings(None, environ).tls == tls
    else:
        with pytest.raises(ConfigError, match="without TLS"):
            load_settings(None, environ)


@pytest.mark.parametrize("spelling", ["off", "'off'", "false"])
def test_off_however_it_is_spelt(config: Path, spelling: str) -> None:
    """YAML's false and the word both mean off."""
    config.write_text(f"tls: {spelling}")
    assert load_settings(config, NOWHERE).tls == "off"


def test_a_certificate_in_the_environment_overrides_off(config: Path, tmp_path: Path) -> None:
    """A variable for a part of a section replaces a file's word for the whole."""
    (tmp_path / "pem").touch()
    config.write_text("tls: off")
    pem = str(tmp_path / "pem")
    settings = load_settings(config, {**NOWHERE, "DBFIREWALL_TLS_CERT": pem, "DBFIREWALL_TLS_KEY": pem})
    assert isinstance(settings.tls, Tls)


def test_where_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """DBFIREWALL_STATE, then XDG_STATE_HOME, then the home folder; without any of them, a mistake."""
    assert default_state({"DBFIREWALL_STATE": "/a", "XDG_STATE_HOME": "/b"}) == Path("/a")
    assert default_state({"XDG_STATE_HOME": "/b"}) == Path("/b/dbfirewall")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/x"))
    assert default_state({}) == Path("/home/x/.local/state/dbfirewall")

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="--state"):
        default_state({})


@given(
    port=st.integers(0, 65535),
    host=st.sampled_from(["127.0.0.1", "localhost", "a-b.example", "::1", "fe80::1"]),
)
def test_an_address_reads_back(host: str, port: int) -> None:
    """Any address is what its text says."""
    address = Address(host, port)
    assert parse_address(str(address)) == parse_address(address) == address


@pytest.mark.parametrize(
    "text", ["", "x", ":1", "x:", "x:65536", "::1:5", "[::1]", "a b:1", "x:1\n", None, 6432, True]
)
def test_no_addresses(text: object) -> None:
    """Anything else is a ValueError with an example."""
    with pytest.raises(ValueError, match="write HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), (1, 1), ("2KiB", 2048), ("3MiB", 3 << 20), ("4GiB", 4 << 30)]
)
def test_sizes(text: object, size: int) -> None:
    """Sizes are bytes, or binary multiples."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", 0, -1, "1kB", "1 KiB", "KiB", True, None, 1.5])
def test_no_sizes(text: object) -> None:
    """Anything else is a ValueError with an example."""
    with pytest.raises(ValueError, match="such as 64MiB"):
        parse_size(text)


def test_seconds() -> None:
    """Durations come out in seconds, as the event loop wants them."""
    assert (parse_seconds("1500ms"), parse_seconds("2m")) == (1.5, 120.0)


def test_the_reference_page_is_complete() -> None:
    """docs/settings.md has one row for each key, with its variable, and no others."""
    rows = re.findall(r"^\| `([\w.]+)` \| `(DBFIREWALL_\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted((key, environment_name(key)) for key in setting_keys())


def test_the_store_s_password_is_not_shown() -> None:
    """Neither by the settings' repr, nor in a complaint about another key."""
    environ = {**NOWHERE, "DBFIREWALL_APPROVALS_STORE": "postgresql://me:hush@localhost/store"}
    assert "hush" not in repr(load_settings(None, environ))
    assert "hush" not in complaint(None, None, **environ, DBFIREWALL_AUDIT_FSYNC="x")


def test_the_console_behind_a_proxy(config: Path) -> None:
    """Hosts, networks and headers are lists in a file, and texts with commas in a variable."""
    config.write_text(
        "console: {hosts: [Fw.Example], trusted_proxies: [10.0.0.0/8, '::1'], auth_header: X-User}\n"
    )
    console = load_settings(config, NOWHERE).console
    assert (console.hosts, console.auth_header) == (("fw.example",), "x-user")
    assert [str(network) for network in console.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    environ = {**NOWHERE, "DBFIREWALL_CONSOLE_TRUSTED_PROXIES": "192.0.2.1, 192.0.2.2"}
    assert [str(network) for network in load_settings(None, environ).console.trusted_proxies] == [
        "192.0.2.1/32", "192.0.2.2/32",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("HOSTS", "https://fw.example", "is not a host name"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("TRUSTED_PROXIES", "everybody", "does not appear to be"),
        ("AUTH_HEADER", "Authorization", "browsers send themselves"),
        ("AUTH_HEADER", "sec-fetch-site", "browsers send themselves"),
        ("AUTH_HEADER", "X User", "is not a header's name"),
        ("AUTH_HEADER", "X-User", "needs `trusted_proxies`"),
    ],
)
def test_a_console_that_nobody_could_trust(name: str, value: str, why: str) -> None:
    """Names that are none, and a header that anybody could send, are refused at start."""
    assert why in complaint(None, None, **{f"DBFIREWALL_CONSOLE_{name}": value})
