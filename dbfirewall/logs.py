"""The process's own log on standard error: one line a record, whatever a peer may have put into it.

What goes into it: never a secret, no SQL text, no parameter. So of an exception that nobody foresaw its type and its
place are told, and not its words, which may quote whatever was being worked on.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from typing import Final, Literal, TextIO

from dbfirewall.errors import DbfirewallError

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def set_up(level: str, style: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send everything of `level` and above to `stream` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("asyncio", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def exception_text(error: BaseException) -> str:
    """Where `error` came from, and the causes that it had, in the order of a traceback."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = exception_text(earlier) + "\nthen:\n" if earlier is not None else ""
    words = f": {error}" if isinstance(error, DbfirewallError | OSError) else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{before}{frames}{type(error).__qualname__}{words}"


def _time(record: logging.LogRecord) -> str:
    whole, fraction = divmod(record.created, 1)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int(fraction * 1000):03d}Z"


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO dbfirewall.proxy: message`, control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        text = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + exception_text(record.exc_info[1])
        return _CONTROL.sub(_escape, text)


class JsonFormatter(logging.Formatter):
    """One JSON object with `ts`, `level`, `logger`, `message` and, if there was one, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        fields = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = exception_text(record.exc_info[1])
        return json.dumps(fields)
