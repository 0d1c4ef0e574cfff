"""What decoders refuse, and what encoders do not let their callers write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbfirewall.errors import ProtocolError, SqlState
from dbfirewall.wire import authentication as a
from dbfirewall.wire import backend as b
from dbfirewall.wire import body, limits
from dbfirewall.wire import frontend as f
from dbfirewall.wire import messages as m
from dbfirewall.wire import startup as s

V3 = b"\x00\x03\x00\x00"

MALFORMED = [
    ("startup packet without a version", s.decode_startup_packet, b"\x00\x03"),
    ("startup packet without a terminator", s.decode_startup_packet, V3 + b"user\0x\0"),
    ("startup packet without anything", s.decode_startup_packet, V3),
    ("startup name without a value", s.decode_startup_packet, V3 + b"user\0"),
    ("startup bytes after the terminator", s.decode_startup_packet, V3 + b"user\0x\0\0database\0y\0\0"),
    ("startup parameter twice", s.decode_startup_packet, V3 + b"user\0x\0user\0y\0\0"),
    ("startup name not UTF-8", s.decode_startup_packet, V3 + b"us\xe9r\0x\0\0"),
    ("startup value not UTF-8", s.decode_startup_packet, V3 + b"user\0\xff\0\0"),
    ("startup value a surrogate", s.decode_startup_packet, V3 + b"user\0\xed\xa0\x80\0\0"),
    ("startup value overlong UTF-8", s.decode_startup_packet, V3 + b"user\0\xc0\x80\0\0"),
    ("startup too long", s.decode_startup_packet, V3 + b"user\0" + b"x" * 10_000 + b"\0\0"),
    ("cancel key too short", s.decode_startup_packet, b"\x04\xd2\x16\x2e\0\0\0\x01abc"),
    ("cancel key too long", s.decode_startup_packet, b"\x04\xd2\x16\x2e\0\0\0\x01" + b"k" * 257),
    ("ssl request with a body", s.decode_startup_packet, b"\x04\xd2\x16\x2f\0"),
    ("negotiate with a negative count", s.decode_negotiate_protocol_version, V3 + b"\xff\xff\xff\xff"),
    ("negotiate with a huge count", s.decode_negotiate_protocol_version, V3 + b"\x7f\xff\xff\xff"),
    ("unknown authentication", a.decode_authentication, b"\0\0\0\x01"),
    ("negative authentication", a.decode_authentication, b"\xff\xff\xff\xff"),
    ("sasl without mechanisms", a.decode_authentication, b"\0\0\0\x0a\0"),
    ("sasl initial with length -2", a.decode_sasl_initial_response, b"X\0\xff\xff\xff\xfe"),
    ("sasl initial with a huge length", a.decode_sasl_initial_response, b"X\0\x7f\xff\xff\xffn,,"),
    ("password with two NULs", a.decode_password, b"a\0b\0"),
    ("query without NUL", f.decode_query, b"select 1"),
    ("query with an inner NUL", f.decode_query, b"select 1\0; drop table t\0"),
    ("query without a body", f.decode_query, b""),
    ("parse with an inner NUL", f.decode_parse, b"\0select 1\0drop table t\0\0\0"),
    ("parse with too many types", f.decode_parse, b"\0select 1\0\0\x01\0\0\0\x17\0\0\0\x17"),
    ("parse with too few types", f.decode_parse, b"\0select 1\0\0\x02\0\0\0\x17"),
    ("parse with half a count", f.decode_parse, b"\0select 1\0\0"),
    ("bind without a statement", f.decode_bind, b"p"),
    ("execute with two names", f.decode_execute, b"p\0q\0\0\0\0\0"),
    ("describe of something else", f.decode_describe, b"Xs1\0"),
    ("close with an inner NUL", f.decode_close, b"Ss\x001\0"),
    ("describe without a body", f.decode_describe, b""),
    ("ready with an unknown status", b.decode_ready_for_query, b"X"),
    ("parameter status with one string", b.decode_parameter_status, b"TimeZone\0"),
    ("parameter status with three strings", b.decode_parameter_status, b"TimeZone\0UTC\0x\0"),
    ("parameter status without NUL", b.decode_parameter_status, b"TimeZone"),
    ("key too short", b.decode_backend_key_data, b"\0\0\0\x01abc"),
    ("key too long", b.decode_backend_key_data, b"\0\0\0\x01" + b"k" * 257),
    ("error without a terminator", b.decode_error_response, b"Mno\0"),
    ("tag with an inner NUL", b.decode_command_complete, b"SELECT\x001\0"),
    ("copy format 2", b.decode_copy_response, b"\x02\0\0"),
    ("row with a negative length", b.decode_data_row, b"\0\x01\xff\xff\xff\xfe"),
    ("row with a huge count", b.decode_data_row, b"\xff\xff\0\0\0\0"),
]


@pytest.mark.parametrize(("decode", "wire"), [case[1:] for case in MALFORMED], ids=[c[0] for c in MALFORMED])
def test_malformed_bodies_are_refused(decode: Callable[[bytes, int, int], Any], wire: bytes) -> None:
    """A body that does not have the protocol's layout is a ProtocolError with SQLSTATE 08P01."""
    with pytest.raises(ProtocolError) as refused:
        decode(wire, 0, len(wire))
    assert refused.value.sqlstate == SqlState.PROTOCOL


@pytest.mark.parametrize("wire", [b"\x03", b"\xff\xff\xff", b"\0\0\0\x01", b"\x01\0\xff\xff\xff\xfe\0\0"])
def test_malformed_bind_parameters_are_refused(wire: bytes) -> None:
    """A parameter section that does not fit its own counts and lengths is a ProtocolError."""
    with pytest.raises(ProtocolError):
        f.decode_bind_parameters(wire)


@pytest.mark.parametrize(
    ("code", "shown"), [(b"\0\x02\0\0", "2.0"), (b"\0\x04\0\x01", "4.1"), (b"GET ", "18245")]
)
def test_other_protocols_are_refused_as_postgres_does(code: bytes, shown: str) -> None:
    """Protocol 2, protocol 4 and what is no protocol at all get 0A000 and the versions that are spoken."""
    with pytest.raises(ProtocolError, match=shown) as refused:
        s.decode_startup_packet(code + b"user\0x\0\0", 0, 12)
    assert refused.value.sqlstate == SqlState.NOT_UNDERSTOOD
    assert "3.0 to 3.2" in str(refused.value)


def _startup(parameters: dict[str, str]) -> bytes:
    return s.encode_startup_message(s.StartupMessage(m.PROTOCOL_3_0, parameters))


UNENCODABLE: list[tuple[str, Callable[[], bytes]]] = [
    ("NUL in a query", lambda: f.encode_query(b"select 1\0")),
    ("NUL in a statement name", lambda: f.encode_parse(f.Parse(b"\0", b""))),
    ("half an OID", lambda: f.encode_parse(f.Parse(b"", b"", b"\0\0"))),
    ("too many parameters", lambda: f.encode_bind_parameters(f.BindParameters((), (None,) * 65_536))),
    ("unknown target", lambda: f.encode_close(f.Target(0x58, b""))),
    ("row count out of range", lambda: f.encode_execute(f.Execute(b"", 2**31))),
    ("negative OID", lambda: f.encode_function_call(f.FunctionCall(-1, (), (), 0))),
    ("nameless startup parameter", lambda: _startup({"": "x"})),
    ("NUL in a startup value", lambda: _startup({"user": "x\0"})),
    ("startup packet too long", lambda: _startup({"user": "x" * limits.STARTUP_PACKET})),
    ("cancel key too short", lambda: s.encode_cancel_request(s.CancelRequest(1, b"abc"))),
    ("backend key too long", lambda: b.encode_backend_key_data(b.BackendKeyData(1, b"k" * 257))),
    ("unknown status", lambda: b.encode_ready_for_query(0)),
    ("long field code", lambda: b.encode_error_response({"SQL": "x"})),
    ("NUL as a field code", lambda: b.encode_notice_response({"\0": "x"})),
    ("surrogate in an error", lambda: b.encode_error_response({"M": "\ud800"})),
    ("column number out of range", lambda: b.encode_row_description((b.Column(b"x", 1, 40_000),))),
    ("copy format 2", lambda: b.encode_copy_response(m.COPY_IN_RESPONSE, b.CopyResponse(2))),
    ("md5 salt of five bytes", lambda: a.encode_authentication(a.AuthenticationMD5Password(b"12345"))),
    ("no mechanism", lambda: a.encode_authentication(a.AuthenticationSASL(()))),
]  # fmt: skip


@pytest.mark.parametrize("encode", [case[1] for case in UNENCODABLE], ids=[case[0] for case in UNENCODABLE])
def test_encoders_refuse_what_the_format_cannot_carry(encode: Callable[[], bytes]) -> None:
    """A value that would not come out as it went in is a ValueError, never other bytes."""
    with pytest.raises(ValueError, match=r"."):
        encode()


class _Vast(bytes):
    """Stands for two gigabytes, without holding them."""

    def __len__(self) -> int:
        return 0x7FFF_FFFF


def test_a_body_longer_than_a_length_can_say_is_refused() -> None:
    """A body of 2 GiB has no message."""
    with pytest.raises(ValueError, match="too long"):
        body.message(m.COPY_DATA, _Vast())
