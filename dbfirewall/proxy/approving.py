"""Release gates as the whole process has them: the store's service, previews, undo, and what became of releases.

An end that this process saw goes to the store at once (`end`). One that nobody saw is asked of the server by the
transaction's name (`resolve`): committed, so it ran; aborted, so it did not. Without a name, only a person can say.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from dbfirewall.approvals.message import Channel
from dbfirewall.approvals.model import Parameter, Preview, Request, State
from dbfirewall.approvals.notify import Notifier
from dbfirewall.approvals.opening import instance, make_store
from dbfirewall.approvals.outbox import StoreOutbox
from dbfirewall.approvals.service import Approvals
from dbfirewall.approvals.slack import SlackButtons
from dbfirewall.approvals.store import Query
from dbfirewall.audit.record import Event, Scalar
from dbfirewall.errors import CatalogError, SqlState, StoreError
from dbfirewall.gate import SessionFacts, Verdict
from dbfirewall.policy import refusal
from dbfirewall.policy.refusal import ErrorFields
from dbfirewall.preview import undo
from dbfirewall.preview.definitions import definitions
from dbfirewall.preview.make import make_preview
from dbfirewall.preview.restore import restore_sql, restore_statements
from dbfirewall.preview.talk import ServerError, Talk
from dbfirewall.proxy.pins import pins
from dbfirewall.proxy.release import Release, Way
from dbfirewall.proxy.side import SideConnection, side_connection
from dbfirewall.proxy.upstream import UpstreamError
from dbfirewall.settings import is_dsn
from dbfirewall.sql.facts import Statement

if TYPE_CHECKING:
    from dbfirewall.proxy.firewall import Firewall

log = logging.getLogger(__name__)

UNREACHABLE_SECONDS: Final = 900.0
"""How long the server is asked what became of a release, before a person has to find out."""

CATALOG_SECONDS: Final = 10.0
"""How long a catalog is waited for that is not there yet."""

PREVIEW_LOST_SECONDS: Final = 60.0
"""A preview that is not there by then was lost with the firewall that made it."""

PREVIEWS_AT_ONCE: Final = 4
"""Security limit: previews that are made at the same time, each on a server connection of its own."""


class Approving:
    """See the module's docstring. `approvals`: None until `start`, and where nothing is ever gated (tests)."""

    def __init__(self, firewall: Firewall) -> None:
        self._firewall = firewall
        self._previews = asyncio.Semaphore(PREVIEWS_AT_ONCE)
        self._previewing: set[str] = set()
        self.approvals: Approvals | None = None

    async def start(self) -> None:
        """Open the store; one that can't be opened is tried again, and refuses only what is gated."""
        firewall = self._firewall
        settings = firewall.settings
        store = make_store(settings.approvals, settings.state)
        approvals = Approvals(
            store, firewall.metrics, self._record,
            instance=instance(settings.state), retention=settings.approvals.retention,
        )  # fmt: skip
        await approvals.start(firewall.tasks.spawn, self.resolve)
        if approvals.available:
            log.error("the store of approvals: %s", approvals.available)
        self.approvals = approvals
        notifier = Notifier(
            store,
            StoreOutbox(store),
            self._channels,
            self.url,
            firewall.metrics.notifications.inc,
            approvals.now,
        )
        store.on_change(notifier.wake)
        firewall.tasks.spawn("notifications", notifier.run())
        firewall.tasks.spawn("missing previews", self._mend_previews())

    def _channels(self) -> Sequence[Channel]:
        return self._firewall.channels

    @property
    def slack(self) -> SlackButtons | None:
        """The handler of Slack's buttons; None where no channel has them."""
        signed = any(channel.kind == "slack" and channel.secret is not None for channel in self._channels())
        if self.approvals is None or not signed:
            return None
        return SlackButtons(self.approvals, self._channels, lambda: self._firewall.rules, self.approvals.now)

    async def close(self) -> None:
        """Let go of the store."""
        if self.approvals is not None:
            await self.approvals.close()

    def _record(self, event: Event, **members: Scalar) -> None:
        self._firewall.audit.event(event, **members)
        self._firewall.audit.flush()

    def url(self, request_id: str) -> str:
        """Where people decide a request."""
        settings = self._firewall.settings
        admin = settings.admin
        host = f"[{admin.host}]" if ":" in admin.host else admin.host
        return f"{settings.approvals.public_url or f'http://{host}:{admin.port}'}/approvals/{request_id}"

    @asynccontextmanager
    async def side(self, role: str, database: str) -> AsyncIterator[SideConnection]:
        """A server connection with a role's login, pinned like its sessions. Raises UpstreamError."""
        firewall = self._firewall
        rule = firewall.rules.roles.get(role)
        try:
            catalog = await firewall.catalogs.wait_for(database, CATALOG_SECONDS)
        except CatalogError as error:
            raise UpstreamError(str(error)) from None
        target, credentials = firewall.targets.get(database), firewall.credentials.get((database, role))
        if rule is None or target is None or credentials is None:
            raise UpstreamError("the rules no longer have this role in this database")
        wanted = pins(rule, firewall.search_path(rule, database), catalog.server_version)
        async with side_connection(target, credentials, wanted) as talk:
            yield talk

    # -- previews ---------------------------------------------------------------------------------------------

    def preview_soon(self, request: Request, statements: Sequence[Statement]) -> None:
        """Find out what the statement would do, beside everything else, unless that is under way."""
        if request.id not in self._previewing:
            self._previewing.add(request.id)
            self._firewall.tasks.spawn(f"preview of {request.id}", self._preview(request, statements))

    async def _mend_previews(self) -> None:
        """Make the previews of requests whose firewall was ended while it made them.

        Where several firewalls share the store another one may be at it, and gets its time.
        """
        patience = PREVIEW_LOST_SECONDS if is_dsn(self._firewall.settings.approvals.store) else 0.0
        while self.approvals is not None:
            try:
                for request in await self.approvals.list(Query(states=(State.PENDING,), limit=500)):
                    late = self.approvals.now() - request.created_at >= patience
                    if request.preview is None and late and request.id not in self._previewing:
                        self._previewing.add(request.id)
                        try:
                            await self.renew_preview(request)
                        finally:
                            self._previewing.discard(request.id)
            except StoreError as error:
                log.warning("previews that are missing: %s", error)
            await asyncio.sleep(PREVIEW_LOST_SECONDS / 2)

    async def renew_preview(self, request: Request) -> Request | None:
        """Make the preview of a pending request anew; None where it is not pending any more. Raises StoreError."""
        snapshot, firewall = request.snapshot, self._firewall
        try:
            await firewall.catalogs.wait_for(snapshot.database, CATALOG_SECONDS)
        except CatalogError:
            return None
        role = firewall.rules.roles.get(snapshot.role)
        judge = role and firewall.judge(
            role, snapshot.database, snapshot.application, firewall.search_path(role, snapshot.database)
        )
        if not judge:
            return None
        # It may be long: nothing of it on the event loop.
        reading = await firewall.pool.read(snapshot.sql)
        verdict = await asyncio.to_thread(judge.judge_reading, snapshot.sql, reading, SessionFacts())
        return await self._preview(request, verdict.statements)

    async def _preview(self, request: Request, statements: Sequence[Statement]) -> Request | None:
        snapshot, approvals = request.snapshot, self.approvals
        if approvals is None:
            return None
        self._previewing.add(request.id)
        try:
            async with self._previews, self.side(snapshot.role, snapshot.database) as talk:
                preview = await make_preview(talk, snapshot, statements, request.options, now=approvals.now())
        except (UpstreamError, ConnectionError, ServerError) as error:
            preview = no_preview(f"There is no preview: {error}.", approvals.now())
        except Exception:  # whatever it was: people must be able to decide all the same, and be told
            log.exception("preview of %s", request.id)
            preview = no_preview("There is no preview, because making it failed.", approvals.now())
        finally:
            self._previewing.discard(request.id)
        return await approvals.attach_preview(request.id, preview)

    # -- undo -------------------------------------------------------------------------------------------------

    async def standing(self, request: Request, verdict: Verdict) -> str:
        """What a statement touches, as other sessions see it; empty for one that redefines things itself.

        Raises ServerError where the server can't be asked.
        """
        if verdict.changes_catalog:
            return ""
        try:
            async with self.side(request.snapshot.role, request.snapshot.database) as talk:
                return await definitions(talk, verdict.statements)
        except (UpstreamError, ConnectionError) as error:
            log.warning("%s is not released: the server can't be asked: %s", request.id, error)
            raise ServerError({
                "S": "ERROR", "V": "ERROR", "C": str(SqlState.UPSTREAM_DOWN),
                "M": "It could not be made sure that nothing was redefined meanwhile.", "H": "Retry later.",
            }) from error  # fmt: skip

    async def confirm(self, talk: Talk, release: Release) -> ErrorFields | None:
        """The last look at a statement that has run, while the locks that it took still hold: why it may not stay.

        Raises ServerError, ConnectionError.
        """
        request = release.request
        if request is None or self.approvals is None:
            return None
        note = ""
        try:
            documents = (
                await undo.complete(talk, release.captured, release.affected) if release.captured else ()
            )
            for number, document in enumerate(documents):
                rows = len(json.loads(document).get("rows", ()))
                await self.approvals.keep_undo(request.id, number, document, rows)
        except undo.UndoError as error:
            note = str(error)
        except StoreError as error:
            note = f"the rows for undo can't be kept: {error}"
        if not note and await self.standing(request, release.verdict) != release.standing:
            note = "what it touches was redefined while it ran."
        if not note:
            return None
        release.void, release.error = State.WITHDRAWN, note
        return refusal.withdrawn(release.verdict.decision, request.id, note=note)

    async def undo_plan(self, request: Request) -> tuple[str, list[dict[str, Any]]]:
        """The SQL that restores what an approved statement changed, and its tables (`name`, `rows`)."""
        if self.approvals is None:
            return "", []
        documents = await self.approvals.undo(request.id)
        tables = [json.loads(document) for document in documents]
        return restore_sql(documents), [
            {"name": str(one.get("table", "")), "rows": len(one.get("rows", ()))} for one in tables
        ]

    async def apply_undo(self, request: Request, approver: str) -> int:
        """Run it as the role's login, in one transaction; how many rows were restored. Raises ServerError, …."""
        if self.approvals is None:
            return 0
        snapshot = request.snapshot
        statements = restore_statements(await self.approvals.undo(request.id))
        self._record("approval_undone", approval=request.id, approver=approver, role=snapshot.role,
                     database=snapshot.database)  # fmt: skip
        restored = 0
        async with self.side(snapshot.role, snapshot.database) as talk:
            await talk.run("BEGIN")
            for statement in statements:
                word = (await talk.run(statement)).tag.rpartition(" ")[2]
                restored += int(word) if word.isdecimal() else 0
            await talk.run("COMMIT")
        return restored

    # -- what became of it ------------------------------------------------------------------------------------

    async def abandoned(self, request: Request) -> None:
        """Its agent left, or cancelled, while the statement was held."""
        if self.approvals is None:
            return
        try:
            if request.options.cancel_on_disconnect:
                await self.approvals.withdraw(request.id, "its agent left or cancelled while it waited.")
            else:
                await self.approvals.mark(request.id, agent_gone=True)
        except StoreError as error:
            log.warning("%s: its agent left, which can't be noted: %s", request.id, error)

    async def end(self, release: Release, state: State, *, note: str = "", error: str = "") -> None:
        """This is what became of it; where the store does not answer, it is told later."""
        request = release.request
        if request is None or self.approvals is None:
            return
        affected = release.affected if state in (State.DONE, State.OUTSIDE) else ()
        await self.approvals.finish(
            request.id, state, affected=affected, error=error, note=note, attempt=request.attempts
        )

    def ended_plain(self, release: Release) -> None:
        """A statement that ran without a transaction of ours has ended, well or in an error."""
        state = State.DONE
        if not release.ran:
            state = State.APPROVED if release.reads else State.FAILED
        self._firewall.tasks.spawn("end of a release", self.end(release, state, error=release.error))

    def transaction_over(self, release: Release) -> None:
        """The agent's transaction has ended; the server knows how. What ran in none by now never ran."""
        if release.way is Way.PLAIN:
            self._firewall.tasks.spawn(
                "end of a release", self.end(release, State.APPROVED, note="it was never run.")
            )
        else:
            self._ask_server(release)

    def session_over(self, release: Release) -> None:
        """The session ended before the end of the release was known."""
        if release.way is Way.PLAIN and release.reads:
            note = "the session ended while it was run."
            self._firewall.tasks.spawn("end of a release", self.end(release, State.APPROVED, note=note))
        else:
            self._ask_server(release)

    def _ask_server(self, release: Release) -> None:
        request = release.request
        if request is None or self.approvals is None:
            return
        self.approvals.doubt(request.id)
        self._firewall.tasks.spawn(f"outcome of {request.id}", self._resolve_now(request))

    async def _resolve_now(self, request: Request) -> None:
        """As `resolve`; where it comes to nothing, the service asks again every few seconds."""
        try:
            await self.resolve(request)
        except (StoreError, OSError) as error:
            log.warning("the outcome of %s is not known yet: %s", request.id, error)

    async def resolve(self, request: Request) -> None:
        """Ask the server what became of a release, and tell the store once that is known."""
        approvals = self.approvals
        if approvals is None:
            return
        state, note = State.UNKNOWN, "it ran in no transaction that the server could be asked about."
        if request.xid:
            try:
                status = await self._status(request)
            except (UpstreamError, ServerError) as error:
                log.warning("the outcome of %s is not known yet: %s", request.id, error)
                status = "unreachable"
            waited = approvals.now() - request.updated_at
            if status == "in progress" or (status == "unreachable" and waited < UNREACHABLE_SECONDS):
                return
            state, note = _OUTCOMES.get(
                status, (State.UNKNOWN, "the server no longer knows what became of it.")
            )
        await approvals.finish(request.id, state, note=note, xid=request.xid, attempt=request.attempts)

    async def _status(self, request: Request) -> str:
        async with self.side(request.snapshot.role, request.snapshot.database) as talk:
            xid = Parameter(0, 0, request.xid.encode())
            result = await talk.run("SELECT pg_catalog.pg_xact_status($1::pg_catalog.xid8)", [xid])
        return result.rows[0][0] or "forgotten"


_OUTCOMES: Final = {
    "committed": (State.DONE, "the server says that its transaction was committed."),
    "aborted": (State.APPROVED, "the server says that its transaction was rolled back: it may run again."),
}


def no_preview(why: str, now: float) -> Preview:
    """In the place of a preview that could not be made."""
    return Preview(now, notes=(why,))
