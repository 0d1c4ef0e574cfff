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
       x.extname IS NOT NULL AND NOT EXISTS (
           SELECT FROM pg_proc s JOIN pg_language k ON k.oid = s.prolang
           WHERE k.lanname NOT IN ('c', 'internal')
             AND s.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
                           a.aggminvtransfn, a.aggmfinalfn))
       OR EXISTS (SELECT FROM pg_depend d
                  JOIN pg_range r ON d.refobjid IN (r.rngtypid, r.rngmultitypid)
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
                    AND d.refclassid = 'pg_type'::regclass
                    AND r.rngcanonical::oid < 16384 AND r.rngsubopc < 16384) AS in_extension,
       coalesce(p.proargtypes[0] IN (SELECT r.oid FROM takes_row r), false) AS takes_row,
       CASE WHEN o.rolsuper THEN x.extname::text END AS extension,
       CASE WHEN o.rolsuper AND x.extname IS NOT NULL AND l.lanname = 'sql' AND p.prokind = 'f'
                 AND NOT p.prosecdef AND p.proconfig IS NULL
            THEN CASE WHEN p.prosqlbody IS NULL THEN p.prosrc
                      WHEN p.prosqlbody::text !~ ':rtekind 0' THEN pg_get_function_sqlbody(p.oid) END
       END AS body,
       p.prosqlbody IS NOT NULL AS bound,
       p.proargtypes::oid[] AS takes, p.prorettype || p.proallargtypes AS gives,
       CASE WHEN o.rolsuper AND x.extname IS NOT NULL AND l.lanname = 'sql' THEN pg_get_expr(p.proargdefaults, 0)
       END AS defaults
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
LEFT JOIN pg_roles o ON o.oid = p.proowner
LEFT JOIN pg_depend e ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
                         AND e.refclassid = 'pg_extension'::regclass
LEFT JOIN pg_extension x ON x.oid = e.refobjid
ORDER BY n.nspname, p.proname, p.oid
"""
"""One row per function.

`min_args`: an ordered-set aggregate is called with its direct arguments only; WITHIN GROUP has the others.
`max_args`: VARIADIC_ARGS for VARIADIC; CALL names a procedure's OUT arguments too.
`from_initdb`: 16384 is FirstNormalObjectId of the server's `access/transam.h`; what initdb made has less.
`in_extension`: and not an aggregate of functions that anybody could have written; or made by the server itself, as
    the constructors of a range type that compares by built-in functions.
`takes_row`: the first argument's type is one that a composite value reaches: by being such, as a domain over
    it, or through an implicit cast.
`extension`: the one that has it, where a superuser owns the function.
`body`: of such a function what it runs, if that is one SQL text that may be judged; `bound`: the names in it were
    resolved when it was made. Deparsing takes locks on relations, so what has relations is left out.
`defaults`: its arguments' defaults, a list of expressions.
`takes`, `gives`: the types of its arguments and of its result, OUT arguments included.
"""

RELATIONS = """
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_toast'
ORDER BY n.nspname, c.relname
"""
"""What FROM may name, less temporary tables, which belong to other sessions."""

RELATION_KINDS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
"""relkind to the kind that facts and rules use."""

NAMESPACES = (
    "SELECT nspname::text AS name FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' ORDER BY nspname"
)
"""Schemas, less those that PostgreSQL keeps for itself and for the temporary tables of sessions."""

OPERATORS = """
SELECT n.nspname::text AS schema, o.oprname::text AS symbol, o.oprcode::oid AS function
FROM pg_operator o
JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE o.oprcode <> 0 AND (o.oid >= 16384 OR o.oprcode >= 16384)
ORDER BY o.oprname, n.nspname, o.oid
"""
"""Operators that initdb did not make. (No built-in operator has a volatile function.)"""

_CALLS_IN_TREE = "' :(?:funcid|aggfnoid|winfnoid|tsmhandler) ([0-9]+)'"
"""How functions are named in a stored expression, a node tree in text form: by oid after these labels.

An identifier cannot imitate them, because its spaces are escaped (source: the server's `nodes/outfuncs.c`).
Unlike deparsing with pg_get_viewdef this takes no lock, cannot fail on concurrent DDL, and shows built-in
functions, of which pg_depend keeps no record. User-defined functions are taken from pg_depend as well.
"""

VIEW_REFERENCES = f"""
WITH rules AS (
    SELECT r.oid, r.ev_class, r.ev_action
    FROM pg_rewrite r
    JOIN pg_class c ON c.oid = r.ev_class
    WHERE c.relkind = 'v' AND c.oid >= 16384 AND r.ev_type = '1'
), depends AS (
    SELECT r.ev_class, d.refclassid, d.refobjid
    FROM rules r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
)
SELECT ev_class AS view, 'function' AS what, refobjid AS oid
FROM depends WHERE refclassid = 'pg_proc'::regclass
UNION
SELECT d.ev_class, 'function', o.oprcode::oid
FROM depends d JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
UNION
SELECT r.ev_class, 'function', m[1]::oid
FROM rules r, regexp_matches(r.ev_action::text, {_CALLS_IN_TREE}, 'g') AS m
UNION
SELECT ev_class, 'type', refobjid FROM depends WHERE refclassid = 'pg_type'::regclass
UNION
SELECT d.ev_class, 'view', c.oid
FROM depends d JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
WHERE c.relkind = 'v' AND c.oid >= 16384 AND c.oid <> d.ev_class
"""  # noqa: S608  constants only
"""What a user-defined view refers to directly: functions (its operators' too), types it casts to, views."""

_CONTAINERS = """
    SELECT oid, typbasetype FROM pg_type WHERE typtype = 'd'
  UNION ALL
    SELECT oid, typelem FROM pg_type WHERE typcategory = 'A' AND typelem <> 0
  UNION ALL
    SELECT rngtypid, rngsubtype FROM pg_range
  UNION ALL
    SELECT rngmultitypid, rngtypid FROM pg_range
  UNION ALL
    SELECT c.reltype, a.atttypid
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.reltype <> 0 AND a.attnum > 0 AND NOT a.attisdropped
"""
"""(type, a type that it is made of): domains, arrays, ranges, multiranges, composite and row types."""

_DOMAIN_CHECKS = f"""
    SELECT k.contypid AS type, coalesce(o.oprcode::oid, d.refobjid) AS function
    FROM pg_constraint k
    JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
    LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    WHERE k.contypid <> 0 AND k.contype = 'c' AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
  UNION
    SELECT k.contypid, m[1]::oid
    FROM pg_constraint k, regexp_matches(k.conbin::text, {_CALLS_IN_TREE}, 'g') AS m
    WHERE k.contypid <> 0 AND k.contype = 'c'
"""  # noqa: S608  constants only
"""(domain, a function that its constraints run)."""

TYPE_CALLS = f"""
WITH RECURSIVE containers(container, component) AS MATERIALIZED ({_CONTAINERS}
), calls(type, function, how) AS (
    SELECT t.oid, t.typinput::oid, 'input' FROM pg_type t WHERE t.typtype = 'b' AND t.typinput >= 16384
  UNION
    SELECT c.casttarget, c.castfunc, 'to' FROM pg_cast c WHERE c.castfunc >= 16384
  UNION
    SELECT c.castsource, c.castfunc, 'from' FROM pg_cast c
    WHERE c.castfunc >= 16384 AND c.castsource >= 16384
      AND (c.castcontext = 'i' OR c.casttarget IN ('json'::regtype, 'jsonb'::regtype))
  UNION
    SELECT r.rngtypid, r.rngcanonical::oid, 'input' FROM pg_range r WHERE r.rngcanonical >= 16384
  UNION
    SELECT type, function, 'input' FROM ({_DOMAIN_CHECKS}) AS checks
), reached(type, function, how) AS (
    SELECT type, function, how FROM calls
  UNION
    SELECT k.container, r.function, r.how FROM reached r JOIN containers k ON k.component = r.type
)
SELECT t.oid AS type, t.typname::text AS name, r.function, r.how
FROM reached r
JOIN pg_type t ON t.oid = r.type
ORDER BY t.typname, r.function, r.how
"""  # noqa: S608  constants only
"""Functions that a cast to a type may run: user casts, input functions of user-defined base types, canonical
functions of ranges, domain constraints; for the type itself and for every type that is made of it. The casts
*from* a type that show in no statement (see HIDDEN_CASTS) are among them: naming the type is one way to such a
value, as in `to_json('x'::mood)`.

`how`: where a value becomes one of the type (`input`), where one of another type is cast `to` it, where it becomes
another (`from`).
"""

HIDDEN_CASTS = f"""
WITH RECURSIVE containers(container, component) AS MATERIALIZED ({_CONTAINERS}
), casts AS (
    SELECT castsource, casttarget, castfunc
    FROM pg_cast
    WHERE castfunc >= 16384 AND (castcontext = 'i' OR casttarget IN ('json'::regtype, 'jsonb'::regtype))
), checked(type, function) AS (
    SELECT * FROM ({_DOMAIN_CHECKS}) AS checks
  UNION
    SELECT t.oid, c.function FROM checked c JOIN pg_type t ON t.typtype = 'd' AND t.typbasetype = c.type
), reached(type, function) AS (
    SELECT castsource, castfunc FROM casts WHERE castsource >= 16384
  UNION
    SELECT casttarget, castfunc FROM casts WHERE casttarget >= 16384
  UNION
    SELECT k.container, c.function
    FROM checked c
    JOIN containers k ON k.component = c.type
    JOIN pg_type t ON t.oid = k.container AND t.typtype <> 'd'
    LEFT JOIN pg_class r ON r.oid = t.typrelid
    WHERE r.relkind IS NULL OR r.relkind = 'c'
  UNION
    SELECT k.container, r.function FROM reached r JOIN containers k ON k.component = r.type
)
SELECT c.oid AS relation, r.function FROM reached r JOIN pg_class c ON c.reltype = r.type
UNION
SELECT NULL, castfunc FROM casts WHERE castsource < 16384 AND casttarget < 16384
"""  # noqa: S608  constants only
"""Functions of user casts that PostgreSQL applies where the statement shows no cast.

Those are implicit casts, and casts to json, which to_json and its like look for. `relation`: one that has a
column of such a type (a row type is made of its columns' types), since a statement cannot come by such a
value otherwise without naming its type or a function; NULL where both types are built in: any expression may
run that one.

Likewise the constraints of a domain inside a column's type: beside a column of `domain[]` the literal in
`coalesce(column, '{1}')` is one of that type. Beside a column of the domain itself a literal is of the base type.
"""

FINGERPRINT = """
SELECT concat_ws('.',
    (SELECT sum(hash_record_extended(ROW(oid, xmin), 0))
     FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'),
    (SELECT sum(hash_record_extended(ROW(oid, xmin), 0)) FROM pg_proc),
    (SELECT sum(hash_record_extended(ROW(oid, xmin), 0)) FROM pg_operator),
    (SELECT sum(hash_record_extended(ROW(oid, xmin), 0)) FROM pg_cast),
    (SELECT sum(hash_record_extended(ROW(oid, xmin), 0)) FROM pg_constraint WHERE contypid <> 0),
    (SELECT sum(hash_record_extended(ROW(rngtypid, xmin), 0)) FROM pg_range),
    (SELECT sum(hash_record_extended(ROW(classid, objid, refobjid), 0)) FROM pg_depend WHERE deptype = 'e'),
    (SELECT sum(hash_record_extended(ROW(r.oid, r.xmin), 0))
     FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relpersistence <> 't'),
    (SELECT sum(hash_record_extended(ROW(t.oid, t.typname, t.typnamespace, t.typbasetype), 0))
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname !~ '^pg_(toast|temp)'),
    (SELECT sum(hash_record_extended(ROW(oid, relname, relnamespace, relkind), 0))
     FROM pg_class WHERE relpersistence <> 't' AND relkind NOT IN ('i', 'I', 't')),
    (SELECT sum(hash_record_extended(ROW(a.attrelid, a.attnum, a.attname, a.atttypid), 0))
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE a.attnum > 0 AND c.relpersistence <> 't' AND c.relkind NOT IN ('i', 'I', 't')))
"""
"""One text that differs when the snapshot would.

A changed row of a catalog has a new xmin. Of pg_class, pg_type and pg_attribute the columns that count are
hashed instead, because TRUNCATE, REFRESH and CLUSTER change rows too.
"""
