-- The database that tests/corpus is about: a superuser runs this in an empty database "lab".
-- `agent` is an ordinary login with broad grants, TEMP and CREATE, so that only a read-only wall stops it.
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname='agent') THEN CREATE ROLE agent LOGIN; CREATE ROLE app_owner; CREATE ROLE agent_w; GRANT agent_w TO agent; END IF; END $$;
CREATE TABLE accounts(id int primary key, owner text, balance numeric, "delete" text, doc tsvector);
INSERT INTO accounts SELECT g,'o'||g,100,'x',to_tsvector('simple','o'||g) FROM generate_series(1,20) g;
CREATE TABLE secret(id int, ssn text); INSERT INTO secret VALUES (1,'111-22-3333');
CREATE TABLE audit_log(t text); CREATE TABLE logt(t text);
CREATE SEQUENCE sq;
CREATE FUNCTION f_write() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO logt VALUES('f_write'); RETURN 1; END $$;
CREATE FUNCTION f_write_stable() RETURNS int LANGUAGE sql STABLE AS $$ SELECT f_write() $$;
CREATE FUNCTION f_secdef() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO logt VALUES('f_secdef'); RETURN 1; END $$;
-- PostgreSQL 18 refuses to create a function that sets transaction_read_only; older ones do not.
DO $do$ BEGIN EXECUTE $f$CREATE FUNCTION f_set_rw() RETURNS int LANGUAGE plpgsql SET transaction_read_only=off AS $$ BEGIN INSERT INTO logt VALUES('f_set_rw'); RETURN 1; END $$$f$; EXCEPTION WHEN feature_not_supported THEN NULL; END $do$;
CREATE FUNCTION f_secret(accounts) RETURNS text LANGUAGE sql AS $$ SELECT ssn FROM secret LIMIT 1 $$;
CREATE FUNCTION f_op(int,int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO logt VALUES('op'); RETURN 1; END $$;
CREATE OPERATOR <%%> (LEFTARG=int, RIGHTARG=int, FUNCTION=f_op);
CREATE VIEW v_write AS SELECT f_write() AS x;
CREATE TYPE myt AS (a int); 
CREATE FUNCTION int_to_myt(int) RETURNS myt LANGUAGE plpgsql AS $$ BEGIN INSERT INTO logt VALUES('cast'); RETURN ROW($1)::myt; END $$;
CREATE CAST (int AS myt) WITH FUNCTION int_to_myt(int);
CREATE PROCEDURE p_write() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO logt VALUES('p_write'); END $$;
CREATE PROCEDURE p_commit_write() LANGUAGE plpgsql AS $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; INSERT INTO logt VALUES('p_commit'); END $$;
CREATE PROCEDURE p_commit_write2() LANGUAGE plpgsql AS $$ BEGIN COMMIT; SET LOCAL transaction_read_only=off; INSERT INTO logt VALUES('p_commit2'); END $$;
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a;
CREATE INDEX acc_idx ON accounts(owner);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO agent; REVOKE ALL ON secret FROM agent; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO agent;
GRANT CREATE, USAGE ON SCHEMA public TO agent; GRANT CREATE, TEMP ON DATABASE lab TO agent;
CREATE TABLE IF NOT EXISTS users(id int primary key, email text, name text, country text, created_at timestamptz default now(), deleted boolean default false, meta jsonb default '{}');
CREATE TABLE IF NOT EXISTS orders(id int primary key, user_id int, amount numeric, status text, "update" text, created_at timestamptz default now(), tags text[] default '{}', meta jsonb default '{}');
CREATE TABLE IF NOT EXISTS "Order Items"(id int, "drop table" text, "insert" int);
CREATE TABLE IF NOT EXISTS update_history(id int, grant_date date, truncate_flag boolean);
CREATE TABLE IF NOT EXISTS events(id int, copy text, "do" int, call_time timestamptz, execute_count int, lock_state text, merge_id int, analyze_ok boolean, vacuum int);
CREATE SCHEMA IF NOT EXISTS delete_me; CREATE TABLE IF NOT EXISTS delete_me.t(id int);
INSERT INTO users(id,email,name,country) SELECT g,'u'||g||'@x.io','n'||g,'DE' FROM generate_series(1,10) g ON CONFLICT DO NOTHING;
INSERT INTO orders(id,user_id,amount,status) SELECT g,g%10+1,g*1.5,'paid' FROM generate_series(1,30) g ON CONFLICT DO NOTHING;
CREATE OR REPLACE VIEW v_orders AS SELECT id,user_id,amount FROM orders;
CREATE OR REPLACE FUNCTION f_read(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1+1';
GRANT ALL ON ALL TABLES IN SCHEMA public TO agent; REVOKE ALL ON secret FROM agent; GRANT USAGE ON SCHEMA delete_me TO agent; GRANT SELECT ON delete_me.t TO agent;
