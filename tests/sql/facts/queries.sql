-- Which relations and columns a query reads.
-- scope: offline

SELECT 1
--> nothing

SELECT id, email FROM users WHERE name = 'x'
--> select public.users (email, id, name)

SELECT * FROM users
--> select public.users (*)

SELECT u.* FROM users u JOIN orders o ON o.user_id = u.id
--> select public.users (*)
--> select public.orders (user_id)

SELECT count(*) FROM users
--> select public.users ()

SELECT count(*), count(u.*) FROM users u
--> select public.users (*)

TABLE users
--> select public.users (*)

VALUES (1, 'a'), (2, 'b')
--> nothing

SELECT * FROM "Order Items"
--> select public."Order Items" (*)

SELECT "Id" FROM public."Order Items"
--> select public."Order Items" (Id)

SELECT users.id, public.users.email FROM public.users
--> select public.users (email, id)

SELECT shop.public.users.id FROM shop.public.users
--> select public.users (id)

-- Unqualified columns of unknown relations may belong to any of them, in every level in sight.
SELECT name, amount FROM users, orders
--> select public.users (amount, name)
--> select public.orders (amount, name)

SELECT (SELECT max(amount) FROM orders WHERE user_id = u.id) FROM users u
--> select public.users (amount, id, user_id)
--> select public.orders (amount, user_id)

SELECT u.id FROM users u, LATERAL (SELECT amount FROM orders o WHERE o.user_id = u.id) x
--> select public.users (amount, id)
--> select public.orders (amount, user_id)

SELECT u.id FROM users u, (SELECT amount FROM orders o) x
--> select public.users (id)
--> select public.orders (amount)

SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE EXISTS (SELECT c FROM v))
--> select public.t (a, b, c)
--> select public.u (b, c)
--> select public.v (c)

-- A FROM item's own name is its whole row, unless it is a column.
SELECT u FROM users u
--> select public.users (*)

SELECT row_to_json(users) FROM users
--> select public.users (*)

SELECT users::text FROM users
--> select public.users (*)

SELECT (u).email FROM users u
--> select public.users (*)

SELECT (u).* FROM users u
--> select public.users (*)

SELECT u IS NULL FROM users u
--> select public.users (*)

SELECT * FROM users u ORDER BY u
--> select public.users (*)

-- Output names: ORDER BY prefers them, GROUP BY prefers input columns.
SELECT id AS x FROM users ORDER BY x
--> select public.users (id)

SELECT id AS x FROM users ORDER BY x + 1
--> select public.users (id, x)

SELECT id AS x FROM users GROUP BY x
--> select public.users (id, x)

SELECT DISTINCT ON (x) id AS x FROM users
--> select public.users (id)

SELECT lower(email) FROM users ORDER BY lower
--> select public.users (email)

SELECT id FROM users UNION SELECT user_id FROM orders ORDER BY id
--> select public.users (id)
--> select public.orders (user_id)

-- Joins.
SELECT 1 FROM users JOIN orders USING (id)
--> select public.users (id)
--> select public.orders (id)

SELECT 1 FROM users NATURAL JOIN orders
--> select public.users (*)
--> select public.orders (*)

SELECT j.email FROM (users JOIN orders USING (id)) j
--> select public.users (email, id)
--> select public.orders (email, id)

SELECT j.a FROM (users CROSS JOIN orders) AS j (a, b)
--> select public.users (*)
--> select public.orders (*)

SELECT m.id FROM users JOIN orders USING (id) AS m
--> select public.users (id)
--> select public.orders (id)

SELECT x.id FROM users x LEFT JOIN orders y ON x.id = y.user_id AND y.status = 'paid'
--> select public.users (id)
--> select public.orders (status, user_id)

SELECT * FROM a JOIN (b JOIN c ON b.x = c.x) ON a.y = c.y
--> select public.a (*)
--> select public.b (*)
--> select public.c (*)

-- Column aliases.
SELECT a, b FROM users AS u (a, b)
--> select public.users (*)

-- Sub-queries and CTEs: what is referred to outside of them is no column of the base relations.
SELECT x.total FROM (SELECT sum(amount) AS total FROM orders) x
--> select public.orders (amount)

SELECT total FROM (SELECT sum(amount) AS total FROM orders) x, users u
--> select public.orders (amount)
--> select public.users ()

WITH x AS (SELECT id FROM users) SELECT id FROM x
--> select public.users (id)

WITH x (a) AS (SELECT id FROM users) SELECT a FROM x, orders
--> select public.users (id)
--> select public.orders ()

WITH x AS (SELECT * FROM users) SELECT name FROM x
--> select public.users (*)

WITH RECURSIVE t (n) AS (SELECT id FROM users UNION ALL SELECT n + 1 FROM t) SELECT n FROM t
--> select public.users (id)

WITH RECURSIVE t AS (SELECT id FROM users UNION ALL SELECT o.id FROM orders o, t WHERE o.user_id = t.id) SEARCH DEPTH FIRST BY id SET o CYCLE id SET c USING p SELECT o, c, p FROM t
--> select public.users (id)
--> select public.orders (id, user_id)

WITH secret AS (SELECT 1) SELECT * FROM public.secret
--> select public.secret (*)

WITH x AS (SELECT * FROM secret), secret AS (SELECT 1) SELECT * FROM x
--> select public.secret (*)

SELECT * FROM (WITH s AS (SELECT 1) SELECT * FROM s) q, s
--> select public.s (*)

-- Functions, VALUES, XMLTABLE and JSON_TABLE in FROM.
SELECT g FROM generate_series(1, 10) AS g
--> nothing

SELECT v.a FROM (VALUES (1, 2)) AS v (a, b)
--> nothing

SELECT t.a, e.ordinality FROM json_to_record('{}') AS t (a int), unnest(ARRAY[1]) WITH ORDINALITY e
--> nothing

SELECT x.a FROM docs, XMLTABLE('/r' PASSING docs.body COLUMNS a int PATH '@a' DEFAULT docs.fallback) x
--> select public.docs (body, fallback)

SELECT j.a, j.b FROM docs, JSON_TABLE(docs.body, '$' COLUMNS (a int PATH '$.a', NESTED '$.b[*]' COLUMNS (b int PATH '$'))) j
--> select public.docs (body)

SELECT * FROM ROWS FROM (json_to_recordset('[]') AS (a int), generate_series(1, 2)) AS r
--> nothing

SELECT count(*) FROM users TABLESAMPLE system (10) REPEATABLE (3)
--> select public.users ()

-- Everywhere an expression may stand.
SELECT a FROM t WHERE b > 1 GROUP BY c, ROLLUP (d), GROUPING SETS ((e), ()) HAVING max(f) > 1 WINDOW w AS (PARTITION BY g ORDER BY h) ORDER BY i LIMIT (SELECT j FROM u)
--> select public.t (a, b, c, d, e, f, g, h, i, j)
--> select public.u (j)

SELECT sum(a ORDER BY b) FILTER (WHERE c), rank() OVER (PARTITION BY d ORDER BY e ROWS BETWEEN (SELECT f FROM u) PRECEDING AND CURRENT ROW), percentile_cont(0.5) WITHIN GROUP (ORDER BY g) FROM t
--> select public.t (a, b, c, d, e, f, g)
--> select public.u (f)

SELECT CASE a WHEN b THEN c ELSE d END, COALESCE(e, f), NULLIF(g, h), GREATEST(i, j), ARRAY[k, l], ROW(m, n), (o)[p], q BETWEEN r AND s, u IN (v, w), x IS DISTINCT FROM y FROM t
--> select public.t (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, u, v, w, x, y)

SELECT XMLELEMENT(NAME e, XMLATTRIBUTES(a AS b), c), XMLFOREST(d), XMLSERIALIZE(CONTENT e AS text), JSON_OBJECT(f VALUE g), JSON_ARRAY(h), JSON_ARRAYAGG(i ORDER BY j), JSON_QUERY(k, '$' PASSING l AS m DEFAULT n ON EMPTY), o IS JSON, JSON_SERIALIZE(p), JSON_SCALAR(q) FROM t
--> select public.t (a, c, d, e, f, g, h, i, j, k, l, n, o, p, q)

SELECT a COLLATE "C", b AT TIME ZONE c, EXTRACT(year FROM d), position(e IN f), substring(g FROM h FOR i), overlay(j PLACING k FROM l), trim(m FROM n), (o, p) OVERLAPS (q, r), s SIMILAR TO u ESCAPE v, normalize(w), x IS DOCUMENT FROM t
--> select public.t (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, u, v, w, x)

SELECT ctid, xmin, tableoid::regclass FROM users
--> select public.users (ctid, tableoid, xmin)

-- Locks.
SELECT id FROM users FOR UPDATE
--> lock_rows <table> public.users [FOR UPDATE]
--> select public.users (id)

SELECT u.id FROM users u, orders o FOR SHARE OF o SKIP LOCKED
--> lock_rows <table> public.orders [FOR SHARE]
--> select public.users (id)
--> select public.orders ()

SELECT id FROM (SELECT id FROM users) x FOR NO KEY UPDATE NOWAIT
--> lock_rows <table> public.users [FOR NO KEY UPDATE]
--> select public.users (id)

SELECT (SELECT id FROM users FOR KEY SHARE)
--> lock_rows <table> public.users [FOR KEY SHARE]
--> select public.users (id)

-- SELECT INTO creates.
SELECT * INTO pwn FROM users
--> create <table> public.pwn [select into]
--> select public.users (*)

SELECT 1 AS a INTO TEMP pwn
--> create <table> pg_temp.pwn [select into]

SELECT JSON_ARRAY(SELECT ssn FROM secret RETURNING jsonb), XMLELEMENT(NAME x, (SELECT ssn FROM secret))
--> select public.secret (ssn)

SELECT o.mode, o.rank, o.count FROM orders o
--> select public.orders (count, mode, rank)

SELECT o.max FROM orders o
--> select public.orders (*)

-- Built-in relations are found in pg_catalog first, without a path.
SELECT relname FROM pg_class
--> select <table> pg_catalog.pg_class (relname)

SELECT count(*) FROM information_schema.tables
--> select <view> information_schema.tables ()

SELECT c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
--> select <table> pg_catalog.pg_class (relname, relnamespace)
--> select <table> pg_catalog.pg_namespace (nspname, oid)

-- scope: offline app, public

SELECT id FROM users
--> select app.users (id)
--> select public.users (id)

SELECT relname FROM pg_class
--> select <table> pg_catalog.pg_class (relname)

-- scope: offline unknown path

SELECT id FROM users
--> select ?.users (id)

SELECT id FROM public.users
--> select public.users (id)
