-- name: lock_publishing
-- One publisher at a time signs for a log, on however many nodes; appends are not kept waiting.
SELECT pg_advisory_xact_lock(hashtextextended('loglineos/publish/' || %(tenant)s, 0));

-- name: list_moved
-- tenant: all, because the node publishes for every tenant whose log has grown.
SELECT h.tenant_id
FROM ledger.log_head h
LEFT JOIN LATERAL (
  SELECT c.size FROM ledger.checkpoint c WHERE c.tenant_id = h.tenant_id ORDER BY c.size DESC LIMIT 1
) AS last ON true
WHERE h.tenant_id <> '@root' AND h.size > coalesce(last.size, 0)
ORDER BY h.tenant_id;

-- name: list_unrooted
-- Checkpoints that were stored and are not in the root log yet: those just made, and any that a
-- publisher left behind when it was killed.
SELECT c.tenant_id, c.size, c.note
FROM ledger.checkpoint c
WHERE c.tenant_id <> %(root)s
  AND NOT EXISTS (
    SELECT 1 FROM ledger.root_entry e
    WHERE e.tenant_id = %(root)s AND e.source_tenant = c.tenant_id AND e.source_size = c.size)
  AND c.tenant_id = ANY(%(tenants)s::text[])
ORDER BY c.tenant_id, c.size;

-- name: list_published
-- tenant: all, because a restart looks once for checkpoints that a killed publisher left behind.
SELECT DISTINCT c.tenant_id
FROM ledger.checkpoint c
WHERE c.tenant_id <> '@root'
  AND NOT EXISTS (
    SELECT 1 FROM ledger.root_entry e
    WHERE e.tenant_id = '@root' AND e.source_tenant = c.tenant_id AND e.source_size = c.size);

-- name: read_checkpoint
-- The newest checkpoint of a log.
SELECT size, root, note
FROM ledger.checkpoint
WHERE tenant_id = %(tenant)s
ORDER BY size DESC
LIMIT 1;

-- name: keep_checkpoint
-- Publish a checkpoint; a repeat changes nothing.
INSERT INTO ledger.checkpoint (tenant_id, size, root, note, signed_at)
VALUES (%(tenant)s, %(size)s, %(root)s, %(note)s, %(now)s)
ON CONFLICT (tenant_id, size) DO NOTHING;

-- name: lock_root_head
-- The row lock orders additions to the root log.
SELECT size, root
FROM ledger.log_head
WHERE tenant_id = %(tenant)s
FOR UPDATE;

-- name: insert_root_entry
-- A tenant's checkpoint becomes an entry of the root log.
INSERT INTO ledger.root_entry (tenant_id, position, source_tenant, source_size, entry)
VALUES (%(tenant)s, %(position)s, %(source_tenant)s, %(source_size)s, %(entry)s);

-- name: keep_cosignature
-- A witness's line over a checkpoint; the first one stays.
INSERT INTO ledger.cosignature (tenant_id, size, witness, line, signed_at)
VALUES (%(tenant)s, %(size)s, %(witness)s, %(line)s, %(now)s)
ON CONFLICT (tenant_id, size, witness) DO NOTHING;

-- name: list_cosigners
-- Who has cosigned a checkpoint already.
SELECT witness
FROM ledger.cosignature
WHERE tenant_id = %(tenant)s AND size = %(size)s;

-- name: move_root_head
-- Move the head of the root log, which is locked; were it elsewhere, its size would become null, which
-- the column refuses, and the entries with it.
UPDATE ledger.log_head
SET size = CASE WHEN size = %(old_size)s THEN %(size)s END, root = %(root)s, updated_at = %(now)s
WHERE tenant_id = %(tenant)s;
