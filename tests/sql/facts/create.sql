-- CREATE: the object, and what its definition reads, calls and reaches.
-- scope: offline

CREATE TABLE t (a int)
--> create <table> public.t

CREATE TABLE s.t (a int DEFAULT f_default(1) CHECK (f_check(a)), b s.myt GENERATED ALWAYS AS (f_generated(a)) STORED, c int REFERENCES k (id), LIKE u INCLUDING ALL, FOREIGN KEY (a) REFERENCES l, EXCLUDE USING gist (f_exclude(a) WITH &&) WHERE (f_where(a))) PARTITION BY RANGE (f_partition(a))
--> create <table> s.t
--> call <function> public.f_default
--> call <function> public.f_check
--> call <function> public.f_generated
--> call <function> public.f_exclude
--> call <function> public.f_where
--> call <function> public.f_partition
--> select public.k (id)
--> select public.u ()
--> select public.l (*)

CREATE TABLE p PARTITION OF t FOR VALUES FROM (f_from(1)) TO (f_to(2))
--> create <table> public.p
--> alter <table> public.t [inheritance or partition]
--> call <function> public.f_from
--> call <function> public.f_to

CREATE TABLE c () INHERITS (a, s.b)
--> create <table> public.c
--> alter <table> public.a [inheritance or partition]
--> alter <table> s.b [inheritance or partition]

CREATE TABLE t OF ty
--> create <table> public.t

CREATE TEMP TABLE t (a int)
--> create <table> pg_temp.t [temporary]

CREATE TABLE pg_temp.t (a int)
--> create <table> pg_temp.t

CREATE UNLOGGED TABLE t (id serial, n int DEFAULT nextval('s'))
--> create <table> public.t
--> nextval <sequence> public.s

CREATE TABLE t AS SELECT id FROM users
--> create <table> public.t
--> select public.users (id)

CREATE TABLE IF NOT EXISTS t AS TABLE users WITH NO DATA
--> create <table> public.t
--> select public.users (*)

CREATE TEMP TABLE t AS SELECT 1
--> create <table> pg_temp.t [temporary]

CREATE MATERIALIZED VIEW mv AS SELECT id FROM users
--> create <materialized view> public.mv
--> select public.users (id)

CREATE VIEW v AS SELECT id FROM users WHERE f_view(id)
--> create <view> public.v
--> call <function> public.f_view
--> select public.users (id)

CREATE OR REPLACE TEMP VIEW v AS SELECT 1
--> create <view> pg_temp.v

CREATE RECURSIVE VIEW v (n) AS SELECT id FROM users UNION ALL SELECT n + 1 FROM v
--> create <view> public.v
--> select public.users (id)

CREATE SEQUENCE s OWNED BY t.a
--> create <sequence> public.s

CREATE INDEX ON t (a, f_index(b)) INCLUDE (c) WHERE f_where(d)
--> create <index> public.t [index]
--> call <function> public.f_index
--> call <function> public.f_where
--> select public.t (b, d)

CREATE UNIQUE INDEX CONCURRENTLY i ON s.t (a my_ops)
--> create <index> s.t [index i]
--> select s.t (a)

CREATE STATISTICS s.st ON a, f_stat(b) FROM t
--> create <statistics> public.t [statistics s.st]
--> call <function> public.f_stat

CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (f_when(old.x)) EXECUTE FUNCTION s.f_trigger('a')
--> create <trigger> public.t [trigger tr]
--> call <function> s.f_trigger [trigger function]
--> call <function> public.f_when

CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f_event()
--> create <event trigger> e
--> call <function> public.f_event [trigger function]

CREATE RULE r AS ON INSERT TO t WHERE f_rule(new.a) DO ALSO (INSERT INTO l VALUES (new.a, old.b); SELECT x FROM s; NOTIFY x)
--> create <rule> public.t [rule r]
--> call <function> public.f_rule
--> insert public.l (*)
--> notify x
--> select public.s (x)

CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING
--> create <rule> public.t [rule r]

CREATE POLICY p ON t USING (a = (SELECT x FROM u)) WITH CHECK (f_policy(b))
--> create <policy> public.t [policy p]
--> call <function> public.f_policy
--> select public.u (x)

CREATE FUNCTION f(a int DEFAULT g()) RETURNS int LANGUAGE sql AS 'SELECT 1'
--> create <function> public.f
--> code [body of a function]

CREATE OR REPLACE PROCEDURE app.p() LANGUAGE sql BEGIN ATOMIC SELECT 1 FROM t; END
--> create <procedure> app.p
--> code [body of a procedure]

CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
--> create <function> pg_temp.f
--> code [body of a function]

CREATE AGGREGATE a (int) (sfunc = pg_catalog.pg_read_file, stype = int)
--> egress <function> pg_catalog.pg_read_file [function of the aggregate]
--> create <aggregate> public.a

CREATE OPERATOR @@@ (function = pg_sleep, leftarg = int)
--> call <function> pg_catalog.pg_sleep [function of the operator]
--> create <operator> public."@@@"

CREATE TYPE t AS (a int)
--> create <type> public.t

CREATE TYPE s.t AS ENUM ('a')
--> create <type> s.t

CREATE TYPE t AS RANGE (subtype = int, subtype_diff = pg_notify)
--> notify <function> pg_catalog.pg_notify [function of the type]
--> create <type> public.t

CREATE TYPE t (input = lo_import, output = textout)
--> egress <function> pg_catalog.lo_import [function of the type]
--> create <type> public.t

CREATE DOMAIN d AS int DEFAULT f_default() CHECK (f_check(value))
--> create <domain> public.d
--> call <function> public.f_default
--> call <function> public.f_check

CREATE COLLATION c FROM "C"
--> create <collation> public.c

CREATE TEXT SEARCH CONFIGURATION c (copy = simple)
--> create <text search configuration> public.c

CREATE TEXT SEARCH DICTIONARY d (template = simple)
--> create <text search dictionary> public.d

CREATE CAST (int AS app.myt) WITH FUNCTION f_cast(int)
--> call <function> public.f_cast [function of the cast]
--> create <cast> app.myt

CREATE CAST (int AS myt) WITH INOUT
--> create <cast> public.myt

CREATE CONVERSION c FOR 'a' TO 'b' FROM f_conversion
--> call <function> public.f_conversion [function of the conversion]
--> create <conversion> public.c

CREATE TRANSFORM FOR myt LANGUAGE sql (FROM SQL WITH FUNCTION f_from(internal), TO SQL WITH FUNCTION f_to(internal))
--> call <function> public.f_from [function of the transform]
--> call <function> public.f_to [function of the transform]
--> create <transform> public.myt

CREATE OPERATOR CLASS oc FOR TYPE int USING btree AS FUNCTION 1 f_class(int, int)
--> call <function> public.f_class [function of the operator class]
--> create <operator class> public.oc

CREATE OPERATOR CLASS oc FOR TYPE int USING btree AS OPERATOR 1 <, STORAGE int
--> create <operator class> public.oc

CREATE OPERATOR FAMILY f USING btree
--> create <operator family> public.f

CREATE SCHEMA s
--> create <schema> s

CREATE SCHEMA AUTHORIZATION x
--> create <schema> x

CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT a FROM t GRANT SELECT ON t TO y
--> create <schema> s
--> create <table> s.t
--> create <view> s.v
--> grant <table> s.t [select]
--> grant <table> public.t [select]
--> select s.t (a)
--> select public.t (a)

CREATE EXTENSION IF NOT EXISTS dblink
--> create <extension> dblink

CREATE LANGUAGE l HANDLER h
--> create <language> l
--> code [language handler]

CREATE ACCESS METHOD a TYPE INDEX HANDLER h
--> create <access method> a

CREATE ROLE r SUPERUSER
--> create <role> r

CREATE USER u PASSWORD 'x'
--> create <role> u

CREATE DATABASE d
--> create <database> d

CREATE TABLESPACE t LOCATION '/x'
--> create <tablespace> t

CREATE PUBLICATION p FOR TABLE a (x) WHERE (y > 1), TABLES IN SCHEMA s
--> select <table> s.? (*) [publication of a schema]
--> create <publication> p
--> select public.a (x)

CREATE PUBLICATION p FOR ALL TABLES
--> select <table> ?.? (*) [publication of all tables]
--> create <publication> p

CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p
--> egress <subscription> s [subscription]
--> create <subscription> s

CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'x')
--> egress <server> s [foreign server]
--> create <server> s

CREATE USER MAPPING FOR CURRENT_USER SERVER s
--> egress <server> s [user mapping]
--> create <user mapping> current_user

CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (filename '/etc/passwd')
--> create <foreign table> public.f
--> egress <server> s [foreign table]

CREATE FOREIGN DATA WRAPPER w HANDLER h
--> create <foreign data wrapper> w

IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b
--> egress <server> s [import foreign schema]
--> create <foreign schema> b

-- scope: offline app, public

CREATE TABLE t (a int)
--> create <table> app.t
--> create <table> public.t

-- scope: live app, public

CREATE TABLE t (a int)
--> create <table> app.t

CREATE TABLE t (LIKE orders)
--> create <table> app.t
--> select <table> app.orders ()

CREATE TABLE orders AS SELECT * FROM orders
--> create <table> app.orders
--> select <table> app.orders (id, total)

-- scope: live unknown path

CREATE TABLE t (a int)
--> create <table> ?.t

-- scope: live

CREATE VIEW v AS SELECT * FROM v_write
--> create <view> public.v
--> call <function> public.f_write [through view public.v_write]
--> select <view> public.v_write (x)

CREATE TABLE t (a myt DEFAULT 1::myt)
--> create <table> public.t
--> call <function> public.int_to_myt [cast to myt]

CREATE AGGREGATE a (int) (sfunc = f_op, stype = int)
--> call <function> public.f_op [function of the aggregate]
--> create <aggregate> public.a

CREATE OPERATOR ### (function = nowhere, leftarg = int)
--> create <operator> public."###"

CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT id FROM users
--> create <schema> s
--> create <table> s.t
--> create <view> s.v
--> select <table> public.users (id)
