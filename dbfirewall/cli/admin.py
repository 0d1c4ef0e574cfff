"""The firewall as the admin listener sees it. Here because neither of the two may import the other."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from dbfirewall.approvals.service import Approvals
from dbfirewall.errors import AuditError, StoreError
from dbfirewall.policy.models import Rules
from dbfirewall.proxy.firewall import Firewall
from dbfirewall.proxy.session import Session
from dbfirewall.settings import Settings
from dbfirewall.web.options import WebOptions
from dbfirewall.web.state import SessionView, SlackHandler

log = logging.getLogger(__name__)


class AdminView:
    """A `dbfirewall.web.state.ConsoleState` of one running firewall."""

    def __init__(self, firewall: Firewall) -> None:
        self._firewall = firewall
        self.metrics_text = firewall.metrics_text
        self.health = firewall.health
        self.readiness = firewall.readiness
        self.renew_preview = firewall.approving.renew_preview
        self.undo_plan = firewall.approving.undo_plan
        self.apply_undo = firewall.approving.apply_undo

    @property
    def approvals(self) -> Approvals:
        """The requests for approval. Raises StoreError where there are none."""
        approvals = self._firewall.approving.approvals
        if approvals is None:
            raise StoreError("it has not been opened yet")
        return approvals

    @property
    def rules(self) -> Rules:
        """The rules in force now."""
        return self._firewall.rules

    @property
    def audit_folder(self) -> Path:
        """Where this process keeps its audit record."""
        return self._firewall.audit.folder

    @property
    def slack(self) -> SlackHandler | None:
        """The handler of Slack's buttons; None where they are not set up."""
        return self._firewall.approving.slack

    def sessions(self) -> Sequence[SessionView]:
        """The agents' sessions in this process."""
        return [_view(session) for session in self._firewall.sessions.values()]

    def refused(self, peer: str, error: str) -> None:
        """Record that somebody at `peer` was not let in; they are not, whether or not that can be written."""
        try:
            self._firewall.record_stranger("auth_failure", peer=f"{peer} admin", error=error)
            self._firewall.audit.flush()
        except AuditError as problem:
            self._firewall.metrics.audit_failures.inc()
            log.critical("%s", problem)

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> Any:
        """Start a task that is owned by the process."""
        return self._firewall.tasks.spawn(name, work)


def web_options(settings: Settings) -> WebOptions:
    """What the settings say of console and API."""
    console = settings.console
    return WebOptions(
        public_url=settings.approvals.public_url,
        hosts=frozenset(console.hosts),
        auth_header=console.auth_header,
        trusted_proxies=console.trusted_proxies,
        idle=console.idle_timeout,
        lifetime=console.lifetime,
    )


def _view(session: Session) -> SessionView:
    if session.waiting_for:
        doing = "waiting for approval"
    elif session.pending:
        doing = "running"
    else:
        doing = "idle" if session.idle else "in a transaction"
    address = session.agent_peer.transport.get_extra_info("peername")
    return SessionView(
        id=session.id,
        agent=session.agent,
        role=session.role.name,
        database=session.database,
        application=session.application,
        peer=f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "local",
        doing=doing,
    )
