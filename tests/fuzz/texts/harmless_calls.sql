-- Expressions that the role may compute.
nice(1)
public.nice(n => 1)
abs(-1)
1 + 2
1 OPERATOR(pg_catalog.+) 2
'1'::int
CAST('1' AS int)
int '1'
length('x')
(random() * 0)::int
count(*)
extract(year FROM date '2026-01-01')::int
(SELECT total FROM orders LIMIT 1)
(SELECT (o).total FROM orders o LIMIT 1)
(SELECT g FROM generate_series(1, 1) g)
JSON_VALUE('1', '$' RETURNING int)
(SELECT sum(total) FROM orders)::int
coalesce(NULL, 1)
GREATEST(1, 2)
(ARRAY[1, 2])[1]
(ROW(1, 2)).f1
length(set_config('application_name', 'x', false))
length(current_setting('search_path'))
(now() > '2020-01-01')::int
(SELECT x FROM ROWS FROM (generate_series(1, 1), generate_series(1, 1)) r (x, y))
length(pg_typeof(1)::text)
