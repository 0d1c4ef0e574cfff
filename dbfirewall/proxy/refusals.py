"""Refusals on the wire: the ErrorResponse that the agent gets, and the poison that takes the statement's place.

The poison is a text that the server must refuse as a syntax error. So the server itself keeps ordering, pipelines
and transaction status right (docs/architecture.md); its error is recognised by the token and replaced.
"""

from __future__ import annotations

import secrets
from typing import Final

from dbfirewall.errors import SqlState
from dbfirewall.policy.decision import Decision
from dbfirewall.policy.refusal import ErrorFields, refusal
from dbfirewall.proxy.pending import Refused
from dbfirewall.wire.backend import encode_error_response, encode_notice_response
from dbfirewall.wire.frontend import Parse, encode_parse, encode_query


def error_response(fields: ErrorFields, severity: str = "ERROR") -> bytes:
    """The whole ErrorResponse message for a refusal."""
    values = {"S": severity, "V": severity, "C": str(fields.sqlstate), "M": fields.message}
    if fields.detail:
        values["D"] = fields.detail
    if fields.hint:
        values["H"] = fields.hint
    return encode_error_response(values)


def notice(fields: ErrorFields) -> bytes:
    """The whole NoticeResponse message."""
    values = {"S": "NOTICE", "V": "NOTICE", "C": str(fields.sqlstate), "M": fields.message}
    if fields.detail:
        values["D"] = fields.detail
    if fields.hint:
        values["H"] = fields.hint
    return encode_notice_response(values)


def fatal(sqlstate: SqlState | str, message: str, *, detail: str = "", hint: str = "") -> bytes:
    """A FATAL ErrorResponse: the session ends after it."""
    return error_response(ErrorFields(str(sqlstate), message, detail, hint), "FATAL")


def refuse(fields: ErrorFields) -> Refused:
    """A refusal with a token that nobody can guess."""
    return Refused(b"dbfirewall_denied_" + secrets.token_hex(8).encode(), error_response(fields))


def poison_query(refused: Refused) -> bytes:
    """What goes to the server in the place of a Query or FunctionCall."""
    return encode_query(refused.token)


def poison_parse(refused: Refused) -> bytes:
    """What goes to the server in the place of a Parse, Bind or Execute.

    It names a statement of its own: an unnamed Parse, even a failing one, would drop the unnamed statement.
    """
    return encode_parse(Parse(refused.token, refused.token))


MAX_NAME: Final = 63
"""Security limit: bytes of a statement's or portal's name. Postgres looks longer ones up by their beginning
(NAMEDATALEN - 1 bytes), so that two names of ours could be one of its own.
"""

FUNCTION_CALL: Final = refusal(
    Decision(
        "deny",
        SqlState.NOT_UNDERSTOOD,
        "built-in",
        "The fast-path function call carries no SQL that could be judged.",
        "Call the function in a SELECT instead.",
        "after-rewrite",
    )
)


NAME_TOO_LONG: Final = ErrorFields(
    "42622",
    "The name is too long.",
    "",
    f"Names of prepared statements and portals have at most {MAX_NAME} bytes.",
)


def too_many(what: str) -> ErrorFields:
    """53400: a session holds more prepared statements or portals than it may."""
    return ErrorFields.limit(f"This session holds too many {what}.", f"Close {what} that are not needed.")


def no_such_statement(name: bytes) -> ErrorFields:
    """As Postgres says it."""
    shown = _shown(name)
    text = (
        f'prepared statement "{shown}" does not exist'
        if name
        else "unnamed prepared statement does not exist"
    )
    return ErrorFields("26000", text, "", "")


def unsettled_statement(name: bytes) -> ErrorFields:
    """0A000: several texts were prepared under one name, and nobody can say which of them would run."""
    text = f'prepared statement "{_shown(name)}" was prepared more than once'
    return ErrorFields("0A000", text, "", "DEALLOCATE it, then prepare it again.")


def no_such_portal(name: bytes) -> ErrorFields:
    """As Postgres says it."""
    return ErrorFields("34000", f'portal "{_shown(name)}" does not exist', "", "")


def _shown(name: bytes) -> str:
    return name[:MAX_NAME].decode("utf-8", "replace")
