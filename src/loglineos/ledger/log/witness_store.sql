-- name: read_seen
-- The largest tree of a foreign log that this node cosigned.
SELECT size, root
FROM ledger.witnessed_log
WHERE tenant_id = %(tenant)s AND origin = %(origin)s;

-- name: insert_seen
-- The first tree of a log; nothing happens when another request was first.
INSERT INTO ledger.witnessed_log (tenant_id, origin, size, root, note, updated_at)
VALUES (%(tenant)s, %(origin)s, %(size)s, %(root)s, %(note)s, %(now)s)
ON CONFLICT (tenant_id, origin) DO NOTHING;

-- name: replace_seen
-- Compare and swap; no row means that another request moved the log first.
UPDATE ledger.witnessed_log
SET size = %(size)s, root = %(root)s, note = %(note)s, updated_at = %(now)s
WHERE tenant_id = %(tenant)s AND origin = %(origin)s
  AND size = %(old_size)s AND root = %(old_root)s;
