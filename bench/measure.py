"""One pgbench run, and what happened in the middle of it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.targets import DATABASE, PASSWORD, USER, Target
from tests.support.embedded import binaries

HEAD_SECONDS = 0.8
"""Connecting, authenticating and warming caches: not counted."""
TAIL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """What is run. `mode`: pgbench's --protocol."""

    mode: str
    clients: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One run's figures. Latencies and CPU per transaction in microseconds."""

    tps: float
    p50: float
    p99: float
    cpu: float


def run(target: Target, case: Case, seconds: float) -> Sample:
    """Run pgbench's select-only script against `target` and count `seconds` from the middle of it."""
    with tempfile.TemporaryDirectory(prefix="bench-log-") as folder:
        length = round(HEAD_SECONDS + seconds + TAIL_SECONDS + 0.5)
        command = [
            *(str(binaries() / "pgbench"), "--no-vacuum", "--select-only", "--log", "--log-prefix=log"),
            *("-M", case.mode, "-c", str(case.clients), "-j", "1", "-T", str(length)),
            f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{target.port}/{DATABASE}?sslmode=disable",
        ]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(HEAD_SECONDS)
        begin, cpu_before = time.time(), target.cpu_seconds()
        time.sleep(seconds)
        end, cpu = time.time(), target.cpu_seconds() - cpu_before
        _, errors = process.communicate(timeout=length + 30)
        if process.returncode:
            raise RuntimeError(f"pgbench through {target.name} failed ({case}):\n{errors}")
        latencies = _latencies(Path(folder), begin, end)
    return Sample(
        tps=len(latencies) / (end - begin),
        p50=_percentile(latencies, 50),
        p99=_percentile(latencies, 99),
        cpu=cpu / len(latencies) * 1e6,
    )


def _latencies(folder: Path, begin: float, end: float) -> list[int]:
    """Sorted latencies (µs) of the transactions that pgbench logged in [begin, end)."""
    found = []
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            _, _, latency, _, second, micros = line.split()[:6]
            if begin <= int(second) + int(micros) / 1e6 < end:
                found.append(int(latency))
    if not found:
        raise RuntimeError("pgbench finished no transaction")
    return sorted(found)


def _percentile(values: list[int], percent: int) -> float:
    return float(values[min(len(values) - 1, len(values) * percent // 100)])
