-- Which functions need a rule, and which are another action.
-- scope: offline

-- Built-ins that compute, or that only tell: no effect.
SELECT lower('x'), now(), random(), gen_random_uuid(), clock_timestamp(), pg_catalog.count(*), pg_size_pretty(pg_database_size('x')), version(), current_setting('x'), to_tsvector('x'), jsonb_path_query('{}', '$'), percentile_cont(0.5) WITHIN GROUP (ORDER BY 1), row_number() OVER (), txid_current_if_assigned(), pg_is_in_recovery(), currval('x')
--> nothing

SELECT current_user, session_user, CURRENT_TIMESTAMP, LOCALTIME, GREATEST(1, 2), COALESCE(1, 2)
--> nothing

SELECT uuid('x'), jsonb('{}'), inet('::1'), xml('<a/>')
--> nothing

-- Unknown names, unknown numbers of arguments, procedures: a call wherever they may be.
SELECT f_read(1), app.g(2), "F"(3)
--> call <function> public.f_read
--> call <function> app.g
--> call <function> public."F"

SELECT lower('a', 'b')
--> call <function> public.lower

SELECT concat(VARIADIC ARRAY['a']), format('%s', 1, 2, 3), make_interval(days => 1)
--> nothing

-- Everywhere a call may stand.
SELECT 1 ORDER BY f_write()
--> call <function> public.f_write

SELECT count(*) FILTER (WHERE f_write() = 1), sum(1) OVER (ORDER BY f_window())
--> call <function> public.f_write
--> call <function> public.f_window

SELECT ARRAY(SELECT f_array()), (SELECT f_scalar()), EXISTS (SELECT f_exists())
--> call <function> public.f_array
--> call <function> public.f_scalar
--> call <function> public.f_exists

SELECT XMLELEMENT(NAME a, XMLATTRIBUTES(f_attribute() AS b), f_write()), JSON_OBJECT('a' VALUE f_json()), JSON_QUERY('{}', '$' PASSING f_passing() AS x DEFAULT f_default() ON EMPTY)
--> call <function> public.f_attribute
--> call <function> public.f_write
--> call <function> public.f_json
--> call <function> public.f_passing
--> call <function> public.f_default

SELECT * FROM f_from(), LATERAL f_lateral(1) x, ROWS FROM (f_rows(), g_rows()) y
--> call <function> public.f_from
--> call <function> public.f_lateral
--> call <function> public.f_rows
--> call <function> public.g_rows

SELECT 1 FROM t TABLESAMPLE system_rows (f_sample()) REPEATABLE (f_repeat())
--> call <function> public.system_rows
--> call <function> public.f_sample
--> call <function> public.f_repeat
--> select public.t ()

SELECT 1 FROM t TABLESAMPLE bernoulli (1)
--> select public.t ()

SELECT 1 FROM t TABLESAMPLE evil.system (1)
--> call <function> evil.system
--> select public.t ()

SELECT * FROM unnest(ARRAY[f_a()], ARRAY[2]) AS u (a, b)
--> call <function> public.f_a

SELECT unnest(ARRAY[1], ARRAY[2])
--> call <function> public.unnest

SELECT 1 LIMIT f_limit() OFFSET f_offset()
--> call <function> public.f_limit
--> call <function> public.f_offset

SELECT 1 FROM a JOIN b ON f_on() WHERE f_where() GROUP BY f_group() HAVING f_having()
--> call <function> public.f_on
--> call <function> public.f_where
--> call <function> public.f_having
--> call <function> public.f_group
--> select public.a ()
--> select public.b ()

SELECT 1 FROM XMLTABLE(XMLNAMESPACES(f_ns() AS x), '/r' PASSING f_doc() COLUMNS a int PATH f_path() DEFAULT f_default())
--> call <function> public.f_doc
--> call <function> public.f_ns
--> call <function> public.f_path
--> call <function> public.f_default

SELECT 1 FROM JSON_TABLE(f_doc(), '$' PASSING f_arg() AS x COLUMNS (a int PATH '$' DEFAULT f_default() ON EMPTY))
--> call <function> public.f_doc
--> call <function> public.f_arg
--> call <function> public.f_default

VALUES (f_values())
--> call <function> public.f_values

WITH x AS (SELECT f_cte()) SELECT 1
--> call <function> public.f_cte

INSERT INTO t VALUES (f_insert()) ON CONFLICT (f_target(a)) DO UPDATE SET a[f_index()] = f_set() WHERE f_where() RETURNING f_returning()
--> insert public.t (*)
--> call <function> public.f_insert
--> call <function> public.f_target
--> update public.t (a) [on conflict]
--> call <function> public.f_index
--> call <function> public.f_set
--> call <function> public.f_where
--> call <function> public.f_returning
--> select public.t (a)

MERGE INTO t USING f_source() s ON f_on() WHEN MATCHED AND f_when() THEN UPDATE SET a = f_set() WHEN NOT MATCHED THEN INSERT VALUES (f_insert())
--> merge public.t
--> call <function> public.f_source
--> call <function> public.f_on
--> call <function> public.f_when
--> update public.t (a) without where [merge]
--> call <function> public.f_set
--> insert public.t (*) [merge]
--> call <function> public.f_insert

SELECT CASE WHEN f_case() THEN f_then() ELSE f_else() END, NULLIF(f_nullif(), 1), f_in() IN (f_list()), f_any() = ANY (f_array()), (f_field()).x, (f_index())[f_sub()], f_cast()::text, f_collate() COLLATE "C", f_zone() AT TIME ZONE 'x', f_null() IS NULL, ROW(f_row()), -f_minus()
--> call <function> public.f_case
--> call <function> public.f_then
--> call <function> public.f_else
--> call <function> public.f_nullif
--> call <function> public.f_in
--> call <function> public.f_list
--> call <function> public.f_any
--> call <function> public.f_array
--> call <function> public.f_field
--> call <function> public.f_index
--> call <function> public.f_sub
--> call <function> public.f_cast
--> call <function> public.f_collate
--> call <function> public.f_zone
--> call <function> public.f_null
--> call <function> public.f_row
--> call <function> public.f_minus

EXECUTE p (f_argument())
--> execute p
--> call <function> public.f_argument

CALL p (f_argument())
--> call <procedure> public.p
--> call <function> public.f_argument

-- Functions that do what another action names.
SELECT nextval('sq'), setval('app."S q"', 1), nextval('s'::regclass), nextval($1)
--> nextval <sequence> public.sq
--> setval <sequence> app."S q"
--> nextval <sequence> public.s
--> nextval <sequence> ?.?

SELECT pg_advisory_lock(1), pg_try_advisory_xact_lock_shared(1, 2), pg_advisory_unlock_all()
--> advisory_lock <function> pg_catalog.pg_advisory_lock
--> advisory_lock <function> pg_catalog.pg_try_advisory_xact_lock_shared
--> advisory_lock <function> pg_catalog.pg_advisory_unlock_all

SELECT pg_notify('c', 'x'), pg_notify($1, 'x')
--> notify c
--> notify ?

SELECT set_config('Search_Path', 'evil', false), set_config($1, 'x', true), set_config('x.y', $1, true)
--> set search_path [set_config] = evil
--> set ? [set_config] = x
--> set "x.y" [set_config]

SELECT pg_catalog.set_config('role', 'postgres', false), set_config('session_authorization', 'x', false)
--> set_role postgres [set_config] = postgres
--> set_session_authorization x [set_config] = x

SELECT pg_read_file('/etc/passwd'), pg_ls_dir('/'), pg_stat_file('x'), pg_read_binary_file('x'), pg_ls_waldir(), pg_current_logfile()
--> egress <function> pg_catalog.pg_read_file
--> egress <function> pg_catalog.pg_ls_dir
--> egress <function> pg_catalog.pg_stat_file
--> egress <function> pg_catalog.pg_read_binary_file
--> egress <function> pg_catalog.pg_ls_waldir
--> egress <function> pg_catalog.pg_current_logfile

SELECT lo_import('/etc/passwd'), lo_export(1, '/x'), lo_get(1), lo_from_bytea(0, 'x'), loread(1, 2), lowrite(1, 'x'), lo_unlink(1)
--> egress <function> pg_catalog.lo_import
--> egress <function> pg_catalog.lo_export
--> egress <function> pg_catalog.lo_get
--> egress <function> pg_catalog.lo_from_bytea
--> egress <function> pg_catalog.loread
--> egress <function> pg_catalog.lowrite
--> egress <function> pg_catalog.lo_unlink

SELECT dblink('host=x', 'SELECT 1'), ext.dblink_exec('x'), http_get('http://x'), net.http_post('x')
--> egress <function> public.dblink
--> egress <function> ext.dblink_exec
--> egress <function> public.http_get
--> egress <function> net.http_post

SELECT pg_create_logical_replication_slot('a', 'b'), pg_drop_replication_slot('a'), pg_logical_slot_get_changes('a', NULL, NULL), pg_logical_emit_message(false, 'a', 'b')
--> replication <function> pg_catalog.pg_create_logical_replication_slot
--> replication <function> pg_catalog.pg_drop_replication_slot
--> egress <function> pg_catalog.pg_logical_slot_get_changes
--> egress <function> pg_catalog.pg_logical_emit_message

-- Volatile built-ins, and those that read by name or from a string.
SELECT pg_sleep(1), pg_terminate_backend(1), pg_reload_conf(), setseed(0.5), pg_export_snapshot(), pg_stat_reset()
--> call <function> pg_catalog.pg_sleep
--> call <function> pg_catalog.pg_terminate_backend
--> call <function> pg_catalog.pg_reload_conf
--> call <function> pg_catalog.setseed
--> call <function> pg_catalog.pg_export_snapshot
--> call <function> pg_catalog.pg_stat_reset

SELECT query_to_xml('SELECT 1', true, true, ''), table_to_xml('t', true, true, ''), schema_to_xmlschema('s', true, true, ''), database_to_xml_and_xmlschema(true, true, ''), cursor_to_xml('c', 1, true, true, ''), ts_stat('SELECT 1'), currtid2('t', '(0,1)')
--> call <function> pg_catalog.query_to_xml
--> call <function> pg_catalog.table_to_xml
--> call <function> pg_catalog.schema_to_xmlschema
--> call <function> pg_catalog.database_to_xml_and_xmlschema
--> call <function> pg_catalog.cursor_to_xml
--> call <function> pg_catalog.ts_stat
--> call <function> pg_catalog.currtid2

SELECT ts_rewrite('a', 'SELECT 1')
--> call <function> pg_catalog.ts_rewrite

SELECT ts_rewrite('a', 'b', 'c')
--> nothing

SELECT pg_current_xact_id(), txid_current()
--> call <function> pg_catalog.pg_current_xact_id
--> call <function> pg_catalog.txid_current

SELECT domain_in('x', 'd'::regtype, -1), pg_input_is_valid('x', 'd')
--> call <function> pg_catalog.domain_in
--> call <function> pg_catalog.pg_input_is_valid

-- scope: offline app, public

SELECT f_read(1)
--> call <function> app.f_read
--> call <function> public.f_read

-- scope: offline unknown path

SELECT lower('x'), f_read(1)
--> call <function> ?.f_read

-- scope: live

SELECT f_read(1), twice(1), twice(1, 2), f_write()
--> call <function> public.f_read
--> call <function> public.twice
--> call <function> public.f_write

-- A user's overload may be chosen over the built-in.
SELECT lower('x')
--> call <function> public.lower

SELECT pg_catalog.lower('x')
--> nothing

SELECT helper(), app.helper()
--> call <function> public.helper
--> call <function> app.helper

SELECT ext.distance(1, 2), ext.unaccent('x'), ext.dblink('x')
--> call <function> ext.unaccent
--> egress <function> ext.dblink

SELECT dblink('x')
--> egress <function> public.dblink

CALL p_write()
--> call <procedure> public.p_write

CALL nowhere.p(1)
--> call <procedure> nowhere.p

SELECT nextval('sq'), nextval('nowhere')
--> nextval <sequence> public.sq
--> nextval <sequence> public.nowhere

-- scope: live unknown path

SELECT f_read(1), pg_catalog.now(), now()
--> call <function> public.f_read

-- scope: live app, public

SELECT helper(), f_read(1)
--> call <function> app.helper
--> call <function> public.f_read
