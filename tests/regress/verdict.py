"""What became of each statement, and whether all of it together is good enough."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.regress.wire import HUNG, LOST, Outcome

LEAST_SHARE = 0.97
"""Of the statements that only read, so many run as they do directly."""

_READS = re.compile(
    r"[\s(]*(select|values|table|with|explain|show|copy|declare|fetch|move|close|prepare|execute|deallocate"
    r"|begin|start|commit|end|rollback|abort|savepoint|release)\b",
    re.IGNORECASE,
)

_WRITES = re.compile(
    r"\s*(prepare\s+transaction|copy\b.*\bfrom\s+stdin|.*\band\s+chain|(start|begin)\b.*\bread\s+write|deallocate\s+all"
    r"|(explain|prepare)\b.*\b(insert|update|delete|merge|create)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""They begin like statements that read. DEALLOCATE ALL and what lifts READ ONLY act on the session."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One statement's outcomes. `changed`: a transaction id was taken while it ran through the firewall."""

    script: str
    number: int
    sql: str
    direct: Outcome
    reader: Outcome
    strong: Outcome
    changed: bool

    def as_json(self) -> dict[str, object]:
        return {
            "script": self.script, "number": self.number, "sql": self.sql,
            "direct": [self.direct.sqlstate, self.direct.message, str(self.direct.shape)],
            "reader": [self.reader.sqlstate, self.reader.message, str(self.reader.shape)],
            "strong": [self.strong.sqlstate, self.strong.message],
        }  # fmt: skip


def classify(trial: Trial) -> str:
    """`changed`, `hung`, `lost`; `no read` for what is none; `same`; or how it differs: `direct -> reader`."""
    through = (trial.reader.sqlstate, trial.strong.sqlstate)
    if trial.changed:
        return "changed"
    if HUNG in through:
        return "hung"
    if LOST in through and trial.direct.sqlstate != LOST:
        return "lost"
    if trial.direct.sqlstate == "25006" or _WRITES.match(trial.sql) or not _READS.match(trial.sql):
        return "no read"
    if trial.reader.sqlstate == "25006" and trial.direct.sqlstate:
        return "no read"  # a write that the server refuses for a reason of its own
    if trial.direct.sqlstate == trial.reader.sqlstate and (
        trial.direct.sqlstate or trial.direct.shape == trial.reader.shape
    ):
        return "same"
    return f"{trial.direct.sqlstate or 'runs'} -> {trial.reader.sqlstate or 'runs'}"


def summary(trials: Iterable[Trial], classes: Counter[str]) -> int:
    """Print the figures; 0 where they are good enough."""
    total = classes.total()
    reads = total - sum(classes[name] for name in ("no read", "changed", "hung", "lost"))
    share = classes["same"] / reads if reads else 0.0
    for name, count in classes.most_common():
        print(f"{count:7}  {name}")
    print(
        f"{share:.2%} of {reads} statements that only read run as they do directly (at least {LEAST_SHARE:.0%})"
    )
    for trial in trials:
        if classify(trial) in ("changed", "hung", "lost"):
            print(f"{classify(trial)}: {trial.script} #{trial.number}: {trial.sql[:200]}")
    bad = classes["changed"] + classes["hung"] + classes["lost"]
    return int(bad > 0 or share < LEAST_SHARE)
