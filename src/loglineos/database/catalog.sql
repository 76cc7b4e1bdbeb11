-- What a database is made of, one line of text per thing; schemas of Postgres and of the
-- migrations themselves are left out. Each query gives one column.

-- name: describe_schemas
SELECT format('schema %%I owner=%%s acl=%%s', nspname, pg_get_userbyid(nspowner), nspacl)
FROM pg_namespace WHERE nspname = ANY(%(schemas)s);

-- name: describe_relations
SELECT format('relation %%I.%%I kind=%%s owner=%%s acl=%%s rls=%%s force=%%s options=%%s persistence=%%s comment=%%s',
              n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner),
              (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a),
              c.relrowsecurity, c.relforcerowsecurity,
              c.reloptions, c.relpersistence, obj_description(c.oid, 'pg_class'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c');

-- name: describe_columns
SELECT format('column %%I.%%I %%s %%I %%s notnull=%%s default=%%s identity=%%s generated=%%s collation=%%s storage=%%s compression=%%s statistics=%%s acl=%%s comment=%%s',
              n.nspname, c.relname,
              row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
              format_type(a.atttypid, a.atttypmod), a.attnotnull,
              pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, l.collname,
              a.attstorage, a.attcompression, nullif(a.attstattarget, -1), a.attacl,
              col_description(c.oid, a.attnum))
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE n.nspname = ANY(%(schemas)s) AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c');

-- name: describe_constraints
SELECT format('constraint %%s on %%s: %%s', o.conname, coalesce(r.oid::regclass::text, o.contypid::regtype::text),
              pg_get_constraintdef(o.oid))
FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
LEFT JOIN pg_class r ON r.oid = o.conrelid
WHERE n.nspname = ANY(%(schemas)s);

-- name: describe_indexes
SELECT format('index %%s valid=%%s', pg_get_indexdef(i.indexrelid), i.indisvalid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%(schemas)s);

-- name: describe_functions
SELECT format('function %%s owner=%%s acl=%%s', pg_get_functiondef(p.oid), pg_get_userbyid(p.proowner),
              (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(p.proacl) a))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY(%(schemas)s) AND p.prokind IN ('f', 'p');

-- name: describe_triggers
SELECT format('trigger %%s enabled=%%s', pg_get_triggerdef(t.oid), t.tgenabled)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND NOT t.tgisinternal;

-- name: describe_policies
SELECT format('policy %%I on %%I.%%I %%s %%s to=%%s using=%%s check=%%s', policyname, schemaname, tablename,
              permissive, cmd, roles, qual, with_check)
FROM pg_policies WHERE schemaname = ANY(%(schemas)s);

-- name: describe_views
SELECT format('view %%s: %%s', c.oid::regclass, pg_get_viewdef(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('v', 'm');

-- name: describe_types
SELECT format('type %%I.%%I kind=%%s owner=%%s base=%%s labels=%%s', n.nspname, t.typname, t.typtype,
              pg_get_userbyid(t.typowner), nullif(t.typbasetype, 0)::regtype,
              (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = ANY(%(schemas)s) AND t.typtype IN ('d', 'e', 'r');

-- name: describe_sequences
SELECT format('sequence %%I.%%I %%s start=%%s by=%%s min=%%s max=%%s cycle=%%s cache=%%s', schemaname, sequencename,
              data_type, start_value, increment_by, min_value, max_value, cycle, cache_size)
FROM pg_sequences WHERE schemaname = ANY(%(schemas)s);

-- name: describe_defaults
-- Rights that objects made later get by themselves.
SELECT format('default acl role=%%s schema=%%s kind=%%s acl=%%s', pg_get_userbyid(d.defaclrole), n.nspname,
              d.defaclobjtype, d.defaclacl)
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace;

-- name: describe_extensions
SELECT format('extension %%I in %%s', e.extname, n.nspname)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace;

-- name: list_schemas
SELECT nspname::text FROM pg_namespace
WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'ledger_meta');
