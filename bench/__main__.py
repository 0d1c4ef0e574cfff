"""Measure the ways to one server in turns, so that a busy moment of the machine hits all of them alike."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from bench.measure import Case, Sample, run
from bench.report import table, write_json
from bench.targets import Target, dbfirewall, pgbouncer, server


def main() -> None:
    """The command line: rounds, seconds and a selection of cases."""
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="measured per run (default: 3)")
    options.add_argument("--rounds", type=int, default=3, help="runs per case and target (default: 3)")
    options.add_argument("--modes", nargs="+", default=["simple", "extended", "prepared"])
    options.add_argument("--clients", nargs="+", type=int, default=[1, 8])
    chosen = options.parse_args()
    cases = [Case(mode, clients) for mode in chosen.modes for clients in chosen.clients]

    with ExitStack() as running:
        postgres = running.enter_context(server())
        peer = running.enter_context(pgbouncer(postgres.port))
        ours = running.enter_context(dbfirewall(postgres.port))
        targets = [Target("direct", postgres.port), *([peer] if peer else []), ours]
        if peer is None:
            print("pgbouncer is not installed: measuring without it")
        results: dict[tuple[Case, str], list[Sample]] = {}
        for number in range(chosen.rounds):
            for case in cases:
                for target in targets:
                    turn = f"round {number + 1}/{chosen.rounds}  {case.mode} x{case.clients}"
                    progress(f"{turn}  {target.name}")
                    results.setdefault((case, target.name), []).append(run(target, case, chosen.seconds))
    progress("")
    print(table(results))
    print(f"written to {write_json(results, seconds=chosen.seconds, rounds=chosen.rounds)}")


def progress(text: str) -> None:
    """Say where we are, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
