"""Sets everything up, plays the agent's session, shows the audit trail, and leaves the firewall running.

`DEMO_EXIT=1` ends it after the session. Exit code 0 only if every step came out as it must.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from demo.gate import APPROVER, gated
from demo.screen import DIM, GREEN, RED, heading, paint, say, show
from demo.steps import STEPS, Outcome, perform
from tests.support.embedded import EmbeddedPostgres
from tests.support.firewall import ROOT, Firewall
from tests.support.ports import preferred_port
from tests.support.scram import verifier

HERE = Path(__file__).parent
FOLDER = ROOT / ".demo"
AGENT = "support-bot"


def main() -> int:
    """The whole demo; the process's exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(FOLDER, ignore_errors=True)
    say(paint("Starting PostgreSQL (embedded) and the firewall …", DIM))
    with EmbeddedPostgres(password=secrets.token_urlsafe(12)) as server:
        login_password, agent_password = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        approver_token = secrets.token_urlsafe(18)
        create_shop(server, login_password)
        firewall = Firewall(
            complete_rules(server, agent_password, approver_token),
            FOLDER,
            environment={"SHOP_SUPPORT_PASSWORD": login_password},
            port=preferred_port(6432),
            admin_port=preferred_port(8432),
        )
        with firewall:
            dsn = firewall.dsn(AGENT, agent_password, "shop")
            failures = play(dsn)
            outcome = gated(dsn, firewall, approver_token, len(STEPS) + 1)
            if "DEMO_EXIT" in os.environ and outcome.sqlstate:
                failures += 1
                say(paint("   expected it to run once it was approved", RED))
            failures += survived(server, outcome)
            show_audit(firewall)
            if failures:
                say(paint(f"\n{failures} of the steps did not come out as they must", RED))
            elif "DEMO_EXIT" not in os.environ:
                leave_up(firewall, dsn, approver_token)
    return 1 if failures else 0


def create_shop(server: EmbeddedPostgres, login_password: str) -> None:
    """The database `shop`, its data, and the firewall's login `shop_support`."""
    with psycopg.connect(admin_url(server, "postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
        connection.execute(f"CREATE ROLE shop_support LOGIN PASSWORD '{verifier(login_password)}'".encode())
    with psycopg.connect(admin_url(server, "shop"), autocommit=True) as connection:
        connection.execute((HERE / "shop.sql").read_bytes())


def complete_rules(server: EmbeddedPostgres, agent_password: str, approver_token: str) -> str:
    """demo/rules.yaml, with this run's server and the credentials of the agent and of the approver."""
    digest = hashlib.sha256(approver_token.encode()).hexdigest()
    return f"""{(HERE / "rules.yaml").read_text()}
agents:
  {AGENT}: {{role: support, database: shop, password: "{verifier(agent_password)}"}}
approvers:
  {APPROVER}: {{groups: [dba], token: "sha256:{digest}"}}
databases:
  shop:
    dsn: postgresql://{server.host}:{server.port}/shop?sslmode=disable
    logins:
      support: {{user: shop_support, password: {{env: SHOP_SUPPORT_PASSWORD}}}}
"""


def play(dsn: str) -> int:
    """The agent's session; how many steps came out otherwise than they must."""
    heading(f"{AGENT} connects to {dsn.split('@')[1]} and works")
    failures = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number, step in enumerate(STEPS, 1):
            outcome = perform(connection, step)
            show(number, step, outcome)
            if outcome.sqlstate != step.sqlstate or (step.sqlstate and not outcome.by_firewall):
                failures += 1
                say(paint(f"   expected {step.sqlstate or 'success'} from the firewall", RED))
    return failures


def survived(server: EmbeddedPostgres, outcome: Outcome) -> int:
    """Ask the server itself, past the firewall, whether all but what was approved is still there; 0 if it is."""
    deleted = int(outcome.tag.split()[1]) if outcome.tag else 0
    with psycopg.connect(admin_url(server, "shop")) as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT status) FROM orders").fetchone()
    intact = row == (1500 - deleted, 4)
    verdict = paint("checked", GREEN) if intact else paint("harmed ", RED)
    say(f"\n   {verdict}  straight on the server: (orders, kinds of status) = {row}")
    return 0 if intact else 1


def admin_url(server: EmbeddedPostgres, database: str) -> str:
    """The superuser's way to the server, past the firewall."""
    secret = f"{server.superuser}:{server.password}"
    return f"postgresql://{secret}@{server.host}:{server.port}/{database}"


def show_audit(firewall: Firewall) -> None:
    """The trail of the session, as `dbfirewall audit tail` prints it."""
    heading("The audit trail (dbfirewall audit tail)")
    firewall.audit_until(lambda records: any(one["event"] == "session_end" for one in records))
    command = [sys.executable, "-m", "dbfirewall", "audit", "tail"]
    subprocess.run(command, cwd=ROOT, env=firewall.environment, check=True)  # noqa: S603  our own command


def leave_up(firewall: Firewall, dsn: str, approver_token: str) -> None:
    """Say how to try it, and wait for Ctrl-C or for the firewall's end."""
    heading("It is still running. Try it yourself:")
    say(f"   psql '{dsn}'")
    say(f"   rules    {firewall.rules.relative_to(ROOT)}")
    say(f"   console  {firewall.admin_url}/  (token of {APPROVER}: {approver_token})")
    say(f"   metrics  {firewall.admin_url}/metrics")
    say(paint("   Ctrl-C ends it.", DIM))
    try:
        if firewall.process is not None:
            firewall.process.wait()
            say(firewall.errors())
    except KeyboardInterrupt:
        say()


if __name__ == "__main__":
    sys.exit(main())
