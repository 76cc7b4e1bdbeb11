-- name: read_batch
-- What comes next in a tenant's log, in order, and how long the log is. Positions are dense: fewer rows
-- than asked for are all there are.
SELECT r.*, (SELECT h.size FROM ledger.log_head h WHERE h.tenant_id = %(tenant)s) AS size
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.position >= %(position)s
ORDER BY r.position
LIMIT %(rows_max)s;

-- name: size_of_log
-- How many records a tenant's log has; no row: no such tenant.
SELECT h.size
FROM ledger.log_head h
WHERE h.tenant_id = %(tenant)s;

-- name: list_heads
-- tenant: all, because one look a second tells for all of them together who has grown.
SELECT tenant_id, size
FROM ledger.log_head
WHERE tenant_id NOT LIKE '@%%' AND size > 0;

-- name: read_cursors
-- Where the followers of a tenant's log are whose names begin so.
SELECT name, position
FROM ledger.cursor
WHERE tenant_id = %(tenant)s AND starts_with(name, %(prefix)s)
ORDER BY name;

-- name: begin_cursor
-- Give a follower its first place; one that has a place already keeps it.
INSERT INTO ledger.cursor (tenant_id, name, position, updated_at)
VALUES (%(tenant)s, %(name)s, %(position)s, %(now)s)
ON CONFLICT (tenant_id, name) DO NOTHING;

-- name: move_cursors
-- Move followers on. Two that share a name never move each other back.
INSERT INTO ledger.cursor AS c (tenant_id, name, position, updated_at)
SELECT %(tenant)s, moved.name, moved.position, %(now)s
FROM unnest(%(names)s::text[], %(positions)s::bigint[]) AS moved (name, position)
ORDER BY moved.name
ON CONFLICT (tenant_id, name) DO UPDATE SET position = EXCLUDED.position, updated_at = EXCLUDED.updated_at
WHERE c.position < EXCLUDED.position;
