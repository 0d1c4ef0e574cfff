"""A server connection of the firewall's own, with a role's login: for previews, undo, and what became of a release.

It is opened like an agent's (the same pins), so that what it finds out holds for the agent too.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from dbfirewall.approvals.model import Parameter
from dbfirewall.errors import ProtocolError
from dbfirewall.preview.talk import Result
from dbfirewall.proxy.conversation import Answer, unit
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.upstream import Credentials, Upstream, connect, send_cancel
from dbfirewall.wire import messages as m
from dbfirewall.wire.frontend import encode_query

_LENGTH: Final = struct.Struct(">I").unpack_from

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Security limit: the longest message from the server that is held, in bytes (a row is one message)."""

_UNASKED: Final = frozenset((m.NOTICE_RESPONSE, m.NOTIFICATION_RESPONSE, m.PARAMETER_STATUS))


class SideConnection:
    """A `Talk` (dbfirewall.preview.talk) on a connection of its own. One statement at a time."""

    def __init__(self, target: Target, upstream: Upstream) -> None:
        self._target = target
        self._upstream = upstream
        self._buffer = b""

    async def run(
        self, sql: str | bytes, parameters: Sequence[Parameter] = (), *, max_rows: int = 1000
    ) -> Result:
        """See `Talk.run`."""
        text = sql.encode() if isinstance(sql, str) else sql
        answer = await self._ask(unit(text, parameters), Answer(max_rows=max_rows))
        return answer.result()

    async def script(self, sql: bytes) -> tuple[str, ...]:
        """See `Talk.script`."""
        answer = await self._ask(encode_query(sql), Answer())
        answer.result()
        return tuple(answer.tags)

    async def _ask(self, messages: bytes, answer: Answer) -> Answer:
        peer = self._upstream.peer
        peer.send(messages)
        try:
            while not answer.done:
                if self._take(answer):
                    continue
                self._buffer += await peer.read_some()
        except asyncio.CancelledError:
            # What nobody waits for any more must not go on holding locks.
            await send_cancel(self._target, self._upstream.pid, self._upstream.key)
            raise
        except ProtocolError as error:
            peer.abort()
            raise ConnectionError(str(error)) from error
        return answer

    def _take(self, answer: Answer) -> bool:
        """All whole messages that have come; whether there were any."""
        buffer, pos = self._buffer, 0
        while len(buffer) - pos >= m.HEADER and not answer.done:
            kind: int = buffer[pos]
            length: int = _LENGTH(buffer, pos + 1)[0]
            if not 4 <= length <= MAX_MESSAGE:
                raise ProtocolError("the server sent a message that is too long")
            end = pos + 1 + length
            if end > len(buffer):
                break
            if kind not in _UNASKED and not answer.take(kind, buffer, pos + m.HEADER, end):
                raise ProtocolError("the server answered out of turn")
            if answer.reply:
                self._upstream.peer.send(answer.reply)
                answer.reply = b""
            pos = end
        self._buffer = buffer[pos:]
        return pos > 0

    def close(self) -> None:
        """End it; what it had open is rolled back by the server."""
        self._upstream.peer.close(m.TERMINATE_MESSAGE)

    def abort(self) -> None:
        """Drop it at once."""
        self._upstream.peer.abort()


@asynccontextmanager
async def side_connection(
    target: Target, credentials: Credentials, parameters: dict[str, str]
) -> AsyncIterator[SideConnection]:
    """A connection for as long as the block lasts. Raises UpstreamError where there is none to be had."""
    upstream = await connect(target, credentials, parameters | {"application_name": "dbfirewall"})
    side = SideConnection(target, upstream)
    try:
        yield side
    except BaseException:
        side.abort()
        raise
    side.close()
