-- COPY, TRUNCATE, LOCK, maintenance, running code.
-- scope: offline

COPY users TO STDOUT
--> select public.users (*)

COPY users (id, email) TO STDOUT WITH (FORMAT csv)
--> select public.users (email, id)

COPY users FROM STDIN
--> copy_from public.users (*)

COPY users (id) FROM STDIN WHERE email IS NOT NULL AND f_check(id)
--> copy_from public.users (id)
--> call <function> public.f_check

COPY (SELECT id FROM users) TO STDOUT
--> select public.users (id)

COPY (INSERT INTO t VALUES (1) RETURNING a) TO STDOUT
--> insert public.t (*)
--> select public.t (a)

COPY (SELECT 1) TO STDOUT
--> nothing

COPY users TO '/tmp/x'
--> egress [copy to file]
--> select public.users (*)

COPY users FROM '/tmp/x'
--> copy_from public.users (*)
--> egress [copy from file]

COPY users TO PROGRAM 'curl http://x'
--> egress [copy to program]
--> select public.users (*)

COPY users FROM PROGRAM 'id'
--> copy_from public.users (*)
--> egress [copy from program]

TRUNCATE users
--> truncate <table> public.users

TRUNCATE ONLY a.b, c RESTART IDENTITY CASCADE
--> truncate <table> a.b
--> truncate <table> public.c
--> truncate <table> ?.? [cascade]

LOCK TABLE users
--> lock_table <table> public.users [ACCESS EXCLUSIVE]

LOCK a.b, c IN SHARE ROW EXCLUSIVE MODE NOWAIT
--> lock_table <table> a.b [SHARE ROW EXCLUSIVE]
--> lock_table <table> public.c [SHARE ROW EXCLUSIVE]

VACUUM
--> vacuum

VACUUM (FULL, ANALYZE) users, b (c)
--> vacuum <table> public.users
--> analyze <table> public.users
--> vacuum <table> public.b
--> analyze <table> public.b (c)

VACUUM (ANALYZE FALSE) users
--> vacuum <table> public.users
--> analyze <table> public.users

ANALYZE
--> analyze

ANALYZE users (email)
--> analyze <table> public.users (email)

CLUSTER
--> cluster

CLUSTER users USING idx
--> cluster <table> public.users

REINDEX TABLE CONCURRENTLY users
--> reindex <table> public.users

REINDEX INDEX s.i
--> reindex <index> s.i

REINDEX SCHEMA s
--> reindex <schema> s

REINDEX DATABASE d
--> reindex <database> d

REINDEX SYSTEM
--> reindex <system>

CHECKPOINT
--> checkpoint

LOAD '/tmp/evil.so'
--> load "/tmp/evil.so"

ALTER SYSTEM SET log_statement = 'none'
--> alter_system log_statement

ALTER SYSTEM RESET ALL
--> alter_system all

REFRESH MATERIALIZED VIEW CONCURRENTLY mv
--> refresh <materialized view> public.mv

DO $$ BEGIN NULL; END $$
--> code [DO block in plpgsql]

DO LANGUAGE plperl 'x'
--> code [DO block in plperl]

CALL p_write()
--> call <procedure> public.p_write

CALL app.p_write(1, a => f())
--> call <procedure> app.p_write
--> call <function> public.f

COMMENT ON TABLE users IS 'x'
--> comment <table> public.users

COMMENT ON COLUMN s.users.email IS 'x'
--> comment <table> s.users [column email]

COMMENT ON FUNCTION f(int) IS 'x'
--> comment <function> public.f

COMMENT ON DATABASE d IS 'x'
--> comment <database> d

COMMENT ON ROLE r IS NULL
--> comment <role> r

COMMENT ON CONSTRAINT c ON users IS 'x'
--> comment <table> public.users [constraint c]

COMMENT ON CONSTRAINT c ON DOMAIN d IS 'x'
--> comment <domain> public.d [constraint c]

COMMENT ON LARGE OBJECT 12 IS 'x'
--> comment <large object> "12"

COMMENT ON TRIGGER t ON users IS 'x'
--> comment <trigger> public.users [trigger t]

COMMENT ON CAST (int AS app.myt) IS 'x'
--> comment <cast> app.myt

COMMENT ON OPERATOR CLASS oc USING btree IS 'x'
--> comment <operator class> public.oc

COMMENT ON OPERATOR app.+ (int, int) IS 'x'
--> comment <operator> app."+"

COMMENT ON TYPE app.t IS 'x'
--> comment <type> app.t

SECURITY LABEL ON TABLE users IS 'x'
--> security_label <table> public.users

SECURITY LABEL FOR p ON ROLE r IS 'x'
--> security_label <role> r

-- scope: live

COPY users TO STDOUT
--> select <table> public.users (email, id, name)

COPY v_write TO STDOUT
--> call <function> public.f_write [through view public.v_write]
--> select <view> public.v_write (x)

COPY users (id) TO STDOUT
--> select <table> public.users (id)

COPY users FROM STDIN
--> copy_from <table> public.users (email, id, name)

TRUNCATE users
--> truncate <table> public.users

LOCK v_orders
--> lock_table <view> public.v_orders [ACCESS EXCLUSIVE]
