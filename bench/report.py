"""Medians of the rounds, as a table for people and as JSON."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import Case, Sample
from dbfirewall import __version__

RESULTS = Path(__file__).parent / "results"
Results = Mapping[tuple[Case, str], Sequence[Sample]]


def median(samples: Sequence[Sample]) -> Sample:
    """Field by field."""
    fields = [asdict(sample) for sample in samples]
    return Sample(**{name: statistics.median(one[name] for one in fields) for name in fields[0]})


def table(results: Results) -> str:
    """One line per case and target; ratios against pgbouncer where it took part."""
    lines = [
        "mode      clients  target           tps   p50 µs   p99 µs  CPU µs/tx  CPU vs pgbouncer  tps vs direct"
    ]
    for (case, target), samples in results.items():
        one = median(samples)
        cpu = "-" if target == "direct" else f"{one.cpu:.1f}"
        pace = one.tps / median(results[case, "direct"]).tps
        lines.append(
            f"{case.mode:9} {case.clients:7}  {target:11} {one.tps:8.0f} {one.p50:8.0f} {one.p99:8.0f}"
            f" {cpu:>10} {_ratio(results, case, target):>17} {pace:13.2f}x"
        )
    return "\n".join(lines)


def _ratio(results: Results, case: Case, target: str) -> str:
    reference = results.get((case, "pgbouncer"))
    if target != "dbfirewall" or reference is None:
        return "-"
    return f"{median(results[case, target]).cpu / median(reference).cpu:.2f}x"


def write_json(results: Results, *, seconds: float, rounds: int) -> Path:
    """Every sample and the medians, in a file of its own under bench/results/."""
    now = datetime.now(UTC)
    document = {
        "at": now.isoformat(timespec="seconds"),
        "machine": {"cpu": _cpu_model(), "python": platform.python_version(), "kernel": platform.release()},
        "dbfirewall": __version__,
        "seconds": seconds,
        "rounds": rounds,
        "cases": [
            {
                **asdict(case),
                "target": target,
                "median": asdict(median(samples)),
                "samples": [asdict(sample) for sample in samples],
            }
            for (case, target), samples in results.items()
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
