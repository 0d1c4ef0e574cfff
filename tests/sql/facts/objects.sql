-- What utilities name: each kind of relation, role, lock mode, and what takes an odd spelling.
-- scope: offline

LOCK TABLE t IN ACCESS SHARE MODE
--> lock_table <table> public.t [ACCESS SHARE]

LOCK TABLE t IN ROW SHARE MODE
--> lock_table <table> public.t [ROW SHARE]

LOCK TABLE t IN ROW EXCLUSIVE MODE
--> lock_table <table> public.t [ROW EXCLUSIVE]

LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE
--> lock_table <table> public.t [SHARE UPDATE EXCLUSIVE]

LOCK TABLE t IN SHARE MODE
--> lock_table <table> public.t [SHARE]

LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE
--> lock_table <table> public.t [SHARE ROW EXCLUSIVE]

LOCK TABLE t IN EXCLUSIVE MODE
--> lock_table <table> public.t [EXCLUSIVE]

VACUUM (ANALYSE) t
--> vacuum <table> public.t
--> analyze <table> public.t

VACUUM (FULL) t
--> vacuum <table> public.t

COMMENT ON CONSTRAINT c ON DOMAIN app.d IS 'x'
--> comment <domain> app.d [constraint c]

COMMENT ON LARGE OBJECT 99999999999 IS 'x'
--> comment <large object> "99999999999"

COPY t (a) FROM STDIN WHERE b > f_where(1)
--> copy_from public.t (a)
--> call <function> public.f_where

DROP VIEW pg_user
--> drop <view> pg_catalog.pg_user

DROP TABLE pg_class
--> drop <table> pg_catalog.pg_class

DROP INDEX pg_class
--> drop <index> pg_catalog.pg_class

DROP SEQUENCE pg_class
--> drop <sequence> pg_catalog.pg_class

DROP MATERIALIZED VIEW pg_class
--> drop <materialized view> pg_catalog.pg_class

DROP FOREIGN TABLE pg_class
--> drop <foreign table> pg_catalog.pg_class

DROP OPERATOR FAMILY f USING btree
--> drop <operator family> public.f

DROP TRANSFORM FOR app.t LANGUAGE l
--> drop <transform> app.t

ALTER ROLE CURRENT_ROLE SUPERUSER
--> alter <role> current_role

ALTER ROLE CURRENT_USER SUPERUSER
--> alter <role> current_user

ALTER ROLE SESSION_USER SUPERUSER
--> alter <role> session_user

GRANT SELECT ON t TO PUBLIC
--> grant <table> public.t [select]

REVOKE a FROM CURRENT_ROLE
--> revoke <role> a [from current_role]

DROP FUNCTION f
--> drop <function> public.f

DROP FUNCTION app.helper (int)
--> drop <function> app.helper

DEALLOCATE ALL
--> deallocate all

DEALLOCATE p
--> deallocate p

ALTER TABLE t ENABLE ROW LEVEL SECURITY
--> policy <table> public.t [row level security]

ALTER TABLE t DISABLE ROW LEVEL SECURITY
--> policy <table> public.t [row level security]

ALTER TABLE t FORCE ROW LEVEL SECURITY
--> policy <table> public.t [row level security]

ALTER TABLE t NO FORCE ROW LEVEL SECURITY
--> policy <table> public.t [row level security]

ALTER TYPE a RENAME ATTRIBUTE b TO c
--> alter <type> public.a [rename b to c]

CREATE FOREIGN TABLE ft (a int DEFAULT f_default(), CHECK (f_check(a))) INHERITS (p) SERVER s
--> create <foreign table> public.ft
--> egress <server> s [foreign table]
--> call <function> public.f_default
--> call <function> public.f_check
--> alter <table> public.p [inheritance or partition]

CREATE INDEX ON users (lower(email)) INCLUDE (name) WITH (fillfactor = 70) WHERE f_where(id)
--> create <index> public.users [index]
--> call <function> public.f_where
--> select public.users (email, id)

CREATE PUBLICATION p FOR TABLE t WHERE (f_publish(a))
--> call <function> public.f_publish
--> create <publication> p
--> select public.t (*)

ALTER PUBLICATION p ADD TABLE t (a) WHERE (f_publish(a))
--> call <function> public.f_publish
--> alter <publication> p
--> select public.t (a)

CREATE TYPE c AS (a int, b text)
--> create <type> public.c

CREATE TRANSFORM FOR app.t LANGUAGE l (FROM SQL WITH FUNCTION f_from(internal), TO SQL WITH FUNCTION f_to(internal))
--> call <function> public.f_from [function of the transform]
--> call <function> public.f_to [function of the transform]
--> create <transform> app.t

-- A type's name with one argument is a cast, if no schema but pg_catalog stands before it; else it is a function's.
SELECT uuid('x'), pg_catalog.uuid('x')
--> nothing

SELECT uuid('a', 'b')
--> call <function> public.uuid

SELECT app.uuid('x')
--> call <function> app.uuid
