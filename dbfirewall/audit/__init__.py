"""The audit record: append-only, hash-chained JSON lines, written before a statement is forwarded.

`AuditLog` writes it, `reader` reads and verifies it. Reference: docs/audit.md.
"""

from __future__ import annotations

from dbfirewall.audit.log import AuditLog, AuditSession, Fsync
from dbfirewall.audit.record import Event, decision_members, sql_member

__all__ = ["AuditLog", "AuditSession", "Event", "Fsync", "decision_members", "sql_member"]
