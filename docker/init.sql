-- A table to try things on, and the firewall's least-privilege login for the role `analyst`.
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount numeric NOT NULL, placed date NOT NULL);
INSERT INTO orders (amount, placed) SELECT n * 9.5, date '2026-01-01' + n FROM generate_series(1, 20) AS n;
CREATE ROLE analyst_ro LOGIN PASSWORD 'analyst_ro';
REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO analyst_ro;
