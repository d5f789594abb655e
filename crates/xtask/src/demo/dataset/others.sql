-- The same content for each of the smaller databases.
CREATE SCHEMA "Lager";
CREATE TABLE "Lager"."Größen" ("Nr." serial PRIMARY KEY, "Wert in €" numeric, "名前" text UNIQUE);
INSERT INTO "Lager"."Größen" ("Wert in €", "名前") SELECT i * 1.5, '品' || i || E' \\ '' "' FROM generate_series(1, 2000) AS i;
CREATE VIEW "Lager"."Übersicht" AS SELECT count(*) AS "Anzahl", current_database() AS "Datenbank" FROM "Lager"."Größen";
CREATE FUNCTION "Lager"."verdopple"(x numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
COMMENT ON TABLE "Lager"."Größen" IS 'Kommentar mit ''Anführung'' und 漢字';
GRANT USAGE ON SCHEMA "Lager" TO "Büro-Leitung";
GRANT ALL ON "Lager"."Größen" TO "Büro-Leitung";
SELECT lo_from_bytea(60001, convert_to(current_database(), 'UTF8'));
