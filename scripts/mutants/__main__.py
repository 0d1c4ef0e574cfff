"""python -m scripts.mutants [--minutes N] [--jobs N] [--quick] [--tests WORDS] [--state FILE] [--report] [module …].

Mutants are tried in the order of the modules. Results are appended to the state file, and what it has is not tried
again, so that a run can be stopped and taken up at any time: an edit makes new mutants of the functions edited alone.
Survivors are tried again after the tests have changed. Ends with a report, and with 1 where a survivor opens.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.mutants.changes import PACKAGES, ROOT, Mutant, modules, mutants_of
from scripts.mutants.lines import digest


def main() -> None:
    """Try mutants until all are done or the time is up, then report."""
    parser = argparse.ArgumentParser(description="Mutation tests of dbfirewall's sql and policy.")
    parser.add_argument("modules", nargs="*", help="such as sql.lexer; all of policy and sql without")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--budget", type=float, default=8, help="seconds of tests for one mutant")
    parser.add_argument(
        "--quick", action="store_true", help="a second of tests each, survivors to be judged later"
    )
    parser.add_argument(
        "--tests", type=shlex.split, help="pytest's words for the tests to try, where not all"
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".state" / "mutants.jsonl")
    parser.add_argument("--report", action="store_true", help="try nothing, and tell what is known")
    options = parser.parse_args()
    options.state.parent.mkdir(parents=True, exist_ok=True)
    wanted = [one for module in options.modules or modules() for one in mutants_of(module)]
    if not options.report:
        from scripts.mutants.trial import Trials  # noqa: PLC0415  not before pytest has seen to its plugins

        left = _left(wanted, known(options.state), tests=options.tests, quick=options.quick)
        budget = 1.0 if options.quick else options.budget
        trials = Trials(left, options.minutes, options.state, options.jobs, budget, judge=not options.quick)
        tests = options.tests or [str(ROOT / "tests" / package) for package in PACKAGES]
        ended = pytest.main(
            ["-q", "-p", "no:cacheprovider", "--timeout=0", "--assert=plain", *tests], plugins=[trials]
        )
        if ended not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            sys.exit(int(ended))
    sys.exit(report(wanted, known(options.state)))


def known(state: Path) -> dict[str, dict[str, Any]]:
    """The last that is known of each mutant, by its key."""
    found: dict[str, dict[str, Any]] = {}
    for line in state.read_text().splitlines() if state.exists() else []:
        one = json.loads(line)
        if one["killed_by"] or one["class_"] != "unjudged" or one["key"] not in found:
            found[one["key"]] = one
    return found


def _left(
    wanted: Sequence[Mutant], before: dict[str, dict[str, Any]], *, tests: Sequence[str] | None, quick: bool
) -> list[Mutant]:
    """The mutants to try: new ones, and survivors of other tests, which chosen tests always are."""
    now = digest()
    new = [mutant for mutant in wanted if mutant.key not in before]
    alive = [one for one in wanted if one.key in before and not before[one.key]["killed_by"]]
    if tests:
        return [*new, *alive]
    return new if quick else [*new, *(one for one in alive if before[one.key]["tests"] != now)]


def report(wanted: Sequence[Mutant], outcomes: dict[str, dict[str, Any]]) -> int:
    """Per module: tried, killed; then each survivor. 1 where one opens."""
    tried = Counter(mutant.module for mutant in wanted if mutant.key in outcomes)
    alive = [mutant for mutant in wanted if outcomes.get(mutant.key, {"killed_by": "?"})["killed_by"] == ""]
    survived = Counter(mutant.module for mutant in alive)
    for module in tried:
        print(f"{module:28} {tried[module]:5} tried {tried[module] - survived[module]:5} killed")
    classes: Counter[str] = Counter()
    for mutant in alive:
        found = outcomes[mutant.key]
        classes[found["class_"]] += 1
        where = f"dbfirewall/{mutant.module.replace('.', '/')}.py:{mutant.line}"
        print(f"{found['class_']:7} {where}: {mutant.change}  {found['example'].splitlines()[:1]}")
    total = tried.total()
    print(
        f"{total} tried, {total - len(alive)} killed, {len(wanted) - total} not tried; survivors: {dict(classes)}"
    )
    return 1 if classes["opens"] else 0


if __name__ == "__main__":
    main()
