-- Roles and memberships of the demo's service instance, and the databases they own.
CREATE ROLE shop_reader NOLOGIN;
CREATE ROLE shop_writer NOLOGIN IN ROLE shop_reader;
CREATE ROLE shop_app LOGIN PASSWORD 'of-no-worth' CONNECTION LIMIT 40;
CREATE ROLE shop_auditor LOGIN NOINHERIT VALID UNTIL '2099-12-31';
CREATE ROLE "Büro-Leitung" LOGIN CREATEDB CREATEROLE;
CREATE ROLE shop_temporary LOGIN PASSWORD 'also-of-no-worth' IN ROLE shop_reader;
GRANT shop_writer TO shop_app;
GRANT shop_reader TO shop_auditor WITH ADMIN OPTION;
GRANT shop_reader TO "Büro-Leitung";
ALTER ROLE shop_app SET statement_timeout = '5min';
ALTER ROLE shop_auditor SET default_transaction_read_only = on;
COMMENT ON ROLE shop_app IS 'the web shop itself';
COMMENT ON ROLE "Büro-Leitung" IS 'Größte Befugnis – 最高权限 – ☕';

CREATE DATABASE shop OWNER shop_app;
CREATE DATABASE "größe_测试" OWNER "Büro-Leitung" CONNECTION LIMIT 17;
CREATE DATABASE "it's ""quoted"" data" OWNER shop_writer;
CREATE DATABASE analytics;
COMMENT ON DATABASE shop IS 'orders, customers, events';
COMMENT ON DATABASE "größe_测试" IS 'Namen, die nicht aus ASCII bestehen';
ALTER DATABASE shop SET search_path = public, sales;
ALTER ROLE shop_app IN DATABASE shop SET work_mem = '8MB';
REVOKE CONNECT ON DATABASE analytics FROM PUBLIC;
GRANT CONNECT ON DATABASE analytics TO shop_reader;
