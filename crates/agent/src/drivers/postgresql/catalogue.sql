-- The server-wide catalogues as one JSON document; see manifest.rs for its shape.
SELECT json_build_object(
  'server_version', current_setting('server_version'),
  'server_version_num', current_setting('server_version_num')::int,
  'is_superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  'databases', (SELECT coalesce(json_agg(row_to_json(d) ORDER BY d.number), '[]') FROM (
    SELECT
      row_number() OVER (ORDER BY db.datname) AS number,
      db.oid::bigint AS oid,
      db.datname AS name,
      pg_get_userbyid(db.datdba) AS owner,
      pg_encoding_to_char(db.encoding) AS encoding,
      db.datcollate AS collate,
      db.datctype AS ctype,
      coalesce(to_jsonb(db)->>'datlocprovider', 'c') AS provider,
      coalesce(to_jsonb(db)->>'datlocale', to_jsonb(db)->>'daticulocale') AS locale,
      to_jsonb(db)->>'daticurules' AS icu_rules,
      ts.spcname AS tablespace,
      db.datistemplate AS is_template,
      db.datallowconn AS allows_connections,
      db.datconnlimit AS connection_limit,
      shobj_description(db.oid, 'pg_database') AS comment,
      CASE WHEN db.datacl IS NOT NULL THEN (
        SELECT coalesce(json_agg(json_build_object(
          'grantee', CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END,
          'privilege', a.privilege_type,
          'grantable', a.is_grantable)), '[]')
        FROM aclexplode(db.datacl) a) END AS access
    FROM pg_database db JOIN pg_tablespace ts ON ts.oid = db.dattablespace
    WHERE db.datname <> 'template0' AND NOT (db.{IS_OURS})) d),
  'roles', (SELECT coalesce(json_agg(json_build_object(
      'name', r.rolname, 'is_bootstrap', r.oid = 10, 'superuser', r.rolsuper, 'inherit', r.rolinherit,
      'create_role', r.rolcreaterole, 'create_database', r.rolcreatedb, 'login', r.rolcanlogin,
      'replication', r.rolreplication, 'bypass_rls', r.rolbypassrls, 'connection_limit', r.rolconnlimit,
      'password', r.rolpassword, 'valid_until', r.rolvaliduntil::text,
      'comment', shobj_description(r.oid, 'pg_authid')) ORDER BY r.rolname), '[]')
    FROM pg_authid r WHERE r.rolname !~ '^pg_' AND NOT (r.{IS_STAND_IN})),
  'memberships', (SELECT coalesce(json_agg(json_build_object(
      'role', pg_get_userbyid(m.roleid), 'member', pg_get_userbyid(m.member), 'admin', m.admin_option,
      'inherit', to_jsonb(m)->'inherit_option', 'set', to_jsonb(m)->'set_option',
      'grantor', g.rolname)), '[]')
    FROM pg_auth_members m LEFT JOIN pg_authid g ON g.oid = m.grantor
    WHERE pg_get_userbyid(m.member) !~ '^pg_'),
  'settings', (SELECT coalesce(json_agg(json_build_object(
      'database', d.datname, 'role', r.rolname, 'config', s.setconfig)), '[]')
    FROM pg_db_role_setting s
    LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_authid r ON r.oid = s.setrole),
  'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace)
);
