-- What all databases of a server share, one line per fact: kind, name and value, divided by tabs. Line ends in values are
-- written as \n. Nothing here depends on object ids or on the order of creation.
WITH facts (kind, name, value) AS (
    SELECT 'role', rolname::text, concat_ws(' ', 'super=' || rolsuper, 'inherit=' || rolinherit, 'createrole=' || rolcreaterole,
           'createdb=' || rolcreatedb, 'login=' || rolcanlogin, 'replication=' || rolreplication, 'bypassrls=' || rolbypassrls,
           'limit=' || rolconnlimit, 'until=' || coalesce(rolvaliduntil, 'infinity'), 'password=' || md5(coalesce(rolpassword, '')))
    FROM pg_authid WHERE rolname !~ '^pg_'
    UNION ALL
    SELECT 'role comment', r.rolname::text, shobj_description(r.oid, 'pg_authid') FROM pg_roles r WHERE shobj_description(r.oid, 'pg_authid') IS NOT NULL
    UNION ALL
    SELECT 'membership', m.member::regrole || ' in ' || m.roleid::regrole, 'admin=' || m.admin_option FROM pg_auth_members m WHERE m.member::regrole::text !~ '^pg_'
    UNION ALL
    SELECT 'setting', coalesce(d.datname::text, 'every database') || ' / ' || coalesce(r.rolname::text, 'every role'),
           (SELECT string_agg(one, ', ' ORDER BY one) FROM unnest(s.setconfig) AS one)
    FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
    UNION ALL
    SELECT 'database', d.datname::text, concat_ws(' ', 'owner=' || d.datdba::regrole, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
           'limit=' || d.datconnlimit, 'template=' || d.datistemplate, 'connections=' || d.datallowconn,
           'grants=' || (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(d.datacl, acldefault('d', d.datdba))) AS a))
    FROM pg_database d
    UNION ALL
    SELECT 'database comment', d.datname::text, shobj_description(d.oid, 'pg_database') FROM pg_database d WHERE shobj_description(d.oid, 'pg_database') IS NOT NULL
    UNION ALL
    SELECT 'tablespace', spcname::text, spcowner::regrole::text FROM pg_tablespace
)
SELECT kind || E'\t' || replace(name, E'\t', ' ') || E'\t' || replace(replace(coalesce(value, ''), E'\n', '\n'), E'\t', '\t') FROM facts;
