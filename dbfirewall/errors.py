"""The exceptions of dbfirewall, and the SQLSTATEs that its refusals carry.

Tree::

    DbfirewallError
    ├── ConfigError            a rules or settings file is wrong (carries file, line, column)
    ├── ProtocolError          a peer broke the PostgreSQL protocol (SQLSTATE 08P01 unless said otherwise)
    ├── CatalogError           the catalog snapshot could not be read
    ├── AuditError             the audit record could not be written; nothing may run
    └── StoreError             the store of approvals could not be read or written; nothing gated may run
        └── NotKept            it works, but does not take this: too large, or too many

Anything else that escapes a module is a bug; the proxy maps it to a generic answer (XX000) with an id, and the
log has the details.
"""

from __future__ import annotations

from enum import StrEnum


class SqlState(StrEnum):
    """SQLSTATEs that dbfirewall itself puts into an ErrorResponse (reference: docs/errors.md)."""

    DENIED = "42501"
    READ_ONLY = "25006"
    NOT_UNDERSTOOD = "0A000"
    SYNTAX = "42601"
    NO_STATEMENT = "26000"
    LIMIT = "53400"
    NEEDS_APPROVAL = "ZG001"
    APPROVAL_DENIED = "ZG002"
    APPROVAL_EXPIRED = "ZG003"
    SESSION_ENDED = "57P01"
    BAD_PASSWORD = "28P01"  # noqa: S105  a SQLSTATE
    NOT_AUTHORIZED = "28000"
    TOO_MANY_CONNECTIONS = "53300"
    PROTOCOL = "08P01"
    UPSTREAM_DOWN = "08001"
    NO_DATABASE = "3D000"
    NOT_READY = "57P03"
    INTERNAL = "XX000"


class DbfirewallError(Exception):
    """Base of every exception that dbfirewall raises on purpose."""


class ConfigError(DbfirewallError):
    """A rules or settings file is wrong. `str()` is `file:line:column: message`, ready for a person."""

    def __init__(self, message: str, *, file: str = "", line: int = 0, column: int = 0) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        where = f"{file}:{line}:{column}: " if line else (f"{file}: " if file else "")
        super().__init__(where + message)


class ProtocolError(DbfirewallError):
    """A peer sent what the PostgreSQL protocol does not allow; the connection is to be closed.

    `str()` is safe to send to that peer.
    """

    def __init__(self, message: str, sqlstate: SqlState = SqlState.PROTOCOL) -> None:
        self.sqlstate = sqlstate
        super().__init__(message)


class CatalogError(DbfirewallError):
    """The server's catalogs could not be read."""


class AuditError(DbfirewallError):
    """An audit record could not be written: nothing may run."""


class StoreError(DbfirewallError):
    """The store of approvals could not be read or written; what is gated does not run. `str()` is for operators."""


class NotKept(StoreError):  # noqa: N818  what it is, not that it is one
    """The store of approvals works, but does not take this: it is too large, or there are too many already."""
