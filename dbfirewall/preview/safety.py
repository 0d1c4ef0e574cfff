"""Whether a statement may be run for a preview: whether a rollback would undo all that it does.

What no rollback undoes: numbers drawn from a sequence, files, other servers, session locks, and whatever a function
does of which nothing is known. Such code is called by the statement itself, or stands in the definitions of the
tables that it reaches: triggers, rules, defaults, constraints, generated columns, indexes, policies, views. Where
only built-in and otherwise trusted functions are found there, the statement is run; else the preview says what is in
the way. Reading runs less of it than writing, and planning less than reading (functions that are not volatile are
evaluated by the planner, and bodies in SQL are inlined).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from dbfirewall.catalog.builtin import SYSTEM_SCHEMAS, offline_catalog
from dbfirewall.catalog.extensions import is_known
from dbfirewall.catalog.types import Function
from dbfirewall.preview.ask import Row, as_json, ask, number, strings
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import DEFAULT, Reach
from dbfirewall.preview.talk import Talk
from dbfirewall.preview.text import shown
from dbfirewall.sql.facts import Effect, Statement
from dbfirewall.sql.functions import harmless

_DRAWS = frozenset({"nextval", "setval"})

_RUNNABLE = frozenset({"select", "insert", "update", "delete", "merge", "lock_rows", "show"})
"""Actions that a rollback undoes and that need nothing but the tables' definitions to be looked at."""

_PLANNABLE = _RUNNABLE | _DRAWS | {"notify", "advisory_lock", "create"}
"""Actions of built-in volatile functions, which planning does not evaluate; and CREATE TABLE AS."""

_TRIGGER_FUNCTIONS = frozenset(
    {
        "unique_key_recheck", "suppress_redundant_updates_trigger", "tsvector_update_trigger",
        "tsvector_update_trigger_column",
    }
)  # fmt: skip
"""Trigger functions of the server that touch nothing but the row; besides those of foreign keys, RI_FKey_*."""

_TRIGGER_EXTENSIONS = {
    "moddatetime": frozenset({"moddatetime"}),
    "insert_username": frozenset({"insert_username"}),
}

_WHEN_READ = frozenset(
    {
        "index", "policy", "view", "partition key", "generated column", "foreign table", "conversion", "range",
        "statistics",
    }
)  # fmt: skip
"""Definitions that come into play when a table is only read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a rollback may not undo. `text`: a sentence about it.

    `read`, `plan`: whether it stands in the way of reading the same rows, of planning. `call`: where it is a function
    that the statement itself calls, its bare name.
    """

    text: str
    read: bool = False
    plan: bool = False
    call: str = ""


_CALLED = "' :(?:funcid|opfuncid|aggfnoid|winfnoid|hashfuncid|negfuncid|tsmhandler) ([0-9]+)'"
"""How a stored expression names its functions; see dbfirewall.catalog.queries."""

_CODE = qualified(f"""
WITH RECURSIVE happening AS MATERIALIZED (
    SELECT x.oid::oid AS relation, x.ins, x.upd, x.del, x.tru, x.dft, x.given
    FROM json_to_recordset($1::json) AS x(oid int8, ins bool, upd bool, del bool, tru bool, dft bool, given json)
), typed AS (
    SELECT h.relation, a.attname AS name, a.atttypid AS type, h.ins OR h.upd AS written
    FROM happening h
    JOIN pg_attribute a ON a.attrelid = h.relation AND a.attnum > 0::int2 AND NOT a.attisdropped
  UNION
    SELECT t.relation, t.name, p.part, t.written
    FROM typed t
    JOIN (SELECT oid AS whole, typbasetype AS part FROM pg_type WHERE typtype::text = 'd'
          UNION ALL SELECT oid, typelem FROM pg_type WHERE typcategory::text = 'A' AND typelem <> 0::oid
          UNION ALL SELECT rngtypid, rngsubtype FROM pg_range
          UNION ALL SELECT rngmultitypid, rngtypid FROM pg_range
          UNION ALL SELECT c.reltype, a.atttypid
                    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                    WHERE c.reltype <> 0::oid AND a.attnum > 0::int2 AND NOT a.attisdropped) AS p
      ON p.whole = t.type
), objects AS MATERIALIZED (
    SELECT h.relation, 'trigger' AS what, t.tgname::text AS name, t.tgqual::text AS tree, t.tgfoid AS function,
           'pg_catalog.pg_trigger'::regclass::oid AS classid, t.oid AS objid
    FROM happening h JOIN pg_trigger t ON t.tgrelid = h.relation
    WHERE t.tgenabled::text <> 'D' AND NOT t.tginitdeferred
      AND ((h.ins AND (t.tgtype & 4::int2) <> 0::int2) OR (h.del AND (t.tgtype & 8::int2) <> 0::int2)
           OR (h.upd AND (t.tgtype & 16::int2) <> 0::int2) OR (h.tru AND (t.tgtype & 32::int2) <> 0::int2))
  UNION ALL
    SELECT h.relation, CASE WHEN a.attgenerated::text = '' THEN 'default' ELSE 'generated column' END,
           a.attname::text, d.adbin::text, NULL, 'pg_catalog.pg_attrdef'::regclass::oid, d.oid
    FROM happening h
    JOIN pg_attrdef d ON d.adrelid = h.relation
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE a.attgenerated::text <> '' OR h.dft
       OR (h.ins AND NOT EXISTS (SELECT FROM json_array_elements_text(h.given) AS g(name)
                                 WHERE g.name::name = a.attname))
  UNION ALL
    SELECT h.relation, 'default', a.attname::text, NULL, 'pg_catalog.nextval(pg_catalog.regclass)'::regprocedure::oid,
           'pg_catalog.pg_attribute'::regclass::oid, NULL
    FROM happening h
    JOIN pg_attribute a ON a.attrelid = h.relation AND NOT a.attisdropped
    WHERE a.attidentity::text <> ''
      AND (h.dft OR (h.ins AND NOT EXISTS (SELECT FROM json_array_elements_text(h.given) AS g(name)
                                           WHERE g.name::name = a.attname)))
  UNION ALL
    SELECT h.relation, 'constraint', k.conname::text, k.conbin::text, NULL,
           'pg_catalog.pg_constraint'::regclass::oid, k.oid
    FROM happening h JOIN pg_constraint k ON k.conrelid = h.relation
    WHERE (h.ins OR h.upd) AND k.contype::text = ANY (ARRAY['c', 'x'])
  UNION ALL
    SELECT t.relation, 'domain', k.conname::text, k.conbin::text, NULL,
           'pg_catalog.pg_constraint'::regclass::oid, k.oid
    FROM typed t JOIN pg_constraint k ON k.contypid = t.type
    WHERE t.written AND k.contype::text = 'c'
  UNION ALL
    SELECT h.relation, 'default', a.attname::text, y.typdefaultbin::text, NULL,
           'pg_catalog.pg_type'::regclass::oid, y.oid
    FROM happening h
    JOIN pg_attribute a ON a.attrelid = h.relation AND NOT a.attisdropped AND NOT a.atthasdef
    JOIN pg_type y ON y.oid = a.atttypid AND y.typtype::text = 'd' AND y.typdefaultbin IS NOT NULL
    WHERE h.dft
       OR (h.ins AND NOT EXISTS (SELECT FROM json_array_elements_text(h.given) AS g(name)
                                 WHERE g.name::name = a.attname))
  UNION ALL
    SELECT t.relation, 'conversion', t.name::text, NULL, c.castfunc, NULL, NULL
    FROM typed t
    JOIN pg_cast c ON (t.written AND c.casttarget = t.type AND c.castcontext::text <> 'e')
                   OR (c.castsource = t.type AND c.casttarget = ANY (ARRAY['json'::regtype, 'jsonb'::regtype]::oid[]))
    WHERE c.castfunc::int8 >= 16384
  UNION ALL
    SELECT t.relation, 'range', t.name::text, NULL, f.function, NULL, NULL
    FROM typed t
    JOIN pg_range r ON r.rngtypid = t.type, LATERAL (VALUES (r.rngsubdiff::oid), (r.rngcanonical::oid)) AS f(function)
    WHERE f.function::int8 >= 16384
  UNION ALL
    SELECT h.relation, 'statistics', e.stxname::text, e.stxexprs::text, NULL, NULL, NULL
    FROM happening h JOIN pg_statistic_ext e ON e.stxrelid = h.relation
    WHERE e.stxexprs IS NOT NULL
  UNION ALL
    SELECT h.relation, 'index', c.relname::text, concat_ws(' ', i.indexprs::text, i.indpred::text), NULL,
           'pg_catalog.pg_class'::regclass::oid, i.indexrelid
    FROM happening h JOIN pg_index i ON i.indrelid = h.relation JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  UNION ALL
    SELECT h.relation, 'policy', p.polname::text, concat_ws(' ', p.polqual::text, p.polwithcheck::text), NULL,
           'pg_catalog.pg_policy'::regclass::oid, p.oid
    FROM happening h JOIN pg_policy p ON p.polrelid = h.relation
    WHERE row_security_active(h.relation)
  UNION ALL
    SELECT h.relation, 'partition key', '', p.partexprs::text, NULL, 'pg_catalog.pg_class'::regclass::oid, p.partrelid
    FROM happening h JOIN pg_partitioned_table p ON p.partrelid = h.relation
    WHERE p.partexprs IS NOT NULL
  UNION ALL
    SELECT h.relation, 'view', '', r.ev_action::text, NULL, 'pg_catalog.pg_rewrite'::regclass::oid, r.oid
    FROM happening h JOIN pg_rewrite r ON r.ev_class = h.relation
    WHERE r.ev_type::text = '1'
  UNION ALL
    SELECT h.relation, 'rule', r.rulename::text, NULL, NULL, NULL, NULL
    FROM happening h JOIN pg_rewrite r ON r.ev_class = h.relation
    WHERE (h.upd AND r.ev_type::text = '2') OR (h.ins AND r.ev_type::text = '3') OR (h.del AND r.ev_type::text = '4')
  UNION ALL
    SELECT h.relation, 'foreign table', '', NULL, NULL, NULL, NULL
    FROM happening h JOIN pg_class c ON c.oid = h.relation
    WHERE c.relkind::text = 'f'
), depends AS MATERIALIZED (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid
    FROM pg_depend d
    JOIN (SELECT DISTINCT classid, objid FROM objects) AS o ON d.classid = o.classid AND d.objid = o.objid
), calls AS (
    SELECT o.relation, o.what, o.name, o.function FROM objects o
    WHERE o.function IS NOT NULL OR o.what = ANY (ARRAY['rule', 'foreign table'])
  UNION
    SELECT o.relation, o.what, o.name, m[1]::oid FROM objects o, regexp_matches(o.tree, {_CALLED}, 'g') AS m
  UNION
    SELECT o.relation, o.what, o.name, d.refobjid
    FROM objects o JOIN depends d ON d.classid = o.classid AND d.objid = o.objid
    WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass::oid
  UNION
    SELECT o.relation, o.what, o.name, p.oprcode::oid
    FROM objects o
    JOIN depends d ON d.classid = o.classid AND d.objid = o.objid
    JOIN pg_operator p ON p.oid = d.refobjid
    WHERE d.refclassid = 'pg_catalog.pg_operator'::regclass::oid
  UNION
    SELECT o.relation, o.what, o.name, f.oid
    FROM objects o
    JOIN depends d ON d.classid = o.classid AND d.objid = o.objid
    JOIN pg_constraint k ON k.contypid = d.refobjid,
         regexp_matches(k.conbin::text, {_CALLED}, 'g') AS m
    JOIN pg_proc f ON f.oid = m[1]::oid
    WHERE d.refclassid = 'pg_catalog.pg_type'::regclass::oid
)
SELECT c.relation::text, c.what, c.name, n.nspname::text, p.proname::text, p.provolatile::text, p.prokind::text,
       l.lanname::text, p.prosecdef::text, (p.oid::int8 < 16384)::text, x.extname::text, s.rolsuper::text
FROM calls c
LEFT JOIN pg_proc p ON p.oid = c.function
LEFT JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_roles s ON s.oid = p.proowner
LEFT JOIN pg_depend e ON e.classid = 'pg_catalog.pg_proc'::regclass::oid AND e.objid = p.oid AND e.deptype::text = 'e'
                         AND e.refclassid = 'pg_catalog.pg_extension'::regclass::oid
LEFT JOIN pg_extension x ON x.oid = e.refobjid
""")  # noqa: S608  constants only
"""(relation, what, name of it, function …) for all code that runs when something happens to relations."""


def statement_problems(statement: Statement) -> list[Problem]:
    """What the statement itself does besides reading and changing rows."""
    return list(dict.fromkeys(_effect_problem(e) for e in statement.effects if e.action not in _RUNNABLE))


def _effect_problem(effect: Effect) -> Problem:
    name = effect.object_name
    plan = effect.action not in _PLANNABLE
    call = ""
    if not effect.detail and effect.action in (_DRAWS | {"call", "notify", "advisory_lock", "egress", "set"}):
        call = _function_name(effect)
    if effect.action in _DRAWS:
        return Problem(f"It draws from the sequence {name}, which no rollback undoes.", True, plan, call)
    if effect.action == "call":
        return Problem(f"It calls {name}, whose effects are not known.", True, plan, call)
    what = f"{effect.action.replace('_', ' ')} {name}".strip()
    return Problem(f"It does more than a rollback would undo: {what}.", True, plan, call)


def _function_name(effect: Effect) -> str:
    """The bare name by which a statement's text calls what an effect tells of; empty where that is not sure."""
    if effect.action in _DRAWS:
        return effect.action
    return str(effect.object[-1]) if effect.kind == "function" and effect.object else ""


async def table_problems(
    talk: Talk,
    reach: Reach,
    happening: Mapping[int, frozenset[str]],
    read: Iterable[int],
    given: Mapping[int, Sequence[str]],
) -> list[Problem]:
    """What stands in the definitions of the tables to which something happens.

    `read`: the relations that reading alone reaches. `given`: columns whose defaults do not count, by relation.
    Raises ServerError, ConnectionError.
    """
    asked = [
        {
            "oid": oid, "ins": "insert" in events, "upd": "update" in events, "del": "delete" in events,
            "tru": "truncate" in events, "dft": DEFAULT in events, "given": list(given.get(oid, ())),
        }
        for oid, events in happening.items()
    ]  # fmt: skip
    reading = frozenset(read)
    found: dict[str, Problem] = {}
    for row in await ask(talk, _CODE, as_json(asked)):
        problem = _code_problem(row, reach, reading)
        if problem is not None:
            before = found.get(problem.text, problem)
            found[problem.text] = replace(
                problem, read=problem.read or before.read, plan=problem.plan or before.plan
            )
    return list(found.values())


def _code_problem(row: Row, reach: Reach, reading: frozenset[int]) -> Problem | None:
    relation = reach.relations.get(number(row[0]))
    what, name = strings(row[1:3])
    if relation is None:
        return None
    table = shown(relation.schema, relation.name)
    read = what in _WHEN_READ and relation.oid in reading
    if what == "rule":
        return Problem(f"The rule {shown(name)} on {table} puts other statements in its place.")
    if what == "foreign table":
        return Problem(f"{table} is a foreign table: another server would hear of it.", read, True)
    function = _function(row[3:])
    if function is None:
        return Problem(f"{_place(what, name, table)} calls a function that is gone.", read, read)
    if _trusted(function, row[10]):
        return None
    if function.builtin and function.name in _DRAWS:
        text = f"{_place(what, name, table)} draws from a sequence, which no rollback undoes."
        return Problem(text, read)
    # What is volatile and not inlined is not evaluated before it runs.
    planned = function.volatility != "v" or function.language == "sql"
    called = f"{shown(function.schema, function.name)}()"
    text = f"{_place(what, name, table)} calls {called}, whose effects are not known."
    return Problem(text, read, planned and what != "trigger")


def _place(what: str, name: str, table: str) -> str:
    if what == "default":
        return f"The default of {table}.{shown(name)}"
    if what in ("generated column", "range"):
        return f"The {what} {table}.{shown(name)}"
    if what == "conversion":
        return f"A conversion of {table}.{shown(name)}"
    return f"The {what} {shown(name)} on {table}" if name else f"The {what} of {table}"


def _function(row: Row) -> Function | None:
    schema, name, volatility, kind, language, definer, initdb, extension, owner_is_super = row
    if schema is None or name is None:
        return None
    compiled = language in ("c", "internal")
    builtin = initdb == "true" and schema in SYSTEM_SCHEMAS and (compiled or language == "sql")
    owned = extension is not None and owner_is_super == "true"
    return Function(
        schema,
        name,
        volatility or "v",
        kind or "f",
        language=language or "?",
        security_definer=definer == "true",
        trusted=(schema, name) in _listed() if builtin else compiled and owned,
        builtin=builtin,
        known_harmless=definer != "true" and owned and is_known(extension, name),
    )


def _trusted(function: Function, extension: str | None) -> bool:
    if function.builtin and (function.name.startswith("RI_FKey_") or function.name in _TRIGGER_FUNCTIONS):
        return True
    if function.trusted and extension and function.name in _TRIGGER_EXTENSIONS.get(extension, ()):
        return True
    return harmless(function)


@cache
def _listed() -> frozenset[tuple[str, str]]:
    """The built-in functions that the lists of harmless ones were made for."""
    return frozenset((f.schema, f.name) for every in offline_catalog().functions.values() for f in every)
