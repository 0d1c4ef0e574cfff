-- What vacuumdb, createdb, reindexdb and pg_amcheck send (PostgreSQL 15, recorded). Statements end at a `--;` line.
SELECT pg_catalog.set_config('search_path', '', false);
--;
CREATE DATABASE shop;
--;
RESET search_path;
--;
SELECT c.relname, ns.nspname FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace ns ON c.relnamespace OPERATOR(pg_catalog.=) ns.oid
 LEFT JOIN pg_catalog.pg_class t ON c.reltoastrelid OPERATOR(pg_catalog.=) t.oid
 WHERE c.relpersistence OPERATOR(pg_catalog.!=) 't'
 AND c.relkind OPERATOR(pg_catalog.=) ANY (array['r', 'm'])
 ORDER BY c.relpages DESC;
--;
VACUUM (ANALYZE) public.pgbench_accounts;
--;
VACUUM (ANALYZE) pg_catalog.pg_proc;
--;
VACUUM (ANALYZE) pg_catalog.pg_attribute;
--;
VACUUM (ANALYZE) pg_catalog.pg_description;
--;
VACUUM (ANALYZE) pg_catalog.pg_statistic;
--;
VACUUM (ANALYZE) pg_catalog.pg_type;
--;
VACUUM (ANALYZE) pg_catalog.pg_operator;
--;
VACUUM (ANALYZE) pg_catalog.pg_collation;
--;
VACUUM (ANALYZE) pg_catalog.pg_class;
--;
VACUUM (ANALYZE) pg_catalog.pg_depend;
--;
VACUUM (ANALYZE) pg_catalog.pg_rewrite;
--;
VACUUM (ANALYZE) information_schema.sql_features;
--;
VACUUM (ANALYZE) pg_catalog.pg_amop;
--;
VACUUM (ANALYZE) pg_catalog.pg_amproc;
--;
VACUUM (ANALYZE) pg_catalog.pg_index;
--;
VACUUM (ANALYZE) pg_catalog.pg_ts_config_map;
--;
VACUUM (ANALYZE) pg_catalog.pg_constraint;
--;
VACUUM (ANALYZE) pg_catalog.pg_opclass;
--;
VACUUM (ANALYZE) pg_catalog.pg_init_privs;
--;
VACUUM (ANALYZE) pg_catalog.pg_cast;
--;
VACUUM (ANALYZE) pg_catalog.pg_conversion;
--;
VACUUM (ANALYZE) pg_catalog.pg_opfamily;
--;
REINDEX DATABASE shop;
--;
SELECT n.nspname, x.extversion FROM pg_catalog.pg_extension x
JOIN pg_catalog.pg_namespace n ON x.extnamespace = n.oid
WHERE x.extname = 'amcheck'
