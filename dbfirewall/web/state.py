"""What the admin listener asks of the firewall. `cli` puts the two together: neither imports the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dbfirewall.approvals.model import Request
from dbfirewall.approvals.service import Approvals
from dbfirewall.policy.models import Rules

SlackHandler = Callable[[bytes, Mapping[str, str]], Awaitable[tuple[int, dict[str, Any]]]]
"""Answers Slack's signed requests: raw body and headers (lower case) → status and JSON. It checks the signature."""


class AdminState(Protocol):
    """What metrics and health need, on the event loop: nothing of it may block."""

    def metrics_text(self) -> bytes:
        """The metrics in Prometheus' text format."""

    def health(self) -> list[str]:
        """What is wrong with the process, in sentences; empty: nothing."""

    def readiness(self) -> list[str]:
        """Why agents can't be served, in sentences; empty: they can."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """One agent's session as people see it. `doing`: idle, running, in transaction or waiting for approval."""

    id: str
    agent: str
    role: str
    database: str
    application: str
    peer: str
    doing: str


class ConsoleState(AdminState, Protocol):
    """What console and API need besides."""

    @property
    def approvals(self) -> Approvals:
        """The requests for approval."""

    @property
    def rules(self) -> Rules:
        """The rules in force now."""

    @property
    def audit_folder(self) -> Path:
        """Where this process keeps its audit record."""

    @property
    def slack(self) -> SlackHandler | None:
        """The handler of Slack's buttons; None where they are not set up."""

    def sessions(self) -> Sequence[SessionView]:
        """The agents' sessions in this process."""

    def refused(self, peer: str, error: str) -> None:
        """Record that somebody at `peer` was not let in."""

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> Any:
        """Start a task that is owned by the process."""

    async def renew_preview(self, request: Request) -> Request | None:
        """Make the preview of a pending request anew; None where it is not pending any more."""

    async def undo_plan(self, request: Request) -> tuple[str, list[dict[str, Any]]]:
        """The SQL that restores what an approved statement changed, and its tables (`name`, `rows`)."""

    async def apply_undo(self, request: Request, approver: str) -> int:
        """Run it as the role's login; returns how many rows were restored."""
