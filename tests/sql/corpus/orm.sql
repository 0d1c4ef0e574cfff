-- In the manner of Django, Rails, Hibernate, Prisma, TypeORM and Ecto. Statements end at a `--;` line.
SELECT "auth_user"."id", "auth_user"."password", "auth_user"."last_login" FROM "auth_user" WHERE "auth_user"."username" = 'bob' LIMIT 21
--;
SELECT (1) AS "a" FROM "django_session" WHERE "django_session"."session_key" = 'abc' LIMIT 1
--;
SELECT COUNT(*) AS "__count" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") WHERE (NOT ("shop_order"."status" = 'x' AND "shop_order"."status" IS NOT NULL) AND UPPER("shop_customer"."name"::text) LIKE UPPER('%a%'))
--;
SELECT "shop_order"."id", SUM("shop_item"."price") AS "total", CASE WHEN "shop_order"."paid" THEN 'y' ELSE 'n' END AS "flag" FROM "shop_order" LEFT OUTER JOIN "shop_item" ON ("shop_order"."id" = "shop_item"."order_id") GROUP BY "shop_order"."id", 3 HAVING SUM("shop_item"."price") > 10 ORDER BY "total" DESC
--;
UPDATE "shop_order" SET "status" = 'sent', "n" = ("shop_order"."n" + 1) WHERE "shop_order"."id" IN (SELECT U0."id" FROM "shop_order" U0 WHERE U0."customer_id" = 5)
--;
INSERT INTO "shop_order" ("status", "created") VALUES ('new', '2024-01-01T00:00:00+00:00'::timestamptz) RETURNING "shop_order"."id"
--;
SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid)
--;
DELETE FROM "django_session" WHERE "django_session"."expire_date" < '2024-01-01'::timestamptz
--;
SELECT EXTRACT(YEAR FROM "t"."d" AT TIME ZONE 'UTC') AS "y", DATE_TRUNC('day', "t"."d" AT TIME ZONE 'UTC')::date FROM "t"
--;
SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2
--;
SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 AND "users"."id" != $2 LIMIT $3
--;
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
--;
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typname IN ('int2', 'int4', 'bool') OR t.typtype IN ('r', 'e', 'd') OR t.typinput = 'array_in(cstring,oid,integer)'::regprocedure OR t.typelem != 0
--;
INSERT INTO "schema_migrations" ("version") VALUES ('20240101') ON CONFLICT ("version") DO NOTHING RETURNING "version"
--;
SELECT "posts"."id" AS t0_r0, "comments"."id" AS t1_r0 FROM "posts" LEFT OUTER JOIN "comments" ON "comments"."post_id" = "posts"."id" WHERE ("posts"."title" ILIKE $1) ORDER BY "posts"."id" ASC NULLS LAST LIMIT $2 OFFSET $3
--;
select o1_0.id,o1_0.customer_id,c1_0.id,c1_0.name from orders o1_0 left join customers c1_0 on c1_0.id=o1_0.customer_id where o1_0.id=$1::text::int
--;
select o1_0.id,o1_0.total from orders o1_0 where o1_0.total>$1 order by o1_0.id offset $2 rows fetch first $3 rows only
--;
select count(*)>0 from users u1_0 where lower(u1_0.email) like $1 escape ''
--;
select nextval('hibernate_sequence')
--;
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3
--;
SELECT "t1"."id", "User_posts"."__prisma_data__" AS "posts" FROM "public"."User" AS "t1" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t2"."id") AS "__prisma_data__" FROM (SELECT "t2".* FROM "public"."Post" AS "t2" WHERE "t1"."id" = "t2"."authorId") AS "t2") AS "t3") AS "t4") AS "User_posts" ON TRUE
--;
INSERT INTO "public"."User" ("email","name") VALUES ($1,$2) RETURNING "public"."User"."id"
--;
SELECT "user"."id" AS "user_id", "user"."name" AS "user_name" FROM "user" "user" WHERE "user"."id" IN ($1, $2, $3) ORDER BY "user"."id" ASC
--;
UPDATE "user" SET "name" = $1, "updatedAt" = CURRENT_TIMESTAMP WHERE "id" IN ($2) RETURNING "updatedAt"
--;
SELECT s0."id", s0."name", count(s1."id") FROM "sources" AS s0 INNER JOIN "subs" AS s1 ON s1."source_id" = s0."id" WHERE (s0."age" > 10) AND s0."tag" = ANY($1) GROUP BY s0."id"
--;
SELECT "id" FROM "oban_jobs" WHERE ("state" = 'available') AND ("queue" = $1) ORDER BY "priority", "scheduled_at" LIMIT $2 FOR UPDATE SKIP LOCKED
--;
SELECT * FROM "information_schema"."tables" WHERE ("table_schema" = 'public' AND "table_name" = 'user') OR ("table_schema" = 'public' AND "table_name" = 'post')
--;
SELECT set_config('TimeZone', 'UTC', false), current_schema(), current_schemas(false), current_database(), current_catalog
--;
SELECT "t"."id" FROM "t" WHERE "t"."tags" @> ARRAY['a']::varchar(20)[] AND ("t"."data" -> 'x') = '1'::jsonb AND ("t"."data" #>> '{a,0}') IS NULL
--;
SAVEPOINT "s140_x1"; RELEASE SAVEPOINT "s140_x1"
