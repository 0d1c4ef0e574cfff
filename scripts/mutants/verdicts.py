"""What a survivor does to decisions: whether some text or effect that was refused is allowed now."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dbfirewall.policy.decision import decide
from dbfirewall.policy.models import Role
from dbfirewall.sql.analyze import resolve
from dbfirewall.sql.facts import Analysis, Refusal
from dbfirewall.sql.read import read
from scripts.mutants.corpora import CONTEXTS, played, roles, scopes, texts

PATIENCE = 4.0
"""Seconds for one mutant."""

STRICTNESS = {"allow": 0, "gate": 1, "deny": 2, "error": 3}

_FAILED = Analysis(refusal=Refusal("error", "no facts"))

Outcomes = tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """`class_`: `opens` (a refusal became an allow), `gates` (a denial became a gate), `closes`, or `same`.

    `example`: a text of that class, with scope and role. `tried`: how many texts and effects were judged.
    """

    class_: str
    example: str
    tried: int


def outcomes(text: str) -> None:
    """Judge `text` in every scope and role."""
    reading = read(text.encode())
    for scope in scopes().values():
        _decided(resolve(reading, scope))


class Verdicts:
    """What unchanged code makes of the corpora, to compare with."""

    def __init__(self) -> None:
        self._readings = {text: read(text.encode()) for text in texts()}
        self._facts = {
            (text, scope): resolve(reading, scopes()[scope])
            for text, reading in self._readings.items()
            for scope in scopes()
        }
        self._decided = {key: _decided(facts) for key, facts in self._facts.items()}
        self._played = [_outcomes(facts, who) for facts, who in played()]

    def difference(self, chosen: Collection[str], affected: Collection[str]) -> Difference:
        """What this process, changed by now, makes of the texts `chosen`. `affected`: modules, such as `sql.read`."""
        found = {"gates": "", "closes": ""}
        tried = 0
        for now, before, where in self._pairs(chosen, affected):
            tried += 1
            if now == before:
                continue
            for new, old in zip(now, before, strict=True):
                if new == "allow" and old != "allow":
                    return Difference("opens", where, tried)
                word = "gates" if STRICTNESS[new] < STRICTNESS[old] else "closes" if new != old else ""
                found[word] = found.get(word) or where
        class_ = "gates" if found["gates"] else "closes" if found["closes"] else "same"
        return Difference(class_, found.get(class_, ""), tried)

    def _pairs(
        self, chosen: Collection[str], affected: Collection[str]
    ) -> Iterator[tuple[Outcomes, Outcomes, str]]:
        """Outcomes now and before, and of what."""
        end = time.monotonic() + PATIENCE
        deciding = "policy.decision" in affected
        if deciding:
            for (facts, who), before in zip(played(), self._played, strict=True):
                yield _outcomes(facts, who), before, f"{facts.statements or facts.refusal} {who.rules}"[:600]
        for text in chosen:
            if time.monotonic() > end:
                return
            for scope in scopes():
                known = self._facts[text, scope]
                facts = self._again(text, scope, affected) if "sql.analyze" in affected else known
                if deciding or facts != known:
                    yield _decided(facts), self._decided[text, scope], f"[{scope}] {text}"[:600]

    def _again(self, text: str, scope: str, affected: Collection[str]) -> Analysis:
        try:
            reading = read(text.encode()) if "sql.read" in affected else self._readings[text]
            return resolve(reading, scopes()[scope])
        except Exception:  # noqa: BLE001  what raises is not let through
            return _FAILED


def _decided(facts: Analysis) -> Outcomes:
    return tuple(_outcome(facts, who, "session") for who in roles().values())


def _outcomes(facts: Analysis, who: Role) -> Outcomes:
    return tuple(_outcome(facts, who, name) for name in CONTEXTS)


def _outcome(facts: Analysis, who: Role, context: str) -> str:
    if facts is _FAILED:
        return "error"
    try:
        return decide(facts, who, CONTEXTS[context]).outcome
    except Exception:  # noqa: BLE001  what raises is not let through
        return "error"
