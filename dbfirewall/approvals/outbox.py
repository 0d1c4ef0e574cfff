"""Notifications that are owed, in the store: what dbfirewall.approvals.notify.Outbox promises, as steps.

See dbfirewall.approvals.store_sql for what a step is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

from dbfirewall.approvals.message import Delivery, Event
from dbfirewall.approvals.stepped import SteppedStore
from dbfirewall.approvals.store_sql import Steps

MAX_PROBLEM: Final = 200
"""Characters kept of why an attempt failed."""


class StoreOutbox:
    """The outbox in `store`."""

    def __init__(self, store: SteppedStore) -> None:
        self._store = store

    async def owe(self, deliveries: Sequence[tuple[str, Event, str]], now: float) -> None:
        """See notify.Outbox."""
        await self._store.run(partial(_owe, deliveries, now))

    async def claim(
        self, now: float, lease: float, limit: int, but_for: Collection[str] = ()
    ) -> Sequence[Delivery]:
        """See notify.Outbox."""
        return await self._store.run(partial(_claim, now, lease, limit, tuple(but_for)))

    async def settle(self, delivery: Delivery, problem: str, again_at: float | None) -> None:
        """See notify.Outbox."""
        await self._store.run(partial(_settle, delivery, problem, again_at))


def _owe(deliveries: Sequence[tuple[str, Event, str]], now: float) -> Steps[None]:
    for request_id, event, channel in deliveries:
        yield (
            """INSERT INTO deliveries (request, event, channel, since, due, attempts, problem)
            VALUES ($1, $2, $3, $4, $4, 0, '') ON CONFLICT DO NOTHING""",
            (request_id, event, channel, now),
        )


def _claim(now: float, lease: float, limit: int, but_for: tuple[str, ...]) -> Steps[Sequence[Delivery]]:
    others = "".join(f" AND channel <> ${number}" for number in range(2, 2 + len(but_for)))
    due = yield (
        f"""SELECT request, event, channel, attempts, since, due FROM deliveries WHERE due <= $1{others}
        ORDER BY due, request LIMIT {limit:d}""",  # noqa: S608  numbers alone
        (now, *but_for),
    )
    claimed = []
    for row in due:
        taken = yield (
            """UPDATE deliveries SET due = $5 WHERE request = $1 AND event = $2 AND channel = $3 AND due = $4
            RETURNING request""",
            (row["request"], row["event"], row["channel"], row["due"], now + lease),
        )
        if taken:
            claimed.append(
                Delivery(row["request"], row["event"], row["channel"], row["attempts"], row["since"])
            )
    return claimed


def _settle(delivery: Delivery, problem: str, again_at: float | None) -> Steps[None]:
    """`due` NULL: never again."""
    yield (
        """UPDATE deliveries SET due = $4, attempts = attempts + 1, problem = $5
        WHERE request = $1 AND event = $2 AND channel = $3""",
        (delivery.request_id, delivery.event, delivery.channel, again_at, problem[:MAX_PROBLEM]),
    )
