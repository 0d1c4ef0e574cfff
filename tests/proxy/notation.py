"""Messages of the protocol as a few characters, so that tests read as transcripts.

What agents send::

    Q SELECT 1            Query                      B p=a      Bind portal p, statement a (unnamed: B =)
    P a: SELECT 1         Parse (unnamed: P : …)     B p=a(x,y) … with the parameters x and y
    D S a, D P p          Describe                   E p        Execute (unnamed: E); E p/10: at most 10 rows
    C S a, C P p          Close                      S, H, X    Sync, Flush, Terminate
    d text, c, f why      CopyData, CopyDone, CopyFail          F    FunctionCall

What servers send::

    1, 2, 3, n, I, s, t   ParseComplete, BindComplete, CloseComplete, NoData, EmptyQueryResponse,
                          PortalSuspended, ParameterDescription
    T, D text             RowDescription, DataRow    C tag      CommandComplete
    Z I                   ReadyForQuery              E 42P01    ErrorResponse (FATAL 57P01 if it is fatal)
    N text                NoticeResponse             S a=b      ParameterStatus
    G, W, H, d text, c    CopyInResponse, CopyOutResponse, its data and end         A text  Notification

A poison is `Q !` or `P !`, and `E !` the server's error to it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from dbfirewall.wire import backend as b
from dbfirewall.wire import frontend as f
from dbfirewall.wire import messages as m

TOKEN = re.compile(rb"dbfirewall_denied_[0-9a-f]{16}")
_EMPTY_FRONTEND = {"S": m.SYNC, "H": m.FLUSH, "X": m.TERMINATE, "c": m.COPY_DONE}
_EMPTY_BACKEND = {
    "1": m.PARSE_COMPLETE, "2": m.BIND_COMPLETE, "3": m.CLOSE_COMPLETE, "n": m.NO_DATA,
    "I": m.EMPTY_QUERY_RESPONSE, "s": m.PORTAL_SUSPENDED, "c": m.COPY_DONE,
}  # fmt: skip
_BIND = re.compile(r"B ([^=]*)=([^(]*)(?:\((.*)\))?")


def empty(kind: int) -> bytes:
    """A message without a body."""
    return struct.pack("!BI", kind, 4)


def split(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(type, body, whole message) of every message in `data`, which must end with one."""
    while data:
        size = 1 + struct.unpack_from("!I", data, 1)[0]
        assert size <= len(data), f"a torn message: {data!r}"
        yield data[0], data[5:size], data[:size]
        data = data[size:]


def agent_bytes(*texts: str) -> bytes:
    """What an agent sends."""
    return b"".join(map(_frontend, texts))


def _frontend(text: str) -> bytes:
    if text in _EMPTY_FRONTEND:
        return empty(_EMPTY_FRONTEND[text])
    kind, _, rest = text.partition(" ")
    if kind == "Q":
        return f.encode_query(rest.encode())
    if kind == "P":
        name, _, sql = rest.partition(": ") if ": " in rest else ("", "", rest.removeprefix(":"))
        return f.encode_parse(f.Parse(name.encode(), sql.encode()))
    if kind == "B":
        found = _BIND.fullmatch(text)
        assert found is not None, text
        values = tuple(value.encode() for value in found[3].split(",")) if found[3] is not None else ()
        parameters = f.encode_bind_parameters(f.BindParameters((), values, ()))
        return f.encode_bind(f.Bind(found[1].encode(), found[2].encode(), parameters))
    if kind == "E":
        portal, _, rows = rest.partition("/")
        return f.encode_execute(f.Execute(portal.encode(), int(rows or 0)))
    if kind in ("D", "C"):
        target = f.Target(ord(rest[0]), rest[2:].encode())
        return f.encode_describe(target) if kind == "D" else f.encode_close(target)
    if kind == "d":
        return f.encode_copy_data(rest.encode())
    if kind == "f":
        return f.encode_copy_fail(rest.encode())
    assert kind == "F", text
    return f.encode_function_call(f.FunctionCall(1, (), (), 0))


def agent_texts(data: bytes) -> list[str]:
    """What a server got, in the notation."""
    return [_agent_text(kind, body) for kind, body, _ in split(data)]


def _agent_text(kind: int, body: bytes) -> str:
    body = TOKEN.sub(b"!", body)
    letter = chr(kind)
    if kind == m.QUERY:
        return f"Q {f.decode_query(body, 0, len(body)).decode()}".rstrip()
    if kind == m.PARSE:
        parse = f.decode_parse(body, 0, len(body))
        return "P !" if parse.sql == b"!" else f"P {parse.name.decode()}: {parse.sql.decode()}"
    if kind == m.BIND:
        bind = f.decode_bind(body, 0, len(body))
        values = f.decode_bind_parameters(bind.parameters).values
        shown = f"({','.join((value or b'').decode() for value in values)})" if values else ""
        return f"B {bind.portal.decode()}={bind.statement.decode()}{shown}"
    if kind == m.EXECUTE:
        execute = f.decode_execute(body, 0, len(body))
        rows = f"/{execute.max_rows}" if execute.max_rows else ""
        return f"E {execute.portal.decode()}{rows}".rstrip()
    if kind in (m.DESCRIBE, m.CLOSE):
        return f"{letter} {chr(body[0])} {body[1:-1].decode()}"
    if kind == m.COPY_DATA:
        return f"d {body.decode()}"
    return f"f {body[:-1].decode()}" if kind == m.COPY_FAIL else letter


def server_bytes(*texts: str, token: bytes = b"") -> bytes:
    """What a server sends; `token`: of the poison that `E !` answers."""
    return b"".join(_backend(text, token) for text in texts)


def _backend(text: str, token: bytes) -> bytes:
    if text in _EMPTY_BACKEND:
        return empty(_EMPTY_BACKEND[text])
    kind, _, rest = text.partition(" ")
    if kind == "T":
        return b.encode_row_description((b.Column(b"x"),))
    if kind == "t":
        return b.encode_parameter_description((23,))
    if kind == "D":
        return b.encode_data_row((rest.encode(),))
    if kind == "C":
        return b.encode_command_complete(rest.encode())
    if kind == "Z":
        return b.encode_ready_for_query(ord(rest))
    if kind in ("E", "FATAL"):
        state, _, words = rest.partition(" ")
        if state == "!":
            state, words = "42601", f'syntax error at or near "{token.decode()}"'
        severity = "ERROR" if kind == "E" else "FATAL"
        return b.encode_error_response({"S": severity, "V": severity, "C": state, "M": words})
    if kind == "N":
        return b.encode_notice_response({"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": rest})
    if kind == "S":
        name, _, value = rest.partition("=")
        return b.encode_parameter_status(b.ParameterStatus(name.encode(), value.encode()))
    if kind == "A":
        return b.encode_notification(b.Notification(1, rest.encode(), b""))
    if kind == "d":
        return f.encode_copy_data(rest.encode())
    codes = {"G": m.COPY_IN_RESPONSE, "H": m.COPY_OUT_RESPONSE}
    return b.encode_copy_response(codes[kind], b.CopyResponse(0, (0,)))


def server_texts(data: bytes) -> list[str]:
    """What an agent got, in the notation."""
    return [_server_text(kind, body) for kind, body, _ in split(data)]


def _server_text(kind: int, body: bytes) -> str:
    if kind == m.ERROR_RESPONSE:
        fields = b.decode_error_response(body, 0, len(body))
        return f"{'E' if fields['V'] == 'ERROR' else fields['V']} {fields['C']}"
    if kind == m.NOTICE_RESPONSE:
        return f"N {b.decode_notice_response(body, 0, len(body))['M']}"
    if kind == m.DATA_ROW:
        return f"D {(b.decode_data_row(body, 0, len(body))[0] or b'').decode()}"
    if kind == m.COMMAND_COMPLETE:
        return f"C {b.decode_command_complete(body, 0, len(body)).decode()}"
    if kind == m.READY_FOR_QUERY:
        return f"Z {chr(body[0])}"
    if kind == m.PARAMETER_STATUS:
        status = b.decode_parameter_status(body, 0, len(body))
        return f"S {status.name.decode()}={status.value.decode()}"
    if kind == m.COPY_DATA:
        return f"d {body.decode()}"
    if kind == m.NOTIFICATION_RESPONSE:
        return f"A {b.decode_notification(body, 0, len(body)).channel.decode()}"
    return chr(kind)
