"""One table of messages and their exact bytes drives every encoder and every decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dbfirewall.errors import ProtocolError
from dbfirewall.wire import authentication as a
from dbfirewall.wire import backend as b
from dbfirewall.wire import body
from dbfirewall.wire import frontend as f
from dbfirewall.wire import messages as m
from dbfirewall.wire import startup as s
from dbfirewall.wire.framing import Frame, Framer, Phase

Decoder = Callable[[bytes, int, int], Any]


@dataclass(frozen=True)
class Case:
    """`wire`: the whole message. `open_ended`: its last part takes whatever follows, so more is no error."""

    name: str
    value: Any
    encode: Callable[[Any], bytes]
    decode: Decoder
    wire: bytes
    phase: Phase | None = None
    open_ended: bool = False

    @property
    def header(self) -> int:
        return 4 if self.phase is Phase.STARTUP else 5


def _whole(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) + 4).to_bytes(4, "big") + content


def _bind_parameters(buf: bytes, start: int, end: int) -> f.BindParameters:
    return f.decode_bind_parameters(f.decode_bind(buf, start, end).parameters)


def _encode_bind(parameters: f.BindParameters) -> bytes:
    return f.encode_bind(f.Bind(b"p1", b"s1", f.encode_bind_parameters(parameters)))


def _case(name: str, value: Any, encode: Callable[[Any], bytes], decode: Decoder, kind: bytes, content: bytes,
          **more: Any) -> Case:  # fmt: skip
    return Case(name, value, encode, decode, _whole(kind, content), **more)


def _startup(name: str, value: s.StartupPacket, content: bytes, *, open_ended: bool = False) -> Case:
    return _case(name, value, s.encode_startup_packet, s.decode_startup_packet, b"", content,
                 phase=Phase.STARTUP, open_ended=open_ended)  # fmt: skip


def _auth(name: str, value: a.Authentication, content: bytes, *, open_ended: bool = False) -> Case:
    return _case(name, value, a.encode_authentication, a.decode_authentication, b"R", content,
                 phase=Phase.SERVER_STARTUP, open_ended=open_ended)  # fmt: skip


def _answer(name: str, value: Any, encode: Callable[[Any], bytes], decode: Decoder, content: bytes, *,
            open_ended: bool = False) -> Case:  # fmt: skip
    return _case(name, value, encode, decode, b"p", content, phase=Phase.CLIENT_AUTH, open_ended=open_ended)


def _served(name: str, value: Any, encode: Callable[[Any], bytes], decode: Decoder, kind: bytes,
            content: bytes, *, open_ended: bool = False) -> Case:  # fmt: skip
    return _case(
        name, value, encode, decode, kind, content, phase=Phase.SERVER_STARTUP, open_ended=open_ended
    )


REPORT = {"S": "ERROR", "V": "ERROR", "C": "42501", "M": "no", "D": '{"x":1}', "H": "ask é"}
REPORT_BYTES = b'SERROR\0VERROR\0C42501\0Mno\0D{"x":1}\0Hask \xc3\xa9\0\0'

STARTUP = [
    _startup("ssl request", s.SSLRequest(), b"\x04\xd2\x16\x2f"),
    _startup("gssenc request", s.GSSENCRequest(), b"\x04\xd2\x16\x30"),
    _startup("cancel 3.0", s.CancelRequest(7, b"abcd"), b"\x04\xd2\x16\x2e\0\0\0\x07abcd", open_ended=True),
    _startup("cancel 3.2", s.CancelRequest(0xFFFFFFFF, b"k" * 256),
             b"\x04\xd2\x16\x2e\xff\xff\xff\xff" + b"k" * 256, open_ended=True),
    _startup("startup 3.0", s.StartupMessage(m.PROTOCOL_3_0, {"user": "nightly-report", "database": "shop"}),
             b"\0\x03\0\0user\0nightly-report\0database\0shop\0\0"),
    _startup("startup 3.2, empty value", s.StartupMessage(m.PROTOCOL_3_2, {"user": "é", "options": ""}),
             b"\0\x03\0\x02user\0\xc3\xa9\0options\0\0\0"),
    _startup("startup of a future minor version", s.StartupMessage(3 << 16 | 9999, {"_pq_.x": "1"}),
             b"\0\x03\x27\x0f_pq_.x\x001\0\0"),
    _startup("startup without parameters", s.StartupMessage(m.PROTOCOL_3_0, {}), b"\0\x03\0\0\0"),
]  # fmt: skip

AUTHENTICATION = [
    _auth("ok", a.AuthenticationOk(), b"\0\0\0\0"),
    _auth("cleartext", a.AuthenticationCleartextPassword(), b"\0\0\0\x03"),
    _auth("md5", a.AuthenticationMD5Password(b"\0\x01\xfe\xff"), b"\0\0\0\x05\0\x01\xfe\xff"),
    _auth("sasl", a.AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")),
          b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
    _auth("sasl continue", a.AuthenticationSASLContinue(b"r=1"), b"\0\0\0\x0br=1", open_ended=True),
    _auth("sasl final", a.AuthenticationSASLFinal(b"v=2"), b"\0\0\0\x0cv=2", open_ended=True),
    _answer("password", b"md5abc", a.encode_password, a.decode_password, b"md5abc\0"),
    _answer("empty password", b"", a.encode_password, a.decode_password, b"\0"),
    _answer("sasl initial", a.SASLInitialResponse("SCRAM-SHA-256", b"n,,n=,r=x"),
            a.encode_sasl_initial_response, a.decode_sasl_initial_response,
            b"SCRAM-SHA-256\0\0\0\0\x09n,,n=,r=x"),
    _answer("sasl initial without data", a.SASLInitialResponse("X", None),
            a.encode_sasl_initial_response, a.decode_sasl_initial_response, b"X\0\xff\xff\xff\xff"),
    _answer("sasl response", b"c=biws", a.encode_sasl_response, a.decode_sasl_response, b"c=biws",
            open_ended=True),
]  # fmt: skip

SERVER_STARTUP = [
    _served("negotiate", s.NegotiateProtocolVersion(m.PROTOCOL_3_2, ("_pq_.a", "_pq_.b")),
            s.encode_negotiate_protocol_version, s.decode_negotiate_protocol_version,
            b"v", b"\0\x03\0\x02\0\0\0\x02_pq_.a\0_pq_.b\0"),
    _served("negotiate version only", s.NegotiateProtocolVersion(m.PROTOCOL_3_0),
            s.encode_negotiate_protocol_version, s.decode_negotiate_protocol_version,
            b"v", b"\0\x03\0\0\0\0\0\0"),
    _served("parameter status", b.ParameterStatus(b"server_version", b"18.6"), b.encode_parameter_status,
            b.decode_parameter_status, b"S", b"server_version\x0018.6\0"),
    _served("empty parameter status", b.ParameterStatus(b"application_name", b""), b.encode_parameter_status,
            b.decode_parameter_status, b"S", b"application_name\0\0"),
    _served("key 3.0", b.BackendKeyData(4711, b"\0\x01\x02\x03"), b.encode_backend_key_data,
            b.decode_backend_key_data, b"K", b"\0\0\x12\x67\0\x01\x02\x03", open_ended=True),
    _served("key 3.2", b.BackendKeyData(1, b"k" * 256), b.encode_backend_key_data, b.decode_backend_key_data,
            b"K", b"\0\0\0\x01" + b"k" * 256, open_ended=True),
    _served("ready", m.STATUS_IDLE, b.encode_ready_for_query, b.decode_ready_for_query, b"Z", b"I"),
    _served("ready in transaction", m.STATUS_IN_TRANSACTION, b.encode_ready_for_query,
            b.decode_ready_for_query, b"Z", b"T"),
    _served("ready failed", m.STATUS_FAILED, b.encode_ready_for_query, b.decode_ready_for_query, b"Z", b"E"),
    _served("error", REPORT, b.encode_error_response, b.decode_error_response, b"E", REPORT_BYTES),
    _served("notice", {"S": "NOTICE", "M": ""}, b.encode_notice_response, b.decode_notice_response,
            b"N", b"SNOTICE\0M\0\0"),
]  # fmt: skip

FRONTEND = [
    _case("query", b"select '\xc3\xa9'", f.encode_query, f.decode_query, b"Q", b"select '\xc3\xa9'\0"),
    _case("empty query", b"", f.encode_query, f.decode_query, b"Q", b"\0"),
    _case("parse", f.Parse(b"s1", b"select $1", b"\0\0\0\x17\0\0\0\0"), f.encode_parse, f.decode_parse,
          b"P", b"s1\0select $1\0\0\x02\0\0\0\x17\0\0\0\0"),
    _case("unnamed parse", f.Parse(b"", b""), f.encode_parse, f.decode_parse, b"P", b"\0\0\0\0"),
    _case("bind", f.Bind(b"p", b"s", b"\0\0\0\0\0\0"), f.encode_bind, f.decode_bind,
          b"B", b"p\0s\0\0\0\0\0\0\0", open_ended=True),
    _case("bind parameters", f.BindParameters((1, 0), (None, b"", b"ab\0"), (1,)), _encode_bind,
          _bind_parameters, b"B",
          b"p1\0s1\0\0\x02\0\x01\0\0\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\x03ab\0\0\x01\0\x01"),
    _case("bind nothing", f.BindParameters(), _encode_bind, _bind_parameters, b"B", b"p1\0s1\0\0\0\0\0\0\0"),
    _case("describe statement", f.Target(m.TARGET_STATEMENT, b"s1"), f.encode_describe, f.decode_describe,
          b"D", b"Ss1\0"),
    _case("describe portal", f.Target(m.TARGET_PORTAL, b""), f.encode_describe, f.decode_describe,
          b"D", b"P\0"),
    _case("close", f.Target(m.TARGET_STATEMENT, b"s1"), f.encode_close, f.decode_close, b"C", b"Ss1\0"),
    _case("execute", f.Execute(b"p1", 100), f.encode_execute, f.decode_execute, b"E", b"p1\0\0\0\0\x64"),
    _case("execute all", f.Execute(b"", -1), f.encode_execute, f.decode_execute, b"E", b"\0\xff\xff\xff\xff"),
    _case("function call", f.FunctionCall(2150, (1,), (b"\0\0\0\x01", None), 1), f.encode_function_call,
          f.decode_function_call, b"F",
          b"\0\0\x08\x66\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff\0\x01"),
    _case("copy data", b"1\tx\n", f.encode_copy_data, f.decode_copy_data, b"d", b"1\tx\n", open_ended=True),
    _case("copy fail", b"gave up", f.encode_copy_fail, f.decode_copy_fail, b"f", b"gave up\0"),
]  # fmt: skip

COLUMNS = (b.Column(b"id", 16384, 1, 23, 4), b.Column(b"?column?", format=1))

BACKEND = [
    _case("command complete", b"INSERT 0 5", b.encode_command_complete, b.decode_command_complete,
          b"C", b"INSERT 0 5\0"),
    _case("row description", COLUMNS, b.encode_row_description, b.decode_row_description, b"T",
          b"\0\x02id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"
          b"?column?\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01"),
    _case("no columns", (), b.encode_row_description, b.decode_row_description, b"T", b"\0\0"),
    _case("data row", (b"1", None, b""), b.encode_data_row, b.decode_data_row, b"D",
          b"\0\x03\0\0\0\x011\xff\xff\xff\xff\0\0\0\0"),
    _case("parameter description", (23, 4294967295), b.encode_parameter_description,
          b.decode_parameter_description, b"t", b"\0\x02\0\0\0\x17\xff\xff\xff\xff"),
    _case("copy in", b.CopyResponse(1, (1, 1)), lambda v: b.encode_copy_response(m.COPY_IN_RESPONSE, v),
          b.decode_copy_response, b"G", b"\x01\0\x02\0\x01\0\x01"),
    _case("copy out", b.CopyResponse(0), lambda v: b.encode_copy_response(m.COPY_OUT_RESPONSE, v),
          b.decode_copy_response, b"H", b"\0\0\0"),
    _case("copy both", b.CopyResponse(0, (0,)), lambda v: b.encode_copy_response(m.COPY_BOTH_RESPONSE, v),
          b.decode_copy_response, b"W", b"\0\0\x01\0\0"),
    _case("notification", b.Notification(99, b"jobs", b"7"), b.encode_notification, b.decode_notification,
          b"A", b"\0\0\0\x63jobs\x007\0"),
    _case("function call response", b"\x01", b.encode_function_call_response, b.decode_function_call_response,
          b"V", b"\0\0\0\x01\x01"),
    _case("function call response, null", None, b.encode_function_call_response,
          b.decode_function_call_response, b"V", b"\xff\xff\xff\xff"),
]  # fmt: skip

CASES = [*STARTUP, *AUTHENTICATION, *SERVER_STARTUP, *FRONTEND, *BACKEND]
FRAMED = [case for case in CASES if case.phase is not None]
CLOSED = [case for case in CASES if not case.open_ended]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_framed = pytest.mark.parametrize("case", FRAMED, ids=lambda case: case.name)
each_closed = pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.name)


@each_case
def test_encode(case: Case) -> None:
    """A value is encoded to exactly the bytes of the protocol."""
    assert case.encode(case.value) == case.wire


@each_case
def test_decode_in_place(case: Case) -> None:
    """A body is decoded where it lies in a chunk: what stands before and after it does not matter."""
    chunk = b"Z\x00x" + case.wire + b"Q\x00\x00\x00\x05\x00"
    decoded = case.decode(chunk, 3 + case.header, 3 + len(case.wire))
    assert decoded == case.value
    assert type(decoded) is type(case.value)


@each_case
def test_every_cut_is_an_error_or_another_value(case: Case) -> None:
    """A body that ends early is never taken for the whole one, and raises ProtocolError at most."""
    for end in range(case.header, len(case.wire)):
        try:
            decoded = case.decode(case.wire, case.header, end)
        except ProtocolError:
            continue
        assert case.open_ended
        assert decoded != case.value


@each_closed
@pytest.mark.parametrize("extra", [b"\x00", b"x", b"\xff\xff\xff\xff"])
def test_trailing_bytes_are_refused(case: Case, extra: bytes) -> None:
    """A body that goes on after its last part is a protocol error."""
    longer = case.wire + extra
    with pytest.raises(ProtocolError):
        case.decode(longer, case.header, len(longer))


def _frame(case: Case) -> Frame:
    kind = 0 if case.phase is Phase.STARTUP else case.wire[0]
    return Frame(kind, case.wire[case.header :])


@each_framed
def test_fed_whole(case: Case) -> None:
    """A message fed in one piece is given out once, and nothing is kept."""
    assert case.phase is not None
    framer = Framer(case.phase)
    framer.feed(case.wire)
    assert framer.next() == _frame(case)
    assert framer.next() is None
    assert framer.buffered == 0


@each_framed
def test_fed_byte_by_byte(case: Case) -> None:
    """A message fed one byte at a time is given out with its last byte, and not before."""
    assert case.phase is not None
    framer = Framer(case.phase)
    for index in range(len(case.wire) - 1):
        framer.feed(case.wire[index : index + 1])
        assert framer.next() is None
    framer.feed(case.wire[-1:])
    assert framer.next() == _frame(case)


@each_framed
def test_fed_with_what_follows(case: Case) -> None:
    """Bytes of the next message stay in the framer, to be read there or handed over."""
    assert case.phase is not None
    framer = Framer(case.phase)
    framer.feed(case.wire + case.wire[:3])
    assert framer.next() == _frame(case)
    assert framer.next() is None
    assert framer.buffered == 3
    assert framer.take() == case.wire[:3]
    assert framer.buffered == 0


def test_every_type_has_its_code() -> None:
    """The type codes are the letters of the protocol's documentation."""
    assert bytes(sorted(m.FRONTEND_TYPES)) == bytes(sorted(b"BCDEFHPQSXcdfp"))
    assert bytes(sorted(m.BACKEND_TYPES)) == bytes(sorted(b"123ACDEGHIKNRSTVWZcdnstv"))


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (m.FLUSH_MESSAGE, m.FLUSH),
        (m.SYNC_MESSAGE, m.SYNC),
        (m.TERMINATE_MESSAGE, m.TERMINATE),
        (m.COPY_DONE_MESSAGE, m.COPY_DONE),
        (m.PARSE_COMPLETE_MESSAGE, m.PARSE_COMPLETE),
        (m.BIND_COMPLETE_MESSAGE, m.BIND_COMPLETE),
        (m.CLOSE_COMPLETE_MESSAGE, m.CLOSE_COMPLETE),
        (m.EMPTY_QUERY_MESSAGE, m.EMPTY_QUERY_RESPONSE),
        (m.NO_DATA_MESSAGE, m.NO_DATA),
        (m.PORTAL_SUSPENDED_MESSAGE, m.PORTAL_SUSPENDED),
    ],
)
def test_messages_without_a_body(wire: bytes, kind: int) -> None:
    """A message without a body is its type and the length four, and a body is refused."""
    assert wire == body.message(kind, b"")
    body.check_empty("Sync", 5, len(wire))
    with pytest.raises(ProtocolError, match="must be empty"):
        body.check_empty("Sync", 5, len(wire) + 1)


@pytest.mark.parametrize(
    ("tag", "rows"),
    [
        (b"SELECT 3", 3),
        (b"INSERT 0 5", 5),
        (b"INSERT 16384 1", 1),
        (b"COPY 12", 12),
        (b"MERGE 0", 0),
        (b"BEGIN", 0),
        (b"CREATE TABLE", 0),
        (b"", 0),
        (b"SELECT -1", 0),
        (b"SELECT 99999999999999999999999999", 0),
    ],
)
def test_rows_of_a_tag(tag: bytes, rows: int) -> None:
    """The last word of a command tag is its row count, where it is a number at all."""
    assert b.tag_rows(tag) == rows


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (2, "KerberosV5"),
        (4, "CryptPassword"),
        (6, "SCMCredential"),
        (7, "GSS"),
        (8, "GSSContinue"),
        (9, "SSPI"),
    ],
)
def test_unsupported_authentication_has_a_name(code: int, name: str) -> None:
    """Methods that dbfirewall does not speak are recognised by name, and never asked for."""
    wire = code.to_bytes(4, "big") + b"token"
    msg = a.decode_authentication(wire, 0, len(wire))
    assert msg == a.AuthenticationUnsupported(name)
    with pytest.raises(ValueError, match=name):
        a.encode_authentication(msg)


def test_bad_text_in_an_error_is_replaced() -> None:
    """An error's text may be in any encoding: what is not UTF-8 is replaced, not refused."""
    assert b.decode_error_response(b"M\xff\x00\x00", 0, 4) == {"M": "\ufffd"}
