"""A digest of what the objects of a statement are, as the server has them: compared when an approval is redeemed."""

from __future__ import annotations

from collections.abc import Sequence

from dbfirewall.preview.talk import Talk
from dbfirewall.sql.facts import Statement


async def definitions(talk: Talk, statements: Sequence[Statement]) -> str:
    """Hex SHA-256 of the definitions of all that `statements` touch, as this session sees them, in its transaction.

    All names in its SQL are qualified, no setting is changed: it may run on an agent's own connection. Raises
    ServerError, ConnectionError.
    """
    raise NotImplementedError
