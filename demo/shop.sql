-- A small shop: people with personal data, what they ordered, how they paid, and a reporting schema.
CREATE TABLE customers (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    email       text NOT NULL UNIQUE,
    phone       text,
    born        date,
    card_number text,
    country     char(2) NOT NULL,
    joined      date NOT NULL
);
COMMENT ON COLUMN customers.card_number IS 'for recurring payments only';

CREATE TABLE products (
    id    int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text NOT NULL UNIQUE,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    stock int NOT NULL DEFAULT 0
);

CREATE TYPE order_status AS ENUM ('open', 'paid', 'shipped', 'returned');

CREATE TABLE orders (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    ordered     date NOT NULL,
    status      order_status NOT NULL DEFAULT 'open'
);
CREATE INDEX orders_customer ON orders (customer_id);

CREATE TABLE order_items (
    order_id   int NOT NULL REFERENCES orders ON DELETE CASCADE,
    product_id int NOT NULL REFERENCES products,
    quantity   int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);

CREATE TABLE payments (
    id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id int NOT NULL REFERENCES orders ON DELETE CASCADE,
    amount   numeric(10, 2) NOT NULL,
    method   text NOT NULL,
    paid     date NOT NULL
);

CREATE SCHEMA reporting;

CREATE VIEW reporting.customers_masked AS
SELECT id, country, joined, left(name, 1) || '.' AS name, '…' || right(card_number, 4) AS card
FROM customers;

CREATE VIEW reporting.monthly_revenue AS
SELECT date_trunc('month', paid)::date AS month, count(*) AS payments, sum(amount) AS revenue
FROM payments
GROUP BY 1;

CREATE FUNCTION order_total(wanted int) RETURNS numeric
LANGUAGE sql STABLE
RETURN (SELECT sum(i.quantity * p.price) FROM order_items i JOIN products p ON p.id = i.product_id
        WHERE i.order_id = wanted);

CREATE FUNCTION restock(wanted int, pieces int) RETURNS int
LANGUAGE sql VOLATILE
AS 'UPDATE products SET stock = stock + pieces WHERE id = wanted RETURNING stock';

INSERT INTO customers (name, email, phone, born, card_number, country, joined)
SELECT first || ' ' || last, lower(first || '.' || last || n) || '@example.com',
       '+49 30 ' || 1000000 + n * 7919 % 9000000,
       date '1960-01-01' + n * 373 % 15000,
       '4' || lpad((n::bigint * 104729 * 7919 % 1000000000000000)::text, 15, '0'),
       (ARRAY['DE', 'FR', 'PL', 'ES'])[1 + n % 4],
       date '2023-01-01' + n * 37 % 900
FROM generate_series(1, 400) AS n,
     LATERAL (SELECT (ARRAY['Ada', 'Boris', 'Chen', 'Dana', 'Emre', 'Fatou', 'Greta', 'Hugo'])[1 + n % 8],
                     (ARRAY['Lindqvist', 'Okafor', 'Silva', 'Novak', 'Tanaka'])[1 + n % 5]) AS person(first, last);

INSERT INTO products (name, price, stock)
VALUES ('Espresso machine', 249.00, 14), ('Grinder', 119.50, 31), ('Kettle', 44.90, 52), ('Scale', 29.00, 80),
       ('Filter papers', 4.50, 900), ('Beans, 1 kg', 21.90, 240);

INSERT INTO orders (customer_id, ordered, status)
SELECT 1 + n * 7919 % 400, date '2026-01-01' + n * 181 / 1500,
       CASE WHEN n > 1460 THEN 'open' WHEN n % 41 = 0 THEN 'returned' WHEN n > 1380 THEN 'paid' ELSE 'shipped' END::order_status
FROM generate_series(1, 1500) AS n;

INSERT INTO order_items
SELECT o.id, p.id, 1 + (o.id + p.id) % 3 FROM orders o JOIN products p ON (o.id * 31 + p.id * 17) % 4 = 0;

INSERT INTO payments (order_id, amount, method, paid)
SELECT id, order_total(id), (ARRAY['card', 'invoice', 'wallet'])[1 + id % 3], ordered + id % 5
FROM orders
WHERE status <> 'open' AND order_total(id) IS NOT NULL;

-- The firewall's login for the agents' role. It has what the role's work needs; the firewall narrows it further.
REVOKE ALL ON DATABASE shop FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO shop_support;
GRANT USAGE ON SCHEMA public, reporting TO shop_support;
GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO shop_support;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO shop_support;
ANALYZE;
