"""Server-sent events: requests as they change, decisions as they are made.

A reader that is too slow, or from whom something was kept, is told `again` and looks anew. A stream ends when its
reader would no longer be let in, and at shutdown.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from starlette.responses import StreamingResponse

from dbfirewall.approvals.listening import Subscription
from dbfirewall.approvals.model import Request
from dbfirewall.errors import AuditError
from dbfirewall.web.decisions import Feed
from dbfirewall.web.problems import Problem
from dbfirewall.web.state import ConsoleState

MAX_STREAMS: Final = 64
"""Security limit: streams of events at the same time."""
MAX_STREAMS_EACH: Final = 12
"""Security limit: streams of one approver; each open page of the console has one."""
MAX_AT_ONCE: Final = 100
"""Security limit: events in one chunk; what waits beyond is bounded by dbfirewall.approvals.listening."""
TICK: Final = 1.0
"""Seconds between looks at the audit record, the shutdown and the reader's right to be there."""
HEARTBEAT: Final = 15
"""Ticks after which something is sent, so that nobody in between takes the stream for dead."""

AGAIN: Final = b"event: again\ndata: {}\n\n"


class Streams:
    """All open streams. `stopping`: set at shutdown."""

    def __init__(self, state: ConsoleState, stopping: asyncio.Event) -> None:
        self._state = state
        self._stopping = stopping
        self._open: Counter[str] = Counter()

    def open(
        self, approver: str, only: str, shown: Callable[[Request], dict[str, Any]], holds: Callable[[], bool]
    ) -> StreamingResponse:
        """A stream of `only` one kind of event (empty: both). Raises Problem where there are too many.

        `shown`: a request as this reader sees it; `holds`: whether they are still let in.
        """
        if self._open.total() >= MAX_STREAMS or self._open[approver] >= MAX_STREAMS_EACH:
            raise Problem(503, "Too many streams of events are open.", retry_after=30)
        events = self._events(approver, only, shown, holds)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _events(
        self, approver: str, only: str, shown: Callable[[Request], dict[str, Any]], holds: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        self._open[approver] += 1
        changes = None if only == "decision" else self._state.approvals.subscribe()
        feed = None
        try:
            if only != "approval":
                feed = await asyncio.to_thread(Feed, self._state.audit_folder)
            yield b"retry: 2000\n\n"
            quiet = 0
            while not self._stopping.is_set() and holds():
                told = [
                    AGAIN if one is None else _event("approval", shown(one))
                    for one in await _waiting(changes)
                ]
                if feed is not None:
                    told += [_event("decision", one) for one in await asyncio.to_thread(feed.poll)]
                quiet = 0 if told else quiet + 1
                if told or quiet % HEARTBEAT == 0:
                    yield b"".join(told) or b": still here\n\n"
        except AuditError:
            yield AGAIN
        finally:
            self._open[approver] -= 1
            if changes is not None:
                changes.close()
            if feed is not None:
                feed.close()


async def _waiting(changes: Subscription | None) -> list[Request | None]:
    """What has changed, as soon as there is something, or after a tick. None: something was missed."""
    found: list[Request | None] = []
    try:
        async with asyncio.timeout(TICK):
            if changes is None:
                await asyncio.sleep(TICK)
            else:
                found.append(await anext(changes))
        while changes is not None and len(found) < MAX_AT_ONCE:
            async with asyncio.timeout(0):
                found.append(await anext(changes))
    except TimeoutError:
        pass
    except StopAsyncIteration:
        await asyncio.sleep(TICK)  # the service is shutting down, and we soon will
    return found


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
