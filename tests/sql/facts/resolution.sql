-- Which relation a name means, level by level; what a branch, a join or a clause must not lose.
-- scope: live

SELECT CAST(1 AS numeric(f_write()))
--> call <function> public.f_write

SELECT (trap).f_read FROM trap
--> call <function> public.f_read [attribute notation .f_read]
--> select <table> public.trap (trap)

SELECT (SELECT (trap).f_read FROM users) FROM trap
--> call <function> public.f_read [attribute notation .f_read]
--> select <table> public.trap (trap)
--> select <table> public.users ()

SELECT (SELECT (trap).f_read FROM trap AS t) FROM trap
--> call <function> public.f_read [attribute notation .f_read]
--> select <table> public.trap (trap)

SELECT (t).f_read, (t).id FROM trap AS t
--> select <table> public.trap (f_read, id, trap)

SELECT app.orders.total, public.orders.amount FROM public.orders, app.orders
--> select <table> public.orders (amount)
--> select <table> app.orders (total)

SELECT public.orders.amount FROM app.orders, public.orders
--> select <table> app.orders ()
--> select <table> public.orders (amount)

SELECT app.orders.* FROM public.orders, app.orders
--> select <table> public.orders ()
--> select <table> app.orders (id, total)

(SELECT 1 UNION SELECT 2 ORDER BY f_write()) UNION SELECT 3
--> call <function> public.f_write

(SELECT 1 UNION SELECT 2 LIMIT f_write()) UNION SELECT 3
--> call <function> public.f_write

(SELECT 1 UNION SELECT 2 OFFSET f_write()) UNION SELECT 3
--> call <function> public.f_write

(WITH a AS (SELECT f_write()) SELECT 1 UNION SELECT 2) UNION SELECT 3
--> call <function> public.f_write

(SELECT id FROM users UNION SELECT 2 FOR UPDATE) UNION SELECT 3
--> lock_rows [FOR UPDATE]
--> select <table> public.users (id)

SELECT 3 UNION (SELECT 1 UNION SELECT 2 ORDER BY f_write())
--> call <function> public.f_write

SELECT 1 FROM unnest(ARRAY[1], ARRAY[2]) AS u (a, b)
--> nothing

SELECT 1 FROM unnest(ARRAY[1], ARRAY[2] ORDER BY f_write())
--> call <function> public.unnest
--> call <function> public.f_write

SELECT 1 FROM unnest(ARRAY[1], VARIADIC ARRAY[2])
--> call <function> public.unnest

SELECT 1 FROM unnest(DISTINCT ARRAY[1], ARRAY[2])
--> call <function> public.unnest

SELECT 1 FROM unnest(ARRAY[f_write()], ARRAY[2])
--> call <function> public.f_write

SELECT 1 FROM ROWS FROM (unnest(ARRAY[1], ARRAY[2]), f_write())
--> call <function> public.f_write

SELECT 1 FROM ROWS FROM (unnest(ARRAY[1], ARRAY[2]) AS (a int))
--> call <function> public.unnest

SELECT 1 FROM app.unnest(ARRAY[1], ARRAY[2])
--> call <function> app.unnest

SELECT 1 FROM unnest(ARRAY[1])
--> call <function> public.unnest

WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n FROM t) SEARCH DEPTH FIRST BY n SET ord CYCLE n SET mark TO myt 'a' DEFAULT myt 'b' USING path SELECT ord, mark, path FROM t, secret
--> call <function> public.int_to_myt [cast to myt]
--> select <table> public.secret ()

SELECT ssn FROM secret UNION SELECT name FROM users UNION SELECT 'x'
--> select <table> public.secret (ssn)
--> select <table> public.users (name)

SELECT 'x' UNION SELECT name FROM users EXCEPT SELECT ssn FROM secret INTERSECT SELECT status FROM orders
--> select <table> public.users (name)
--> select <table> public.secret (ssn)
--> select <table> public.orders (status)

SELECT f_write() UNION ALL SELECT 2 UNION ALL SELECT f_read(3)
--> call <function> public.f_write
--> call <function> public.f_read

SELECT id FROM users UNION SELECT 1 ORDER BY id
--> select <table> public.users (id)

SELECT (SELECT ssn FROM (SELECT u.* FROM users u, secret s WHERE s.id = 1) q) FROM secret
--> select <table> public.secret (id, ssn)
--> select <table> public.users (email, id, name)

SELECT (SELECT ssn FROM (SELECT (f_read(1)).* FROM users) q) FROM secret
--> call <function> public.f_read
--> select <table> public.secret (ssn)
--> select <table> public.users ()

SELECT (SELECT count(*) FROM users GROUP BY ssn) FROM secret
--> select <table> public.secret (ssn)
--> select <table> public.users ()

SELECT (SELECT count(*) FROM users ORDER BY ssn) FROM secret
--> select <table> public.secret (ssn)
--> select <table> public.users ()

SELECT (SELECT count(*) AS ssn FROM users GROUP BY ssn) FROM secret
--> select <table> public.secret ()
--> select <table> public.users ()

SELECT 1 FROM users, orders FOR UPDATE OF users FOR UPDATE OF orders
--> lock_rows <table> public.users [FOR UPDATE]
--> lock_rows <table> public.orders [FOR UPDATE]
--> select <table> public.users ()
--> select <table> public.orders ()

SELECT 1 FROM users, orders FOR UPDATE OF users FOR SHARE OF users
--> lock_rows <table> public.users [FOR UPDATE]
--> lock_rows <table> public.users [FOR SHARE]
--> select <table> public.users ()
--> select <table> public.orders ()

SELECT 1 FROM secret s JOIN LATERAL (SELECT s.ssn) q ON true
--> select <table> public.secret (ssn)

SELECT 1 FROM secret s, users u JOIN LATERAL (SELECT s.ssn, u.name) q ON true
--> select <table> public.secret (ssn)
--> select <table> public.users (name)

SELECT 1 FROM secret s CROSS JOIN LATERAL f_read(s.ssn) AS r
--> call <function> public.f_read
--> select <table> public.secret (ssn)

SELECT 1 FROM secret s, f_read(s.ssn) AS r
--> call <function> public.f_read
--> select <table> public.secret (ssn)

SELECT ssn, j.id FROM users JOIN secret USING (id) AS j
--> select <table> public.users (id)
--> select <table> public.secret (id, ssn)

SELECT j.ssn, j.name FROM (users JOIN secret USING (id)) AS j
--> select <table> public.users (id, name)
--> select <table> public.secret (id, ssn)

SELECT j.b, j.c FROM (users NATURAL JOIN secret) AS j (a, b, c, d)
--> select <table> public.users (email, id, name)
--> select <table> public.secret (id)

SELECT 1 FROM missing_table NATURAL JOIN secret
--> select public.missing_table (*)
--> select <table> public.secret (id, ssn)

SELECT 1 FROM secret NATURAL JOIN missing_table
--> select <table> public.secret (id, ssn)
--> select public.missing_table (*)

SELECT 1 FROM (users JOIN secret USING (id)) AS j FOR UPDATE OF j
--> lock_rows <table> public.users [FOR UPDATE]
--> lock_rows <table> public.secret [FOR UPDATE]
--> select <table> public.users (id)
--> select <table> public.secret (id)

SELECT 1 FROM (users JOIN secret USING (id)) FOR UPDATE
--> lock_rows <table> public.users [FOR UPDATE]
--> lock_rows <table> public.secret [FOR UPDATE]
--> select <table> public.users (id)
--> select <table> public.secret (id)

SELECT 1 FROM (SELECT * FROM secret) AS q FOR UPDATE OF q
--> lock_rows <table> public.secret [FOR UPDATE]
--> select <table> public.secret (id, ssn)

SELECT u FROM users AS u
--> select <table> public.users (email, id, name)

SELECT v_orders FROM v_orders
--> select <view> public.v_orders (amount, id)

SELECT f_table.x, name FROM f_table(1), users
--> call <function> public.f_table
--> select <table> public.users (name)

SELECT j.x FROM ROWS FROM (f_table(1) AS (x int, ssn text)) AS j, secret
--> call <function> public.f_table
--> select <table> public.secret ()

SELECT ssn FROM f_table(1) AS j (x int), secret
--> call <function> public.f_table
--> select <table> public.secret (ssn)

SELECT (SELECT ssn FROM f_table(1) AS j (x int)) FROM secret
--> call <function> public.f_table
--> select <table> public.secret (ssn)

SELECT (SELECT ssn FROM f_table(1) AS j) FROM secret
--> call <function> public.f_table
--> select <table> public.secret (ssn)

SELECT (SELECT ssn FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS x int)) FROM secret
--> select <table> public.secret (ssn)

SELECT (SELECT ssn FROM JSON_TABLE('{}', '$' COLUMNS (x int, NESTED '$' COLUMNS (y int)))) FROM secret
--> select <table> public.secret (ssn)

SELECT xmltable.x, name FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS x int), users
--> select <table> public.users (name)

SELECT json_table.y, name FROM JSON_TABLE('{}', '$' COLUMNS (x int, NESTED '$' COLUMNS (y int))), users
--> select <table> public.users (name)

SELECT name FROM users TABLESAMPLE f_sample (1) REPEATABLE (f_write())
--> call <function> public.f_sample
--> call <function> public.f_write
--> select <table> public.users (name)

SELECT '{1}'::_myt, 1::myt[]
--> call <function> public.int_to_myt [cast to _myt]
--> call <function> public.int_to_myt [cast to myt]

INSERT INTO users (id[f_write()]) VALUES (1)
--> insert <table> public.users (id)
--> call <function> public.f_write

INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name[f_write()] = excluded.name WHERE users.email = 'x'
--> insert <table> public.users (id)
--> update <table> public.users (name) [on conflict]
--> call <function> public.f_write
--> select <table> public.users (email, id)

UPDATE users SET id[f_write()] = 1
--> update <table> public.users (id) without where
--> call <function> public.f_write

DELETE FROM users WHERE EXISTS (SELECT id FROM missing_table)
--> delete <table> public.users without where
--> select <table> public.users (id)
--> select public.missing_table (id)

DELETE FROM users WHERE EXISTS (SELECT id FROM orders)
--> delete <table> public.users without where
--> select <table> public.orders (id)

DELETE FROM users WHERE EXISTS (SELECT email FROM orders)
--> delete <table> public.users
--> select <table> public.users (email)
--> select <table> public.orders ()

UPDATE users SET name = 'x' FROM orders WHERE amount > 1
--> update <table> public.users (name) without where
--> select <table> public.orders (amount)

UPDATE users SET name = 'x' FROM orders WHERE user_id = users.id
--> update <table> public.users (name)
--> select <table> public.users (id)
--> select <table> public.orders (user_id)

MERGE INTO users USING orders ON amount > 1 WHEN MATCHED THEN DELETE
--> merge <table> public.users
--> delete <table> public.users without where [merge]
--> select <table> public.orders (amount)

MERGE INTO users USING orders ON users.id = user_id WHEN MATCHED AND amount > 1 THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE
--> merge <table> public.users
--> delete <table> public.users [merge]
--> delete <table> public.users without where [merge]
--> select <table> public.users (id)
--> select <table> public.orders (amount, user_id)

MERGE INTO users USING orders ON users.id = user_id WHEN NOT MATCHED BY SOURCE AND users.name = 'x' THEN UPDATE SET name = f_write()
--> merge <table> public.users
--> update <table> public.users (name) [merge]
--> call <function> public.f_write
--> select <table> public.users (id, name)
--> select <table> public.orders (user_id)

UPDATE users AS old SET name = 'x' RETURNING old.name
--> update <table> public.users (name) without where
--> select <table> public.users (name)

UPDATE users SET name = 'x' RETURNING WITH (OLD AS o, NEW AS n) o.email, n.id
--> update <table> public.users (name) without where
--> select <table> public.users (email, id)

UPDATE users SET (name, email) = (SELECT ssn, f_write() FROM secret)
--> update <table> public.users (email, name) without where
--> call <function> public.f_write
--> select <table> public.secret (ssn)

SELECT DISTINCT ON (f_write(), email) id FROM users
--> call <function> public.f_write
--> select <table> public.users (email, id)

SELECT DISTINCT ON (t.ssn) id AS t FROM secret AS t
--> select <table> public.secret (id, ssn)

SELECT 1 + 1 FROM users GROUP BY f_write()
--> call <function> public.f_write
--> select <table> public.users ()

SELECT 1 + 1 FROM users GROUP BY lower(email)
--> call <function> public.lower
--> select <table> public.users (email)

SELECT id AS t FROM secret AS t ORDER BY t.ssn
--> select <table> public.secret (id, ssn)

SELECT count(*) AS t FROM secret AS t GROUP BY t.ssn
--> select <table> public.secret (ssn)

SELECT (SELECT ssn FROM (SELECT (f_read(1)).* FROM users CROSS JOIN (SELECT 1 AS ssn) z) q) FROM secret
--> call <function> public.f_read
--> select <table> public.secret (ssn)
--> select <table> public.users ()

SELECT (SELECT ssn FROM (SELECT z.* FROM users CROSS JOIN (SELECT 1 AS ssn) z) q) FROM secret
--> select <table> public.secret ()
--> select <table> public.users ()

SELECT 1 FROM unnest(ARRAY[1]) AS u
--> call <function> public.unnest

SELECT unnest(ARRAY[1])
--> call <function> public.unnest

SELECT 1 FROM unnest(ARRAY[1], ARRAY[2]) AS u
--> nothing

SELECT id FROM users ORDER BY f_write()
--> call <function> public.f_write
--> select <table> public.users (id)

SELECT id FROM users WINDOW w AS (ORDER BY f_write())
--> call <function> public.f_write
--> select <table> public.users (id)

SELECT id FROM users HAVING f_write() = 1
--> call <function> public.f_write
--> select <table> public.users (id)

SELECT id FROM users LIMIT f_write() OFFSET f_read(1)
--> call <function> public.f_write
--> call <function> public.f_read
--> select <table> public.users (id)

VALUES (f_write()), ((SELECT ssn FROM secret))
--> call <function> public.f_write
--> select <table> public.secret (ssn)

-- scope: offline

DELETE FROM users WHERE EXISTS (SELECT a FROM orders)
--> delete public.users without where
--> select public.users (a)
--> select public.orders (a)

DELETE FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE a = 1)
--> delete public.users without where
--> select public.users (a)
--> select public.orders (a)

UPDATE users SET a = 1 WHERE (SELECT count(*) FROM orders o WHERE o.b = 1) = 1
--> update public.users (a) without where
--> select public.orders (b)

UPDATE users SET a = 1 FROM orders WHERE b = 1
--> update public.users (a)
--> select public.users (b)
--> select public.orders (b)

UPDATE users SET a = 1 WHERE b = 1
--> update public.users (a)
--> select public.users (b)

DELETE FROM users WHERE true
--> delete public.users without where

DELETE FROM users WHERE CURRENT OF c
--> delete public.users

DELETE FROM users WHERE f(users)
--> call <function> public.f
--> delete public.users
--> select public.users (*)

DELETE FROM users WHERE users IS NOT NULL
--> delete public.users
--> select public.users (*)

DELETE FROM users WHERE (users).a = 1
--> delete public.users
--> select public.users (*)

DELETE FROM users USING orders WHERE orders.b = 1
--> delete public.users without where
--> select public.orders (b)

-- scope: offline public, pg_catalog

SELECT relname FROM pg_class
--> select public.pg_class (relname)
--> select pg_catalog.pg_class (relname)

SELECT lower('x'), public.lower('x')
--> call <function> public.lower

CREATE TABLE t (a int)
--> create <table> public.t
--> create <table> pg_catalog.t

CREATE TABLE pg_catalog.t (a int)
--> create <table> pg_catalog.t

-- scope: offline unknown path

CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT a FROM t
--> create <schema> s
--> create <table> s.t
--> create <view> s.v
--> select ?.t (a)

CREATE TABLE t (a int)
--> create <table> ?.t

SELECT f_any(1)
--> call <function> ?.f_any

DELETE FROM users WHERE EXISTS (SELECT a FROM orders)
--> delete ?.users without where
--> select ?.users (a)
--> select ?.orders (a)

DELETE FROM users WHERE id = 1
--> delete ?.users
--> select ?.users (id)
