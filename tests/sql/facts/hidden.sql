-- What no parser shows: views, operators, casts, attribute notation; decided by the catalog.
-- scope: live

SELECT x FROM v_write
--> call <function> public.f_write [through view public.v_write]
--> select <view> public.v_write (x)

SELECT x FROM v_read
--> select <view> public.v_read (x)

SELECT x FROM v_definer
--> call <function> public.f_secdef [through view public.v_definer]
--> select <view> public.v_definer (x)

SELECT x FROM v_files
--> egress <function> pg_catalog.pg_read_file [through view public.v_files]
--> select <view> public.v_files (x)

SELECT x FROM v_lost
--> call <function> public.gone [through view public.v_lost]
--> select <view> public.v_lost (x)

SELECT 1 FROM (SELECT * FROM app.orders, v_write) q
--> call <function> public.f_write [through view public.v_write]
--> select <table> app.orders (id, total)
--> select <view> public.v_write (x)

SELECT (o).amount, (o).nothing FROM orders o
--> select <table> public.orders (amount, id, meta, status, user_id)

SELECT app.orders.id FROM public.orders
--> select <table> public.orders (id)

SELECT nowhere.a FROM users, secret
--> select <table> public.users (email, id, name)
--> select <table> public.secret (id, ssn)

SELECT 1 FROM users WHERE EXISTS (SELECT tableoid, ctid, xmin, xmax, cmin, cmax FROM secret)
--> select <table> public.users ()
--> select <table> public.secret (cmax, cmin, ctid, tableoid, xmax, xmin)

CREATE RULE r AS ON INSERT TO users DO ALSO SELECT new.id, id FROM secret WHERE old.name = ssn
--> create <rule> public.users [rule r]
--> select <table> public.secret (id, ssn)

SELECT nowhere.* FROM secret
--> select <table> public.secret (id, ssn)

SELECT 1 <%%> 2
--> call <function> public.f_op [operator <%%>]

SELECT 1 OPERATOR(public.<%%>) 2
--> call <function> public.f_op [operator <%%>]

SELECT 1 OPERATOR(pg_catalog.+) 2
--> nothing

SELECT 1 <%%> ANY (ARRAY[1]), 1 <%%> ALL (SELECT 2)
--> call <function> public.f_op [operator <%%>]

SELECT id FROM users ORDER BY id USING <%%>
--> call <function> public.f_op [operator <%%>]
--> select <table> public.users (id)

UPDATE users SET id = 1 WHERE id <%%> 2
--> call <function> public.f_op [operator <%%>]
--> update <table> public.users (id)
--> select <table> public.users (id)

SELECT 1::myt
--> call <function> public.int_to_myt [cast to myt]

SELECT CAST('(1)' AS public.myt), myt '(1)'
--> call <function> public.int_to_myt [cast to myt]

SELECT '{1}'::myt[], NULL::mydomain
--> call <function> public.int_to_myt [cast to myt]
--> call <function> public.f_check [cast to mydomain]

SELECT myt(1)
--> call <function> public.myt
--> call <function> public.int_to_myt [cast to myt]

SELECT a FROM json_to_record('{}') AS r (a myt)
--> call <function> public.int_to_myt [cast to myt]

SELECT a FROM ROWS FROM (json_to_recordset('[]') AS (a myt)) r
--> call <function> public.int_to_myt [cast to myt]

SELECT a FROM XMLTABLE('/r' PASSING '<r/>' COLUMNS a mydomain PATH '@a')
--> call <function> public.f_check [cast to mydomain]

SELECT a FROM JSON_TABLE('{}', '$' COLUMNS (a mydomain PATH '$'))
--> call <function> public.f_check [cast to mydomain]

SELECT JSON_VALUE('{}', '$' RETURNING mydomain), XMLSERIALIZE(CONTENT '<a/>' AS mydomain)
--> call <function> public.f_check [cast to mydomain]

PREPARE p (myt) AS SELECT 1
--> prepare p
--> call <function> public.int_to_myt [cast to myt]

ALTER TABLE users ALTER COLUMN id TYPE myt
--> call <function> public.int_to_myt [cast to myt]
--> alter <table> public.users
--> select <table> public.users (id)

-- Attribute notation calls a function, unless it is a column.
SELECT a.f_secret FROM users a
--> call <function> public.f_secret [attribute notation .f_secret]
--> select <table> public.users (email, id, name)

SELECT (a).f_secret FROM users a
--> call <function> public.f_secret [attribute notation .f_secret]
--> select <table> public.users (email, id, name)

SELECT users.f_secret FROM users
--> call <function> public.f_secret [attribute notation .f_secret]
--> select <table> public.users (email, id, name)

SELECT public.users.f_secret FROM users
--> call <function> public.f_secret [attribute notation .f_secret]
--> select <table> public.users (email, id, name)

SELECT (a.meta).f_secret, (ROW(1)).f_secret FROM orders a
--> call <function> public.f_secret [attribute notation .f_secret]
--> select <table> public.orders (meta)

SELECT (0.01::float8).pg_sleep
--> call <function> pg_catalog.pg_sleep [attribute notation .pg_sleep]

SELECT ('5'::text).mydomain
--> call <function> public.f_check [cast to mydomain]

SELECT ('/etc/passwd'::text).pg_read_file
--> egress <function> pg_catalog.pg_read_file [attribute notation .pg_read_file]

SELECT ('sq'::regclass).nextval
--> nextval <sequence> ?.? [attribute notation .nextval]

SELECT ((SELECT a FROM users a)).f_secret
--> call <function> public.f_secret [attribute notation .f_secret]
--> select <table> public.users (email, id, name)

SELECT ($1).pg_sleep
--> call <function> pg_catalog.pg_sleep [attribute notation .pg_sleep]

SELECT a.row_to_json FROM users a
--> select <table> public.users (email, id, name)

SELECT (a).to_jsonb FROM users a
--> select <table> public.users (email, id, name)

SELECT o.row_to_json, o.odd FROM odd o
--> select <table> public.odd (odd, row_to_json)

SELECT odd FROM odd
--> select <table> public.odd (odd)

SELECT a.nowhere FROM users a
--> select <table> public.users (nowhere)

SELECT s.f_secret FROM (SELECT 1 AS x) s
--> call <function> public.f_secret [attribute notation .f_secret]

SELECT s.x FROM (SELECT 1 AS x) s
--> nothing

-- Known columns: exact.
SELECT * FROM users
--> select <table> public.users (email, id, name)

SELECT name, amount FROM users, orders
--> select <table> public.users (name)
--> select <table> public.orders (amount)

SELECT amount FROM orders o WHERE EXISTS (SELECT 1 FROM users WHERE id = user_id)
--> select <table> public.orders (amount, user_id)
--> select <table> public.users (id)

SELECT * FROM users NATURAL JOIN orders
--> select <table> public.users (email, id, name)
--> select <table> public.orders (amount, id, meta, status, user_id)

SELECT count(*) FROM users NATURAL JOIN orders
--> select <table> public.users (id)
--> select <table> public.orders (id)

SELECT b FROM (users JOIN orders USING (id)) AS j (a, b)
--> select <table> public.users (email, id)
--> select <table> public.orders (id)

SELECT b, amount FROM orders AS o (a, b)
--> select <table> public.orders (amount, user_id)

SELECT q.email FROM (SELECT * FROM users) q
--> select <table> public.users (email, id, name)

SELECT newcolumn FROM users
--> select <table> public.users (newcolumn)

SELECT "Order Id" FROM odd
--> select <table> public.odd (Order Id)

SELECT id, ctid FROM users
--> select <table> public.users (ctid, id)

SELECT 1 FROM users u WHERE u.ctid = '(0,1)'
--> select <table> public.users (ctid)

SELECT amount FROM users GROUP BY amount
--> select <table> public.users (amount)

SELECT amount AS x FROM orders GROUP BY x
--> select <table> public.orders (amount)

SELECT last_value FROM sq
--> select <sequence> public.sq (last_value)

SELECT * FROM nowhere
--> select public.nowhere (*)

SELECT * FROM nowhere.t
--> select nowhere.t (*)

-- scope: live public, ext

SELECT '[1]' <-> '[2]'
--> nothing

-- scope: live app, public

SELECT id FROM orders
--> select <table> app.orders (id)

SELECT id FROM users
--> select <table> public.users (id)

SELECT id FROM only_app
--> select <table> app.only_app (id)

SELECT 1 = 2, 1 IN (2), CASE 1 WHEN 2 THEN 3 END, 1 = ANY (SELECT 1), NULLIF(1, 2)
--> call <function> public.f_op [operator =]

SELECT 1 FROM users JOIN public.orders USING (id)
--> call <function> public.f_op [operator =]
--> select <table> public.users (id)
--> select <table> public.orders (id)

-- scope: live missing, app

SELECT id FROM orders
--> select <table> app.orders (id)

SELECT id FROM users
--> select missing.users (id)
--> select app.users (id)

CREATE TABLE t (a int)
--> create <table> app.t

-- scope: live public, pg_catalog

SELECT relname FROM pg_class
--> select <table> pg_catalog.pg_class (relname)

-- scope: live implicit cast

SELECT 1
--> call <function> public.int_to_myt [implicit cast]

SELECT id FROM users
--> call <function> public.int_to_myt [implicit cast]
--> select <table> public.users (id)

DROP TABLE users
--> drop <table> public.users
