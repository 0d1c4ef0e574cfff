"""What an approver sees beyond the text: a gated statement's `Preview`."""

from __future__ import annotations

from collections.abc import Sequence

from dbfirewall.approvals.model import Options, Preview, Snapshot
from dbfirewall.preview.talk import Talk
from dbfirewall.sql.facts import Statement


async def make_preview(
    talk: Talk, snapshot: Snapshot, statements: Sequence[Statement], options: Options, *, now: float
) -> Preview:
    """What would happen if the statement ran now, found on `talk`: an own, idle session of the role's login.

    `statements`: the facts of the gate's analysis. `options.preview`: `rows`, `plan` or `none`. Nothing stays behind
    on the server: all of it happens in transactions that are rolled back. Never raises for what the server says or
    for a lost connection: the preview's notes tell; `talk` should be closed afterwards.
    """
    raise NotImplementedError
