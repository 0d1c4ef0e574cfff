-- ALTER, DROP, GRANT, REVOKE.
-- scope: offline

ALTER TABLE t ADD COLUMN x int DEFAULT f_default() REFERENCES u (id)
--> call <function> public.f_default
--> alter <table> public.t
--> select public.u (id)

ALTER TABLE IF EXISTS ONLY s.t DROP COLUMN x, ALTER COLUMN c TYPE int USING f_using(c), ADD CONSTRAINT k CHECK (f_check(c))
--> call <function> public.f_using
--> call <function> public.f_check
--> alter <table> s.t
--> select s.t (c)

ALTER TABLE t OWNER TO x
--> owner <table> public.t [to x]

ALTER TABLE t OWNER TO CURRENT_USER, ADD COLUMN x int
--> owner <table> public.t [to current_user]
--> alter <table> public.t

ALTER TABLE t ENABLE ROW LEVEL SECURITY
--> policy <table> public.t [row level security]

ALTER TABLE t NO FORCE ROW LEVEL SECURITY, DISABLE TRIGGER ALL
--> policy <table> public.t [row level security]
--> alter <table> public.t

ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (f_value())
--> alter <table> public.p [inheritance or partition]
--> call <function> public.f_value
--> alter <table> public.t

ALTER TABLE t DETACH PARTITION p CONCURRENTLY
--> alter <table> public.p [inheritance or partition]
--> alter <table> public.t

ALTER TABLE t INHERIT p
--> alter <table> public.p [inheritance or partition]
--> alter <table> public.t

ALTER TABLE t RENAME TO u
--> alter <table> public.t [rename to u]
--> alter <table> public.u [new name]

ALTER TABLE t RENAME COLUMN a TO b
--> alter <table> public.t [rename a to b]

ALTER TABLE t RENAME CONSTRAINT a TO b
--> alter <table> public.t [rename a to b]

ALTER TABLE t SET SCHEMA app
--> alter <table> public.t [set schema app]
--> alter <table> app.t [new name]

ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b
--> alter <tablespace> a

ALTER VIEW v ALTER COLUMN a SET DEFAULT f_default()
--> call <function> public.f_default
--> alter <view> public.v

ALTER VIEW v RENAME TO w
--> alter <view> public.v [rename to w]
--> alter <view> public.w [new name]

ALTER VIEW v OWNER TO x
--> owner <view> public.v [to x]

ALTER MATERIALIZED VIEW mv SET SCHEMA app
--> alter <materialized view> public.mv [set schema app]
--> alter <materialized view> app.mv [new name]

ALTER INDEX i RENAME TO j
--> alter <index> public.i [rename to j]
--> alter <index> public.j [new name]

ALTER INDEX i SET (fillfactor = 50)
--> alter <index> public.i

ALTER SEQUENCE s RESTART WITH 1
--> alter <sequence> public.s

ALTER SEQUENCE s RENAME TO q
--> alter <sequence> public.s [rename to q]
--> alter <sequence> public.q [new name]

ALTER FOREIGN TABLE f OPTIONS (SET filename '/x')
--> alter <foreign table> public.f

ALTER TYPE t ADD ATTRIBUTE a int
--> alter <type> public.t

ALTER TYPE app.t RENAME TO u
--> alter <type> app.t [rename to u]
--> alter <type> app.u [new name]

ALTER TYPE t RENAME ATTRIBUTE a TO b
--> alter <type> public.t [rename a to b]

ALTER TYPE t ADD VALUE 'x'
--> alter <type> public.t

ALTER TYPE t SET (storage = plain)
--> alter <type> public.t

ALTER DOMAIN d ADD CHECK (f_check(value))
--> call <function> public.f_check
--> alter <domain> public.d

ALTER DOMAIN d RENAME CONSTRAINT a TO b
--> alter <domain> public.d [rename to b]

ALTER DOMAIN d OWNER TO x
--> owner <domain> public.d [to x]

ALTER FUNCTION f(int) OWNER TO x
--> owner <function> public.f [to x]

ALTER FUNCTION app.f(int) RENAME TO g
--> alter <function> app.f [rename to g]
--> alter <function> app.g [new name]

ALTER FUNCTION f(int) SET SCHEMA app
--> alter <function> public.f [set schema app]
--> alter <function> app.f [new name]

ALTER FUNCTION f(int) SECURITY DEFINER SET search_path = x
--> alter <function> public.f

ALTER PROCEDURE p() RENAME TO q
--> alter <procedure> public.p [rename to q]
--> alter <procedure> public.q [new name]

ALTER ROUTINE r() DEPENDS ON EXTENSION e
--> alter <function> public.r

ALTER AGGREGATE a(int) RENAME TO b
--> alter <aggregate> public.a [rename to b]
--> alter <aggregate> public.b [new name]

ALTER OPERATOR @@@ (int, int) OWNER TO x
--> owner <operator> public."@@@" [to x]

ALTER OPERATOR @@@ (int, int) SET (restrict = NONE)
--> alter <operator> public."@@@"

ALTER OPERATOR FAMILY f USING btree ADD FUNCTION 1 (int) f_family(int, int)
--> call <function> public.f_family [function of the operator class]
--> alter <operator family> public.f

ALTER OPERATOR CLASS oc USING btree RENAME TO od
--> alter <operator class> public.oc [rename to od]
--> alter <operator class> public.od [new name]

ALTER TRIGGER tr ON t RENAME TO ts
--> alter <trigger> public.t [rename tr to ts]

ALTER TRIGGER tr ON t DEPENDS ON EXTENSION e
--> alter <trigger> public.t

ALTER RULE r ON t RENAME TO s
--> alter <rule> public.t [rename r to s]

ALTER POLICY p ON t RENAME TO q
--> alter <policy> public.t [rename p to q]

ALTER POLICY p ON t USING (f_policy(a))
--> call <function> public.f_policy
--> alter <policy> public.t [policy p]

ALTER EVENT TRIGGER e DISABLE
--> alter <event trigger> e

ALTER STATISTICS s SET STATISTICS 1
--> alter <statistics> public.s

ALTER COLLATION c REFRESH VERSION
--> alter <collation> public.c

ALTER CONVERSION c RENAME TO d
--> alter <conversion> public.c [rename to d]
--> alter <conversion> public.d [new name]

ALTER TEXT SEARCH DICTIONARY d (a = b)
--> alter <text search dictionary> public.d

ALTER TEXT SEARCH CONFIGURATION c DROP MAPPING FOR word
--> alter <text search configuration> public.c

ALTER LANGUAGE l OWNER TO x
--> owner <language> l [to x]

ALTER LARGE OBJECT 12 OWNER TO x
--> owner <large object> "12" [to x]

ALTER SCHEMA s RENAME TO t
--> alter <schema> s [rename to t]
--> alter <schema> t [new name]

ALTER SCHEMA s OWNER TO x
--> owner <schema> s [to x]

ALTER EXTENSION e UPDATE
--> alter <extension> e

ALTER EXTENSION e ADD TABLE s.t
--> alter <table> s.t [extension membership]
--> alter <extension> e

ALTER EXTENSION e SET SCHEMA app
--> alter <extension> e [set schema app]

ALTER ROLE r SUPERUSER
--> alter <role> r

ALTER ROLE ALL IN DATABASE d SET x = 1
--> alter <role> all
--> alter <database> d [set x]

ALTER ROLE r SET x = 1
--> alter <role> r

ALTER ROLE r RENAME TO s
--> alter <role> r [rename to s]
--> alter <role> s [new name]

ALTER GROUP g ADD USER u
--> alter <role> g

ALTER DATABASE d SET x = 1
--> alter <database> d

ALTER DATABASE d OWNER TO x
--> owner <database> d [to x]

ALTER DATABASE d CONNECTION LIMIT 1
--> alter <database> d

ALTER DATABASE d REFRESH COLLATION VERSION
--> alter <database> d

ALTER TABLESPACE t SET (random_page_cost = 1)
--> alter <tablespace> t

ALTER TABLESPACE t RENAME TO u
--> alter <tablespace> t [rename to u]
--> alter <tablespace> u [new name]

ALTER PUBLICATION p ADD TABLE a
--> alter <publication> p
--> select public.a (*)

ALTER PUBLICATION p RENAME TO q
--> alter <publication> p [rename to q]
--> alter <publication> q [new name]

ALTER SUBSCRIPTION s CONNECTION 'x'
--> egress <subscription> s [subscription]
--> alter <subscription> s

ALTER SUBSCRIPTION s OWNER TO x
--> owner <subscription> s [to x]

ALTER SERVER s OPTIONS (SET host 'x')
--> egress <server> s [foreign server]
--> alter <server> s

ALTER USER MAPPING FOR x SERVER s OPTIONS (SET password 'x')
--> egress <server> s [user mapping]
--> alter <user mapping> x

ALTER FOREIGN DATA WRAPPER w NO HANDLER
--> alter <foreign data wrapper> w

ALTER DEFAULT PRIVILEGES FOR ROLE r IN SCHEMA s, t GRANT SELECT ON TABLES TO x
--> default_privileges s.?
--> default_privileges t.?

ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC
--> default_privileges ?.?

REASSIGN OWNED BY a, b TO c
--> owner <owned> a [to c]
--> owner <owned> b [to c]

-- DROP
DROP TABLE IF EXISTS a.b, c CASCADE
--> drop <table> a.b
--> drop <table> public.c
--> drop ?.? [cascade]

DROP VIEW v
--> drop <view> public.v

DROP MATERIALIZED VIEW mv
--> drop <materialized view> public.mv

DROP INDEX CONCURRENTLY i
--> drop <index> public.i

DROP SEQUENCE s
--> drop <sequence> public.s

DROP FOREIGN TABLE f
--> drop <foreign table> public.f

DROP FUNCTION f(int), app.g
--> drop <function> public.f
--> drop <function> app.g

DROP PROCEDURE p
--> drop <procedure> public.p

DROP ROUTINE r
--> drop <function> public.r

DROP AGGREGATE a(int)
--> drop <aggregate> public.a

DROP OPERATOR app.+ (int, int)
--> drop <operator> app."+"

DROP TYPE t, s.u
--> drop <type> public.t
--> drop <type> s.u

DROP DOMAIN d
--> drop <domain> public.d

DROP CAST (int AS app.myt)
--> drop <cast> app.myt

DROP TRANSFORM FOR myt LANGUAGE sql
--> drop <transform> public.myt

DROP OPERATOR CLASS oc USING btree
--> drop <operator class> public.oc

DROP OPERATOR FAMILY app.f USING btree
--> drop <operator family> app.f

DROP TRIGGER tr ON s.t
--> drop <trigger> s.t [trigger tr]

DROP RULE r ON t
--> drop <rule> public.t [rule r]

DROP POLICY p ON t
--> drop <policy> public.t [policy p]

DROP EVENT TRIGGER e
--> drop <event trigger> e

DROP SCHEMA a, b CASCADE
--> drop <schema> a
--> drop <schema> b
--> drop ?.? [cascade]

DROP EXTENSION e
--> drop <extension> e

DROP LANGUAGE l
--> drop <language> l

DROP ACCESS METHOD a
--> drop <access method> a

DROP COLLATION c
--> drop <collation> public.c

DROP CONVERSION c
--> drop <conversion> public.c

DROP STATISTICS s
--> drop <statistics> public.s

DROP TEXT SEARCH PARSER p
--> drop <text search parser> public.p

DROP TEXT SEARCH TEMPLATE t
--> drop <text search template> public.t

DROP SERVER s
--> drop <server> s

DROP FOREIGN DATA WRAPPER w
--> drop <foreign data wrapper> w

DROP USER MAPPING FOR x SERVER s
--> drop <user mapping> x

DROP PUBLICATION p
--> drop <publication> p

DROP SUBSCRIPTION s
--> egress <subscription> s [subscription]
--> drop <subscription> s

DROP DATABASE d WITH (FORCE)
--> drop <database> d

DROP TABLESPACE t
--> drop <tablespace> t

DROP ROLE a, b
--> drop <role> a
--> drop <role> b

DROP OWNED BY x CASCADE
--> drop <owned> x
--> drop ?.? [cascade]

-- GRANT and REVOKE
GRANT SELECT (b, a), UPDATE ON t, s.u TO x
--> grant <table> public.t (a, b) [select, update]
--> grant <table> s.u (a, b) [select, update]

GRANT ALL ON ALL TABLES IN SCHEMA s TO PUBLIC
--> grant <table> s.? [all]

REVOKE SELECT ON users FROM agent
--> revoke <table> public.users [select]

GRANT EXECUTE ON FUNCTION f(int) TO x
--> grant <function> public.f [execute]

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA s TO x
--> grant <function> s.? [execute]

GRANT USAGE ON SCHEMA s TO x
--> grant <schema> s [usage]

GRANT CONNECT ON DATABASE d TO x
--> grant <database> d [connect]

GRANT USAGE ON SEQUENCE s TO x
--> grant <sequence> public.s [usage]

GRANT USAGE ON TYPE t TO x
--> grant <type> public.t [usage]

GRANT SELECT ON LARGE OBJECT 1 TO x
--> grant <large object> "1" [select]

GRANT SET ON PARAMETER log_statement TO x
--> grant <parameter> log_statement [set]

GRANT USAGE ON FOREIGN SERVER s TO x
--> grant <server> s [usage]

GRANT a, b TO c WITH ADMIN OPTION
--> grant <role> a [to c]
--> grant <role> b [to c]

REVOKE a FROM b
--> revoke <role> a [from b]

-- scope: live

ALTER TABLE v_orders OWNER TO x
--> owner <view> public.v_orders [to x]

ALTER TABLE nowhere ADD COLUMN x int
--> alter <table> public.nowhere

DROP TABLE users
--> drop <table> public.users

DROP FUNCTION f_read(int)
--> drop <function> public.f_read

DROP FUNCTION gone
--> drop <function> public.gone

GRANT SELECT ON users TO x
--> grant <table> public.users [select]

COMMENT ON TABLE v_orders IS 'x'
--> comment <view> public.v_orders

ALTER TABLE users DROP COLUMN name CASCADE
--> drop ?.? [cascade]
--> alter <table> public.users

DROP TABLE users CASCADE
--> drop <table> public.users
--> drop ?.? [cascade]

-- Statements that check or convert what is stored read it: their errors quote values.
ALTER TABLE users ALTER COLUMN email TYPE int
--> alter <table> public.users
--> select <table> public.users (email)

ALTER TABLE users ALTER COLUMN id TYPE int USING length(name)
--> alter <table> public.users
--> select <table> public.users (id, name)

ALTER TABLE users ADD CHECK (email > 'm'), ADD UNIQUE (name), ADD FOREIGN KEY (id) REFERENCES orders (id)
--> alter <table> public.users
--> select <table> public.users (email, id, name)
--> select <table> public.orders (id)

ALTER TABLE users ADD COLUMN copy text GENERATED ALWAYS AS (email) STORED
--> alter <table> public.users
--> select <table> public.users (email)

CREATE UNIQUE INDEX ON users (email, lower(name))
--> create <index> public.users [index]
--> call <function> public.lower
--> select <table> public.users (email, name)

CREATE INDEX ON users (email)
--> create <index> public.users [index]

CREATE INDEX ON users (pg_catalog.lower(email)) WHERE name > ''
--> create <index> public.users [index]
--> select <table> public.users (email, name)
