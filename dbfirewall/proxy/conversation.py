"""Private statements of the firewall's own as bytes: what to send for one, and its answer put together. No IO.

Statements and portals of ours have names that nobody can guess, so an agent's own (the unnamed ones too) are left
alone. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from typing import Final

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.talk import Column, Result, ServerError
from dbfirewall.wire import backend
from dbfirewall.wire import messages as m
from dbfirewall.wire.frontend import (
    Bind,
    BindParameters,
    Execute,
    Parse,
    Target,
    encode_bind,
    encode_bind_parameters,
    encode_close,
    encode_copy_fail,
    encode_describe,
    encode_execute,
    encode_parse,
)

_UINT32: Final = struct.Struct(">I").pack


UNIT_CLOSES: Final = 2
"""How many CloseCompletes the answer to a `unit` has, the last one at its end."""


def own_name() -> bytes:
    """A name for a statement or portal that is in nobody else's use."""
    return b"dbfirewall_" + secrets.token_hex(8).encode()


def unit(sql: bytes, parameters: Sequence[Parameter] = (), *, sync: bool = True) -> bytes:
    """The messages that run one statement by the extended protocol and leave nothing behind.

    `sync`: end with a Sync; else with a Flush, so that an implicit transaction goes on.
    """
    name = own_name()
    values = BindParameters(
        tuple(parameter.format for parameter in parameters),
        tuple(parameter.value for parameter in parameters),
    )
    oids = b"".join([_UINT32(parameter.oid) for parameter in parameters])
    return b"".join((
        encode_parse(Parse(name, sql, oids)),
        encode_bind(Bind(name, name, encode_bind_parameters(values))),
        encode_describe(Target(m.TARGET_PORTAL, name)),
        encode_execute(Execute(name)),
        encode_close(Target(m.TARGET_PORTAL, name)),
        encode_close(Target(m.TARGET_STATEMENT, name)),
        m.SYNC_MESSAGE if sync else m.FLUSH_MESSAGE,
    ))  # fmt: skip


def analysis(sql: bytes, *, sync: bool = True) -> bytes:
    """The messages that have one statement analysed, and neither planned nor run."""
    name = own_name()
    end = m.SYNC_MESSAGE if sync else m.FLUSH_MESSAGE
    return encode_parse(Parse(name, sql)) + encode_close(Target(m.TARGET_STATEMENT, name)) + end


class Answer:
    """Puts the answer to one private unit or script together, message by message.

    `max_rows`: rows beyond it are dropped. `closes`: how many CloseCompletes end it; 0: a ReadyForQuery does.
    `notices`: their SQLSTATEs, where they are given to it. `reply`: what the server has to be sent before it goes
    on. `status`: as ReadyForQuery said, 0 before.
    """

    def __init__(self, *, max_rows: int = 0, closes: int = 0) -> None:
        self._max_rows = max_rows
        self._closes = closes
        self.tags: list[str] = []
        self.columns: tuple[Column, ...] = ()
        self.rows: list[tuple[str | None, ...]] = []
        self.more = False
        self.oids: tuple[int, ...] = ()
        self.notices: list[str] = []
        self.error: ServerError | None = None
        self.status = 0
        self.done = False
        self.reply = b""

    def take(self, kind: int, buf: bytes, start: int, end: int) -> bool:
        """One message; False for one that is not part of such an answer."""
        if kind == m.DATA_ROW:
            self._row(buf, start, end)
        elif kind == m.ROW_DESCRIPTION:
            described = backend.decode_row_description(buf, start, end)
            self.columns = tuple(
                Column(one.name.decode("utf-8", "replace"), one.type_oid, one.table_oid, one.column_number)
                for one in described
            )
        elif kind in (m.COMMAND_COMPLETE, m.EMPTY_QUERY_RESPONSE):
            tag = backend.decode_command_complete(buf, start, end) if end > start else b""
            self.tags.append(tag.decode("utf-8", "replace"))
        elif kind == m.ERROR_RESPONSE:
            if self.error is None:
                self.error = ServerError(backend.decode_error_response(buf, start, end))
            self.done = self.done or self._closes > 0
        elif kind == m.CLOSE_COMPLETE:
            self._closes -= 1
            self.done = self.done or self._closes == 0
        elif kind == m.READY_FOR_QUERY:
            self.status = backend.decode_ready_for_query(buf, start, end)
            self.done = True
        elif kind == m.NOTICE_RESPONSE:
            self.notices.append(backend.decode_notice_response(buf, start, end).get("C", ""))
        elif kind == m.PARAMETER_DESCRIPTION:
            self.oids = backend.decode_parameter_description(buf, start, end)
        elif kind == m.COPY_IN_RESPONSE:
            self.reply = encode_copy_fail(b"no data is sent here")
        else:
            return kind in _SILENT
        return True

    def _row(self, buf: bytes, start: int, end: int) -> None:
        if len(self.rows) >= self._max_rows:
            self.more = True
            return
        values = backend.decode_data_row(buf, start, end)
        self.rows.append(
            tuple(None if value is None else value.decode("utf-8", "replace") for value in values)
        )

    def result(self) -> Result:
        """What the last statement came to. Raises ServerError where the server refused."""
        if self.error is not None:
            raise self.error
        return Result(self.tags[-1] if self.tags else "", self.columns, tuple(self.rows), self.more)


_SILENT: Final = frozenset(
    (m.PARSE_COMPLETE, m.BIND_COMPLETE, m.NO_DATA, m.PORTAL_SUSPENDED, m.COPY_OUT_RESPONSE, m.COPY_DATA,
     m.COPY_DONE)
)  # fmt: skip
