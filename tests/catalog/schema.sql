-- What a database may hold that a snapshot has to see through; tests/catalog/test_loader.py loads it once.
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int PRIMARY KEY, "Total" numeric, gone int, note text);
ALTER TABLE shop.orders DROP COLUMN gone;
CREATE TABLE log (line text);
CREATE SEQUENCE counter;
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE MATERIALIZED VIEW summary AS SELECT 1 AS one, random() AS chance;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE remote (id int) SERVER far;

CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES ('x'); RETURN 1; END $$;
CREATE FUNCTION reads(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql STABLE AS 'SELECT a + b';
CREATE FUNCTION definer() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN 1; END $$;
CREATE FUNCTION many(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION of_row(shop.orders) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text';
CREATE FUNCTION of_anything(anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN order_row AS shop.orders;
CREATE FUNCTION of_domain(order_row) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE act(IN a int, OUT b int) LANGUAGE plpgsql AS $$ BEGIN b := a; END $$;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);

CREATE FUNCTION op_writes(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN writes(); END $$;
CREATE OPERATOR <%%> (LEFTARG = int, RIGHTARG = int, FUNCTION = op_writes);

CREATE VIEW v_plain AS SELECT id FROM shop.orders;
CREATE VIEW v_function AS SELECT writes() AS x;
CREATE VIEW v_builtin AS SELECT nextval('counter') AS x, pg_sleep('0') IS NULL AS slept;
CREATE VIEW v_from AS SELECT * FROM pg_ls_dir('.') AS file;
CREATE VIEW v_operator AS SELECT 1 <%%> 2 AS x;
CREATE VIEW v_nested AS SELECT id FROM v_plain WHERE EXISTS (SELECT FROM v_operator);
CREATE VIEW v_deeper AS WITH q AS (SELECT * FROM v_nested) SELECT count(*) FROM q;
CREATE VIEW v_over_mat AS SELECT chance FROM summary;
CREATE VIEW v_sneaky AS SELECT 1 AS " :funcid 2626 ";

CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE plpgsql AS $$ BEGIN RETURN ROW(writes(), 1)::pair; END $$;
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
CREATE TYPE holder AS (inner_pair pair[]);
CREATE VIEW v_cast AS SELECT 1::pair AS p;
CREATE FUNCTION is_good(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN writes() > 0; END $$;
CREATE DOMAIN good AS text CHECK (is_good(VALUE));
CREATE TABLE shelves (goods good[]);
CREATE TABLE labels (label good);
CREATE DOMAIN counted AS int CHECK (nextval('counter') > VALUE);
CREATE DOMAIN compared AS int CHECK (VALUE <%%> 1 > 0);
CREATE VIEW v_domain AS SELECT 'x'::text::good AS d;

CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE FUNCTION mood_to_money(mood) RETURNS money LANGUAGE plpgsql AS $$ BEGIN RETURN writes(); END $$;
CREATE CAST (mood AS money) WITH FUNCTION mood_to_money(mood) AS IMPLICIT;
CREATE TYPE purse AS (content money);
CREATE TABLE days (day date, moods mood[]);
CREATE FUNCTION point_to_money(point) RETURNS money LANGUAGE plpgsql AS $$ BEGIN RETURN writes(); END $$;
CREATE CAST (point AS money) WITH FUNCTION point_to_money(point) AS IMPLICIT;
CREATE TYPE flavour AS ENUM ('sweet');
CREATE FUNCTION flavour_to_json(flavour) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RETURN writes()::text::json; END $$;
CREATE CAST (flavour AS json) WITH FUNCTION flavour_to_json(flavour);
CREATE TABLE cakes (flavour flavour);
CREATE TYPE stamp AS ENUM ('now');
CREATE FUNCTION stamp_to_date(stamp) RETURNS date LANGUAGE plpgsql AS $$ BEGIN RETURN CURRENT_DATE; END $$;
CREATE CAST (stamp AS date) WITH FUNCTION stamp_to_date(stamp) AS ASSIGNMENT;
CREATE FUNCTION stamp_to_time(stamp) RETURNS time LANGUAGE sql AS 'SELECT LOCALTIME';
CREATE TABLE stamps (stamp stamp);

CREATE FUNCTION row_to_label(shop.orders) RETURNS varchar LANGUAGE sql AS 'SELECT ''x''::varchar';
CREATE CAST (shop.orders AS varchar) WITH FUNCTION row_to_label(shop.orders) AS IMPLICIT;
CREATE FUNCTION of_label(varchar) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION of_number(int) RETURNS int LANGUAGE sql AS 'SELECT 1';

CREATE EXTENSION citext;
CREATE TABLE people (name citext);
CREATE FUNCTION pg_catalog.catalog_tests_intruder() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION borrowed(text) RETURNS text LANGUAGE internal IMMUTABLE AS 'lower';

-- Range types: the server makes their constructors, which compare by the type's operator class.
CREATE TYPE wordrange AS RANGE (subtype = text);
CREATE FUNCTION compare_backwards(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN b - a; END';
CREATE OPERATOR CLASS backwards FOR TYPE int USING btree AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 compare_backwards(int, int);
CREATE TYPE backrange AS RANGE (subtype = int, subtype_opclass = backwards);
