-- Expressions that run what the role must not run.
evil(1)
evil2(1, 2)
evil(n => 1)
evil_any(1)
evil_variadic(1, 2)
evil_variadic(VARIADIC ARRAY[1])
evil_default()
(evil_table()).a
evil_sum(1)
evil_sum(DISTINCT 1)
1 <%> 2
1 OPERATOR(public.<%>) 2
@# 1
OPERATOR(public.@#) 1
(1 <%?> ANY (ARRAY[1]))::int
'1'::guarded
CAST('1' AS guarded)
guarded '1'
1::public.guarded_twice
(ARRAY[1]::guarded[])[1]
guarded(1)
(ROW(1)::slip).v
('(1)'::slip).v
(json_populate_record(NULL::slip, '{"v":1}')).v
(jsonb_populate_recordset(NULL::slips, '[{"v":1}]')).v
JSON_VALUE('1', '$' RETURNING guarded)
JSON_QUERY('1', '$' RETURNING guarded)
(SELECT v FROM json_to_record('{"v":1}') AS x (v guarded))
(SELECT v FROM JSON_TABLE('1', '$' COLUMNS (v guarded PATH '$')))
(1::receipt).a
(CAST(1 AS receipt)).a
(SELECT o.evil_row FROM orders o LIMIT 1)
(SELECT (o).evil_row FROM orders o LIMIT 1)
(SELECT evil_row(o) FROM orders o LIMIT 1)
(SELECT (q).evil_any FROM (SELECT * FROM orders) q LIMIT 1)
(SELECT q.evil_any FROM (SELECT 1) q)
(SELECT o.evil_any FROM orders o LIMIT 1)
(ROW(1, 2)).evil_any
(SELECT (r).evil_number FROM parcels)
(SELECT r + 1 FROM parcels)
(SELECT abs(r) FROM parcels)
(SELECT length(to_json(g)::text) FROM grades)
(SELECT length(row_to_json(x)::text) FROM grades x)
(SELECT length(json_agg(x)::text) FROM grades x)
(SELECT length(json_build_array(g)::text) FROM grades)
length(to_json('good'::grade)::text)
(SELECT length(g::json::text) FROM grades)
(SELECT length(to_json(ARRAY[g])::text) FROM grades)
(SELECT length(JSON_ARRAY(g)::text) FROM grades)
(SELECT * FROM evil_srf())
(SELECT f FROM evil_srf() WITH ORDINALITY x (f, n))
(SELECT x FROM ROWS FROM (evil_srf(), generate_series(1, 1)) r (x, y))
(SELECT x FROM orders, LATERAL evil(id) x LIMIT 1)
(SELECT a FROM evil_table())
(SELECT e FROM sneaky LIMIT 1)
(SELECT count(*) FROM sneakier)
(SELECT count(*) FROM orders TABLESAMPLE system (evil(100)))
(SELECT count(*) FROM orders TABLESAMPLE system (50) REPEATABLE (evil(1)))
(SELECT total FROM orders LIMIT evil(1))
(SELECT total FROM orders ORDER BY evil(id) LIMIT 1)
(SELECT sum(total) OVER (ORDER BY id ROWS evil(1) PRECEDING) FROM orders LIMIT 1)
(SELECT evil_sum(id) OVER () FROM orders LIMIT 1)
(SELECT evil_sum(id) FILTER (WHERE id > 1) FROM orders)
nextval('counter')
nextval('counter'::regclass)
setval('counter', 9)
pg_advisory_lock(7)
pg_try_advisory_lock(7)::int
pg_advisory_xact_lock(7)
set_config('search_path', 'x', false)
set_config('ro' || 'le', 'postgres', false)
lo_create(0)
lo_from_bytea(0, 'x')
length(lo_open(1, 131072)::text)
pg_notify('c', 'x')
pg_sleep(0.6)
pg_sleep_for('600 ms')
txid_current()
pg_current_xact_id()
pg_logical_emit_message(false, 'a', 'b')
pg_create_physical_replication_slot('fuzz')
pg_switch_wal()
pg_export_snapshot()
pg_reload_conf()
pg_stat_reset()
pg_create_restore_point('x')
pg_backend_pid() + pg_log_backend_memory_contexts(pg_backend_pid())::int
pg_rotate_logfile()
pg_input_is_valid('1', 'guarded')
length(query_to_xml('SELECT evil(1)', true, false, '')::text)
setseed(0.5)
pg_cancel_backend(0)
pg_terminate_backend(0)
pg_import_system_collations('public')
pg_clear_relation_stats('public', 'orders')
lo_import('canary.txt')
(SELECT cardinality(coalesce(w, '{1}')) FROM slips RIGHT JOIN (SELECT 1) x ON true)
(SELECT (w = '{1}')::int FROM slips RIGHT JOIN (SELECT 1) x ON true)
(SELECT max(cardinality(w)) FROM (SELECT w FROM slips UNION SELECT '{1}') q)
(SELECT count(*) FROM (SELECT s FROM slips s UNION SELECT '(1,{1})') q)
(SELECT (json_populate_record(s, '{"v":1}')).v FROM slips s RIGHT JOIN (SELECT 1) x ON true)
(SELECT count(*) FROM pg_stat_get_activity(NULL) a WHERE a.query <> '')
