-- SET, transactions, prepared statements, cursors, notifications.
-- scope: offline

SET statement_timeout = 0
--> set statement_timeout = 0

SET LOCAL "Statement_Timeout" TO '5s'
--> set statement_timeout [local] = 5s

SET search_path = a, "B", public
--> set search_path = a, B, public

SET x.y = 1.5
--> set "x.y" = 1.5

SET x TO -1
--> set x = -1

SET x = on
--> set x = on

SET x TO ''
--> set x = ''

SET x TO DEFAULT
--> reset x

SET search_path FROM CURRENT
--> set search_path

SET NAMES 'UTF8'
--> set client_encoding = UTF8

SET TIME ZONE 'UTC'
--> set timezone = UTC

SET TIME ZONE LOCAL
--> reset timezone

SET SCHEMA 'x'
--> set search_path = x

SET XML OPTION DOCUMENT
--> set xmloption = DOCUMENT

SET "transaction_read_only" = 'off'
--> set transaction_read_only = off

SET ROLE app_owner
--> set_role app_owner

SET LOCAL ROLE 'x'
--> set_role x [local]

SET ROLE NONE
--> set_role none

RESET ROLE
--> set_role none [reset]

SET role = 'x'
--> set_role x

SET SESSION AUTHORIZATION postgres
--> set_session_authorization postgres

SET SESSION AUTHORIZATION DEFAULT
--> set_session_authorization default [reset]

RESET SESSION AUTHORIZATION
--> set_session_authorization default [reset]

RESET statement_timeout
--> reset statement_timeout

RESET ALL
--> reset all

SHOW Server_Version
--> show server_version

SHOW ALL
--> show all

SHOW TRANSACTION ISOLATION LEVEL
--> show transaction_isolation

-- Transactions, with the access mode that is asked for.
BEGIN
--> begin

BEGIN READ WRITE
--> begin = read write

BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
--> begin [isolation level serializable, deferrable] = read only

START TRANSACTION READ ONLY
--> begin = read only

COMMIT
--> commit

END
--> commit

COMMIT AND CHAIN
--> commit [and chain]

ROLLBACK
--> rollback

ABORT
--> rollback

ROLLBACK AND CHAIN
--> rollback [and chain]

SAVEPOINT s
--> savepoint s

RELEASE s
--> savepoint s [release]

ROLLBACK TO s
--> savepoint s [rollback to]

PREPARE TRANSACTION 'x'
--> two_phase x [prepare]

COMMIT PREPARED 'x'
--> two_phase x [commit prepared]

ROLLBACK PREPARED 'x'
--> two_phase x [rollback prepared]

SET TRANSACTION READ WRITE
--> set transaction_read_only = off

SET TRANSACTION READ ONLY
--> set transaction_read_only = on

SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, DEFERRABLE
--> set transaction_isolation = repeatable read
--> set transaction_deferrable = on

SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE, NOT DEFERRABLE
--> set default_transaction_read_only = off
--> set default_transaction_isolation = serializable
--> set default_transaction_deferrable = off

SET TRANSACTION SNAPSHOT '00000003-1'
--> set transaction_snapshot = 00000003-1

SET CONSTRAINTS ALL DEFERRED
--> set constraints = deferred

SET CONSTRAINTS a, b IMMEDIATE
--> set constraints = immediate

-- Prepared statements and cursors.
PREPARE p AS SELECT id FROM users
--> prepare p
--> select public.users (id)

EXECUTE p
--> execute p

DEALLOCATE p
--> deallocate p

DEALLOCATE PREPARE "P"
--> deallocate "P"

DEALLOCATE ALL
--> deallocate all

DECLARE c CURSOR FOR SELECT * FROM secret
--> declare c
--> select public.secret (*)

FETCH 10 FROM c
--> fetch c

MOVE BACKWARD ALL IN c
--> fetch c

CLOSE c
--> close c

CLOSE ALL
--> close all

LISTEN c
--> listen c

UNLISTEN c
--> listen c [unlisten]

UNLISTEN *
--> listen "*" [unlisten]

NOTIFY c, 'payload'
--> notify c

DISCARD ALL
--> discard all

DISCARD TEMP
--> discard temp

DISCARD PLANS
--> discard plans

DISCARD SEQUENCES
--> discard sequences
