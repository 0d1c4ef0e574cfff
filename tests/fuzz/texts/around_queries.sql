-- Queries of one text column out of queries of one text column, {q}; {n} is a number of their own.
SELECT * FROM ({q}) AS w{n}
SELECT w{n}.c FROM ({q}) AS w{n} (c)
WITH w{n} (c) AS ({q}) SELECT c FROM w{n}
WITH w{n} AS NOT MATERIALIZED ({q}) TABLE w{n}
({q})
SELECT (WITH w{n} (c) AS ({q}) SELECT c FROM w{n} LIMIT 1)
({q}) UNION ALL SELECT 'x'
SELECT 'x' UNION ({q})
({q}) EXCEPT SELECT 'x'
({q}) INTERSECT ({q})
VALUES ((SELECT c FROM ({q}) AS w{n} (c) LIMIT 1))
SELECT array_to_string(ARRAY({q}), ',')
SELECT c FROM unnest(ARRAY({q})) AS w{n} (c)
SELECT l.c FROM orders AS o{n}, LATERAL ({q}) AS l (c)
SELECT l.c FROM orders AS o{n} LEFT JOIN LATERAL ({q}) AS l (c) ON true
SELECT string_agg(c::text, ',' ORDER BY c) FROM ({q}) AS w{n} (c)
SELECT w{n}::text FROM ({q}) AS w{n}
SELECT row_to_json(w{n})::text FROM ({q}) AS w{n}
SELECT max(c) OVER () FROM ({q}) AS w{n} (c)
SELECT lead(c, 0) OVER (ORDER BY c ROWS UNBOUNDED PRECEDING) FROM ({q}) AS w{n} (c)
SELECT JSON_ARRAY({q} RETURNING text)
SELECT c FROM ROWS FROM (unnest(ARRAY({q})), generate_series(1, 2)) AS w{n} (c, i)
WITH RECURSIVE w{n} (c, i) AS (SELECT c, 1 FROM ({q}) AS x{n} (c) UNION ALL SELECT c, i + 1 FROM w{n} WHERE i < 2) SELECT c FROM w{n}
WITH RECURSIVE w{n} (c, i) AS (SELECT c, 1 FROM ({q}) AS x{n} (c) UNION ALL SELECT c, i + 1 FROM w{n} WHERE i < 2) CYCLE i SET cyc USING p SELECT c FROM w{n}
SELECT note FROM orders WHERE note <> ALL ({q}) OR note IN ({q})
SELECT note FROM orders WHERE 'CANARYA1' = ANY (ARRAY({q}))
SELECT EXISTS ({q})::text || coalesce((SELECT min(c) FROM ({q}) AS w{n} (c)), '')
SELECT c FROM ({q}) AS w{n} (c) GROUP BY ROLLUP (c)
SELECT c FROM ({q}) AS w{n} (c) ORDER BY c DESC NULLS LAST FETCH FIRST 3 ROWS WITH TIES
SELECT CASE c WHEN 'x' THEN 'y' ELSE c END FROM ({q}) AS w{n} (c)
SELECT j.v FROM ({q}) AS w{n} (c), JSON_TABLE(to_jsonb(c), '$' COLUMNS (v text PATH '$')) AS j
SELECT r.v FROM ({q}) AS w{n} (c), jsonb_to_recordset(jsonb_build_array(jsonb_build_object('v', c))) AS r (v text)
SELECT (ROW(c, 1)).f1 FROM ({q}) AS w{n} (c)
SELECT convert_from(convert_to(c, 'UTF8'), 'UTF8') FROM ({q}) AS w{n} (c)
SELECT DISTINCT ON (c) c FROM ({q}) AS w{n} (c)
SELECT t.c FROM ({q}) AS w{n} (c) CROSS JOIN LATERAL (VALUES (w{n}.c)) AS t (c)
SELECT c COLLATE "C" FROM ({q}) AS w{n} (c)
SELECT a.c FROM (({q}) AS a{n} (c) JOIN ({q}) AS b{n} (c) USING (c)) AS a
