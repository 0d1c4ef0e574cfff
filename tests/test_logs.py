"""The process's log: one line a record, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall import logs
from dbfirewall.errors import AuditError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def record(message: str, *, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("dbfirewall.proxy", logging.WARNING, "f.py", 1, message, (), exc_info)
    made.created = 1_767_225_600.5
    return made


def test_text() -> None:
    """Time in UTC, level, logger, message."""
    line = logs.TextFormatter().format(record("upstream is down"))
    assert line == "2026-01-01T00:00:00.500Z WARNING dbfirewall.proxy: upstream is down"


def test_json() -> None:
    """The same as members of an object."""
    assert json.loads(logs.JsonFormatter().format(record("upstream is down"))) == {
        "ts": "2026-01-01T00:00:00.500Z",
        "level": "warning",
        "logger": "dbfirewall.proxy",
        "message": "upstream is down",
    }


@given(message=st.text(max_size=50))
def test_a_record_is_one_line(message: str) -> None:
    """No message, and no traceback, can begin a line of its own or steer a terminal."""
    for formatter in (logs.TextFormatter(), logs.JsonFormatter()):
        for error in (None, ValueError(message)):
            line = formatter.format(record(message, error=error))
            assert len(line.splitlines()) == 1
            assert "\x1b" not in line


def raised(error: Exception) -> Exception:
    """`error` with a traceback and a cause."""
    try:
        try:
            raise KeyError("a literal")  # noqa: TRY301  a cause
        except KeyError as cause:
            raise error from cause
    except type(error) as caught:
        return caught


def test_an_exception_is_told() -> None:
    """Both formats have where it came from and what caused it; its words only where they are our own."""
    for error, words in ((ValueError("a literal"), "ValueError"), (AuditError("why"), "AuditError: why")):
        text = logs.TextFormatter().format(record("m", error=raised(error)))
        shown = json.loads(logs.JsonFormatter().format(record("m", error=raised(error))))["exception"]
        for found in (text, shown):
            assert found.endswith(words)
            assert "in raised" in found
            assert "KeyError" in found
    assert logs.exception_text(ValueError("a literal")) == "ValueError"


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("error", 1)])
def test_levels(level: str, seen: int) -> None:
    """What lies below the level is not written."""
    stream = io.StringIO()
    logs.set_up(level, "text", stream)
    logger = logging.getLogger("dbfirewall.test")
    logger.debug("d")
    logger.info("i")
    logger.error("e")
    assert len(stream.getvalue().splitlines()) == seen


def test_other_people_s_chatter_is_left_out() -> None:
    """Libraries speak from warning on."""
    stream = io.StringIO()
    logs.set_up("debug", "json", stream)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "Invalid HTTP request received."
