"""What previews, definitions and undo ask of a server connection; dbfirewall.proxy has the implementations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dbfirewall.approvals.model import Parameter
from dbfirewall.errors import DbfirewallError


class ServerError(DbfirewallError):
    """The server answered with an error. `fields`: of its ErrorResponse (`C`: SQLSTATE, `M`: message, …)."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__(fields.get("M", "the server refused the statement"))

    @property
    def sqlstate(self) -> str:
        """The five characters of `C`."""
        return self.fields.get("C", "")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result: its name, the OID of its type, the relation (OID) and attribute number it is of."""

    name: str
    type_oid: int
    table_oid: int = 0
    attribute: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """One statement's result, values in text form. `tag`: its command tag. `more`: rows were left out."""

    tag: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    more: bool = False


class Talk(Protocol):
    """One server session that nobody else uses meanwhile."""

    async def run(
        self, sql: str | bytes, parameters: Sequence[Parameter] = (), *, max_rows: int = 1000
    ) -> Result:
        """Run one statement by the extended protocol; its result, of at most `max_rows` rows.

        Raises ServerError (the session stays usable, though a transaction may be aborted), ConnectionError.
        """

    async def script(self, sql: bytes) -> tuple[str, ...]:
        """Run a text by the simple protocol, rows dropped; the command tag of each statement. Raises as `run`."""
