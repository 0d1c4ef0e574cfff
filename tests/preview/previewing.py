"""Previews made as the firewall makes them."""

from __future__ import annotations

from dbfirewall.approvals.model import Options, Parameter, Preview, Snapshot
from dbfirewall.preview.make import make_preview
from tests.preview.helpers import Place

SETTINGS = {"search_path": "public", "datestyle": "ISO, MDY", "timezone": "UTC", "intervalstyle": "postgres"}


def preview(
    place: Place,
    sql: str,
    parameters: tuple[Parameter, ...] = (),
    *,
    options: Options | None = None,
    in_transaction: bool = False,
    **settings: str,
) -> Preview:
    """The preview of `sql`, as the agent's settings `SETTINGS` and `settings` say."""
    snapshot = Snapshot(
        "agent",
        "role",
        place.database,
        sql.encode(),
        parameters,
        settings={**SETTINGS, **settings},
        in_transaction=in_transaction,
    )
    facts = place.facts(sql)
    return place.talk(lambda talk: make_preview(talk, snapshot, facts, options or Options(), now=12.0))


def said(made: Preview) -> str:
    """All notes, as one text."""
    return " ".join(made.notes)
