"""What survivors are judged by: texts of all corpora, roles of many kinds, scopes, and effects of any shape."""

from __future__ import annotations

import json
import random
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from dbfirewall.catalog.types import Scope
from dbfirewall.policy.decision import Context, Decision
from dbfirewall.policy.loader import load_rules
from dbfirewall.policy.models import Role
from dbfirewall.sql.actions import ACTIONS, GROUPS
from dbfirewall.sql.facts import Analysis, Effect, Refusal, Statement
from scripts.mutants.changes import ROOT
from tests.alarms.generator import queries
from tests.fuzz.arena import RULES as ARENA
from tests.fuzz.grammar import Grammar
from tests.policy.build import role
from tests.sql.recorded import statements
from tests.sql.rendering import FACTS, read_cases
from tests.sql.scopes import SCOPES

PLAYED = 6_000
"""How many single effects are judged, each under a role of its own."""

CONTEXTS = {
    "session": Context(),
    "pg_dump": Context(application_name="pg_dump"),
    "prepared": Context(
        protocol_prepared=True, executable={"p": Decision("deny"), "q": Decision("allow")}.get
    ),
}


@cache
def texts() -> tuple[str, ...]:
    """The texts of all corpora, and many of the fuzzer's."""
    wire = [json.loads(line)["sql"] for line in (ROOT / "tests/corpus/wire.jsonl").read_text().splitlines()]
    facts = [case.sql for path in sorted(FACTS.glob("*.sql")) for case in read_cases(path)]
    armed = [one.sql for one in islice(Grammar(1, armed=True), 700)]
    harmless = [one.sql for one in islice(Grammar(2, armed=False), 150)]
    return tuple(dict.fromkeys([*facts, *wire, *statements(), *armed, *harmless, *queries(150)]))


@cache
def scopes() -> dict[str, Scope]:
    """Without a catalog, with one, and with one whose search_path is not known."""
    return {name: SCOPES[name] for name in ("offline", "live", "live unknown path")}


@cache
def roles() -> dict[str, Role]:
    """Readers and writers, by broad rules and by narrow ones; those of the examples, too."""
    named = {
        "reader": role(
            {"allow": "select", "on": ["public.*", "delete_me.*"]},
            {"deny": "select", "on": "public.secret"},
            {"allow": "call", "on": "public.f_read"},
            access="read-only",
        ),
        "columns": role(
            {"allow": "select", "on": ["public.users", "public.orders"], "columns": ["id", "name", "amount"]},
            {"deny": "select", "on": "*.secret", "columns": ["ssn"]},
            access="read-only",
        ),
        "writer": role(
            {"allow": ["select", "insert"], "on": "public.*"},
            {"allow": ["update", "delete"], "on": "public.*", "require_where": True},
            {"deny": ["update", "select"], "on": "public.users", "columns": ["email"]},
            {"gate": ["delete", "truncate"], "on": "public.*"},
            {"gate": "ddl"},
            {"deny": "drop", "kind": ["database", "schema"]},
        ),
        "most": role({"allow": "*"}, {"deny": "*", "on": ["*.secret", "*.f_write"]}, {"deny": "lock"}),
        "bare": role(access="read-write"),
    }
    for path in sorted((ROOT / "rules").glob("*.yaml")):
        if not path.name.endswith(".test.yaml"):
            named |= {f"{path.stem}.{name}": one for name, one in load_rules(path).roles.items()}
    with TemporaryDirectory() as folder:
        path = Path(folder, "rules.yaml")
        path.write_text(ARENA)
        return named | {"arena": load_rules(path).roles["reader"]}


@cache
def played() -> tuple[tuple[Analysis, Role], ...]:
    """Facts of one effect, and a role of up to four rules that may be about it; the same each time."""
    rng = random.Random(1)  # noqa: S311  a sample, not a secret
    pairs: list[tuple[Analysis, Role]] = []
    while len(pairs) < PLAYED:
        effect = _effect(rng)
        rules = [_rule(rng, effect) for _ in range(rng.randrange(5))]
        try:
            who = role(*rules, access=rng.choice(("read-only", "read-write")), limits=rng.choice(_LIMITS))
        except ValidationError:
            continue
        pairs.append((_analysis(rng, effect), who))
    return tuple(pairs)


_LIMITS: tuple[dict[str, Any], ...] = ({}, {}, {"statement_timeout": "30s"}, {"lock_timeout": "2s"})
_SCHEMAS = ("public", "public", "other", "pg_catalog", "information_schema", "pg_toast", None)
_NAMES = ("a", "b", "pg_authid", "pg_stat_activity", "pg_class", "query_to_xml", None)
_PARAMETERS = (
    "application_name", "search_path", "client_encoding", "statement_timeout", "lock_timeout", "role", "all", "",
    "transaction_read_only", "standard_conforming_strings", "enable_sort", "work_mem", "row_security", "app.user",
)  # fmt: skip
_VALUES = (None, "", "on", "off", "utf8", "SJIS", "0", "10s", "60000", "1h", "read write", "x")
_DETAILS = ("", "ACCESS SHARE", "SHARE", "and chain")
_KINDS = ("", "table", "view", "database", "role", "function", "procedure", "schema")


def _effect(rng: random.Random) -> Effect:
    action = rng.choice((rng.choice(sorted(ACTIONS)), "select", "update", "call", "set"))
    found: tuple[str | None, ...] = (rng.choice(_SCHEMAS), rng.choice(_NAMES))
    if action in ("set", "reset", "show"):
        found = (rng.choice(_PARAMETERS),)
    elif rng.random() < 0.2 or action in ("execute", "deallocate", "prepare"):
        found = rng.choice(((), ("p",), ("q",), ("all",), ("a",), (None,)))
    columns = rng.choice((None, (), ("*",), ("x",), ("x", "y"), ("query", "x")))
    kind, where, detail = rng.choice(_KINDS), rng.random() < 0.5, rng.choice(_DETAILS)
    return Effect(action, found, kind, columns, where, detail, rng.choice(_VALUES))


def _rule(rng: random.Random, effect: Effect) -> dict[str, Any]:
    groups = [group for group, actions in GROUPS.items() if effect.action in actions]
    action = rng.choice(
        (effect.action, effect.action, *groups, "*", "everything", rng.choice(sorted(ACTIONS)))
    )
    rule: dict[str, Any] = {rng.choice(("allow", "allow", "deny", "gate")): action}
    written = ".".join(part or "?" for part in effect.object)
    patterns = [
        None,
        "*",
        written,
        "public.*",
        "*.a",
        "pg_catalog.*",
        "p?blic.?",
        "*.*",
        "search_path",
        "other.b",
    ]
    if pattern := rng.choice(patterns):
        rule["on"] = pattern
    for key, choices in _CONDITIONS.items():
        if rng.random() < 0.15:
            rule[key] = rng.choice(choices)
    return rule


_CONDITIONS: dict[str, tuple[Any, ...]] = {
    "columns": ("x", ["x", "y"], "*", "query"),
    "kind": ("table", ["database", "role"]),
    "require_where": (True,),
    "max_rows_affected": (1, 100),
}


def _analysis(rng: random.Random, effect: Effect) -> Analysis:
    if rng.random() < 0.02:
        return Analysis(
            refusal=Refusal(rng.choice(("too-deep", "syntax")), "?", allowable=rng.random() < 0.7)
        )
    prepares = rng.choice((None, None, None, "p"))
    other = Statement("prepare", (Effect("prepare", ("p",)),), prepares=prepares)
    statement = Statement("x", (effect,))
    return Analysis((other, statement) if prepares else (statement,))
