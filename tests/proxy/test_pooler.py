"""What a session behind a pooler has to show before it begins."""

from __future__ import annotations

import asyncio

import pytest

from dbfirewall.errors import ConfigError, ProtocolError
from dbfirewall.proxy.dsn import parse_dsn
from dbfirewall.proxy.peer import Peer
from dbfirewall.proxy.pooler import confirm_own_settings
from dbfirewall.wire import backend
from dbfirewall.wire import messages as m

WANTED = {"default_transaction_read_only": "on", "search_path": "public"}
READY = backend.encode_ready_for_query(m.STATUS_IDLE)


def row(name: str, setting: str, reset: str) -> bytes:
    return backend.encode_data_row((name.encode(), setting.encode(), reset.encode()))


BOTH = row("default_transaction_read_only", "on", "on") + row("search_path", "public", "public")


def confirm(answer: bytes) -> None:
    """Ask a server that gives this answer, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        peer: Peer
        async with server, asyncio.timeout(10):
            port = server.sockets[0].getsockname()[1]
            _, peer = await asyncio.get_running_loop().create_connection(Peer, "127.0.0.1", port)
            try:
                await confirm_own_settings(peer, WANTED)
            finally:
                peer.abort()

    asyncio.run(main())


def test_settings_that_are_the_logins_own_are_confirmed() -> None:
    """Both in force now and what RESET goes back to."""
    confirm(BOTH + READY)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (row("default_transaction_read_only", "on", "on") + row("search_path", "x", "public"), "search_path"),
        (row("default_transaction_read_only", "on", "on") + row("search_path", "public", "x"), "search_path"),
        (row("default_transaction_read_only", "on", "on"), "search_path"),
        (row("default_transaction_read_only", "on", "off") + row("search_path", "public", "public"), "read_only"),
        (b"", "ALTER ROLE"),
        (backend.encode_error_response({"S": "ERROR", "C": "42501", "M": "no"}), "did not tell"),
        (BOTH + backend.encode_parameter_status(backend.ParameterStatus(b"a", b"b")), "did not tell"),
        (b"D\x00\x00\x00\x03", "no sense"),
        (b"D\x7f\xff\xff\xff", "no sense"),
        (BOTH * 2000, "no sense"),
    ],
    ids=["now", "after RESET", "missing", "read-only", "nothing", "error", "status", "short", "huge", "endless"],
)  # fmt: skip
def test_a_setting_that_is_not_confirmed_is_a_refusal(answer: bytes, problem: str) -> None:
    """The text names the setting and how to set it, or says that the server makes no sense."""
    with pytest.raises(ProtocolError, match=problem):
        confirm(answer + READY)


def test_a_server_that_hangs_up_confirms_nothing() -> None:
    """Rows without ReadyForQuery are no answer."""
    with pytest.raises(ConnectionResetError):
        confirm(BOTH)


@pytest.mark.parametrize(
    ("query", "expected"), [("", False), ("?pooler=none", False), ("?pooler=session", True)]
)
def test_the_dsn_says_whether_a_pooler_is_expected(query: str, expected: bool) -> None:
    """None is, unless it is said."""
    assert parse_dsn(f"postgresql://db/shop{query}").session_pooler is expected


def test_no_other_pooling_can_be_asked_for() -> None:
    """pooler=transaction is an error of the rules file."""
    with pytest.raises(ConfigError, match="pooler=transaction is none of none, session"):
        parse_dsn("postgresql://db/shop?pooler=transaction")
