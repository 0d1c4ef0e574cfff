-- Extensions as they come, and what people have added to them. The superuser runs all of it but for what follows SET.
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION unaccent;
CREATE EXTENSION earthdistance CASCADE;
CREATE EXTENSION seg;
CREATE EXTENSION tablefunc;

CREATE TABLE secret (id int);
CREATE SEQUENCE counter;
CREATE TYPE pair AS (a int, b int);
CREATE SCHEMA other;
CREATE FUNCTION dangerous() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION peek(pair) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION summed(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 + $2; END';
CREATE FUNCTION other.initcap(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE OPERATOR <%%> (LEFTARG = int, RIGHTARG = int, FUNCTION = summed);
CREATE FUNCTION is_good(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE DOMAIN good AS int CHECK (is_good(VALUE));

SET check_function_bodies = off;
-- Harmless.
CREATE FUNCTION x_lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE FUNCTION x_volatile() RETURNS float8 LANGUAGE sql AS 'SELECT random()';
CREATE FUNCTION x_bound(text) RETURNS text LANGUAGE sql RETURN initcap($1);
CREATE FUNCTION x_atomic(text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT upper($1); END;
CREATE FUNCTION x_default(text DEFAULT upper('a')) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION x_ping(int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN $1 > 0 THEN public.x_pong($1 - 1) END';
CREATE FUNCTION x_pong(int) RETURNS int LANGUAGE sql AS 'SELECT public.x_ping($1)';
-- Not harmless.
CREATE FUNCTION y_reads() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.secret';
CREATE FUNCTION y_bound_reads() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM secret);
CREATE FUNCTION y_writes() RETURNS void LANGUAGE sql AS 'INSERT INTO public.secret VALUES (1)';
CREATE FUNCTION y_draws() RETURNS bigint LANGUAGE sql AS 'SELECT nextval(''public.counter'')';
CREATE FUNCTION y_sleeps() RETURNS void LANGUAGE sql IMMUTABLE AS 'SELECT pg_sleep(0)';
CREATE FUNCTION y_sets() RETURNS text LANGUAGE sql AS 'SELECT set_config(''work_mem'', ''64kB'', false)';
CREATE FUNCTION y_two() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2';
CREATE FUNCTION y_empty() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION y_broken() RETURNS int LANGUAGE sql AS 'SELECT FROM FROM';
CREATE FUNCTION y_calls() RETURNS int LANGUAGE sql AS 'SELECT public.dangerous()';
CREATE FUNCTION y_unknown() RETURNS int LANGUAGE sql AS 'SELECT public.not_there()';
CREATE FUNCTION y_bound_calls() RETURNS int LANGUAGE sql RETURN dangerous();
CREATE FUNCTION y_shadowed(text) RETURNS text LANGUAGE sql AS 'SELECT initcap($1)';
CREATE FUNCTION y_operator(int) RETURNS int LANGUAGE sql AS 'SELECT $1 OPERATOR(public.<%%>) 1';
CREATE FUNCTION y_cast(int) RETURNS int LANGUAGE sql AS 'SELECT $1::public.good';
CREATE FUNCTION y_returns(int) RETURNS good LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION y_takes(good[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION y_gives(OUT good, OUT int) LANGUAGE sql AS 'SELECT 1, 2';
CREATE FUNCTION y_field(p pair) RETURNS int LANGUAGE sql AS 'SELECT p.peek';
CREATE FUNCTION y_field_of(p pair) RETURNS int LANGUAGE sql AS 'SELECT (p).peek';
CREATE FUNCTION y_default(int DEFAULT dangerous()) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION y_definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION y_setting() RETURNS int LANGUAGE sql SET work_mem = '64kB' AS 'SELECT 1';
CREATE FUNCTION y_plpgsql() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION y_ping(int) RETURNS int LANGUAGE sql AS 'SELECT public.y_pong($1)';
CREATE FUNCTION y_pong(int) RETURNS int LANGUAGE sql AS 'SELECT public.y_ping($1) + public.dangerous()';
CREATE FUNCTION y_overload(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION y_overload(text) RETURNS int LANGUAGE sql AS 'SELECT public.dangerous()';
CREATE FUNCTION y_by_overload(int) RETURNS int LANGUAGE sql AS 'SELECT public.y_overload($1)';
CREATE AGGREGATE y_total (int) (SFUNC = summed, STYPE = int, INITCOND = 0);
DO $$
DECLARE
    name text;
BEGIN
    EXECUTE format('CREATE FUNCTION y_long() RETURNS int LANGUAGE sql AS %L', 'SELECT 1' || repeat(' + 1', 2000));
    FOR name IN SELECT oid::regprocedure FROM pg_proc WHERE proname ~ '^[xy]_' LOOP
        EXECUTE format('ALTER EXTENSION citext ADD ROUTINE %s', name);
    END LOOP;
END $$;
CREATE FUNCTION z_nobodys() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';

-- Functions that are trusted but for what their arguments and results run.
CREATE TYPE z_pair AS RANGE (subtype = good);
CREATE TYPE z_plain AS RANGE (subtype = float8);
CREATE FUNCTION z_cast(seg) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE CAST (seg AS int) WITH FUNCTION z_cast(seg) AS IMPLICIT;

-- One who owns an extension, but not the server.
GRANT ALL ON SCHEMA public TO extension_owner;
GRANT CREATE ON DATABASE extension_tests TO extension_owner;
SET ROLE extension_owner;
CREATE EXTENSION hstore;
CREATE FUNCTION z_own() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION show_limit(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
ALTER EXTENSION hstore ADD FUNCTION z_own();
ALTER EXTENSION hstore ADD FUNCTION show_limit(text);
RESET ROLE;
