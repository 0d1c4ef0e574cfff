"""`dbfirewall audit`: what a person and a script see, and the exit status."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dbfirewall.audit import AuditLog, decision_members
from dbfirewall.audit.search import Entry
from dbfirewall.cli.audit import audit
from dbfirewall.cli.audit_view import View
from dbfirewall.sql.facts import Effect

Run = Callable[..., Result]

ALLOW = decision_members([Effect("select", ("public", "orders"))], "allow", "analyst.rules[0]", None)
DENY = decision_members([Effect("select", ("public", "customers"))], "deny", "analyst.rules[1]", "42501")
GATE = decision_members([Effect("delete", ("public", "orders"))], "gate", "maintainer.rules[2]", "ZG001")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with two agents' statements."""
    log = AuditLog(tmp_path, fsync="off", clock=lambda: 1_767_225_600_123_000_000)
    nightly = log.session(session_id="1", agent="nightly", role="analyst", database="shop")
    cleanup = log.session(session_id="2", agent="cleanup", role="maintainer", database="shop")
    first = nightly.statement(log.sql_member(b"SELECT id\n  FROM orders"), ALLOW)
    nightly.statement(log.sql_member(b"SELECT ssn FROM customers"), DENY)
    cleanup.statement(log.sql_member(b"DELETE FROM orders"), GATE, approval="apr_1")
    nightly.outcome(first, 12, 830, 0.9)
    nightly.event("tripwire", error="search_path")
    log.close()
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command on the folder."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(audit, arguments, env={"DBFIREWALL_STATE": str(folder), **environ})

    return invoke


def test_tail_for_people(run: Run) -> None:
    """One line an entry: time, agent, decision, SQLSTATE, rule, statement, and the outcome beside it."""
    result = run("tail")
    assert result.output.splitlines() == [
        "2026-01-01 (UTC)",
        "00:00:00.123 -                start application=dbfirewall",
        "00:00:00.123 nightly          ALLOW analyst.rules[0]  SELECT id FROM orders  (12 rows, 0.9 ms)",
        "00:00:00.123 nightly          DENY  42501 analyst.rules[1]  SELECT ssn FROM customers",
        "00:00:00.123 cleanup          GATE  ZG001 maintainer.rules[2]  DELETE FROM orders",
        "00:00:00.123 nightly          tripwire role=analyst database=shop error=search_path",
        "00:00:00.123 -                stop",
    ]
    assert result.exit_code == 0


def test_tail_counts_entries(run: Run) -> None:
    """`-n` says how many; 0 shows none."""
    assert len(run("tail", "-n", "2").output.splitlines()) == 3
    assert run("tail", "-n", "0").output == ""


def test_tail_for_scripts(run: Run, folder: Path) -> None:
    """`--json` prints the lines of the file, byte for byte."""
    lines = (folder / "audit.jsonl").read_text().splitlines(keepends=True)
    assert run("tail", "--json").output == "".join(lines)
    assert run("tail", "--json", "-n", "3").output == "".join(lines[-3:])


@pytest.mark.parametrize(
    ("environ", "colored"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_color(run: Run, environ: dict[str, str], colored: bool) -> None:
    """Colour needs a terminal or FORCE_COLOR, and NO_COLOR wins."""
    assert ("\x1b[" in run("tail", **environ).output) is colored
    assert ("\x1b[" in run("verify", **environ).output) is colored


def test_decisions_have_their_colors(run: Run) -> None:
    """Allow is green, deny red, gate yellow."""
    output = run("tail", FORCE_COLOR="1").output
    for color, word in ((32, "ALLOW"), (31, "DENY "), (33, "GATE ")):
        assert f"\x1b[{color}m\x1b[1m{word}\x1b[0m" in output


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--agent", "cleanup"], ["DELETE FROM orders"]),
        (["--role", "analyst", "--decision", "allow"], ["SELECT id\n  FROM orders"]),
        (["--sqlstate", "42501"], ["SELECT ssn FROM customers"]),
        (["--rule", "maintainer.rules[2]"], ["DELETE FROM orders"]),
        (["--approval", "apr_1"], ["DELETE FROM orders"]),
        (["--session", "2", "--database", "shop"], ["DELETE FROM orders"]),
        (["--sql", "from\\s+customers"], ["SELECT ssn FROM customers"]),
        (["--sql", "delete", "--since", "2026-01-01", "--until", "2026-01-02"], ["DELETE FROM orders"]),
        (["--sql", "orders", "--since", "1h"], []),
        (["--decision", "deny", "--agent", "cleanup"], []),
    ],
)  # fmt: skip
def test_search(run: Run, options: list[str], found: list[str]) -> None:
    """Every option narrows the search."""
    result = run("search", "--json", *options)
    assert [
        record["sql"] for line in result.output.splitlines() if "sql" in (record := json.loads(line))
    ] == found
    assert result.exit_code == 0


def test_search_by_event_and_for_people(run: Run) -> None:
    """Other events are found too, and the human form shows outcomes beside their statements."""
    assert "tripwire" in run("search", "--event", "tripwire").output.splitlines()[1]
    assert run("search", "--decision", "allow").output.splitlines()[1].endswith("(12 rows, 0.9 ms)")


def test_search_prints_records_that_verify(run: Run, folder: Path) -> None:
    """`--json` prints records as they are in the file, so that their hashes can be checked."""
    assert run("search", "--json").output == (folder / "audit.jsonl").read_text()


@pytest.mark.parametrize(
    "options",
    [["--sql", "("], ["--since", "soon"], ["--until", "1"], ["--decision", "maybe"], ["--colour", "x"]],
)
def test_bad_usage(run: Run, options: list[str]) -> None:
    """What makes no sense exits with 2 and says why."""
    result = run("search", *options)
    assert result.exit_code == 2
    assert "Error" in result.output


def test_verify(run: Run) -> None:
    """An intact record exits with 0 and names the newest hash."""
    result = run("verify")
    assert result.exit_code == 0
    assert re.fullmatch(r"intact: 7 records in 1 files, newest hash [0-9a-f]{64}\n", result.output)


def test_verify_finds_an_edit(run: Run, folder: Path) -> None:
    """An edited record exits with 1 and names file and line."""
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"SELECT ssn", b"SELECT sum"))
    result = run("verify")
    assert result.exit_code == 1
    assert result.output.startswith(f"broken: {path}:3: record ")


def test_verify_warns_of_a_torn_line(run: Run, folder: Path) -> None:
    """A torn last line is a warning: exit 0."""
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    result = run("verify")
    assert result.exit_code == 0
    assert result.output.startswith(f"warning: {path}:7: the last line is torn")


def test_verify_for_scripts(run: Run, folder: Path) -> None:
    """`--json` gives the report, with the same exit status."""
    report = json.loads(run("verify", "--json").output)
    assert (report["ok"], report["records"], report["files"], report["problems"]) == (True, 7, 1, [])
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"cleanup", b"cleanse"))
    result = run("verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["problems"][0]["line"] == 4


def test_verify_against_noted_hashes(run: Run, folder: Path) -> None:
    """`--contains` finds a cut end, `--start` accepts an archived beginning."""
    path = folder / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[2:-1]))
    assert run("verify").exit_code == 1
    start = json.loads(lines[1])["hash"]
    assert run("verify", "--start", start).exit_code == 0
    assert run("verify", "--start", start, "--contains", json.loads(lines[-1])["hash"]).exit_code == 1


@pytest.mark.parametrize("command", ["tail", "search", "verify"])
def test_nothing_to_read(run: Run, tmp_path: Path, command: str) -> None:
    """A folder without a record exits with 2 and says so."""
    result = run(command, "--state", str(tmp_path / "nowhere"))
    assert result.exit_code == 2
    assert "nowhere" in result.output


def test_follow(folder: Path) -> None:
    """`tail -f` prints what is added, and ends quietly on SIGINT."""
    command = [sys.executable, "-m", "dbfirewall", "audit", "tail", "-f", "-n", "1", "--json"]
    with subprocess.Popen(
        command,
        env={**os.environ, "DBFIREWALL_STATE": str(folder), "PYTHONUNBUFFERED": "1"},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "stop"
        AuditLog(folder, fsync="off").close()
        assert [json.loads(process.stdout.readline())["event"] for _ in range(2)] == ["start", "stop"]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")


def test_follow_ends_quietly_while_it_prints(folder: Path) -> None:
    """SIGINT in the middle of a line, with nobody reading, is an end like any other."""
    command = [sys.executable, "-m", "dbfirewall", "audit", "tail", "-f", "-n", "1", "--json"]
    with subprocess.Popen(
        command,
        env={**os.environ, "DBFIREWALL_STATE": str(folder), "PYTHONUNBUFFERED": "1"},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "stop"
        log = AuditLog(folder, fsync="off")
        for _ in range(1000):
            log.event("rules_loaded", error="x" * 200)
        log.close()
        room = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        filled = bytearray(4)
        while int.from_bytes(filled, sys.byteorder) < room // 2:
            fcntl.ioctl(process.stdout, termios.FIONREAD, filled)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")


def test_follow_for_people(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late outcome stands alone; what was shown already is not shown again."""
    log = AuditLog(folder, fsync="off")
    session = log.session(session_id="1", agent="nightly")
    ids: list[str] = []
    steps: list[Callable[[], object]] = [
        lambda: ids.append(session.statement(log.sql_member(b"SELECT 1"), ALLOW)),
        lambda: session.outcome(ids[0], 1, 2, 3),
    ]

    def wait(_seconds: float) -> None:
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()
        log.flush()

    monkeypatch.setattr("dbfirewall.cli.audit.time.sleep", wait)
    result = run("tail", "-f", "-n", "1")
    log.close()
    assert [line[13:] for line in result.output.splitlines()[1:] if "(UTC)" not in line] == [
        "-                start application=dbfirewall",
        "nightly          ALLOW analyst.rules[0]  SELECT 1",
        "nightly          outcome  (1 row, 3 ms)",
    ]
    assert result.exit_code == 0


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    """`dbfirewall audit search | head` ends quietly."""
    log = AuditLog(folder, fsync="off")
    for _ in range(3000):
        log.event("cancel", error="x" * 100)
    log.close()
    with subprocess.Popen(
        [sys.executable, "-m", "dbfirewall", "audit", "search", "--json"],
        env={**os.environ, "DBFIREWALL_STATE": str(folder)},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def shown(width: int = 100, **members: object) -> str:
    record = {
        "ts": "2026-01-01T00:00:00.123456Z",
        "event": "statement",
        "agent": "a",
        "decision": "allow",
        **members,
    }
    return list(View(width).lines(Entry(record)))[-1]


def test_a_statement_can_t_steer_the_terminal() -> None:
    """Escape sequences, line breaks and text that turns the line around are shown as what they are."""
    line = shown(
        sql="SELECT '\x1b[2J\u202e\x07'\r\n-- \u2028",
        agent="a\x1b]0;x\x07",
        rule="\x9b1m",
        decision="\x1b[0m",
    )
    assert set(re.findall(r"\x1b\[[0-9;]*m", line)) == {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[35m"}
    rest = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert rest.isprintable()


def test_a_long_statement_is_cut_to_the_width() -> None:
    """A line is as long as the terminal is wide, but some of the statement is always there."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown(sql="x" * 500, rule="r"))
    assert len(plain) == 100
    assert plain.endswith("x…")
    narrow = re.sub(r"\x1b\[[0-9;]*m", "", shown(width=20, sql="x" * 500, rule="r"))
    assert narrow.count("x") > 20


def test_a_redacted_statement_shows_its_fingerprint() -> None:
    """Without text there is the fingerprint."""
    assert "(sha256 abc)" in shown(fingerprint="abc")


def test_errors_and_single_rows_in_outcomes() -> None:
    """An outcome says the SQLSTATE of an error, and counts one row as one."""
    record = {"event": "outcome", "ts": "2026-01-01T00:00:00Z", "rows": 1, "duration_ms": 2, "error": "57014"}
    assert list(View(100).lines(Entry(record)))[-1].endswith("  (error 57014, 1 row, 2 ms)")


def test_each_day_has_its_line() -> None:
    """The date is shown once a day."""
    view = View(100)
    record = {"event": "kill", "ts": "2026-01-01T00:00:00Z"}
    assert [
        len(list(view.lines(Entry({**record, "ts": ts}))))
        for ts in ("2026-01-01T", "2026-01-01T", "2026-01-02T")
    ] == [2, 1, 2]
