"""Which store the settings mean, and the name of this firewall in it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dbfirewall.approvals.opening import instance, make_store
from dbfirewall.approvals.postgres import PostgresStore
from dbfirewall.approvals.sqlite import SqliteStore
from dbfirewall.errors import ConfigError
from dbfirewall.settings import ApprovalSettings


def test_a_file_in_the_state_folder_is_the_default(tmp_path: Path) -> None:
    """Another file is used where the settings name one."""
    for store, wanted in (("", tmp_path / "approvals.sqlite3"), ("/x/y", Path("/x/y"))):
        made = make_store(ApprovalSettings(store=store), tmp_path)
        assert isinstance(made, SqliteStore)
        assert made._file.path == wanted


def test_a_dsn_is_a_database(tmp_path: Path) -> None:
    """With the password of its file, less the newline; nothing shows it."""
    secret = tmp_path / "password"
    secret.write_text("hush \n")
    settings = ApprovalSettings(store="postgresql://me@localhost/store", store_password_file=secret)
    made = make_store(settings, tmp_path)
    assert isinstance(made, PostgresStore)
    assert made._how["password"] == "hush "
    secret.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        make_store(settings, tmp_path)


def test_the_instance_outlives_the_process(tmp_path: Path) -> None:
    """The same name again; another one elsewhere; a new one where a crash left the file empty."""
    first = instance(tmp_path)
    assert len(first) == 16
    assert instance(tmp_path) == first
    other = tmp_path / "other"
    other.mkdir()
    assert instance(other) != first
    file = tmp_path / "instance"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"")
    assert len(instance(tmp_path)) == 16
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be used"):
        instance(tmp_path)
    with pytest.raises(ConfigError, match="/nowhere/instance"):
        instance(Path("/nowhere"))
