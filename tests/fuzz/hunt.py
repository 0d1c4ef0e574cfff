"""One hunt: many armed statements, each judged, and each that is allowed let loose on the arena."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from tests.fuzz.arena import Arena
from tests.fuzz.grammar import Grammar

FRESH_JUDGE = 500
"""How many statements share the judge's caches, so that none can be allowed on another one's account."""

SAMPLE = 20
"""Every so many refused statements one is run, to see that the grammar still makes statements that are valid."""


@dataclass
class Catch:
    """What came of it. `harm`: allowed texts that did or told what they must not, with what that was.

    `alarms`: refused texts that Postgres runs and that carry nothing, with the reason.
    """

    tried: int = 0
    allowed: int = 0
    sampled: int = 0
    valid: int = 0
    harm: list[tuple[str, str]] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)


def hunt_armed(arena: Arena, seed: int, count: int) -> Catch:
    """Judge `count` armed statements of a seed; run what is allowed."""
    catch = Catch()
    for candidate in islice(Grammar(seed, armed=True), count):
        _take(catch, arena)
        sql = candidate.sql.encode()
        if arena.allows(sql):
            catch.allowed += 1
            if harm := arena.harm(sql):
                catch.harm.append((candidate.sql, harm))
        elif catch.tried % SAMPLE == 0 and "commit" not in candidate.sql.lower():
            catch.sampled += 1
            catch.valid += arena.runs(sql)
    return catch


def hunt_alarms(arena: Arena, seed: int, count: int) -> Catch:
    """Judge `count` harmless statements of a seed in the same disguises; all that Postgres runs must pass."""
    catch = Catch()
    for candidate in islice(Grammar(seed, armed=False), count):
        _take(catch, arena)
        sql = candidate.sql.encode()
        allowed = arena.allows(sql)
        catch.allowed += allowed
        if allowed and catch.tried % SAMPLE:
            continue
        catch.sampled += 1
        runs = arena.runs(sql)
        catch.valid += runs
        if runs and not allowed:
            catch.alarms.append((candidate.sql, arena.reason(sql)))
    return catch


def _take(catch: Catch, arena: Arena) -> None:
    catch.tried += 1
    if catch.tried % FRESH_JUDGE == 0:
        arena.judge_afresh()
