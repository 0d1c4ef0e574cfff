"""What a store of approval requests does. SQLite and Postgres implement it; the same tests hold for both.

Every method is one atomic, durable step: when it returns, it would survive `kill -9`. Methods that change a state
compare and set, so that of many that try, one wins. All raise StoreError where the store can't be reached or
written; then nothing was changed, or the caller can't know, and what is gated does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dbfirewall.approvals.model import Envelope, Options, Preview, Request, Snapshot, State, Terms, Vote

TAKEN: Final = "*"
"""Behind the owner of a release that it has taken over."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which requests to list, newest first. Empty: any. `before`: only those created before (Unix seconds)."""

    states: tuple[State, ...] = ()
    agent: str = ""
    database: str = ""
    role: str = ""
    rule: str = ""
    before: float | None = None
    limit: int = 100


class Store(Protocol):
    """See the module's docstring. Times are Unix seconds, given by the caller."""

    async def open(self) -> None:
        """Connect; make or migrate the schema."""

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""

    async def check(self) -> str:
        """Empty where the store works, else what is wrong with it, in words for an operator."""

    async def submit(
        self, snapshot: Snapshot, terms: tuple[Terms, ...], options: Options, now: float
    ) -> tuple[Request, bool]:
        """The live request for `snapshot.key`, or a new pending one; and whether it is new.

        Live: pending, approved or releasing; unknown, until a person has settled it; denied, until it expires;
        expired, until the agent was told so. What is past `expires_at` is made `expired` here first. A request
        found again is no longer `agent_gone`.
        """

    async def get(self, request_id: str) -> Request | None:
        """The request, or None."""

    async def list(self, query: Query) -> Sequence[Request]:
        """Requests, newest first."""

    async def pending(self) -> frozenset[str]:
        """The ids of all pending requests."""

    async def count(self) -> dict[State, int]:
        """How many requests there are, by state."""

    async def attach_preview(self, request_id: str, preview: Preview, now: float) -> Request | None:
        """Replace its preview, where it is still pending; None where it is not.

        Where there was another one, votes that were given for that are gone.
        """

    async def vote(
        self, request_id: str, vote: Vote, state: State, envelope: Envelope | None,
        *, undo_accepted: bool, expected: int,
    ) -> Request | None:  # fmt: skip
        """Add `vote` to a pending request and make it `state` (pending, approved or denied).

        None where it is not pending any more, or has not exactly `expected` votes: then look again.
        """

    async def begin_release(self, request_id: str, owner: str, xid: str, now: float) -> Request | None:
        """approved → releasing, for one caller ever; None where it is not approved, or has expired.

        Counts `attempts` up, and forgets the undo of the attempt before.
        """

    async def finish(
        self, request_id: str, state: State, now: float,
        *, affected: tuple[int | None, ...] = (), error: str = "", note: str = "", xid: str | None = None,
        attempt: int | None = None,
    ) -> Request | None:  # fmt: skip
        """releasing or unknown → `state` (approved: it was rolled back and may be redeemed again).

        `xid`, `attempt`: only where that is still the transaction, or the number of the attempt, on record.
        None where it is not releasing or unknown.
        """

    async def withdraw(self, request_id: str, note: str, now: float) -> Request | None:
        """pending or approved → withdrawn; None where it is neither."""

    async def mark(
        self, request_id: str, *, agent_gone: bool | None = None, told: bool | None = None
    ) -> None:
        """Note that its agent left or came back, or has been told of its end."""

    async def expire(self, now: float) -> Sequence[Request]:
        """pending or approved and past `expires_at` → expired; those that were changed now."""

    async def keep_undo(self, request_id: str, sequence: int, document: str, rows: int) -> None:
        """Keep one captured table (a JSON document of dbfirewall.undo) of a releasing request, and count its rows."""

    async def undo(self, request_id: str) -> Sequence[str]:
        """The documents kept by `keep_undo`, by sequence."""

    async def mark_undone(self, request_id: str, *, undone: bool) -> bool:
        """Note that what it changed is being restored, or (`undone` False) was not after all.

        False where that is noted already, or nothing was kept of it: of many that try, one wins.
        """

    async def beat(self, owner: str, now: float) -> None:
        """This process is alive."""

    async def orphans(self, owner: str, silent: float) -> Sequence[Request]:
        """Releasing requests whose owner is gone; each is handed to `owner`+TAKEN (only one process gets it).

        Owners are named `instance/run`. Gone: another run of the same instance, or one whose beats this process
        has not seen come for `silent` seconds (by its own monotonic clock: no step of a clock looks like a death).
        """

    async def prune(self, before: float) -> int:
        """Forget requests that ended before that time, with their undo, and the oldest ended ones of an agent that
        has more than MAX_ENDED of them; returns how many.
        """

    async def secret(self, name: str) -> bytes:
        """32 random bytes kept under `name`, made at first asking; the same for every process on this store."""

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener(request id)` on the event loop after any process changed a request. It may be called too
        often, and, where a notification was lost, late: so waiters look for themselves from time to time.
        """
