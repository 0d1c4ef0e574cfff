"""What all sessions share: rules, judges, catalogs, limits, audit, metrics; and the registry of sessions."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbfirewall.approvals.message import Channel
from dbfirewall.audit import AuditLog
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.errors import AuditError, ConfigError
from dbfirewall.gate import UNCHANGED, Judge
from dbfirewall.limits import Budget, ConnectionLimiter, LoginBackoff, RateLimiter
from dbfirewall.metrics import Metrics
from dbfirewall.policy.loader import load_rules
from dbfirewall.policy.models import Role, Rules
from dbfirewall.proxy.approving import Approving
from dbfirewall.proxy.catalogs import CatalogService
from dbfirewall.proxy.dsn import Target, parse_dsn
from dbfirewall.proxy.login import Doorkeeper
from dbfirewall.proxy.parse_pool import ParsePool
from dbfirewall.proxy.pins import Footing, pins
from dbfirewall.proxy.secrets import LoginKey, read_channels, read_credentials
from dbfirewall.proxy.session import Session
from dbfirewall.proxy.tasks import TaskOwner, in_thread
from dbfirewall.proxy.upstream import Credentials, send_cancel
from dbfirewall.proxy.waiting import WaitingRoom
from dbfirewall.settings import Settings, Tls

log = logging.getLogger(__name__)

PROFILED_CLIENTS = frozenset({"pg_dump"})
"""application_name values that matter to decisions (docs/rules.md, Client housekeeping)."""

STRANGERS_PER_SECOND = 10.0
"""Security limit: audit records a second about connections that have not logged in; beyond that they are counted."""

STRANGERS_AT_ONCE = 1000.0
"""Security limit: how many such records may come at once, after a quiet time."""


@dataclass(frozen=True, slots=True)
class CancelKey:
    """What BackendKeyData gives an agent: the server's pid, and a key of our own."""

    pid: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """Rules that were read but are not in force, and what was read with them."""

    rules: Rules
    targets: dict[str, Target]
    credentials: dict[LoginKey, Credentials]
    channels: tuple[Channel, ...]


class Firewall:
    """One process's shared state; everything here runs on the one event loop."""

    def __init__(self, settings: Settings, rules_path: Path) -> None:
        self.settings = settings
        self._rules_path = rules_path
        self.metrics = Metrics()
        self.audit = AuditLog(
            settings.state,
            fsync=settings.audit.fsync,
            max_bytes=settings.audit.max_bytes,
            sql=settings.audit.sql,
        )
        self.tasks = TaskOwner()
        self.pool = ParsePool(settings.parse.deadline)
        self.catalogs = CatalogService(self.metrics, settings.catalog.refresh, self._catalog_loaded)
        self.connections = ConnectionLimiter(
            total=settings.limits.connections, unauthenticated=settings.limits.unauthenticated
        )
        self.rates = RateLimiter(time.monotonic)
        self.backoff = LoginBackoff(time.monotonic)
        self.waiting = WaitingRoom()
        self._strangers = Budget(time.monotonic, per_second=STRANGERS_PER_SECOND, burst=STRANGERS_AT_ONCE)
        self.bytes_to_server = self.metrics.relayed_bytes.cell("to_server")
        self.bytes_to_agent = self.metrics.relayed_bytes.cell("to_agent")
        self.max_sql_bytes = settings.limits.sql_bytes
        tls = settings.tls if isinstance(settings.tls, Tls) else None
        self.doorkeeper = Doorkeeper(settings.state, tls.cert if tls is not None else None)
        self._asks_for_certificates = tls is not None and tls.client_ca is not None
        self.sessions: dict[str, Session] = {}
        self._cancel: dict[CancelKey, Session] = {}
        self._cancelling: set[asyncio.Task[None]] = set()
        self.approving = Approving(self)
        self.draining = False
        self.stop_now = asyncio.Event()
        self.rules = Rules(version=1)
        self.targets: dict[str, Target] = {}
        self.credentials: dict[LoginKey, Credentials] = {}
        self.channels: tuple[Channel, ...] = ()
        self._judges: dict[tuple[str, str, str, tuple[str, ...] | None], Judge] = {}
        self._reloading = asyncio.Lock()
        self._audit_problem = ""
        self._reload_asked = False

    # -- rules ------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the rules and put them in force, all or nothing. Raises ConfigError, AuditError."""
        self._put_in_force(self._read())

    def _read(self) -> Loaded:
        """The rules and all that they point to. Changes nothing; may take as long as password commands do."""
        rules = load_rules(self._rules_path)
        if not rules.agents:
            raise ConfigError("no agents in the rules: nobody could connect", file=str(self._rules_path))
        by_certificate = [name for name, agent in rules.agents.items() if agent.certificate is not None]
        if by_certificate and not self._asks_for_certificates:
            raise ConfigError(
                f"agent {by_certificate[0]!r} needs a certificate, but the settings have no tls.client_ca",
                file=str(self._rules_path),
            )
        targets = {name: parse_dsn(database.dsn) for name, database in rules.databases.items()}
        for target in targets.values():
            target.tls_context()
        return Loaded(rules, targets, read_credentials(rules), read_channels(rules))

    def _put_in_force(self, loaded: Loaded) -> None:
        rules, targets, credentials = loaded.rules, loaded.targets, loaded.credentials
        self.audit.event("rules_loaded", fingerprint=rules.revision)
        self.audit.flush()
        self.doorkeeper.load(rules)
        self.rules, self.targets, self.credentials, self.channels = (
            rules,
            targets,
            credentials,
            loaded.channels,
        )
        self._judges.clear()
        self.rates.keep(frozenset(rules.agents))
        self.catalogs.keep(frozenset(targets))
        for name, target in targets.items():
            login = next((key for key in sorted(credentials) if key[0] == name), None)
            if login is not None:
                self.catalogs.watch(name, target, credentials[login], self.tasks)
        self.metrics.rules_loads.inc("ok")
        self.metrics.rules_loaded.set(time.time())
        for session in list(self.sessions.values()):
            session.refresh_judge()

    def reload_soon(self) -> None:
        """Begin a `reload`, unless one is asked for and has not begun."""
        if not self._reload_asked:
            self._reload_asked = True
            self.tasks.spawn("rules reload", self.reload())

    async def reload(self) -> None:
        """As `load`, but sessions go on meanwhile, and the rules in force stay when the new ones are wrong."""
        async with self._reloading:
            self._reload_asked = False
            await self._reload()

    async def _reload(self) -> None:
        try:
            self._put_in_force(await in_thread("rules reload", self._read))
            log.info("rules reloaded, revision %s", self.rules.revision[:12])
        except (ConfigError, AuditError) as error:
            self.metrics.rules_loads.inc("rejected")
            log.error("rules not reloaded, the old ones stay in force: %s", error)  # noqa: TRY400  no traceback

    # -- judging ----------------------------------------------------------------------------------------------

    def judge_for(self, session: Session) -> Judge | None:
        """The current judge of a session; None where its agent may no longer be here, or not so."""
        agent = self.rules.agents.get(session.agent)
        role = self.rules.roles.get(agent.role) if agent is not None else None
        if (
            agent is None
            or role is None
            or role.name != session.role.name
            or session.database not in agent.database
            or self.footing(role, session.database) != session.footing
        ):
            return None
        session.role = role
        path = session.search_path
        if path is UNCHANGED:
            path = self.search_path(role, session.database)
        return self.judge(role, session.database, session.application, path)

    def footing(self, role: Role, database: str) -> Footing | None:
        """What a session of `role` would stand on now; None before the catalog is there."""
        catalog = self.catalogs.current(database)
        if catalog is None:
            return None
        path = self.search_path(role, database)
        user = self.credentials[database, role.name].user
        return Footing(self.targets[database], user, role.pin, pins(role, path, catalog.server_version))

    def search_path(self, role: Role, database: str) -> tuple[str, ...] | None:
        """The role's search_path with `$user` as the login that it is; None where it has none."""
        if role.search_path is None:
            return None
        user = self.credentials[database, role.name].user
        return tuple(user if schema == "$user" else schema for schema in role.search_path)

    def judge(
        self, role: Role, database: str, application: str, path: tuple[str, ...] | None
    ) -> Judge | None:
        """The judge for these facts, shared by all sessions that have them.

        None before the catalog is there, and for a role of rules that are no longer in force.
        """
        catalog = self.catalogs.current(database)
        if catalog is None or self.rules.roles.get(role.name) is not role:
            return None
        client = application if application in PROFILED_CLIENTS else ""
        key = (role.name, database, client, path)
        found = self._judges.get(key)
        if found is None:
            found = self._judges[key] = Judge(
                role,
                catalog,
                self.metrics,
                application_name=client,
                search_path=path,
                max_text_bytes=self.max_sql_bytes,
                inline_bytes=self.settings.parse.inline_bytes,
            )
        return found

    def _catalog_loaded(self, database: str) -> None:
        for key in [key for key in self._judges if key[1] == database]:
            del self._judges[key]
        for session in list(self.sessions.values()):
            if session.database == database:
                session.refresh_judge()

    def catalog_changed(self, session: Session) -> None:
        """A statement that can change names has run in this session's database."""
        self.catalogs.refresh_soon(session.database)

    def read_in_worker(self, session: Session, sql: bytes, resume: Callable[[], None]) -> None:
        """Read a long text in a worker process; then give the session its verdict and go on."""
        self.tasks.spawn(f"parse for {session.id}", self._read_in_worker(session, sql, resume))

    async def _read_in_worker(self, session: Session, sql: bytes, resume: Callable[[], None]) -> None:
        started = time.perf_counter()
        try:
            reading = await self.pool.read(sql)
            self.metrics.parse.observe(time.perf_counter() - started)
            judge = session.judge
            verdict = await asyncio.to_thread(judge.judge_reading, sql, reading, session.facts)
        except Exception as error:  # noqa: BLE001  a text that can't be judged must not wait for ever
            session.failed(error)
            return
        session.take_verdict(sql, judge, verdict)
        resume()

    # -- sessions ---------------------------------------------------------------------------------------------

    def register(self, session: Session, pid: int, key_bytes: int) -> CancelKey:
        """Enter a session; returns the cancel key for its agent."""
        cancel = CancelKey(pid, secrets.token_bytes(key_bytes))
        self.sessions[session.id] = session
        self._cancel[cancel] = session
        gauge = self.metrics.sessions.cell(session.role.name)
        gauge.value += 1

        def leave() -> None:
            self.sessions.pop(session.id, None)
            self._cancel.pop(cancel, None)
            gauge.value -= 1

        session.on_end.append(leave)
        return cancel

    def cancel(self, pid: int, key: bytes, then: Callable[[], None]) -> None:
        """An agent's CancelRequest, and `then` once the server has taken it in; a wrong key is ignored there too."""
        for known, session in self._cancel.items():
            if known.pid == pid and hmac.compare_digest(known.key, key):
                if session.interrupt():
                    then()
                else:
                    self.cancel_upstream(session, then)
                session.audit.event("cancel")
                return
        then()

    def cancel_upstream(self, session: Session, then: Callable[[], None] | None = None) -> None:
        """Ask the server to cancel what a session runs, and then go on with `then`."""
        task = self.tasks.spawn(f"cancel for {session.id}", self._cancel_upstream(session, then))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def cancels_sent(self, seconds: float) -> None:
        """Wait until the server has taken in all cancel requests that are under way, but no longer than that."""
        if self._cancelling:
            await asyncio.wait(self._cancelling, timeout=seconds)

    async def _cancel_upstream(self, session: Session, then: Callable[[], None] | None) -> None:
        try:
            await send_cancel(session.footing.target, session.upstream_pid, session.upstream_key)
        finally:
            if then is not None:
                then()

    def soon(self, work: Callable[[], None]) -> None:
        """Do `work` when everybody else has had their turn."""
        asyncio.get_running_loop().call_soon(work)

    def accept(self) -> bool:
        """Count a new connection, if need be in the place of one that has not logged in; False: there is no room."""
        if not self.connections.accept():
            longest = self.waiting.longest()
            if longest is None:
                return False
            longest.give_way()
            return self.connections.accept()
        return True

    def record_stranger(self, event: Event, **members: Scalar) -> None:
        """Record what somebody did who has not logged in. Raises AuditError.

        Only so many of these are recorded: anybody can cause them, and a full disk would stop everybody.
        """
        if not self._strangers.take():
            return
        if dropped := self._strangers.dropped():
            self.audit.event("refused_connection", rows=dropped, error="more than were recorded")
        self.audit.event(event, **members)

    # -- health -----------------------------------------------------------------------------------------------

    def metrics_text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        self.metrics.connections.set(self.connections.unauthenticated, "startup")
        self.metrics.connections.set(self.connections.total - self.connections.unauthenticated, "session")
        return self.metrics.render()

    def health(self) -> list[str]:
        """What is wrong with the process, in sentences."""
        problem = self.audit.check()
        return [] if problem is None else [f"the audit record cannot be written: {problem}"]

    def readiness(self) -> list[str]:
        """Why agents can't be served, in sentences."""
        draining = ["the firewall is shutting down"] if self.draining else []
        return draining + self.health() + self.catalogs.problems()

    def flush_audit(self) -> None:
        """Write what waits in the audit buffer (outcomes, session ends); failures show at the next statement."""
        try:
            self.audit.flush()
        except AuditError as error:
            self.metrics.audit_failures.inc()
            if str(error) != self._audit_problem:
                self._audit_problem = str(error)
                log.critical("%s", error)
            return
        if self._audit_problem:
            self._audit_problem = ""
            log.info("the audit record is written again")
