-- Run in the database postgres: damage to what all databases share.
CREATE DATABASE intruder;
DROP DATABASE "größe_测试";
ALTER DATABASE analytics RENAME TO analytics_moved;
ALTER DATABASE shop RESET search_path;
ALTER ROLE shop_app PASSWORD 'stolen' SUPERUSER;
ALTER ROLE shop_auditor RESET ALL;
REVOKE shop_writer FROM shop_app;
ALTER ROLE shop_auditor INHERIT VALID UNTIL '2001-01-01';
DROP ROLE shop_temporary;
CREATE ROLE intruder LOGIN SUPERUSER PASSWORD 'backdoor';
