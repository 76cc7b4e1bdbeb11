-- name: list_tenants
-- Who may have schedules.
-- tenant: all, because one scheduler serves every tenant of its node.
SELECT h.tenant_id
FROM ledger.log_head h
WHERE h.tenant_id NOT LIKE '@%%' AND h.size > 0
ORDER BY h.tenant_id;

-- name: read_cursors
-- Up to which instant each schedule was looked at, in microseconds since 1970.
SELECT c.name, c.position
FROM ledger.cursor c
WHERE c.tenant_id = %(tenant)s AND c.name = ANY(%(names)s::text[]);

-- name: keep_cursors
-- So far these schedules were looked at. Losing it harms nothing: a firing has its own id.
INSERT INTO ledger.cursor (tenant_id, name, position, updated_at)
SELECT %(tenant)s, kept.name, kept.position, %(now)s
FROM unnest(%(names)s::text[], %(positions)s::bigint[]) AS kept (name, position)
ON CONFLICT (tenant_id, name) DO UPDATE SET position = EXCLUDED.position, updated_at = EXCLUDED.updated_at;

-- name: function_ids
-- The functions that schedules name; the newest of a name.
SELECT DISTINCT ON (e.name) e.name, e.id
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.entity_type = 'function' AND e.name = ANY(%(names)s::text[])
ORDER BY e.name, e.position DESC;
