"""From kept rows to SQL that puts them back. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def restore_statements(documents: Sequence[str]) -> tuple[str, ...]:
    """The statements that restore the rows of `documents`, to be run in one transaction, each with its own tag."""
    raise NotImplementedError


def restore_sql(documents: Sequence[str]) -> str:
    """A script for people and psql: BEGIN, the statements with comments on what they can't restore, COMMIT."""
    raise NotImplementedError
