SELECT id FROM customers WHERE name % 'Custmer 7' ORDER BY similarity(name, 'Custmer 7') DESC, name <-> 'Custmer 7'
SELECT id, word_similarity('fox', body) FROM products WHERE 'fox' <% body OR body %> 'fox' OR 'fox' <<% body
SELECT id % 2, total % 7, -id % 3, (id + 1) % (SELECT count(*) FROM regions) FROM orders
SELECT id FROM customers WHERE unaccent(name) ILIKE unaccent('%Cust%')
SELECT replace(name, 'a', 'b'), translate(name, 'ab', 'xy'), split_part(name, ' ', 2), strpos(name, 'o') FROM customers
SELECT name::citext, name::citext = 'CUSTOMER 1', replace(name::citext, 'CUST', 'x'), max(name::citext) OVER () FROM customers
SELECT regexp_replace(name, '\d+', '#'), regexp_match(name, '(\d+)'), regexp_split_to_array(name, ' ') FROM customers
SELECT id, hstore(ARRAY['a', name]) -> 'a', hstore('a=>1') ? 'a', (each('x=>y'::hstore)).key FROM customers
SELECT hstore(c) - 'ssn'::text FROM (SELECT id, name FROM customers) AS c
SELECT 'Top.Science'::ltree <@ 'Top'::ltree, subpath('a.b.c'::ltree, 1), nlevel('a.b'::ltree), 'a.b'::ltree ~ '*.b'::lquery
SELECT ARRAY[1, 2] & ARRAY[2], ARRAY[1, 2] @@ '1&2'::query_int, sort(ARRAY[3, 1]), idx(ARRAY[5, 6], 6), tags && ARRAY['vip'] FROM customers
SELECT cube(ARRAY[1, 2]) <-> cube(ARRAY[3, 4]), cube_distance('(1,2)', '(3,4)')
SELECT earth_distance(ll_to_earth(48.8, 2.3), ll_to_earth(52.5, 13.4)), point(1, 2) <@> point(3, 4), earth_box(ll_to_earth(1, 2), 10) @> ll_to_earth(1, 2)
SELECT levenshtein(name, 'Customer'), soundex(name), metaphone(name, 4), difference(name, 'x'), daitch_mokotoff(name) FROM customers
SELECT '[1,2,3]'::vector <-> '[1,2,4]', '[1,2]'::vector <=> '[3,4]', '[1,2]'::vector <#> '[3,4]', avg('[1,2]'::vector)
SELECT isbn('978-0-393-04002-9'), '1..2'::seg && '2..3'::seg, normal_rand(1, 0, 1)
SELECT total <-> 5, placed_at <-> now(), ip, id <-> 7 FROM orders ORDER BY id <-> 50 LIMIT 3
SELECT int_array_aggregate(id), int_array_enum(ARRAY[1]) FROM regions
SELECT * FROM orders TABLESAMPLE system_rows(5)
SELECT * FROM orders TABLESAMPLE system_time(1)
