"""A digest of what the objects of a statement are, as the server has them: compared when an approval is redeemed.

It covers the relations that the statement names and all that they lead to (partitions, tables behind views, foreign
keys that cascade), with columns, defaults, constraints, foreign keys that point at them, unique and computed indexes,
triggers and their functions, rules, views' queries, policies and row-level security; the functions that it calls; the
objects in a schema that it names. It leaves out what changes in daily work: sizes, statistics, storage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dbfirewall.preview.ask import as_json, ask
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.reach import REACHED, effects_of, names_parameter, relation_names
from dbfirewall.preview.talk import Talk
from dbfirewall.sql.facts import Effect, Statement

_FUNCTION = """
    ROW(p.oid, p.proname, p.pronamespace, p.proowner, p.prolang, p.prosecdef, p.provolatile, p.prokind, p.prosrc,
        p.probin, p.prosqlbody::text, p.proconfig, p.proargtypes, p.proargdefaults::text, p.prorettype)::text
"""

_DIGEST = qualified(f"""{REACHED}
, tables AS MATERIALIZED (
    SELECT c.* FROM reached r JOIN pg_class c ON c.oid = r.oid
), functions AS MATERIALIZED (
    SELECT p.oid
    FROM json_to_recordset($2::json) AS x(schema text, name text)
    JOIN pg_proc p ON p.proname = x.name::name
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE x.schema IS NULL OR n.nspname = x.schema::name
  UNION
    SELECT t.tgfoid FROM pg_trigger t JOIN tables c ON c.oid = t.tgrelid
), schemas AS MATERIALIZED (
    SELECT n.* FROM json_array_elements_text($3::json) AS x(name) JOIN pg_namespace n ON n.nspname = x.name::name
), facts AS (
    SELECT 'relation' AS what,
           ROW(c.oid, c.relname, c.relnamespace, c.relkind, c.relowner, c.relpersistence, c.relrowsecurity,
               c.relforcerowsecurity, c.relispartition, c.relpartbound::text, c.reloftype,
               CASE WHEN c.relkind::text = 'v' THEN c.reloptions END)::text AS fact
    FROM tables c
  UNION ALL
    SELECT 'column', ROW(a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attisdropped,
                         a.attidentity, a.attgenerated, a.attcollation)::text
    FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0::int2
  UNION ALL
    SELECT 'default', ROW(d.adrelid, d.adnum, d.adbin::text)::text
    FROM tables c JOIN pg_attrdef d ON d.adrelid = c.oid
  UNION ALL
    SELECT 'constraint', ROW(k.oid, k.conname, k.contype, k.condeferrable, k.condeferred, k.conrelid, k.confrelid,
                             k.conkey, k.confkey, k.confupdtype, k.confdeltype, k.conbin::text)::text
    FROM tables c JOIN pg_constraint k ON k.conrelid = c.oid OR k.confrelid = c.oid
  UNION ALL
    SELECT 'index', ROW(i.indexrelid, i.indrelid, i.indisunique, i.indisexclusion, i.indkey, i.indexprs::text,
                        i.indpred::text)::text
    FROM tables c JOIN pg_index i ON i.indrelid = c.oid
    WHERE i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  UNION ALL
    SELECT 'trigger', ROW(t.tgrelid, t.tgname, t.tgfoid, t.tgtype, t.tgenabled, t.tgdeferrable, t.tginitdeferred,
                          t.tgattr, encode(t.tgargs, 'hex'), t.tgqual::text)::text
    FROM tables c JOIN pg_trigger t ON t.tgrelid = c.oid
  UNION ALL
    SELECT 'rule', ROW(r.ev_class, r.rulename, r.ev_type, r.ev_enabled, r.is_instead, r.ev_qual::text,
                       r.ev_action::text)::text
    FROM tables c JOIN pg_rewrite r ON r.ev_class = c.oid
  UNION ALL
    SELECT 'policy', ROW(p.polrelid, p.polname, p.polcmd, p.polpermissive, p.polroles, p.polqual::text,
                         p.polwithcheck::text)::text
    FROM tables c JOIN pg_policy p ON p.polrelid = c.oid
  UNION ALL
    SELECT 'parent', ROW(i.inhrelid, i.inhparent)::text
    FROM tables c JOIN pg_inherits i ON i.inhparent = c.oid OR i.inhrelid = c.oid
  UNION ALL
    SELECT 'sequence', ROW(s.seqrelid, s.seqtypid, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcycle)::text
    FROM tables c JOIN pg_sequence s ON s.seqrelid = c.oid
  UNION ALL
    SELECT 'function', {_FUNCTION}
    FROM functions f JOIN pg_proc p ON p.oid = f.oid
  UNION ALL
    SELECT 'schema', ROW(n.oid, n.nspname, n.nspowner)::text FROM schemas n
  UNION ALL
    SELECT 'member', ROW(d.classid, d.objid, d.refobjid)::text
    FROM schemas n JOIN pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::regclass::oid AND d.refobjid = n.oid
  UNION ALL
    SELECT 'dependant', ROW(d.classid, d.objid, d.objsubid, d.refobjid, d.deptype)::text
    FROM tables c JOIN pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass::oid AND d.refobjid = c.oid
    WHERE $4::bool AND d.deptype::text = 'n'
)
SELECT what, encode(sha256(convert_to(string_agg(fact, '|' ORDER BY fact COLLATE pg_catalog."C"), 'UTF8')), 'hex')
FROM facts GROUP BY what ORDER BY what COLLATE pg_catalog."C"
""")  # noqa: S608  constants only


async def definitions(talk: Talk, statements: Sequence[Statement]) -> str:
    """Hex SHA-256 of the definitions of all that `statements` touch, as this session sees them, in its transaction.

    All names in its SQL are qualified, no setting is changed: it may run on an agent's own connection. Raises
    ServerError, ConnectionError.
    """
    effects = effects_of(statements)
    rows = await ask(
        talk,
        _DIGEST,
        as_json(names_parameter(relation_names(effects))),
        as_json(_functions(effects)),
        as_json(sorted(_schemas(effects))),
        as_json(any(effect.action == "drop" for effect in effects)),
    )
    digest = hashlib.sha256()
    for what, hashed in rows:
        digest.update(f"{what} {hashed}\n".encode())
    return digest.hexdigest()


def _functions(effects: Sequence[Effect]) -> list[dict[str, str | None]]:
    named = {
        effect.object
        for effect in effects
        if effect.kind in ("function", "procedure", "aggregate", "routine") and len(effect.object) == 2
    }
    return [
        {"schema": schema, "name": name}
        for schema, name in sorted(named, key=str)
        if name is not None and schema not in ("pg_catalog", "information_schema")
    ]


def _schemas(effects: Sequence[Effect]) -> set[str]:
    return {
        effect.object[0]
        for effect in effects
        if effect.kind == "schema" and len(effect.object) == 1 and effect.object[0] is not None
    }
