-- What analysts and agents write: reports, exploration, maintenance by hand. Statements end at a `--;` line.
SELECT 1
--;
select version()
--;
SELECT now() AT TIME ZONE 'UTC', current_date, current_timestamp(3), localtime, current_user, session_user
--;
SELECT * FROM orders LIMIT 10
--;
SELECT count(*), count(DISTINCT customer_id), max(created_at)::date FROM public.orders o
--;
SELECT date_trunc('month', o.created_at) AS month, c.country, count(*) AS n,
       sum(o.total) FILTER (WHERE o.status = 'paid') AS paid, avg(o.total)::numeric(10,2) AS mean
FROM orders o LEFT JOIN customers c ON c.id = o.customer_id
WHERE o.created_at BETWEEN '2024-01-01' AND '2024-12-31'
GROUP BY 1, 2 HAVING count(*) > 10 ORDER BY 1, paid DESC NULLS LAST
--;
WITH monthly AS (
  SELECT date_trunc('month', created_at) AS m, sum(total) AS revenue FROM orders GROUP BY 1
), growth AS (
  SELECT m, revenue, lag(revenue) OVER (ORDER BY m) AS before FROM monthly
)
SELECT m, revenue, round(100.0 * (revenue - before) / nullif(before, 0), 1) AS pct FROM growth ORDER BY m
--;
WITH RECURSIVE tree(id, parent, depth, path) AS (
  SELECT id, parent_id, 0, ARRAY[id] FROM categories WHERE parent_id IS NULL
  UNION ALL
  SELECT c.id, c.parent_id, t.depth + 1, t.path || c.id FROM categories c JOIN tree t ON t.id = c.parent_id
  WHERE NOT c.id = ANY(t.path)
) SELECT repeat('  ', depth) || id::text, path FROM tree ORDER BY path
--;
SELECT customer_id, total, rank() OVER w, ntile(4) OVER (PARTITION BY customer_id ORDER BY total),
       sum(total) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
       first_value(total) OVER (w RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW EXCLUDE TIES)
FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY created_at)
--;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY status) FROM orders
--;
SELECT coalesce(region, 'all'), grouping(region, product), sum(amount) FROM sales GROUP BY ROLLUP (region, product)
--;
SELECT a, b, sum(c) FROM t GROUP BY GROUPING SETS ((a, b), (a), ()), CUBE (a, b)
--;
SELECT string_agg(DISTINCT name, ', ' ORDER BY name), array_agg(id ORDER BY id DESC), json_agg(t), bool_or(x) FROM t
--;
SELECT * FROM a JOIN b USING (id) NATURAL JOIN c CROSS JOIN d FULL OUTER JOIN e ON e.x = a.x AND e.y IS NOT NULL
--;
SELECT c.name, last.total FROM customers c
CROSS JOIN LATERAL (SELECT o.total FROM orders o WHERE o.customer_id = c.id ORDER BY o.created_at DESC LIMIT 1) AS last
--;
SELECT g.day::date, count(o.id) FROM generate_series('2024-01-01'::date, '2024-01-31', interval '1 day') AS g(day)
LEFT JOIN orders o ON o.created_at::date = g.day GROUP BY g.day
--;
SELECT * FROM unnest(ARRAY[1,2,3], ARRAY['a','b','c']) WITH ORDINALITY AS u(n, s, ord)
--;
SELECT * FROM ROWS FROM (generate_series(1,3), json_to_recordset('[{"a":1}]') AS (a int, b text)) AS x
--;
SELECT * FROM (VALUES (1, 'one'), (2, 'two')) AS v(n, word) WHERE v.n IN (SELECT id FROM t WHERE NOT EXISTS (SELECT 1))
--;
VALUES (1, 'a'), (2, 'b')
--;
TABLE public.orders
--;
(SELECT id FROM a ORDER BY 1 LIMIT 3) UNION ALL (SELECT id FROM b EXCEPT SELECT id FROM c) INTERSECT SELECT id FROM d
--;
SELECT CASE status WHEN 'paid' THEN 1 WHEN 'sent' THEN 2 ELSE 0 END, CASE WHEN total > 100 AND vip THEN 'big' END FROM orders
--;
SELECT data->>'name', data#>>'{a,b}', data @> '{"x":1}', data ? 'k', data ?| array['a','b'], data - 'k', data #- '{a}' FROM docs
--;
SELECT jsonb_build_object('id', id, 'tags', jsonb_agg(tag)), jsonb_path_query(data, '$.items[*] ? (@.price > 10)') FROM docs GROUP BY id
--;
SELECT key, value FROM docs, jsonb_each_text(data) WHERE data @? '$.a' OR data @@ '$.b == 1'
--;
SELECT extract(epoch FROM created_at), extract(dow from created_at), date_part('year', created_at), age(now(), created_at) FROM orders
--;
SELECT substring(name FROM 1 FOR 3), substring(name from '^.'), substring(name, 2), trim(both ' ' from name), trim(name),
       position('a' in name), overlay(name placing 'x' from 2 for 1), upper(left(name, 1)), right(name, 2) FROM users
--;
SELECT name LIKE 'a%' ESCAPE '!', name ILIKE '%b', name NOT LIKE 'c', name SIMILAR TO '(a|b)%', name ~ '^a', name !~* 'b$' FROM users
--;
SELECT cast(x AS integer), cast(y AS varchar(10)), z::timestamptz, w::numeric(12,4)[], '1'::text::int, 'a'::"char" FROM t
--;
SELECT date '2024-01-01', timestamp with time zone '2024-01-01 00:00Z', interval '1' day, interval '2 hours', time '12:00', point '(1,2)'
--;
SELECT x BETWEEN SYMMETRIC 1 AND 10, y IS DISTINCT FROM z, y IS NOT DISTINCT FROM NULL, b IS TRUE, b IS NOT UNKNOWN, y ISNULL FROM t
--;
SELECT (a, b) = (1, 2), ROW(a, b) IN ((1, 2), (3, 4)), (a, b) OVERLAPS (c, d), a = ALL (ARRAY[1,2]), a < ANY (SELECT 1) FROM t
--;
SELECT (addr).city, ((addr).geo).lat, arr[1], arr[2:3], matrix[1][2], (f(x)).y, (array_agg(x))[1] FROM t GROUP BY 1,2,3,4,5,6
--;
SELECT DISTINCT ON (customer_id) customer_id, id FROM orders ORDER BY customer_id, created_at DESC FETCH FIRST 5 ROWS ONLY OFFSET 2
--;
SELECT o.* FROM orders AS o TABLESAMPLE bernoulli (1) REPEATABLE (42) WHERE o.total > 3.5e2 AND o.id <> -1
--;
SELECT "Order ID", "select", "weird ""name""" FROM "Sales"."Order Items" WHERE "group" = 'x'
--;
SELECT name, value, key, type, date, year, level, status, "user", position, timestamp FROM t
--;
SELECT t.name, t.value AS name, t.type type_name FROM config t
--;
SELECT mb.naïve, größe FROM maße mb WHERE ort = 'Köln' -- Umlaute
--;
/* a comment /* nested */ here */ SELECT /*+ hint */ 1 -- end
--;
SELECT $1::int + $2, $3 IN ($4,$5,$6), coalesce($7, 'x')
--;
select relname, pg_size_pretty(pg_total_relation_size(c.oid)), reltuples::bigint from pg_class c
join pg_namespace n on n.oid = c.relnamespace where nspname not in ('pg_catalog','information_schema') and relkind = 'r' order by 2 desc
--;
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position
--;
SELECT tc.constraint_name, kcu.column_name, ccu.table_name AS foreign_table FROM information_schema.table_constraints AS tc
JOIN information_schema.key_column_usage AS kcu ON tc.constraint_name = kcu.constraint_name AND tc.table_schema = kcu.table_schema
JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name WHERE tc.constraint_type = 'FOREIGN KEY'
--;
SELECT pid, state, wait_event, query, now() - query_start AS runtime FROM pg_stat_activity WHERE state <> 'idle' ORDER BY runtime DESC
--;
SELECT schemaname, relname, seq_scan, idx_scan, n_live_tup FROM pg_stat_user_tables ORDER BY seq_scan DESC LIMIT 20
--;
SELECT to_tsvector('english', body) @@ plainto_tsquery('english', 'fat cat'), ts_rank_cd(v, q), body % 'x', embedding <-> '[1,2]' FROM docs, to_tsquery('a & b') q
--;
SELECT id FROM items ORDER BY embedding <=> '[1,2,3]'::vector(3), embedding <#> '[1]' LIMIT 5
--;
SELECT ST_AsText(geom), ST_Distance(geom::geography, ST_MakePoint(1, 2)::geography) FROM places WHERE geom && ST_MakeEnvelope(1,2,3,4,4326)
--;
SELECT int4range(1, 10) @> 5, daterange('2024-01-01', NULL) && r, -|- r, lower(r), @ -5, |/ 25, 2 ^ 10, 7 % 3, 5 # 3, ~1, 1 << 4 FROM b
--;
SELECT a OPERATOR(pg_catalog.+) b, a COLLATE "C" < b, f(x => 1, y := 2), variadic_fn(VARIADIC ARRAY[1,2]) FROM t
--;
SELECT xmlelement(name a, xmlattributes(1 as b), 'c'), xmlagg(x), xmlforest(a, b AS c), xmlparse(document '<a/>') FROM t
--;
SELECT json_object('a': 1, 'b': 2), json_array(1, 2), json_arrayagg(x ORDER BY x), '{}' IS JSON OBJECT FROM t
--;
SELECT jt.* FROM docs, JSON_TABLE(data, '$.items[*]' COLUMNS (id int PATH '$.id', name text PATH '$.name')) AS jt
--;
SELECT * FROM crosstab('select 1', 'select 2') AS ct(row_name text, c1 int, c2 int)
--;
SELECT E'tab\there', 'it''s', $$dollar 'quoted'$$, $tag$ $$ $tag$, U&'d\0061ta', B'101', X'1F', N'nchar', 'two'
'parts'
--;
SELECT 1_000_000, 0xFF, 0o17, 0b11, .5, 5., 1e-3, -3
--;
INSERT INTO orders (customer_id, total, status) VALUES (1, 9.99, 'new'), (2, 5, DEFAULT) RETURNING id, created_at
--;
INSERT INTO archive.orders SELECT * FROM orders WHERE created_at < now() - interval '1 year'
--;
INSERT INTO t DEFAULT VALUES
--;
INSERT INTO counters AS c (key, n) VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET n = c.n + excluded.n WHERE c.n < 100 RETURNING *
--;
INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT ON CONSTRAINT t_pkey DO NOTHING
--;
INSERT INTO t (id, v) OVERRIDING SYSTEM VALUE VALUES (1, 'x')
--;
INSERT INTO t (arr[1], comp.x) VALUES (1, 2)
--;
WITH moved AS (DELETE FROM inbox WHERE done RETURNING *) INSERT INTO outbox SELECT * FROM moved
--;
UPDATE orders SET status = 'sent', updated_at = now() WHERE id = 7
--;
UPDATE orders o SET total = s.total FROM (SELECT order_id, sum(price) AS total FROM items GROUP BY 1) s WHERE s.order_id = o.id
--;
UPDATE t SET (a, b) = (SELECT x, y FROM u WHERE u.id = t.id), c = DEFAULT WHERE EXISTS (SELECT 1 FROM v) RETURNING t.*
--;
UPDATE ONLY t SET arr[2] = 5, data = jsonb_set(data, '{a}', '1') WHERE id IN (1,2,3)
--;
DELETE FROM sessions WHERE expires_at < now()
--;
DELETE FROM orders o USING customers c WHERE c.id = o.customer_id AND c.name ILIKE '%test%' RETURNING o.id
--;
WITH gone AS (SELECT id FROM t ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED) DELETE FROM t USING gone WHERE t.id = gone.id
--;
MERGE INTO stock s USING deliveries d ON s.sku = d.sku
WHEN MATCHED AND s.qty + d.qty = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET qty = s.qty + d.qty
WHEN NOT MATCHED THEN INSERT (sku, qty) VALUES (d.sku, d.qty)
--;
SELECT * FROM jobs WHERE state = 'ready' ORDER BY id LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED
--;
SELECT id FROM t FOR NO KEY UPDATE NOWAIT
--;
SELECT a.id FROM a, b WHERE a.id = b.id FOR SHARE OF a FOR KEY SHARE OF b
--;
SELECT * INTO TEMP TABLE recent FROM orders WHERE created_at > now() - '1 day'::interval
--;
EXPLAIN SELECT * FROM orders WHERE id = 1
--;
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT count(*) FROM orders
--;
EXPLAIN ANALYZE VERBOSE UPDATE t SET a = f(b)
--;
SHOW search_path
--;
SHOW ALL
--;
SET search_path TO public, reporting
--;
SET LOCAL statement_timeout = '5s'
--;
SET TIME ZONE 'Europe/Berlin'
--;
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
--;
RESET ALL
--;
BEGIN; SELECT 1; COMMIT
--;
START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a; END
--;
PREPARE q(int) AS SELECT * FROM orders WHERE id = $1; EXECUTE q(5); DEALLOCATE q
--;
DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM orders; FETCH FORWARD 10 FROM c; MOVE c; CLOSE c
--;
COPY (SELECT id, total FROM orders WHERE total > 10) TO STDOUT WITH (FORMAT csv, HEADER)
--;
COPY orders (id, total) FROM STDIN
--;
LISTEN events; NOTIFY events, 'payload'; UNLISTEN *
--;
CREATE TABLE public.products (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CHECK (length(name) > 2),
  price numeric(10,2) DEFAULT round(1.5), made timestamptz DEFAULT now(), cat int REFERENCES categories (id) ON DELETE CASCADE, UNIQUE (name, made))
--;
CREATE TABLE IF NOT EXISTS summary AS SELECT date(created_at) AS d, sum(total) FROM orders GROUP BY 1 WITH NO DATA
--;
CREATE TABLE events (at timestamptz, body jsonb) PARTITION BY RANGE (at)
--;
CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) WITH (fillfactor = 70)
--;
CREATE OR REPLACE VIEW v (a, b) AS SELECT id, upper(name) FROM users WITH LOCAL CHECK OPTION
--;
CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS n FROM orders; REFRESH MATERIALIZED VIEW CONCURRENTLY mv
--;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON orders USING btree (lower(status), created_at DESC) INCLUDE (total) WHERE total > 0
--;
ALTER TABLE orders ADD COLUMN note varchar(200) DEFAULT ''::varchar, DROP COLUMN IF EXISTS old, ALTER COLUMN total TYPE numeric(12,2) USING total::numeric
--;
DROP TABLE IF EXISTS a, b CASCADE; TRUNCATE orders RESTART IDENTITY; DROP FUNCTION IF EXISTS f(int, text)
--;
CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT a + b $$
--;
CREATE FUNCTION add2(a int) RETURNS int BEGIN ATOMIC; SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END; SELECT a + 1; END
--;
CREATE PROCEDURE p() LANGUAGE plpgsql AS $p$ BEGIN PERFORM 1; COMMIT; END $p$; CALL p(); DO $$ BEGIN NULL; END $$
--;
CREATE RULE r AS ON INSERT TO v DO INSTEAD (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2))
--;
CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a) EXECUTE FUNCTION f('x')
--;
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN posint AS int CHECK (VALUE > 0); CREATE SEQUENCE s START WITH 5 INCREMENT BY 2
--;
GRANT SELECT (id, name), UPDATE ON users TO analyst WITH GRANT OPTION; REVOKE ALL ON SCHEMA public FROM PUBLIC
--;
CREATE POLICY own ON orders FOR SELECT TO analyst USING (owner = current_user) WITH CHECK (f(owner))
--;
COMMENT ON COLUMN users.name IS 'full name'; VACUUM (ANALYZE, VERBOSE) orders (id); ANALYZE orders; LOCK TABLE a IN SHARE MODE
--;
SELECT setval('orders_id_seq', (SELECT max(id) FROM orders)), nextval('s'::regclass), pg_advisory_xact_lock(1), set_config('a.b', 'c', true)
