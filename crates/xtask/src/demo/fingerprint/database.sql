-- The definitions of one database and the content of its large objects, in the form of server.sql.
SET search_path = '';
WITH mine AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
),
facts (kind, name, value) AS (
    SELECT 'schema', n.nspname::text, 'owner=' || n.nspowner::regrole || ' grants=' ||
           (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a)
    FROM pg_namespace n JOIN mine USING (oid)
    UNION ALL
    SELECT 'extension', e.extname::text, e.extversion || ' in ' || e.extnamespace::regnamespace FROM pg_extension e
    UNION ALL
    SELECT 'relation', c.oid::regclass::text, concat_ws(' ', 'kind=' || c.relkind::text, 'owner=' || c.relowner::regrole, 'persistence=' || c.relpersistence::text,
           'options=' || coalesce((SELECT string_agg(o, ',' ORDER BY o) FROM unnest(c.reloptions) AS o), ''),
           'rls=' || c.relrowsecurity || c.relforcerowsecurity, 'identity=' || c.relreplident::text, 'populated=' || c.relispopulated,
           'bound=' || coalesce(pg_get_expr(c.relpartbound, c.oid), ''),
           'parents=' || coalesce((SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid), ''),
           'grants=' || coalesce((SELECT string_agg(a::text, ',' ORDER BY a::text)
                                  FROM unnest(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))) AS a), ''))
    FROM pg_class c JOIN mine ON mine.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    UNION ALL
    SELECT 'column', a.attrelid::regclass || '.' || quote_ident(a.attname), concat_ws(' ',
           'position=' || row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
           CASE WHEN a.attnotnull THEN 'not null' END, 'identity=' || a.attidentity::text, 'generated=' || a.attgenerated::text, 'storage=' || a.attstorage::text,
           'collation=' || coalesce(a.attcollation::regcollation::text, ''), 'default=' || coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
           'grants=' || coalesce((SELECT string_agg(g::text, ',' ORDER BY g::text) FROM unnest(a.attacl) AS g), ''))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') JOIN mine ON mine.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'constraint', coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text) || '.' || quote_ident(k.conname),
           pg_get_constraintdef(k.oid) || ' valid=' || k.convalidated
    FROM pg_constraint k JOIN mine ON mine.oid = k.connamespace
    UNION ALL
    SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ' valid=' || i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN mine ON mine.oid = c.relnamespace
    UNION ALL
    SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) FROM pg_class c JOIN mine ON mine.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, 'owner=' || p.proowner::regrole || ' grants=' ||
           (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) AS a) || ' ' ||
           CASE WHEN p.prokind = 'a' THEN (SELECT g.aggtransfn || ' ' || coalesce(g.agginitval, '') FROM pg_aggregate g WHERE g.aggfnoid = p.oid) ELSE pg_get_functiondef(p.oid) END
    FROM pg_proc p JOIN mine ON mine.oid = p.pronamespace
    UNION ALL
    SELECT 'trigger', t.tgrelid::regclass || '.' || quote_ident(t.tgname), pg_get_triggerdef(t.oid) || ' enabled=' || t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN mine ON mine.oid = c.relnamespace WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'rule', r.ev_class::regclass || '.' || quote_ident(r.rulename), pg_get_ruledef(r.oid)
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN mine ON mine.oid = c.relnamespace WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT 'policy', p.polrelid::regclass || '.' || quote_ident(p.polname), concat_ws(' ', p.polcmd, p.polpermissive::text,
           (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE r::regrole::text END, ',' ORDER BY r::regrole::text) FROM unnest(p.polroles) AS r),
           pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy p
    UNION ALL
    SELECT 'type', t.oid::regtype::text, concat_ws(' ', 'kind=' || t.typtype::text, 'owner=' || t.typowner::regrole, 'not null=' || t.typnotnull,
           'base=' || CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE '' END,
           'labels=' || coalesce((SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), ''),
           'grants=' || (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) AS a))
    FROM pg_type t JOIN mine ON mine.oid = t.typnamespace
    UNION ALL
    SELECT 'sequence', s.seqrelid::regclass::text, concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
    FROM pg_sequence s
    UNION ALL
    SELECT 'collation', c.collname::text, concat_ws(' ', c.collcollate, c.collctype, c.collprovider) FROM pg_collation c JOIN mine ON mine.oid = c.collnamespace
    UNION ALL
    SELECT 'statistics', s.stxname::text, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s JOIN mine ON mine.oid = s.stxnamespace
    UNION ALL
    SELECT 'default grants', d.defaclrole::regrole || ' ' || coalesce(nullif(d.defaclnamespace, 0)::regnamespace::text, 'everywhere') || ' ' || d.defaclobjtype::text,
           (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(d.defaclacl) AS a)
    FROM pg_default_acl d
    UNION ALL
    SELECT 'comment', i.type || ' ' || i.identity, d.description
    FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
    WHERE i.schema IS NULL OR i.schema IN (SELECT nspname FROM mine)
    UNION ALL
    SELECT 'large object', m.oid::text, concat_ws(' ', 'owner=' || m.lomowner::regrole, 'md5=' || md5(lo_get(m.oid)),
           'grants=' || (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(m.lomacl, acldefault('L', m.lomowner))) AS a))
    FROM pg_largeobject_metadata m
    UNION ALL
    SELECT 'publication', pubname::text, concat_ws(' ', puballtables::text, pubinsert::text, pubupdate::text, pubdelete::text) FROM pg_publication
)
SELECT kind || E'\t' || replace(name, E'\t', ' ') || E'\t' || replace(replace(coalesce(value, ''), E'\n', '\n'), E'\t', '\t') FROM facts;

-- The rows of every table and filled materialized view, and where every sequence stands.
SELECT format($row$SELECT E'rows\t' || %L || E'\t' || count(*) || ' rows, md5 ' || coalesce(md5(string_agg(h, '' ORDER BY h)), 'none') FROM (SELECT md5(t::text) AS h FROM ONLY %s AS t) AS hashes$row$,
              c.oid::regclass::text, c.oid::regclass::text)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY c.oid::regclass::text
\gexec
SELECT format($row$SELECT E'sequence value\t' || %L || E'\t' || last_value || ' ' || is_called FROM %s$row$, s.seqrelid::regclass::text, s.seqrelid::regclass::text)
FROM pg_sequence s
ORDER BY s.seqrelid::regclass::text
\gexec
