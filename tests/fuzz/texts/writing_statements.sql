-- Messages that write, lock or define with a query, {q}.
CREATE TEMP TABLE made{n} AS {q}
SELECT * INTO made{n} FROM ({q}) AS z
CREATE VIEW made{n} AS {q}
INSERT INTO journal SELECT 1 FROM ({q}) AS z
WITH i AS (INSERT INTO journal SELECT 1 FROM ({q}) AS z RETURNING n) SELECT n FROM i
EXPLAIN ANALYZE CREATE TABLE made{n} AS {q}
UPDATE orders SET note = (SELECT c FROM ({q}) AS z (c) LIMIT 1)
DELETE FROM journal WHERE EXISTS ({q})
{q} FOR UPDATE
DO $do$BEGIN PERFORM * FROM ({q}) AS z; END$do$
MERGE INTO journal USING ({q}) AS z (c) ON false WHEN NOT MATCHED THEN INSERT VALUES (1)
CREATE MATERIALIZED VIEW made{n} AS {q}
COPY ({q}) TO PROGRAM 'cat'
BEGIN; DECLARE c{n} CURSOR FOR {q} FOR UPDATE; FETCH c{n}
PREPARE p{n} AS INSERT INTO journal SELECT 1 FROM ({q}) AS z; EXECUTE p{n}
