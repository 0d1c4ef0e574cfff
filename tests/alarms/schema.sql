-- A small shop with an analyst's favourites: JSON, arrays, ranges, full text, partitions, views, functions.
CREATE TYPE order_status AS ENUM ('new', 'paid', 'sent', 'returned');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE TYPE address AS (street text, zip text, city text);
CREATE TABLE regions (id int PRIMARY KEY, name text NOT NULL, parent int REFERENCES regions);
CREATE TABLE customers (
    id int PRIMARY KEY, name text NOT NULL, email email, phone text, birth_date date, ssn text, region_id int REFERENCES regions,
    tags text[] NOT NULL DEFAULT '{}', profile jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(), active bool NOT NULL DEFAULT true
);
CREATE TABLE products (
    id int PRIMARY KEY, sku text UNIQUE, title text NOT NULL, category text, price numeric(10, 2), cost numeric(10, 2), attributes jsonb,
    body text, search tsvector GENERATED ALWAYS AS (to_tsvector('english', coalesce(title, '') || ' ' || coalesce(body, ''))) STORED,
    available daterange, weight float8
);
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id int REFERENCES customers, status order_status NOT NULL DEFAULT 'new', placed_at timestamptz NOT NULL,
    shipped_on date, total numeric(12, 2), notes text, ship_to address, meta json, ip inet
);
CREATE TABLE order_items (order_id bigint REFERENCES orders, line int, product_id int REFERENCES products, quantity int, unit_price numeric(10, 2), discount real, PRIMARY KEY (order_id, line));
CREATE TABLE events (id bigint, kind text, at timestamptz NOT NULL, session uuid, payload jsonb, duration interval) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE employees (id int PRIMARY KEY, name text, manager_id int REFERENCES employees, salary numeric, hired date, department text);
CREATE TABLE "Audit Log" ("Id" int, "When" timestamptz, "user" text, "order" int);
CREATE VIEW order_totals AS SELECT o.id, o.customer_id, sum(i.quantity * i.unit_price) AS total FROM orders o JOIN order_items i ON i.order_id = o.id GROUP BY o.id;
CREATE MATERIALIZED VIEW monthly AS SELECT date_trunc('month', placed_at) AS month, count(*) AS orders, sum(total) AS revenue FROM orders GROUP BY 1;
CREATE FUNCTION net(gross numeric, rate numeric DEFAULT 0.19) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN gross / (1 + rate);
CREATE FUNCTION recent_orders(n int) RETURNS SETOF orders LANGUAGE sql STABLE AS 'SELECT * FROM public.orders ORDER BY placed_at DESC LIMIT n';
COMMENT ON TABLE orders IS 'One row per order';
CREATE INDEX ON orders (customer_id, placed_at);
INSERT INTO regions VALUES (1, 'World', NULL), (2, 'Europe', 1), (3, 'Asia', 1), (4, 'France', 2);
INSERT INTO customers SELECT n, 'Customer ' || n, 'c' || n || '@example.com', '+33 ' || n, date '1980-01-01' + n * 100, 'ssn' || n, 1 + n % 4, ARRAY['t' || n % 3, 'vip'],
    jsonb_build_object('plan', (ARRAY['free', 'pro'])[1 + n % 2], 'age', 20 + n, 'likes', jsonb_build_array('a', n)), timestamptz '2025-01-01' + n * interval '9 days', n % 5 > 0 FROM generate_series(1, 30) AS n;
INSERT INTO products (id, sku, title, category, price, cost, attributes, body, available, weight) SELECT n, 'SKU-' || n, 'Product ' || n, (ARRAY['toys', 'books', 'food'])[1 + n % 3], 5 + n, 3 + n,
    jsonb_build_object('color', 'red', 'size', n), 'a quick brown fox ' || n, daterange('2025-01-01', '2026-06-01'), n * 1.5 FROM generate_series(1, 20) AS n;
INSERT INTO orders SELECT n, 1 + n % 30, (ARRAY['new', 'paid', 'sent', 'returned'])[1 + n % 4]::order_status, timestamptz '2025-01-01' + n * interval '3 days', date '2025-01-03' + n * 3, n * 7.5, 'note ' || n,
    ROW('Street ' || n, '7500' || n % 10, 'Paris')::address, json_build_object('n', n), '10.0.0.1'::inet + n FROM generate_series(1, 120) AS n;
INSERT INTO order_items SELECT n, l, 1 + (n + l) % 20, l, 5 + l, 0.1 FROM generate_series(1, 120) AS n, generate_series(1, 3) AS l;
INSERT INTO events SELECT n, (ARRAY['view', 'click', 'buy'])[1 + n % 3], timestamptz '2025-06-01' + n * interval '2 days', gen_random_uuid(), jsonb_build_object('page', '/p/' || n, 'items', jsonb_build_array(jsonb_build_object('id', n))), n * interval '1 second' FROM generate_series(1, 150) AS n;
INSERT INTO employees SELECT n, 'Emp ' || n, nullif(n / 2, 0), 1000 + n, date '2020-01-01' + n, (ARRAY['sales', 'it'])[1 + n % 2] FROM generate_series(1, 15) AS n;
REFRESH MATERIALIZED VIEW monthly;
ANALYZE;
