"""The protocol's constants: type codes, request codes, versions, and whole messages without a body.

Type codes are ints, because indexing bytes gives ints: `buf[pos] == QUERY`.
Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

from typing import Final

# Frontend: what agents send.
BIND: Final = 0x42  # B
CLOSE: Final = 0x43  # C
DESCRIBE: Final = 0x44  # D
EXECUTE: Final = 0x45  # E
FUNCTION_CALL: Final = 0x46  # F
FLUSH: Final = 0x48  # H
PARSE: Final = 0x50  # P
QUERY: Final = 0x51  # Q
SYNC: Final = 0x53  # S
TERMINATE: Final = 0x58  # X
COPY_FAIL: Final = 0x66  # f
PASSWORD: Final = 0x70  # p: PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse

# Both directions.
COPY_DONE: Final = 0x63  # c
COPY_DATA: Final = 0x64  # d

# Backend: what servers send.
PARSE_COMPLETE: Final = 0x31  # 1
BIND_COMPLETE: Final = 0x32  # 2
CLOSE_COMPLETE: Final = 0x33  # 3
NOTIFICATION_RESPONSE: Final = 0x41  # A
COMMAND_COMPLETE: Final = 0x43  # C
DATA_ROW: Final = 0x44  # D
ERROR_RESPONSE: Final = 0x45  # E
COPY_IN_RESPONSE: Final = 0x47  # G
COPY_OUT_RESPONSE: Final = 0x48  # H
EMPTY_QUERY_RESPONSE: Final = 0x49  # I
BACKEND_KEY_DATA: Final = 0x4B  # K
NOTICE_RESPONSE: Final = 0x4E  # N
AUTHENTICATION: Final = 0x52  # R
PARAMETER_STATUS: Final = 0x53  # S
ROW_DESCRIPTION: Final = 0x54  # T
FUNCTION_CALL_RESPONSE: Final = 0x56  # V
COPY_BOTH_RESPONSE: Final = 0x57  # W
READY_FOR_QUERY: Final = 0x5A  # Z
NO_DATA: Final = 0x6E  # n
PORTAL_SUSPENDED: Final = 0x73  # s
PARAMETER_DESCRIPTION: Final = 0x74  # t
NEGOTIATE_PROTOCOL_VERSION: Final = 0x76  # v

FRONTEND_TYPES: Final = frozenset(
    (BIND, CLOSE, DESCRIBE, EXECUTE, FUNCTION_CALL, FLUSH, PARSE, QUERY, SYNC, TERMINATE, COPY_FAIL, PASSWORD,
     COPY_DONE, COPY_DATA)
)  # fmt: skip
BACKEND_TYPES: Final = frozenset(
    (PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE, NOTIFICATION_RESPONSE, COMMAND_COMPLETE, DATA_ROW,
     ERROR_RESPONSE, COPY_IN_RESPONSE, COPY_OUT_RESPONSE, EMPTY_QUERY_RESPONSE, BACKEND_KEY_DATA,
     NOTICE_RESPONSE, AUTHENTICATION, PARAMETER_STATUS, ROW_DESCRIPTION, FUNCTION_CALL_RESPONSE,
     COPY_BOTH_RESPONSE, READY_FOR_QUERY, NO_DATA, PORTAL_SUSPENDED, PARAMETER_DESCRIPTION,
     NEGOTIATE_PROTOCOL_VERSION, COPY_DONE, COPY_DATA)
)  # fmt: skip

# What stands in the place of the protocol version in a startup packet.
PROTOCOL_3_0: Final = 3 << 16
PROTOCOL_3_2: Final = 3 << 16 | 2
CANCEL_REQUEST_CODE: Final = 80877102
SSL_REQUEST_CODE: Final = 80877103
GSSENC_REQUEST_CODE: Final = 80877104

# The one-byte answers to SSLRequest and GSSENCRequest.
ENCRYPTION_ACCEPTED: Final = b"S"
ENCRYPTION_REFUSED: Final = b"N"

# The first byte of a TLS ClientHello (a handshake record), where a client starts TLS without SSLRequest.
TLS_HANDSHAKE: Final = 0x16

# ReadyForQuery's transaction status.
STATUS_IDLE: Final = 0x49  # I
STATUS_IN_TRANSACTION: Final = 0x54  # T
STATUS_FAILED: Final = 0x45  # E

# What Describe and Close are about.
TARGET_STATEMENT: Final = 0x53  # S
TARGET_PORTAL: Final = 0x50  # P

HEADER: Final = 5
"""A message's type byte and length; a startup packet has no type byte, so four."""

# Whole messages that have no body.
FLUSH_MESSAGE: Final = b"H\x00\x00\x00\x04"
SYNC_MESSAGE: Final = b"S\x00\x00\x00\x04"
TERMINATE_MESSAGE: Final = b"X\x00\x00\x00\x04"
COPY_DONE_MESSAGE: Final = b"c\x00\x00\x00\x04"
PARSE_COMPLETE_MESSAGE: Final = b"1\x00\x00\x00\x04"
BIND_COMPLETE_MESSAGE: Final = b"2\x00\x00\x00\x04"
CLOSE_COMPLETE_MESSAGE: Final = b"3\x00\x00\x00\x04"
EMPTY_QUERY_MESSAGE: Final = b"I\x00\x00\x00\x04"
NO_DATA_MESSAGE: Final = b"n\x00\x00\x00\x04"
PORTAL_SUSPENDED_MESSAGE: Final = b"s\x00\x00\x00\x04"
SSL_REQUEST_MESSAGE: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
GSSENC_REQUEST_MESSAGE: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x30"
