"""The SQL that reads the catalogs: shared by the live snapshot and by `scripts/generate_builtins.py`.

Every name stands in pg_catalog, the only schema on the reader's search_path. All of it works for a login
without any privilege, on PostgreSQL 14 to 18.
Source: https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

FUNCTIONS = """
WITH RECURSIVE takes_row(oid) AS (
    SELECT t.oid FROM pg_type t
    WHERE t.typtype = 'c' OR t.typname IN ('record', 'any', 'anyelement', 'anynonarray',
                                           'anycompatible', 'anycompatiblenonarray')
  UNION
    SELECT e.target
    FROM takes_row r
    JOIN (SELECT typbasetype, oid FROM pg_type WHERE typtype = 'd'
          UNION ALL
          SELECT castsource, casttarget FROM pg_cast WHERE castcontext = 'i') AS e(source, target)
      ON e.source = r.oid
)
SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name, p.provolatile::text AS volatility,
       p.prokind::text AS kind,
       least(p.pronargs - p.pronargdefaults, CASE WHEN a.aggkind <> 'n' THEN a.aggnumdirectargs END)::int4
           AS min_args,
       CASE WHEN p.provariadic <> 0 THEN 10000
            WHEN p.prokind = 'p' THEN coalesce(cardinality(p.proallargtypes), p.pronargs)
            ELSE p.pronargs END::int4 AS max_args,
       l.lanname::text AS language, p.prosecdef AS security_definer,
       p.oid < 16384 AS from_initdb,
       EXISTS (SELECT FROM pg_depend d
               WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') AS in_extension,
       coalesce(p.proargtypes[0] IN (SELECT r.oid FROM takes_row r), false) AS takes_row
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
ORDER BY n.nspname, p.proname, p.oid
"""
"""One row per function.

`min_args`: an ordered-set aggregate is called with its direct arguments only; WITHIN GROUP has the others.
`max_args`: VARIADIC_ARGS for VARIADIC; CALL names a procedure's OUT arguments too.
`from_initdb`: 16384 is FirstNormalObjectId of the server's `access/transam.h`; what initdb made has less.
`takes_row`: the first argument's type is one that a composite value reaches: by being such, as a domain over
    it, or through an implicit cast.
"""

RELATIONS = """
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
ORDER BY n.nspname, c.relname
"""
"""What FROM may name, less TOAST tables: nobody needs those by name, and they hold what a rule may forbid."""

RELATION_KINDS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
"""relkind to the kind that facts and rules use."""
