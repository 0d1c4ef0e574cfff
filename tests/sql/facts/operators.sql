-- Syntax that runs an operator without naming it, where every comparison is a user's own.
-- scope: live operators

SELECT id BETWEEN 1 AND 2 FROM users
--> call <function> public.f_le [operator <=]
--> call <function> public.f_ge [operator >=]
--> call <function> public.f_lt [operator <]
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)

SELECT id NOT BETWEEN 1 AND 2 FROM users
--> call <function> public.f_le [operator <=]
--> call <function> public.f_ge [operator >=]
--> call <function> public.f_lt [operator <]
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)

SELECT id BETWEEN SYMMETRIC 1 AND 2 FROM users
--> call <function> public.f_le [operator <=]
--> call <function> public.f_ge [operator >=]
--> call <function> public.f_lt [operator <]
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)

SELECT id NOT BETWEEN SYMMETRIC 1 AND 2 FROM users
--> call <function> public.f_le [operator <=]
--> call <function> public.f_ge [operator >=]
--> call <function> public.f_lt [operator <]
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)

SELECT id IN (SELECT 1) FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)

SELECT id NOT IN (SELECT 1) FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)

SELECT id < ALL (SELECT 1) FROM users
--> call <function> public.f_lt [operator <]
--> select <table> public.users (id)

SELECT id > ANY (SELECT 1) FROM users
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)

SELECT id OPERATOR(public.~~) ANY (SELECT 1) FROM users
--> call <function> public.f_like [operator ~~]
--> select <table> public.users (id)

SELECT (id, name) = (SELECT 1, 2) FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id, name)

SELECT EXISTS (SELECT 1), ARRAY(SELECT 2)
--> nothing

SELECT id FROM users ORDER BY id USING <
--> call <function> public.f_lt [operator <]
--> select <table> public.users (id)

SELECT id FROM users ORDER BY id USING OPERATOR(public.>)
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)

SELECT id FROM users ORDER BY id DESC
--> select <table> public.users (id)

SELECT CASE id WHEN 1 THEN 2 END FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)

SELECT CASE WHEN true THEN 2 END FROM users
--> select <table> public.users ()

SELECT 1 FROM users JOIN orders USING (id)
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)
--> select <table> public.orders (id)

SELECT 1 FROM users NATURAL JOIN orders
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)
--> select <table> public.orders (id)

SELECT id IS DISTINCT FROM 1, NULLIF(id, 2) FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)

SELECT id IN (1,2) FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)

SELECT id = ANY ('{1}') FROM users
--> call <function> public.f_eq [operator =]
--> select <table> public.users (id)

SELECT name LIKE 'x', name ~ 'y' FROM users
--> call <function> public.f_like [operator ~~]
--> call <function> public.f_re [operator ~]
--> select <table> public.users (name)

SELECT (id, name) < (1, 'x') FROM users
--> call <function> public.f_lt [operator <]
--> select <table> public.users (id, name)

SELECT DISTINCT id FROM users GROUP BY id
--> select <table> public.users (id)

SELECT id FROM users UNION SELECT 1
--> select <table> public.users (id)

SELECT id <> 1 FROM users
--> call <function> public.f_ne [operator <>]
--> select <table> public.users (id)

SELECT sum(id) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM users
--> select <table> public.users (id)

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id USING >) FROM users
--> call <function> public.f_gt [operator >]
--> select <table> public.users (id)
