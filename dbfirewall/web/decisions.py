"""What was decided lately, from the end of this process's audit record: it costs nothing while nobody looks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from dbfirewall.audit.reader import Follower, Record, last_lines, parse
from dbfirewall.audit.search import merged

SHOWN: Final = 100
"""Decisions that are shown or sent at once; the audit record has them all."""
LINES: Final = 4 * SHOWN
"""Lines of the record that are looked at for them: outcomes and other events stand between."""
MAX_SQL: Final = 2_000
"""Characters of a statement in the list of decisions."""

_MEMBERS: Final = (
    "ts", "session", "agent", "role", "database", "application", "decision", "rule", "sqlstate", "approval",
)  # fmt: skip


def recent(folder: Path) -> list[dict[str, Any]]:
    """The newest decisions, newest first. Reads files: not on the event loop. Raises AuditError."""
    return _decisions(last_lines(folder, LINES))


class Feed:
    """The decisions that come after it was made. Reads files: not on the event loop. Raises AuditError."""

    def __init__(self, folder: Path) -> None:
        self._follower = Follower(folder)

    def poll(self) -> list[dict[str, Any]]:
        """The newest of those since the last call, oldest first."""
        return _decisions(self._follower.poll()[-LINES:])[::-1]

    def close(self) -> None:
        """Close the file."""
        self._follower.close()


def _decisions(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    entries = merged(record for line in lines if (record := parse(line)) is not None)
    found = [_decision(one.record, one.outcome) for one in entries if one.record.get("event") == "statement"]
    return found[-SHOWN:][::-1]


def _decision(record: Record, outcome: Record | None) -> dict[str, Any]:
    """One statement, and what became of it as far as that is known."""
    sql = record.get("sql")
    return {
        **{name: record.get(name) for name in _MEMBERS},
        "sql": sql[:MAX_SQL] if isinstance(sql, str) else None,
        "rows": outcome.get("rows") if outcome else None,
        "error": outcome.get("error") if outcome else None,
        "duration_ms": outcome.get("duration_ms") if outcome else None,
    }
