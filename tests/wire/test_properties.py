"""What holds for any bytes and any message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.errors import ProtocolError
from dbfirewall.wire import authentication as a
from dbfirewall.wire import backend as b
from dbfirewall.wire import frontend as f
from dbfirewall.wire import limits
from dbfirewall.wire import messages as m
from dbfirewall.wire import startup as s
from dbfirewall.wire.framing import Framer, Phase

DECODERS: list[Callable[[bytes, int, int], Any]] = [
    s.decode_startup_packet,
    s.decode_negotiate_protocol_version,
    a.decode_authentication,
    a.decode_password,
    a.decode_sasl_initial_response,
    a.decode_sasl_response,
    f.decode_query,
    f.decode_parse,
    f.decode_bind,
    f.decode_execute,
    f.decode_describe,
    f.decode_close,
    f.decode_function_call,
    f.decode_copy_data,
    f.decode_copy_fail,
    b.decode_parameter_status,
    b.decode_backend_key_data,
    b.decode_ready_for_query,
    b.decode_error_response,
    b.decode_notice_response,
    b.decode_command_complete,
    b.decode_row_description,
    b.decode_data_row,
    b.decode_parameter_description,
    b.decode_copy_response,
    b.decode_notification,
    b.decode_function_call_response,
    lambda buf, start, end: f.decode_bind_parameters(buf[start:end]),
]

# Bytes that look like a protocol more often than random ones do.
pieces = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"\0", b"\0\0", b"\0\0\0\x05", b"\0\x01", b"\xff\xff\xff\xff", b"SP", b"\0\x03\0\0", b"x\0"]
        ),
        st.sampled_from(
            [m.SSL_REQUEST_MESSAGE, b"\x04\xd2\x16\x2e", b"R\0\0\0\x08\0\0\0\0", b"p\0\0\0\x05x"]
        ),
    ),
    max_size=12,
).map(b"".join)

names = st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b""))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
codes = st.integers(0, 0xFFFF)
oids = st.integers(0, 0xFFFF_FFFF)
nullable = st.one_of(st.none(), st.binary(max_size=20))
many = st.lists(nullable, max_size=5).map(tuple)
formats = st.lists(codes, max_size=5).map(tuple)
int16s = st.integers(-0x8000, 0x7FFF)
int32s = st.integers(-0x8000_0000, 0x7FFF_FFFF)


@pytest.mark.parametrize("decode", DECODERS)
@given(before=st.binary(max_size=3), content=pieces, after=st.binary(max_size=3))
def test_any_body_gives_a_message_or_a_protocol_error(
    decode: Callable[[bytes, int, int], Any], before: bytes, content: bytes, after: bytes
) -> None:
    """Any bytes give a message or a ProtocolError, nothing else, and never depend on their neighbours."""
    try:
        alone = decode(content, 0, len(content))
    except ProtocolError:
        with pytest.raises(ProtocolError):
            decode(before + content + after, len(before), len(before) + len(content))
    else:
        assert decode(before + content + after, len(before), len(before) + len(content)) == alone


@given(
    phase=st.sampled_from(Phase), chunks=st.lists(pieces, max_size=6), limit=st.sampled_from([None, 4, 16])
)
def test_any_stream_gives_frames_or_a_protocol_error(
    phase: Phase, chunks: list[bytes], limit: int | None
) -> None:
    """Any stream gives whole messages or a ProtocolError, and never is more held than the capacity."""
    framer = Framer(phase, limit=limit, capacity=40)
    given_out = 0
    fed = 0
    try:
        for chunk in chunks:
            framer.feed(chunk)
            fed += len(chunk)
            while (frame := framer.next()) is not None:
                given_out += len(frame.body) + (4 if phase is Phase.STARTUP else 5)
                assert limit is None or len(frame.body) <= limit
            assert framer.buffered == fed - given_out <= 40
    except ProtocolError:
        assert framer.buffered <= 40


@given(chunks=st.lists(st.binary(min_size=1, max_size=8), max_size=8))
def test_how_a_stream_is_cut_does_not_matter(chunks: list[bytes]) -> None:
    """The same messages come out however their bytes were cut into chunks."""
    messages = [a.encode_sasl_response(chunk) for chunk in chunks]
    stream = b"".join(messages)
    whole = Framer(Phase.CLIENT_AUTH)
    whole.feed(stream)
    bytewise = Framer(Phase.CLIENT_AUTH)
    got: list[bytes] = []
    for index in range(len(stream)):
        bytewise.feed(stream[index : index + 1])
        while (frame := bytewise.next()) is not None:
            got.append(frame.body)
    for expected in chunks:
        frame = whole.next()
        assert frame is not None
        assert frame.body == expected
    assert got == chunks


def _round_trip(encode: Callable[[Any], bytes], decode: Callable[[bytes, int, int], Any], value: Any) -> None:
    wire = encode(value)
    assert int.from_bytes(wire[1:5], "big") == len(wire) - 1
    assert decode(wire, m.HEADER, len(wire)) == value


@given(sql=names, name=names, types=st.lists(oids, max_size=5))
def test_statements_round_trip(sql: bytes, name: bytes, types: list[int]) -> None:
    """Query and Parse come back as they were."""
    _round_trip(f.encode_query, f.decode_query, sql)
    raw = b"".join([oid.to_bytes(4, "big") for oid in types])
    _round_trip(f.encode_parse, f.decode_parse, f.Parse(name, sql, raw))


@given(portal=names, statement=names, given_formats=formats, values=many, results=formats, rows=int32s)
def test_portals_round_trip(
    portal: bytes,
    statement: bytes,
    given_formats: tuple[int, ...],
    values: tuple[bytes | None, ...],
    results: tuple[int, ...],
    rows: int,
) -> None:
    """Bind with all its parameters, and Execute, come back as they were."""
    parameters = f.BindParameters(given_formats, values, results)
    raw = f.encode_bind_parameters(parameters)
    assert f.decode_bind_parameters(raw) == parameters
    _round_trip(f.encode_bind, f.decode_bind, f.Bind(portal, statement, raw))
    _round_trip(f.encode_execute, f.decode_execute, f.Execute(portal, rows))


@given(oid=oids, given_formats=formats, values=many, result=codes)
def test_function_calls_round_trip(
    oid: int, given_formats: tuple[int, ...], values: tuple[bytes | None, ...], result: int
) -> None:
    """FunctionCall comes back as it was."""
    _round_trip(
        f.encode_function_call, f.decode_function_call, f.FunctionCall(oid, given_formats, values, result)
    )


@given(parameters=st.dictionaries(texts.filter(bool), texts, max_size=6), minor=codes)
def test_startup_messages_round_trip(parameters: dict[str, str], minor: int) -> None:
    """A startup message comes back with its parameters in their order."""
    message = s.StartupMessage(3 << 16 | minor, parameters)
    wire = s.encode_startup_message(message)
    decoded = s.decode_startup_packet(wire, 4, len(wire))
    assert decoded == message
    assert isinstance(decoded, s.StartupMessage)
    assert list(decoded.parameters) == list(parameters)


@given(pid=oids, key=st.binary(min_size=4, max_size=256))
def test_cancel_keys_round_trip(pid: int, key: bytes) -> None:
    """A key given out as BackendKeyData comes back in a CancelRequest."""
    _round_trip(b.encode_backend_key_data, b.decode_backend_key_data, b.BackendKeyData(pid, key))
    wire = s.encode_cancel_request(s.CancelRequest(pid, key))
    assert s.decode_startup_packet(wire, 4, len(wire)) == s.CancelRequest(pid, key)


@given(
    fields=st.dictionaries(st.sampled_from("SVCMDHPpqWstcdnFLR"), texts, max_size=8), name=names, value=names
)
def test_reports_round_trip(fields: dict[str, str], name: bytes, value: bytes) -> None:
    """Errors, notices and parameter statuses come back as they were."""
    _round_trip(b.encode_error_response, b.decode_error_response, fields)
    _round_trip(b.encode_notice_response, b.decode_notice_response, fields)
    _round_trip(b.encode_parameter_status, b.decode_parameter_status, b.ParameterStatus(name, value))


columns = st.builds(b.Column, names, oids, int16s, oids, int16s, int32s, codes)


@given(
    described=st.lists(columns, max_size=5).map(tuple), row=many, types=st.lists(oids, max_size=5).map(tuple)
)
def test_results_round_trip(
    described: tuple[b.Column, ...], row: tuple[bytes | None, ...], types: tuple[int, ...]
) -> None:
    """Row and parameter descriptions and rows come back as they were."""
    _round_trip(b.encode_row_description, b.decode_row_description, described)
    _round_trip(b.encode_data_row, b.decode_data_row, row)
    _round_trip(b.encode_parameter_description, b.decode_parameter_description, types)


@given(tag=st.binary(max_size=40))
def test_any_tag_has_a_row_count(tag: bytes) -> None:
    """A tag of any bytes gives a count that fits eight bytes, never an exception."""
    assert 0 <= b.tag_rows(tag) < 10**19


def test_the_default_capacity_is_one_message() -> None:
    """Before authentication, no more than one largest message is ever held."""
    framer = Framer(Phase.CLIENT_AUTH)
    framer.feed(b"p" + bytes(limits.AUTH_MESSAGE + m.HEADER - 1))
    with pytest.raises(ProtocolError):
        framer.feed(b"x")
