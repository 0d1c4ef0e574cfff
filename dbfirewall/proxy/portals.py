"""What each portal name may stand for on the server: the calls that Binds of it began.

An Execute goes on only where its portal is one that a Bind on record made: at once after a Bind of its own segment
(had that one failed, the server would skip the Execute as well), and otherwise when the server has answered all that
was sent before. More than order hangs on this: PostgreSQL (14 to 18, at least) leaves the portal of a simple Query
that failed inside a transaction block under the empty name, with pointers into freed memory, and an Execute of it
that no Bind precedes can crash the server.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

from collections import deque

from dbfirewall.proxy.pending import Call
from dbfirewall.proxy.release import Release


class Portals:
    """The portals of one session. `sent`: how many Binds were ever sent; `segment`: of the last one, or of the last
    Query behind it where no Sync was sent since."""

    def __init__(self) -> None:
        self._calls: dict[bytes, list[Call]] = {}
        self._unsettled: deque[Call] = deque()
        self.sent = 0
        self.segment = -1

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, name: bytes) -> Call | None:
        """What the last Bind of `name` began, unless that one is known to have failed."""
        calls = self._calls.get(name)
        return calls[-1] if calls is not None else None

    def bind(self, name: bytes, call: Call, segment: int) -> None:
        """A Bind was sent in `segment`. Until it is answered, what the name stood for before may still hold."""
        self.sent += 1
        self.segment = segment
        call.portal, call.bind, call.segment = name, self.sent, segment
        calls = self._calls.get(name)
        if calls is None:
            self._calls[name] = [call]
        else:
            calls.append(call)
        self._unsettled.append(call)

    def confirm(self) -> None:
        """BindComplete: this one holds, and older ones of its name are gone."""
        call = self._unsettled.popleft()
        self.close(call.portal, call.bind - 1)

    def withdraw(self) -> None:
        """The server refused or skipped the next Bind."""
        call = self._unsettled.popleft()
        calls = self._calls.get(call.portal)
        if calls is None or call not in calls:
            return
        calls.remove(call)
        if not calls:
            del self._calls[call.portal]

    def close(self, name: bytes, sent: int) -> None:
        """Of the first `sent` Binds of all, those of `name` are gone: by CloseComplete, or the unnamed ones by a
        Query.
        """
        calls = self._calls.get(name)
        if calls is None or calls[0].bind > sent:
            return
        while calls and calls[0].bind <= sent:
            del calls[0]
        if not calls:
            del self._calls[name]

    def names_of(self, release: Release) -> list[bytes]:
        """The portals that `release` let the agent bind."""
        return [name for name, calls in self._calls.items() if any(call.release is release for call in calls)]

    def clear(self) -> None:
        """The transaction is over, and nothing is unsettled."""
        self._calls.clear()
