"""A process that reads long SQL texts, so that no parser can stall the event loop or take it down.

Requests on standard input and answers on standard output, each a 4-byte big-endian length and that many bytes:
the SQL text; the reading as JSON (see `encode_reading`). Run as `python -m dbfirewall.proxy.parse_worker`.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from typing import BinaryIO

from dbfirewall.sql.facts import Refusal
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Parsed, Reading

MEMORY_LIMIT = 2 * 1024**3
"""Security limit: address space of a worker, in bytes."""

LENGTH = struct.Struct(">I")


def encode_reading(reading: Reading) -> bytes:
    """`reading` as JSON. Not pickle: what comes back from a process that parsed hostile text is not trusted."""
    refusal = reading.refusal
    return json.dumps(
        {
            "statements": [parsed.tree for parsed in reading.statements],
            "refusal": [refusal.code, refusal.reason, refusal.allowable] if refusal is not None else None,
        }
    ).encode()


def decode_reading(data: bytes) -> Reading:
    """The opposite of `encode_reading`. Raises ValueError (also RecursionError) for anything else."""
    document = json.loads(data)
    refusal = document["refusal"]
    return Reading(
        statements=tuple(Parsed(tree) for tree in document["statements"]),
        refusal=Refusal(*refusal) if refusal is not None else None,
    )


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    read(b"SELECT 1")  # load the parsers before the first deadline runs
    while len(header := requests.read(LENGTH.size)) == LENGTH.size:
        answer = encode_reading(read(requests.read(LENGTH.unpack(header)[0])))
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
