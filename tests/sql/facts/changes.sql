-- What INSERT, UPDATE, DELETE and MERGE write, and what they read to do so.
-- scope: offline

INSERT INTO t VALUES (1, 2)
--> insert public.t (*)

INSERT INTO t DEFAULT VALUES
--> insert public.t (*)

INSERT INTO s.t (a, b[1], c.d) VALUES (1, 2, 3)
--> insert s.t (a, b, c)

INSERT INTO t (a) SELECT b FROM u
--> insert public.t (a)
--> select public.u (b)

INSERT INTO t AS x (a) VALUES (1) RETURNING x.b, c
--> insert public.t (a)
--> select public.t (b, c)

INSERT INTO t VALUES (1) RETURNING *
--> insert public.t (*)
--> select public.t (*)

-- The conflicting column tells that a value is there; EXCLUDED is the agent's own row.
INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING
--> insert public.t (a)

INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING
--> insert public.t (a)
--> select public.t (a)

INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) WHERE p DO UPDATE SET b = excluded.b, c = t.c + 1 WHERE t.d
--> insert public.t (a, b)
--> update public.t (b, c) [on conflict]
--> select public.t (a, c, d, p)

INSERT INTO t (a) VALUES (1) ON CONFLICT (lower(k)) DO UPDATE SET (b, c) = (SELECT x.y, x.z FROM x)
--> insert public.t (a)
--> update public.t (b, c) [on conflict]
--> select public.t (k)
--> select public.x (y, z)

INSERT INTO t (a) VALUES (1) RETURNING old.b, new.c
--> insert public.t (a)
--> select public.t (b, c)

INSERT INTO t (a) VALUES (1) RETURNING WITH (OLD AS o, NEW AS n) o.b, n.*
--> insert public.t (a)
--> select public.t (*)

UPDATE t SET a = 1
--> update public.t (a) without where

UPDATE t SET a = 1 WHERE id = 5
--> update public.t (a)
--> select public.t (id)

UPDATE t SET a = b + 1 WHERE true
--> update public.t (a) without where
--> select public.t (b)

UPDATE t SET a = 1 WHERE 1 = 1 AND 'x' = 'x'
--> update public.t (a) without where

UPDATE ONLY t AS x SET (a, b) = (x.c, DEFAULT), d[e] = 2 WHERE x.id = 5 RETURNING x.f, old.g
--> update public.t (a, b, d)
--> select public.t (c, e, f, g, id)

-- A WHERE that does not speak of the target restricts nothing.
UPDATE t SET a = 1 FROM u WHERE u.b = 2
--> update public.t (a) without where
--> select public.u (b)

UPDATE t SET a = u.c FROM u WHERE t.id = u.id
--> update public.t (a)
--> select public.t (id)
--> select public.u (c, id)

UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM u WHERE u.b = 2)
--> update public.t (a) without where
--> select public.u (b)

UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM u WHERE u.b = t.b)
--> update public.t (a)
--> select public.t (b)
--> select public.u (b)

UPDATE t SET a = 1 WHERE t IS NOT NULL
--> update public.t (a)
--> select public.t (*)

UPDATE t SET a = 1 WHERE CURRENT OF c
--> update public.t (a)

DELETE FROM t
--> delete public.t without where

DELETE FROM t WHERE true
--> delete public.t without where

DELETE FROM t WHERE id = 1
--> delete public.t
--> select public.t (id)

DELETE FROM t USING u WHERE u.id = 1 RETURNING u.*
--> delete public.t without where
--> select public.u (*)

DELETE FROM t USING u WHERE u.id = t.id RETURNING t.a
--> delete public.t
--> select public.t (a, id)
--> select public.u (id)

-- MERGE is an effect, and each of its parts is.
MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DO NOTHING
--> merge public.t
--> select public.t (id)
--> select public.u (id)

MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND u.gone THEN DELETE WHEN MATCHED THEN UPDATE SET a = u.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (u.id, u.a)
--> merge public.t
--> delete public.t [merge]
--> update public.t (a) [merge]
--> insert public.t (a, id) [merge]
--> select public.t (id)
--> select public.u (a, gone, id)

MERGE INTO t AS x USING (SELECT b FROM u) y ON true WHEN MATCHED THEN UPDATE SET a = y.b
--> merge public.t
--> update public.t (a) without where [merge]
--> select public.u (b)

MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED BY SOURCE THEN DELETE
--> merge public.t
--> delete public.t without where [merge]
--> select public.t (id)
--> select public.u (id)

MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED BY SOURCE AND t.old THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT DEFAULT VALUES RETURNING merge_action(), t.a, old.b, u.c
--> merge public.t
--> update public.t (a) [merge]
--> insert public.t (*) [merge]
--> select public.t (a, b, id, old)
--> select public.u (c, id)

-- Inside of WITH, and under other statements.
WITH m AS (MERGE INTO accounts a USING users u ON a.id = u.id WHEN MATCHED THEN DO NOTHING RETURNING a.id) SELECT * FROM m
--> merge public.accounts
--> select public.accounts (id)
--> select public.users (id)

WITH d AS (DELETE FROM t RETURNING id) INSERT INTO log SELECT id FROM d
--> delete public.t without where
--> insert public.log (*)
--> select public.t (id)

WITH t AS (SELECT 1) UPDATE t SET a = 1
--> update public.t (a) without where

EXPLAIN ANALYZE DELETE FROM t
--> delete public.t without where [explain]

EXPLAIN (FORMAT JSON) SELECT id FROM t FOR UPDATE
--> lock_rows <table> public.t [explain: FOR UPDATE]
--> select public.t (id) [explain]

EXPLAIN ANALYZE CREATE TEMP TABLE accounts AS SELECT * FROM t
--> create <table> pg_temp.accounts [explain: temporary]
--> select public.t (*) [explain]

EXPLAIN EXECUTE p (1)
--> execute p [explain]

PREPARE p (int) AS UPDATE t SET a = $1 WHERE id = 1
--> prepare p
--> update public.t (a)
--> select public.t (id)

DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t
--> declare c [with hold]
--> select public.t (id)

COPY (DELETE FROM t RETURNING id) TO STDOUT
--> delete public.t without where
--> select public.t (id)

CREATE TABLE n AS EXECUTE p (1)
--> create <table> public.n
--> execute p

-- scope: live

INSERT INTO users VALUES (1)
--> insert <table> public.users (email, id, name)

INSERT INTO users (id) VALUES (1) RETURNING *
--> insert <table> public.users (id)
--> select <table> public.users (email, id, name)

UPDATE users SET name = 'x' FROM orders WHERE status = 'paid'
--> update <table> public.users (name) without where
--> select <table> public.orders (status)

UPDATE users SET name = 'x' FROM orders WHERE email = status
--> update <table> public.users (name)
--> select <table> public.users (email)
--> select <table> public.orders (status)

UPDATE users SET name = 'x' WHERE EXISTS (SELECT FROM orders WHERE user_id = users.id)
--> update <table> public.users (name)
--> select <table> public.users (id)
--> select <table> public.orders (user_id)

UPDATE users SET name = 'x' WHERE EXISTS (SELECT FROM orders WHERE user_id = id)
--> update <table> public.users (name) without where
--> select <table> public.orders (id, user_id)

DELETE FROM v_write WHERE x = 1
--> call <function> public.f_write [through view public.v_write]
--> delete <view> public.v_write
--> select <view> public.v_write (x)
