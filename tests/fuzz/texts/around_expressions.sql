-- Queries of one text column out of an expression, {e}.
SELECT {e}::text
VALUES ({e}::text)
SELECT * FROM (SELECT {e}::text) AS w{n}
SELECT ({e})::text FROM orders LIMIT 1
SELECT note FROM orders WHERE total > ({e})::int
SELECT note FROM orders ORDER BY ({e})::int LIMIT 3
SELECT 'x' FROM orders GROUP BY id HAVING ({e})::int > 0
SELECT CASE WHEN ({e})::int > 0 THEN 'a' ELSE 'b' END
SELECT coalesce(({e})::text, 'x')
SELECT nullif(({e})::text, 'x')
SELECT greatest(({e})::int, 1)::text
SELECT (ARRAY[({e})::int])[1]::text
SELECT (ARRAY[1, 2, 3])[({e})::int]::text
SELECT (ARRAY[1, 2, 3])[1:({e})::int]::text
SELECT 'x' WHERE ({e})::int BETWEEN SYMMETRIC 1 AND 9
SELECT 'x' WHERE 1 IN (({e})::int, 2)
SELECT 'x' WHERE (({e})::text) LIKE 'C%' ESCAPE '#'
SELECT 'x' WHERE ({e})::text SIMILAR TO '%x'
SELECT 'x' WHERE ({e}) IS DISTINCT FROM NULL
SELECT 'x' WHERE ({e})::text IS NOT NULL
SELECT 'x' WHERE ({e})::text IS NFC NORMALIZED
SELECT 'x' WHERE to_json(({e})::int)::text IS JSON SCALAR
SELECT 'x' WHERE ROW(({e})::int, 1) > ROW(0, 0)
SELECT JSON_OBJECT('k' : ({e})::int)::text
SELECT JSON_ARRAY(({e})::int)::text
SELECT JSON_SCALAR(({e})::int)::text
SELECT JSON_SERIALIZE(to_json(({e})::int))
SELECT JSON_VALUE('[1]', '$[*] ? (@ > $x)' PASSING ({e})::int AS x)
SELECT JSON_EXISTS('1', '$' PASSING ({e})::int AS x)::text
SELECT v FROM JSON_TABLE('[1]', '$' PASSING ({e})::int AS x COLUMNS (v text PATH '$[0]'))
SELECT JSON_VALUE('{{}}', '$.a' DEFAULT ({e})::int ON EMPTY)
SELECT xmlelement(name a, ({e})::int)::text
SELECT xmlforest(({e})::int AS a)::text
SELECT xmlconcat(xmlcomment(({e})::text))::text
SELECT xmlpi(name a, ({e})::text)::text
SELECT xmlserialize(CONTENT xmlparse(CONTENT ({e})::text) AS text)
SELECT c FROM xmltable('/a' PASSING xmlelement(name a, ({e})::int) COLUMNS c text PATH '.')
SELECT extract(day FROM date '2026-01-01' + ({e})::int)::text
SELECT substring('abc' FROM ({e})::int)
SELECT overlay('abc' PLACING 'x' FROM ({e})::int)
SELECT position('x' IN ({e})::text)::text
SELECT trim(LEADING 'x' FROM ({e})::text)
SELECT (now() AT TIME ZONE make_interval(hours => ({e})::int % 2))::text
SELECT ((date '2026-01-01', date '2026-01-02') OVERLAPS (date '2026-01-01', ({e})::int * interval '1 day'))::text
SELECT normalize(({e})::text, NFC)
SELECT ({e})::text COLLATE "C"
SELECT sum(({e})::int) OVER (PARTITION BY id)::text FROM orders
SELECT sum(id) OVER (ORDER BY ({e})::int)::text FROM orders
SELECT sum(id) OVER (ROWS BETWEEN ({e})::int PRECEDING AND CURRENT ROW)::text FROM orders
SELECT count(*) FILTER (WHERE ({e})::int > 0)::text FROM orders
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ({e})::int)::text FROM orders
SELECT string_agg(note, ({e})::text) FROM orders
SELECT grouping(id)::text FROM orders GROUP BY CUBE (id), GROUPING SETS ((), (({e})::int))
SELECT note FROM orders LIMIT ({e})::int
SELECT note FROM orders OFFSET ({e})::int
SELECT note FROM orders FETCH FIRST (({e})::int) ROWS ONLY
SELECT note FROM orders TABLESAMPLE bernoulli (({e})::int)
SELECT note FROM orders TABLESAMPLE system (50) REPEATABLE (({e})::int)
SELECT c::text FROM generate_series(1, ({e})::int % 3) AS c
SELECT c::text FROM ROWS FROM (generate_series(1, 2), generate_series(1, ({e})::int % 3)) AS x (b, c)
SELECT l::text FROM orders o, LATERAL (SELECT o.id + ({e})::int) AS l
SELECT o.note FROM orders o JOIN guesses g ON o.id = g.n + 0 * ({e})::int
WITH w{n} AS (SELECT {e}) SELECT 'x' FROM w{n}
SELECT DISTINCT ON (({e})::int) note FROM orders
SELECT EXISTS (SELECT {e})::text
SELECT (SELECT ({e})::text)
SELECT 'x' UNION SELECT ({e})::text
SELECT ARRAY(SELECT ({e})::int)::text
SELECT note FROM orders WHERE id = ANY (ARRAY[({e})::int])
SELECT format('%s', ({e})::text)
SELECT (- ({e})::int)::text
SELECT ({e})::int::text::varchar(3)
SELECT treat FROM (SELECT ({e})::text) AS x (treat)
SELECT MERGE_ACTION FROM (SELECT ({e})::text) AS x (merge_action)
SELECT 'x' WHERE NOT (({e})::int = 1 AND false) IS UNKNOWN
SELECT xmlexists('/a' PASSING xmlelement(name a, ({e})::int))::text
SELECT doc #>> ARRAY[({e})::text] FROM orders
SELECT doc[({e})::text]::text FROM orders
SELECT items[({e})::int]::text FROM orders
