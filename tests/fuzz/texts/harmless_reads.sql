-- Queries of one text column that the role may send.
SELECT name FROM customers
SELECT c.city FROM customers AS c
SELECT public.customers.name FROM public.customers
SELECT x.b FROM customers AS x (a, b, c, d, e)
SELECT max(name) FROM customers
SELECT lag(note) OVER (ORDER BY id) FROM orders
SELECT string_agg(note, ',' ORDER BY id) FROM orders
SELECT note FROM orders GROUP BY GROUPING SETS ((note), ())
SELECT note FROM orders TABLESAMPLE bernoulli (100)
SELECT q.note FROM (SELECT * FROM orders) q
SELECT q.z FROM (SELECT name FROM customers) q (z)
SELECT j.name FROM (orders o JOIN customers c ON c.id = o.customer) j
SELECT o::text FROM orders o
SELECT row_to_json(o)::text FROM orders o
SELECT to_jsonb(o) ->> 'note' FROM orders o
SELECT (o).note FROM orders o
SELECT count(*)::text FROM customers
SELECT name FROM customers_public
SELECT l.s FROM orders o, LATERAL (SELECT c.name AS s FROM customers c WHERE c.id = o.customer) l
SELECT JSON_OBJECT('k' VALUE note)::text FROM orders
SELECT doc ->> 'n' FROM orders
SELECT u::text FROM orders, unnest(items) u
WITH vault AS (SELECT 'x' AS secret) SELECT secret FROM vault
WITH w AS (TABLE orders) SELECT note FROM w
SELECT relname::text FROM pg_class ORDER BY 1 LIMIT 3
SELECT table_name::text FROM information_schema.tables ORDER BY 1 LIMIT 3
SELECT to_char(placed, 'YYYY-MM') FROM orders
SELECT n::text FROM guesses
SELECT p.b FROM (SELECT 1, 'x') p (a, b)
SELECT count(c)::text FROM customers_public c
SELECT (q.o).note FROM (SELECT o FROM orders o) q
