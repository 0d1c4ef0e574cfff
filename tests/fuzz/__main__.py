"""The long hunt: `python -m tests.fuzz --minutes 10 --servers embedded npm:14`; exit status 1 for any find."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.fuzz.arena import Arena
from tests.fuzz.hunt import Catch, hunt_alarms, hunt_armed
from tests.fuzz.tokens import mutants
from tests.sql.soup import agree
from tests.support.postgres import running_postgres

ROUND = 2000
"""Statements of one kind and seed in one round."""

SERVERS = ("embedded", "npm:14", "npm:15", "npm:16", "npm:17")


def main() -> int:
    """Hunt on each server in turn, with new seeds all the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="for each server, and for the tokens")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000, help="the first seed")
    parser.add_argument("--servers", nargs="*", default=SERVERS, help="as in DBFIREWALL_TEST_PG")
    options = parser.parse_args()
    print(f"first seed {options.seed}")
    finds = _tokens(options.seed, options.minutes * 60)
    for server in options.servers:
        finds += _server(server, options.seed, options.minutes * 60)
    print(f"{finds} finds")
    return 1 if finds else 0


def _tokens(seed: int, seconds: float) -> int:
    deadline, tried, finds = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline:
        for text in islice(mutants(seed), ROUND):
            if not agree(text):
                finds += 1
                print(f"tokens, seed {seed}: cut otherwise: {text!r}")
        tried += ROUND
        seed += 1
    print(f"tokens: {tried} texts, {finds} finds")
    return finds


def _server(server: str, seed: int, seconds: float) -> int:
    total, finds = Catch(), 0
    with running_postgres(server) as postgres, tempfile.TemporaryDirectory() as folder:
        arena = Arena(postgres, Path(folder) / "rules.yaml")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for catch in (hunt_armed(arena, seed, ROUND), hunt_alarms(arena, seed, ROUND)):
                for sql, why in (*catch.harm, *catch.alarms):
                    finds += 1
                    print(f"{server}, seed {seed}: {why}: {sql!r}")
                for figure in ("tried", "allowed", "sampled", "valid"):
                    setattr(total, figure, getattr(total, figure) + getattr(catch, figure))
            seed += 1
        arena.close()
    print(f"{server}: {total.tried} statements, {total.allowed} allowed, {total.valid} of {total.sampled} valid, "
          f"{finds} finds")  # fmt: skip
    return finds


if __name__ == "__main__":
    sys.exit(main())
