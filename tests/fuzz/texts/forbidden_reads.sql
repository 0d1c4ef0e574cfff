-- Queries of one column that tell what the role must not know.
SELECT ssn FROM customers
SELECT c.ssn FROM customers AS c
SELECT card::text FROM customers
SELECT public.customers.ssn FROM public.customers
SELECT (c).ssn FROM customers c
SELECT x.d FROM customers AS x (a, b, c, d, e)
SELECT max(ssn) FROM customers
SELECT lag(ssn) OVER (ORDER BY id) FROM customers
SELECT first_value(ssn) OVER w FROM customers WINDOW w AS (ORDER BY id)
SELECT string_agg(ssn, ',' ORDER BY id) FROM customers
SELECT min(ssn) FILTER (WHERE id > 1) FROM customers
SELECT mode() WITHIN GROUP (ORDER BY ssn) FROM customers
SELECT ssn FROM customers GROUP BY GROUPING SETS ((ssn), ())
SELECT ssn FROM customers TABLESAMPLE bernoulli (100)
SELECT DISTINCT ssn FROM customers
SELECT coalesce(ssn, '') FROM customers
SELECT CASE WHEN id > 0 THEN ssn END FROM customers
SELECT q.ssn FROM (SELECT * FROM customers) q
SELECT q.z FROM (SELECT ssn FROM customers) q (z)
SELECT l.s FROM orders o, LATERAL (SELECT c.ssn AS s FROM customers c WHERE c.id = o.customer) l
SELECT j.ssn FROM (orders o JOIN customers c ON c.id = o.customer) j
SELECT ssn FROM orders JOIN customers ON true
SELECT u FROM customers, unnest(ARRAY[ssn]) u
SELECT u FROM customers, ROWS FROM (unnest(ARRAY[ssn]), generate_series(1, 2)) r (u, n)
SELECT (ARRAY_AGG(ssn))[1] FROM customers
SELECT ssn COLLATE "C" FROM customers
SELECT substring(ssn FROM 1 FOR 8) FROM customers
SELECT overlay(ssn PLACING 'x' FROM 1) FROM customers
SELECT trim(BOTH 'x' FROM ssn) FROM customers
SELECT xmlelement(name a, ssn)::text FROM customers
SELECT JSON_OBJECT('k' VALUE ssn)::text FROM customers
SELECT JSON_ARRAY(ssn)::text FROM customers
SELECT JSON_ARRAYAGG(ssn)::text FROM customers
SELECT JSON_OBJECTAGG(id : ssn)::text FROM customers
SELECT (ROW(c.ssn, 1)).f1::text FROM customers c
SELECT format('%s', ssn) FROM customers
SELECT s.ssn FROM customers_public p JOIN customers s USING (id)
SELECT c::text FROM customers c
SELECT customers::text FROM customers
SELECT row_to_json(c)::text FROM customers c
SELECT to_jsonb(customers)::text FROM customers
SELECT to_jsonb(c.*)::text FROM customers c
SELECT to_jsonb(c) ->> 'ssn' FROM customers c
SELECT concat(c) FROM customers c
SELECT json_agg(c)::text FROM customers c
SELECT ROW(c.*)::text FROM customers c
SELECT ARRAY[c]::text FROM customers c
SELECT jsonb_agg(q)::text FROM (SELECT * FROM customers) q
SELECT q::text FROM (SELECT c FROM customers c) q
SELECT (SELECT c)::text FROM customers c
SELECT ((SELECT c)).ssn FROM customers c
SELECT (q.c).ssn FROM (SELECT c FROM customers c) q
SELECT (ARRAY[c])[1].ssn FROM customers c
SELECT ((array_agg(c))[1]).ssn FROM customers c
SELECT (max_c).ssn FROM (SELECT CASE WHEN true THEN c END AS max_c FROM customers c) q
SELECT (jsonb_populate_record(c, '{}')).ssn FROM customers c
SELECT c.to_json::text FROM customers c
SELECT (coalesce(c, c)).ssn FROM customers c
SELECT e.value FROM customers c, jsonb_each_text(to_jsonb(c)) e
SELECT (u).ssn FROM (SELECT unnest(ARRAY[c]) AS u FROM customers c) q
SELECT u.ssn FROM customers c, unnest(ARRAY[c]) u
SELECT (lead(c, 0) OVER ()).ssn FROM customers c
SELECT r.ssn FROM customers c, jsonb_to_record(to_jsonb(c)) r (ssn text)
SELECT jt.s FROM customers c, JSON_TABLE(to_jsonb(c), '$' COLUMNS (s text PATH '$.ssn')) jt
SELECT JSON_VALUE(to_jsonb(c), '$.ssn') FROM customers c
SELECT format('%s', c) FROM customers c
SELECT jsonb_path_query(to_jsonb(c), '$.ssn')::text FROM customers c
SELECT hash_record(c)::text FROM customers c
SELECT md5(c::text) FROM customers c
SELECT (c = c)::text || min(c::text) FROM customers c GROUP BY c
SELECT string_agg(j::text, '') FROM orders o NATURAL JOIN (SELECT id, ssn FROM customers) j
SELECT greatest(c, c)::text FROM customers c
SELECT nullif(c, NULL)::text FROM customers c
SELECT x::text FROM (TABLE customers) x
SELECT (VALUES (c.ssn)) FROM customers c
SELECT n::text FROM guesses NATURAL JOIN customers
SELECT n::text FROM guesses JOIN customers USING (ssn)
SELECT id::text FROM customers WHERE ssn LIKE 'CANARYA%'
SELECT count(*)::text FROM customers WHERE card < 6600000
SELECT id::text FROM customers ORDER BY ssn = 'CANARYA3' DESC, id LIMIT 1
SELECT DISTINCT ON (ssn = 'CANARYA1') id::text FROM customers
SELECT n::text FROM guesses g WHERE EXISTS (SELECT 1 FROM customers WHERE ssn = g.ssn)
SELECT n::text FROM guesses WHERE ssn IN (SELECT ssn FROM customers)
SELECT count(*) FILTER (WHERE c.ssn = g.ssn)::text FROM customers c, guesses g
SELECT count(*)::text FROM customers HAVING bool_or(ssn ~ 'YA')
SELECT n::text FROM guesses g JOIN LATERAL (SELECT 1 FROM customers c WHERE c.ssn = g.ssn) l ON true
SELECT ssn FROM guesses INTERSECT SELECT ssn FROM customers
SELECT n::text FROM guesses g, customers c WHERE (g.n, g.ssn) = (c.id, c.ssn)
SELECT sum(n) OVER (PARTITION BY ssn = (SELECT min(ssn) FROM customers))::text FROM guesses
SELECT width_bucket(card, 6500001, 6600001, 2)::text FROM customers
SELECT secret FROM vault
SELECT v.secret FROM ONLY vault v
SELECT secret FROM vault_view
SELECT secret FROM vault_copy
SELECT code::text FROM vault *
SELECT vault::text FROM vault
SELECT (SELECT secret FROM vault LIMIT 1)
SELECT count(*)::text FROM vault WHERE code < 66000
SELECT q.secret FROM (TABLE vault) q
SELECT v.secret FROM orders o JOIN vault v ON v.id = o.id
SELECT secret FROM vault UNION SELECT note FROM orders
WITH vault AS (SELECT * FROM vault) SELECT secret FROM vault
WITH v AS (TABLE vault) SELECT secret FROM v
WITH orders AS (SELECT secret AS note FROM vault) SELECT note FROM orders
WITH RECURSIVE r (s, n) AS (SELECT secret, 1 FROM vault UNION ALL SELECT s, n + 1 FROM r WHERE n < 2) SELECT s FROM r
WITH RECURSIVE r (i, s) AS (SELECT id, secret FROM vault UNION SELECT i + 1, s FROM r WHERE i < 2) SEARCH DEPTH FIRST BY i SET o SELECT s FROM r
WITH a AS (WITH vault AS (SELECT 'x' AS secret) SELECT secret FROM vault) SELECT v.secret FROM a, vault v
SELECT (last_value + code)::text FROM counter, vault
SELECT secret || id FROM vault_part RIGHT JOIN vault USING (id, secret)
SELECT peek(1)
SELECT ssn_of(c) FROM customers c
SELECT c.ssn_of FROM customers c
SELECT (c).ssn_of FROM customers c
SELECT histogram_bounds::text FROM pg_stats WHERE tablename = 'vault'
SELECT stavalues1::text FROM pg_statistic WHERE starelid = 'vault'::regclass
SELECT word FROM ts_stat('SELECT to_tsvector(secret) FROM vault')
SELECT query_to_xml('SELECT secret FROM vault', true, false, '')::text
SELECT table_to_xml('vault', true, false, '')::text
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, to_tsquery(secret) FROM vault')::text
SELECT pg_read_file('canary.txt')
SELECT encode(pg_read_binary_file('canary.txt'), 'escape')
SELECT f FROM pg_ls_dir('.') f
SELECT rolpassword FROM pg_authid
SELECT passwd FROM pg_shadow
SELECT encode(lo_get(1), 'escape')
