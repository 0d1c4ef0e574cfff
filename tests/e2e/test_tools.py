"""psql, pg_dump and pgbench do their ordinary work through the firewall, unchanged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.postgres

BACKSLASH_COMMANDS = [
    *(r"\d", r"\d people", r"\d+ people", r"\d visits", r"\d+ busy_people", r"\d visits_person"),
    *(r"\dt", r"\dt+", r"\dt public.*", r"\d *.people", r"\di", r"\di+", r"\dv", r"\dv+", r"\ds", r"\dm"),
    *(r"\df", r"\df+ double_it", r"\sf double_it", r"\sv busy_people", r"\dn", r"\dn+", r"\dP", r"\dT"),
    *(r"\du", r"\dg+", r"\drg", r"\dp", r"\dp people", r"\ddp", r"\z", r"\l", r"\l+", r"\drds", r"\dT+"),
    *(r"\dx", r"\dC", r"\db", r"\dc", r"\dL", r"\dF", r"\des", r"\dy", r"\dRp", r"\dd", r"\dO", r"\dAc"),
    *(r"\conninfo", r"\encoding", r"\dconfig", r"\dD", r"\do", r"\da"),
]


def tool(
    world: World, name: str, *arguments: str | Path, script: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a client program; nothing is checked."""
    command = [str(world.postgres.bin(name)), *map(str, arguments)]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=60)


def psql(world: World, url: str, *commands: str) -> str:
    """psql's standard output and errors."""
    options = [option for command in commands for option in ("-c", command)]
    done = tool(world, "psql", "--no-psqlrc", url, *options)
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", BACKSLASH_COMMANDS)
def test_a_backslash_command_shows_what_it_shows_directly(world: World, command: str) -> None:
    """psql's catalog queries are understood, allowed and answered by the server."""
    expected = psql(world, world.direct("reader"), command)
    assert "ERROR" not in expected
    shown = psql(world, world.through("reader"), command)
    if command == r"\conninfo":  # speaks of the connection itself
        assert "e2e" in shown
    elif command == r"\dconfig":  # lists what is not at its default: the session's walls
        assert "default_transaction_read_only" in shown
    else:
        assert shown == expected


def test_psql_shows_a_refusal_with_its_hint(world: World) -> None:
    """A person at psql sees ERROR, DETAIL and HINT."""
    shown = psql(world, world.through("reader"), "SELECT * FROM secrets")
    assert all(part in shown for part in ("ERROR:", "Secrets stay secret", "DETAIL:", "HINT:"))


def test_psql_pipes_and_variables(world: World) -> None:
    r"""\copy, \gset, \bind and \gdesc are protocol features, and work."""
    script = r"""
        SELECT count(*) AS n FROM people \gset
        SELECT :n AS counted;
        SELECT $1::int + 1 AS bound \bind 41 \g
        SELECT name, home FROM people \gdesc
        \copy (SELECT id FROM people ORDER BY id LIMIT 3) TO STDOUT
    """
    direct = tool(world, "psql", "--no-psqlrc", world.direct("reader"), script=script)
    assert "42" in direct.stdout
    through = tool(world, "psql", "--no-psqlrc", world.through("reader"), script=script)
    assert (through.stdout, through.stderr) == (direct.stdout, direct.stderr)


def test_pg_dump_of_an_allowed_schema_equals_the_direct_dump(world: World) -> None:
    """A dump through the firewall is the direct dump, byte for byte."""
    options = ("--restrict-key=same", "--exclude-table=secrets", "--dbname")
    direct = tool(world, "pg_dump", *options, world.direct("dumper"))
    assert "COPY public.people" in direct.stdout
    through = tool(world, "pg_dump", *options, world.through("dumper"))
    assert (through.returncode, through.stderr) == (0, "")
    assert through.stdout == direct.stdout


def test_pg_dump_of_a_forbidden_table_is_refused(world: World) -> None:
    """Whatever tool asks: what a rule denies stays behind."""
    done = tool(world, "pg_dump", "--table=secrets", "--dbname", world.through("dumper"))
    assert done.returncode != 0
    assert "swordfish" not in done.stdout
    assert "Secrets stay secret" in done.stderr


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("extra", [[], ["-C"]], ids=["kept", "reconnecting"])
def test_pgbench(world: World, tmp_path: Path, mode: str, extra: list[str]) -> None:
    """A script of reads in each query mode, also with a connection per transaction; nothing fails."""
    script = tmp_path / "reads.sql"
    script.write_text(
        "\\set n random(1, 50)\n"
        "SELECT name FROM people WHERE id = :n;\n"
        "BEGIN;\nSELECT count(*) FROM visits WHERE person = :n;\nEND;\n"
    )
    options = ("--no-vacuum", "-M", mode, "-c", "4", "-j", "2", "-t", "25", *extra, "-f", str(script))
    done = tool(world, "pgbench", *options, world.through("reader"))
    assert done.returncode == 0, done.stderr
    assert "number of transactions actually processed: 100/100" in done.stdout
    assert "number of failed transactions: 0 (0.000%)" in done.stdout


def test_pgbench_in_pipelines(world: World, tmp_path: Path) -> None:
    r"""\startpipeline and \endpipeline send many statements before one Sync."""
    script = tmp_path / "pipeline.sql"
    selects = "".join(f"SELECT {number}, name FROM people WHERE id = 1;\n" for number in range(20))
    script.write_text("\\startpipeline\n" + selects + "\\endpipeline\n")
    options = ("--no-vacuum", "-M", "prepared", "-c", "2", "-t", "20", "-f", script)
    done = tool(world, "pgbench", *options, world.through("reader"))
    assert done.returncode == 0, done.stderr
    assert "number of transactions actually processed: 40/40" in done.stdout
