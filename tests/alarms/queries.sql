-- Templates of what agents and BI tools ask; «a¦b» is one of several, and may be nested. A blank line ends each.

SELECT «*¦id, status, total¦o.*¦count(*)¦max(placed_at) AS last, min(placed_at) AS first» FROM «orders¦public.orders» AS o «¦WHERE status = 'paid'¦WHERE total > «10¦99.5» AND notes IS NOT NULL¦WHERE o.id IN (1, 2, 3)» «¦LIMIT 10»

SELECT * FROM «orders¦products¦order_items¦regions¦events¦order_totals¦monthly¦"Audit Log"» «¦LIMIT «1¦50¦100» «¦OFFSET 20»¦FETCH FIRST «5¦(2 + 3)» ROWS ONLY¦ORDER BY 1 «DESC¦ASC NULLS LAST» LIMIT 3»

SELECT c.name, «count(o.id)¦count(DISTINCT o.id)¦sum(o.total)¦avg(o.total)::numeric(10, 2)¦coalesce(sum(o.total), 0)» AS n FROM customers c «LEFT¦INNER¦RIGHT¦FULL» JOIN orders o ON o.customer_id = c.id GROUP BY «c.name¦c.id, c.name¦1» «¦HAVING count(*) > 1» ORDER BY «n¦2¦n DESC, c.name» LIMIT «5¦20»

SELECT date_trunc('«day¦week¦month¦quarter¦year¦hour»', «placed_at¦o.placed_at AT TIME ZONE '«UTC¦Europe/Paris¦America/New_York»'») AS bucket, «count(*)¦sum(total)¦count(*) FILTER (WHERE status = 'paid')» AS value FROM orders o WHERE placed_at «>= now() - interval '«1 year¦90 days¦2 years 3 months»'¦BETWEEN '2025-01-01' AND '2026-01-01'¦>= date_trunc('year', current_date)¦< current_timestamp» GROUP BY «1¦bucket» ORDER BY «1¦bucket DESC¦2 DESC NULLS LAST»

SELECT «extract(«year¦month¦dow¦epoch¦week¦isodow» FROM placed_at)¦date_part('«hour¦day»', placed_at)¦to_char(placed_at, '«YYYY-MM¦Dy DD Mon¦HH24:MI:SS»')¦placed_at::date¦CAST(placed_at AS date)¦age(placed_at)¦age(current_date, placed_at::date)» AS part, count(*) FROM orders GROUP BY 1 ORDER BY 1

SELECT id, total, «row_number()¦rank()¦dense_rank()¦ntile(4)¦percent_rank()¦cume_dist()¦lag(total)¦lead(total, 1, 0)¦first_value(total)¦sum(total)¦avg(total)» OVER («PARTITION BY customer_id¦PARTITION BY status, customer_id¦» ORDER BY placed_at «¦ROWS BETWEEN «2 PRECEDING¦UNBOUNDED PRECEDING» AND CURRENT ROW¦RANGE BETWEEN interval '30 days' PRECEDING AND CURRENT ROW¦GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES») AS w FROM orders ORDER BY id LIMIT 20

SELECT id, sum(total) OVER w AS running, avg(total) OVER (w ROWS 6 PRECEDING) AS moving FROM orders WINDOW w AS (PARTITION BY «customer_id¦status¦date_trunc('month', placed_at)» ORDER BY placed_at) «¦LIMIT 10»

WITH ranked AS («¦» SELECT o.*, row_number() OVER (PARTITION BY customer_id ORDER BY «placed_at DESC¦total DESC») AS rn FROM orders o) SELECT «id, customer_id, total¦*¦count(*)» FROM ranked WHERE rn «= 1¦<= 3»

SELECT DISTINCT ON («customer_id) «o.*¦customer_id, placed_at, total» FROM orders o ORDER BY customer_id¦o.customer_id, status) customer_id, total FROM orders o ORDER BY o.customer_id, o.status», placed_at DESC

WITH RECURSIVE tree AS (SELECT id, name, parent, 0 AS depth, ARRAY[id] AS path FROM regions WHERE parent IS NULL UNION ALL SELECT r.id, r.name, r.parent, t.depth + 1, t.path || r.id FROM regions r JOIN tree t ON r.parent = t.id «¦WHERE NOT r.id = ANY (t.path)») SELECT «repeat('  ', depth) || name¦*¦max(depth)¦count(*)» FROM tree

WITH RECURSIVE chain (id, name, manager_id, level) AS (SELECT id, name, manager_id, 1 FROM employees WHERE id = «7¦9» UNION «ALL¦» SELECT e.id, e.name, e.manager_id, c.level + 1 FROM employees e JOIN chain c ON e.id = c.manager_id) «¦SEARCH DEPTH FIRST BY id SET ord¦CYCLE id SET looped USING path» SELECT id, name, level FROM chain ORDER BY level

WITH RECURSIVE days (d) AS (SELECT date '2025-01-01' UNION ALL SELECT d + 1 FROM days WHERE d < '2025-02-01') SELECT d, «count(o.id)¦coalesce(sum(total), 0)» FROM days LEFT JOIN orders o ON o.placed_at::date = d GROUP BY d ORDER BY d

SELECT d::date, «count(o.id)¦coalesce(sum(o.total), 0)» FROM generate_series(«timestamp '2025-01-01', '2025-03-01', '1 day'¦current_date - 30, current_date, interval '1 day'¦now() - interval '7 days', now(), '6 hours'») AS «d¦g (d)» LEFT JOIN orders o ON o.placed_at::date = d::date GROUP BY 1 ORDER BY 1

SELECT «profile ->> 'plan'¦profile -> 'likes' -> 0¦profile #>> '{likes,1}'¦profile['plan']¦(profile ->> 'age')::int¦jsonb_typeof(profile)¦jsonb_array_length(profile -> 'likes')¦profile - 'age'¦profile || '{"x": 1}'¦jsonb_pretty(profile)¦jsonb_path_query_first(profile, '$.likes[*] ? (@ == "a")')» AS v, count(*) FROM customers «¦WHERE profile @> '{"plan": "pro"}'¦WHERE profile ? 'plan'¦WHERE profile ?| array['plan', 'x']¦WHERE profile @? '$.age ? (@ > 30)'¦WHERE profile @@ '$.age > 30'¦WHERE (profile ->> 'age')::int BETWEEN 20 AND 40» GROUP BY 1

SELECT e.kind, «i ->> 'id'¦i.value ->> 'id'» AS item FROM events e, «jsonb_array_elements(e.payload -> 'items') AS i¦LATERAL jsonb_array_elements(e.payload -> 'items') AS i (value)» LIMIT 10

SELECT «key, count(*)¦key, min(value::text)» FROM products, jsonb_each«¦_text»(attributes) GROUP BY key

SELECT x.* FROM products p CROSS JOIN LATERAL jsonb_to_record(p.attributes) AS x (color text, size int) «¦WHERE x.size > 3»

SELECT «json_build_object('id', id, 'total', total)¦jsonb_build_object('o', to_jsonb(o))¦row_to_json(o)¦to_jsonb(o) - 'notes'¦json_agg(o)¦jsonb_agg(o ORDER BY o.id)¦json_object_agg(id, total)¦jsonb_agg(jsonb_build_object('id', o.id)) FILTER (WHERE total > 50)» FROM orders o «¦WHERE id < 5» «GROUP BY o.id¦GROUP BY o.id, o.total»

SELECT «JSON_OBJECT('id' VALUE id, 'title' VALUE title)¦JSON_ARRAY(id, sku)¦JSON_VALUE(attributes, '$.color')¦JSON_QUERY(attributes, '$.size' WITH WRAPPER)¦JSON_EXISTS(attributes, '$.color')¦attributes IS JSON OBJECT¦JSON_VALUE(attributes, '$.size' RETURNING int DEFAULT 0 ON EMPTY)¦JSON_SERIALIZE(attributes)» FROM products «¦WHERE id < 5»

SELECT jt.* FROM events e, JSON_TABLE(e.payload, '$.items[*]' COLUMNS («n FOR ORDINALITY, ¦»item int PATH '$.id'«¦ NULL ON ERROR¦, extra text PATH '$.x' DEFAULT 'none' ON EMPTY¦, NESTED PATH '$.sub[*]' COLUMNS (s text PATH '$')»)) AS jt LIMIT 5

SELECT name, «tags[1]¦tags[1:2]¦array_length(tags, 1)¦cardinality(tags)¦array_to_string(tags, ', ')¦tags || 'x'::text¦array_position(tags, 'vip')¦unnest(tags)¦array_remove(tags, 'vip')¦'vip' = ANY (tags)» FROM customers «¦WHERE tags @> ARRAY['vip']¦WHERE 'vip' = ANY (tags)¦WHERE tags && '{t1,t2}'¦WHERE cardinality(tags) > 1¦WHERE tags <> '{}'» ORDER BY name LIMIT 5

SELECT tag, count(*) FROM customers«, unnest(tags) AS tag¦ CROSS JOIN LATERAL unnest(tags) AS t (tag)¦ c, LATERAL (SELECT unnest(c.tags) AS tag) t» GROUP BY tag ORDER BY «2 DESC¦count(*) DESC, tag»

SELECT t.tag, t.n FROM customers c, unnest(c.tags) WITH ORDINALITY AS t (tag, n) WHERE «c.id = 1¦t.n = 1 LIMIT 5»

SELECT «array_agg(DISTINCT status)¦array_agg(id ORDER BY total DESC)¦string_agg(status::text, ', ' ORDER BY id)¦array_agg(total) FILTER (WHERE total > 10)¦ARRAY(SELECT id FROM products ORDER BY 1 LIMIT 3)¦bool_and(total > 0)¦every(total > 0)¦count(*) = 0» FROM orders «¦WHERE customer_id = 3»

SELECT id, title, ts_rank«¦_cd»(search, q) AS rank«¦, ts_headline('english', body, q)» FROM products, «to_tsquery('english', 'quick & fox')¦plainto_tsquery('brown fox')¦websearch_to_tsquery('english', '"quick brown" -cat')¦phraseto_tsquery('brown fox')» AS q WHERE search @@ q ORDER BY rank DESC LIMIT 10

SELECT title FROM products WHERE «to_tsvector('simple', title) @@ to_tsquery('simple', 'product:*')¦title ILIKE '%duct%'¦title ~* '^prod'¦title !~ 'x'¦title SIMILAR TO '%(1|2)%'¦title NOT LIKE 'a\_%' ESCAPE '\'¦starts_with(title, 'Prod')¦position('t' IN title) > 0¦title ^@ 'P'¦lower(title) = ANY (ARRAY['product 1', 'product 2'])¦title LIKE ANY (ARRAY['%1', '%2'])»

SELECT «upper(name)¦initcap(lower(name))¦left(name, 3)¦substring(name FROM 2 FOR 3)¦substring(name, '[0-9]+')¦split_part(email, '@', 2)¦regexp_replace(name, '\d+', '#', 'g')¦(regexp_match(name, '(\d+)'))[1]¦trim(both ' ' from name)¦overlay(name placing 'X' from 1)¦lpad(id::text, 5, '0')¦concat_ws(' ', name, email)¦format('%s <%s>', name, email)¦name || ' ' || id¦length(name)¦md5(name)¦translate(name, 'abc', 'xyz')¦name COLLATE "C"¦reverse(name)» AS v FROM customers ORDER BY «1¦id» LIMIT 10

SELECT regexp_matches[1] FROM customers, regexp_matches(name, '\d+') «¦LIMIT 3»

SELECT «current_date - birth_date¦(current_date - birth_date) / 365¦age(birth_date)¦date_part('year', age(birth_date))::int¦birth_date + interval '18 years'¦birth_date + 7¦make_date(2026, extract(month FROM birth_date)::int, 1)¦to_date('2026-01-02', 'YYYY-MM-DD') - birth_date¦date_bin('7 days', created_at, timestamptz '2025-01-01')¦created_at::time¦justify_interval(now() - created_at)¦(birth_date, current_date) OVERLAPS (date '1990-01-01', interval '1 year')¦birth_date IS DISTINCT FROM created_at::date¦isfinite(birth_date)¦created_at AT TIME ZONE 'UTC'¦extract(epoch from now() - created_at)» AS v FROM customers LIMIT «5¦10»

SELECT «placed_at > now() - '1 day'::interval¦placed_at::date = current_date¦localtimestamp - placed_at::timestamp¦date '2026-01-01' - shipped_on¦shipped_on - placed_at::date¦timestamp '2026-01-01 10:00' AT TIME ZONE 'Asia/Tokyo'¦to_timestamp(1700000000)¦interval '1' month + placed_at¦placed_at - interval '1 mon 2 days 03:04:05'¦placed_at AT TIME ZONE interval '+02:00'¦make_interval(days => 3)¦date_trunc('day', placed_at, 'Europe/Paris')» AS v, count(*) FROM orders GROUP BY 1 LIMIT 5

SELECT «total::int¦CAST(total AS double precision)¦total::text¦'12'::int + 1¦status::text¦'paid'::order_status¦(ship_to).city¦(o.ship_to).zip::int¦ip::text¦host(ip)¦ip << inet '10.0.0.0/8'¦meta ->> 'n'¦(meta -> 'n')::text::int¦total::money¦id::bigint::numeric¦B'101'::int¦'{1,2}'::int[]¦'2026-01-01'::date¦int4(total)¦numeric '1.5' * total¦round(total, 1)¦ceil(total / 3)¦total % 7¦@ total¦|/ total::float8¦greatest(total, 10)¦nullif(total, 0)¦width_bucket(total, 0, 1000, 5)¦abs(- total)¦power(2, 3)¦CASE WHEN total > 100 THEN 'big' WHEN total > 10 THEN 'mid' ELSE 'small' END» AS v FROM orders AS o «¦WHERE id < 10¦ORDER BY 1 LIMIT 5»

SELECT «status, customer_id¦status, date_trunc('month', placed_at) AS m», «sum(total)¦count(*)¦grouping(status), count(*)» FROM orders GROUP BY «ROLLUP (1, 2)¦CUBE (1, 2)¦GROUPING SETS ((1, 2), (1), ())¦DISTINCT ROLLUP (1, 2), 1¦1, 2» «¦ORDER BY 1 NULLS FIRST, 2»

SELECT «percentile_cont(0.5)¦percentile_disc(ARRAY[0.25, 0.75])¦mode()» WITHIN GROUP (ORDER BY total«¦ DESC») «¦FILTER (WHERE total > 0)», «stddev(total)¦variance(total)¦corr(total::float8, id::float8)¦regr_slope(total::float8, id::float8)¦sum(DISTINCT total)¦count(DISTINCT (customer_id, status))» FROM orders

SELECT c.id, c.name, last.* FROM customers c «CROSS JOIN LATERAL (SELECT id AS order_id, total FROM orders o WHERE o.customer_id = c.id ORDER BY placed_at DESC LIMIT 1) last¦LEFT JOIN LATERAL (SELECT count(*) AS n, max(total) AS biggest FROM orders o WHERE o.customer_id = c.id) last ON true» «¦WHERE c.active» LIMIT 5

SELECT o.id, p.title, i.quantity * i.unit_price AS amount FROM orders o JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id «¦JOIN customers c ON c.id = o.customer_id AND c.active¦JOIN customers c ON (c.id = o.customer_id) JOIN regions r ON r.id = c.region_id» WHERE «p.category = 'toys'¦o.status IN ('paid', 'sent')¦i.discount > 0 AND p.price > (SELECT avg(price) FROM products)¦o.placed_at > '2025-06-01'::timestamptz» ORDER BY amount DESC LIMIT 10

SELECT * FROM order_items «NATURAL JOIN (SELECT id AS product_id, title FROM products) p¦JOIN (SELECT id AS order_id, status FROM orders) o USING (order_id)¦i JOIN products p ON p.id = i.product_id AND i.quantity > 1» LIMIT 5

SELECT name FROM customers c WHERE «EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.total > 100)¦NOT EXISTS (SELECT FROM orders WHERE customer_id = c.id)¦id IN (SELECT customer_id FROM orders WHERE status = 'paid')¦id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL)¦id = ANY (SELECT customer_id FROM orders)¦(id, region_id) IN (SELECT customer_id, 1 FROM orders)¦(SELECT count(*) FROM orders o WHERE o.customer_id = c.id) > 2¦id = (SELECT customer_id FROM orders ORDER BY total DESC LIMIT 1)¦region_id IS NULL OR active IS NOT TRUE¦email IS NOT NULL AND NOT active»

«SELECT id, name FROM customers¦SELECT id, title FROM products¦(SELECT id, name FROM regions ORDER BY 1 LIMIT 2)» «UNION¦UNION ALL¦INTERSECT¦EXCEPT» «SELECT id, name FROM employees¦SELECT id::int, notes FROM orders¦VALUES (1, 'x'), (2, 'y')» ORDER BY 1 «¦LIMIT 5»

WITH sales AS «¦MATERIALIZED ¦NOT MATERIALIZED »(SELECT product_id, sum(quantity) AS sold FROM order_items GROUP BY product_id), best AS (SELECT * FROM sales ORDER BY sold DESC LIMIT 5) SELECT p.title, b.sold«¦, round(100.0 * b.sold / sum(b.sold) OVER (), 2) AS pct¦, rank() OVER (ORDER BY b.sold DESC)» FROM best b JOIN products p ON p.id = b.product_id

WITH monthly AS (SELECT date_trunc('month', placed_at)::date AS month, sum(total) AS revenue FROM orders GROUP BY 1) SELECT month, revenue, revenue - lag(revenue) OVER (ORDER BY month) AS delta, «round(100 * (revenue / nullif(lag(revenue) OVER (ORDER BY month), 0) - 1), 1)¦sum(revenue) OVER (ORDER BY month)¦first_value(revenue) OVER (ORDER BY month)» AS x FROM monthly ORDER BY month

SELECT status, «sum(CASE WHEN total > 100 THEN 1 ELSE 0 END)¦count(*) FILTER (WHERE total > 100)¦sum((total > 100)::int)» AS big, «count(*)::float / sum(count(*)) OVER ()¦round(avg(total), 2)¦min(placed_at)» AS x FROM orders GROUP BY status ORDER BY «status¦big DESC¦2»

EXPLAIN «¦ANALYZE ¦VERBOSE ¦(FORMAT JSON) ¦(ANALYZE, BUFFERS) ¦(ANALYZE, FORMAT YAML, TIMING OFF) ¦(COSTS OFF, SETTINGS) »«SELECT * FROM orders WHERE customer_id = 3¦SELECT c.name, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY 1¦WITH x AS (SELECT id FROM products) SELECT * FROM x¦VALUES (1)»

«TABLE regions¦VALUES (1, 'a'), (2, 'b')¦SELECT 1¦SELECT¦SELECT version()¦SELECT current_user, session_user, current_database(), current_schema()¦SELECT now(), current_date, localtime¦SELECT pg_backend_pid()¦SELECT txid_current_if_assigned()¦SELECT random(), gen_random_uuid()¦SELECT inet_server_port()¦SELECT current_setting('«server_version¦timezone¦search_path»')¦SHOW «server_version¦search_path¦ALL¦TIME ZONE¦transaction_isolation»¦SELECT pg_size_pretty(pg_total_relation_size('orders'))¦SELECT to_regclass('public.orders')¦SELECT pg_typeof(1.5)¦SELECT 'orders'::regclass::oid¦SELECT has_table_privilege('orders', 'select')» «¦;¦ -- done¦ /* app:bi */»

SELECT «relname, reltuples::bigint, relkind¦c.relname, pg_size_pretty(pg_relation_size(c.oid))¦c.oid::regclass, obj_description(c.oid)¦count(*)» FROM pg_«catalog.pg_»class c «JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'¦WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace» «LIMIT 5¦LIMIT 0»

SELECT «table_name, table_type¦table_schema || '.' || table_name AS t¦*» FROM information_schema.tables WHERE table_schema «= 'public'¦NOT IN ('pg_catalog', 'information_schema')¦= ANY (current_schemas(false))» «ORDER BY table_name¦LIMIT 5»

SELECT «column_name, data_type, is_nullable, column_default¦column_name, ordinal_position, udt_name, character_maximum_length¦*» FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '«orders¦customers¦products»' ORDER BY ordinal_position

SELECT tc.constraint_name, tc.table_name, kcu.column_name, ccu.table_name AS foreign_table FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu «USING (constraint_name, table_schema)¦ON tc.constraint_name = kcu.constraint_name AND tc.table_schema = kcu.table_schema» JOIN information_schema.constraint_column_usage ccu ON ccu.constraint_name = tc.constraint_name WHERE tc.constraint_type = '«FOREIGN KEY¦PRIMARY KEY»' «¦AND tc.table_name = 'orders'»

SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, «pg_get_expr(d.adbin, d.adrelid)¦col_description(a.attrelid, a.attnum)¦a.attidentity» FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = '«orders¦public.customers¦order_items»'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

SELECT «indexname, indexdef FROM pg_indexes¦schemaname, tablename FROM pg_tables¦viewname, definition FROM pg_views¦matviewname, definition FROM pg_matviews¦sequencename, schemaname FROM pg_sequences» WHERE schemaname = 'public' «¦ORDER BY 1»

SELECT «conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass¦proname, pg_get_function_arguments(oid), prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace¦pg_get_viewdef('order_totals'::regclass, true)¦pg_get_functiondef('net(numeric,numeric)'::regprocedure)¦t.typname, array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY 1¦n.nspname, count(*) FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid GROUP BY 1¦extname, extversion FROM pg_extension¦name, setting, unit FROM pg_settings WHERE name LIKE '%work_mem%'¦rolname, rolsuper FROM pg_roles¦datname, pg_encoding_to_char(encoding) FROM pg_database¦oid, typname, typarray FROM pg_type WHERE typtype IN ('b', 'e', 'r') LIMIT 3¦inhrelid::regclass, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'events'::regclass¦relname, n_live_tup, seq_scan, last_analyze FROM pg_stat_user_tables¦pid, state, wait_event FROM pg_stat_activity¦locktype, mode, granted FROM pg_locks¦blks_hit, xact_commit FROM pg_stat_database WHERE datname = current_database()»

SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(«orders¦customers¦e.*»)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3

SELECT «net(price)¦net(price, 0.2)¦net(gross => price)¦public.net(price, rate => 0.07)» AS net, title FROM products «¦WHERE net(price) > 5» LIMIT 5

SELECT «id, total¦*¦count(*)¦r.id, (r.ship_to).city» FROM recent_orders(«5¦10») AS r «¦WHERE status <> 'new'»

SELECT p.title, lower(p.available), upper(p.available), p.available @> current_date AS on_sale«¦, p.available * daterange('2025-03-01', '2025-04-01')¦, isempty(p.available)¦, p.available && '[2026-01-01,2026-02-01)'::daterange» FROM products p LIMIT «5¦6»

SELECT «a."Id"¦"user"¦"order", "When"¦count("Id")» FROM "Audit Log" «a¦AS a¦"a"» «¦WHERE "When" > now() - interval '1 day'¦WHERE "user" = 'x' OR "order" IS NULL»

SELECT kind, «count(*)¦sum(duration)¦avg(extract(epoch FROM duration))¦max(at)¦count(DISTINCT session)¦min(payload ->> 'page')» FROM «events¦events_2025¦ONLY events_2026» WHERE «at >= '2025-06-01'¦at::date > '2025-07-01'¦payload ->> 'page' LIKE '/p/%'¦session IS NOT NULL¦duration > '10 s'» GROUP BY kind

SELECT kind, at, at - lag(at) OVER (PARTITION BY kind ORDER BY at) AS gap, «sum(CASE WHEN kind = 'buy' THEN 1 ELSE 0 END) OVER (ORDER BY at)¦count(*) OVER (PARTITION BY date_trunc('week', at))¦last_value(at) OVER (PARTITION BY kind ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)» FROM events LIMIT 10

SELECT "t0"."id" AS "t0_id", "t0"."«name¦email¦created_at»" AS "t0_x", "t1"."total" FROM "public"."customers" AS "t0" LEFT OUTER JOIN "public"."orders" AS "t1" ON ("t0"."id" = "t1"."customer_id") WHERE (("t0"."active" = TRUE) AND ("t1"."total" «> 10¦IS NOT NULL¦BETWEEN 1 AND 99»)) ORDER BY "t0"."id" ASC LIMIT «21¦100» OFFSET «0¦40»

SELECT CAST("placed_at" AS date) AS "day", SUM("total") AS "«sum¦m_1»" FROM (SELECT * FROM "orders" «¦WHERE "status" = 'paid'») AS "source" GROUP BY CAST("placed_at" AS date) ORDER BY CAST("placed_at" AS date) ASC

SELECT (DATE_TRUNC('«month¦week»', "orders"."placed_at"::timestamptz AT TIME ZONE 'UTC')) AS "m", COUNT(*) AS "c" FROM "public"."orders" AS "orders" GROUP BY 1 HAVING (COUNT(*) > 0) ORDER BY 1 DESC LIMIT «500¦50000»

SELECT t.* FROM (VALUES (1, 'one'), (2, 'two')) AS t (n, word) «¦JOIN orders o ON o.id = t.n¦WHERE t.n IN (SELECT id FROM products)»

SELECT * FROM «orders¦products» TABLESAMPLE «BERNOULLI (10)¦SYSTEM (50) REPEATABLE (42)» LIMIT 3

SELECT r.n, r.w FROM ROWS FROM (generate_series(1, 3), «unnest(ARRAY['a', 'b'])¦regexp_split_to_table('a,b', ',')¦jsonb_array_elements_text('["x"]')») WITH ORDINALITY AS r (n, w, i)

SELECT department, «count(*)¦min(hired)¦string_agg(name, ', ' ORDER BY hired DESC)¦count(manager_id)» FROM employees «¦WHERE hired > '2020-01-05'» GROUP BY department

SELECT e.name, m.name AS manager FROM employees e LEFT JOIN employees m ON m.id = e.manager_id «¦WHERE m.id IS NULL¦ORDER BY m.name NULLS FIRST, e.name»

BEGIN; SELECT count(*) FROM «orders¦customers¦employees»; «COMMIT¦ROLLBACK¦END»

BEGIN «READ ONLY¦ISOLATION LEVEL REPEATABLE READ READ ONLY¦TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE»; SELECT max(total) FROM orders; COMMIT

BEGIN; DECLARE cur «¦NO SCROLL ¦BINARY »CURSOR «¦WITHOUT HOLD »FOR SELECT id, total FROM orders ORDER BY id; FETCH «10¦FORWARD 5¦ALL» FROM cur; CLOSE cur; COMMIT

SET «application_name = 'bi'¦TIME ZONE 'UTC'¦timezone TO 'Europe/Paris'¦datestyle = 'ISO, DMY'¦statement_timeout = '10s'¦extra_float_digits = 3¦LOCAL enable_seqscan = off¦intervalstyle = 'iso_8601'»; SELECT «1¦now()¦count(*) FROM orders»

COPY («SELECT id, total FROM orders¦SELECT name, email FROM customers WHERE active¦TABLE regions») TO STDOUT«¦ WITH (FORMAT csv, HEADER)¦ CSV HEADER¦ (FORMAT text, DELIMITER '|')»

COPY «orders¦products (id, title)¦customers (id, name)» TO STDOUT «¦WITH CSV»

PREPARE q«¦ (int)» AS SELECT id, total FROM orders WHERE customer_id = $1; EXECUTE q(«3¦7»); DEALLOCATE q
