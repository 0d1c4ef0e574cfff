"""The gated DELETE: it waits on the wire while a person decides, in the console or by the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Final

import httpx
import psycopg

from demo.screen import DIM, GREEN, YELLOW, heading, paint, say, show
from demo.steps import DELETE, Outcome, perform
from tests.support.firewall import ROOT, Firewall

APPROVER: Final = "alice"
APPEAR_SECONDS: Final = 30.0


def gated(dsn: str, firewall: Firewall, token: str, number: int) -> Outcome:
    """Send the DELETE as the agent does, let it be decided, and show what came of it."""
    heading(f"Step {number}: a statement that a person has to approve")
    say(f"   {paint(DELETE.sql, DIM)}")
    outcomes: list[Outcome] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.add_notice_handler(
            lambda told: say(f"   {paint('notice ', YELLOW)}  {told.message_primary}")
        )
        agent = threading.Thread(target=lambda: outcomes.append(perform(connection, DELETE)))
        agent.start()
        request_id = waiting(firewall, token)
        if request_id:
            decide(firewall, token, request_id)
        agent.join()
    outcome = outcomes[0]
    show(number, DELETE, outcome)
    if outcome.sqlstate == "ZG001":
        say(paint("            Nobody decided in time. It may be sent again once it is approved.", DIM))
    return outcome


def waiting(firewall: Firewall, token: str) -> str:
    """The id of the request that waits, once its preview is made; empty where there is none."""
    deadline = time.monotonic() + APPEAR_SECONDS
    headers = {"Authorization": f"Bearer {token}"}
    while time.monotonic() < deadline:
        answer = httpx.get(f"{firewall.admin_url}/api/v1/approvals?state=pending", headers=headers)
        found = answer.json()["approvals"] if answer.is_success else []
        if found and found[0]["preview"] is not None:
            return str(found[0]["id"])
        time.sleep(0.1)
    return ""


def decide(firewall: Firewall, token: str, request_id: str) -> None:
    """Show what the approver sees, and how to decide; with DEMO_EXIT, approve it by the command line."""
    say(paint(f"\n   What {APPROVER} sees (dbfirewall approvals show {request_id})", DIM))
    approvals(firewall, token, "show", request_id)
    if "DEMO_EXIT" in os.environ:
        say(paint(f"\n   {APPROVER} approves (dbfirewall approvals approve {request_id})", DIM))
        approvals(firewall, token, "approve", request_id, "--yes")
        return
    say(f"\n   {paint('Your turn', GREEN)}: approve or deny it within two minutes,")
    say(f"     in the console  {firewall.admin_url}/approvals/{request_id}")
    say(f"     with the token  {token}")
    say("     or in a shell   export DBFIREWALL_TOKEN=… (the token)")
    say(f"                     .venv/bin/dbfirewall approvals --help    (--url {firewall.admin_url})")


def approvals(firewall: Firewall, token: str, *arguments: str) -> None:
    """Run `dbfirewall approvals …` as the approver, its output indented."""
    environment = {**firewall.environment, "DBFIREWALL_TOKEN": token, "DBFIREWALL_URL": firewall.admin_url}
    command = [sys.executable, "-m", "dbfirewall", "approvals", *arguments]
    done = subprocess.run(  # noqa: S603  our own command
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    for line in (done.stdout + done.stderr).splitlines():
        say(f"   {line}")
