-- name: entity_heads
-- The latest event of each entity: what an author's next event follows.
SELECT id, seq, status, curr_hash
FROM ledger.entity
WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]);

-- name: event_hashes
-- The hashes of events that a repeated event follows.
SELECT r.id, r.seq, r.curr_hash
FROM ledger.universal_registry r
JOIN unnest(%(ids)s::uuid[], %(seqs)s::int[]) AS wanted (id, seq) USING (id, seq)
WHERE r.tenant_id = %(tenant)s;

-- name: latest_event
-- The latest event of one entity, whole.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s
ORDER BY r.seq DESC
LIMIT 1;

-- name: log_size
-- How many records a tenant's log has; no row: no such tenant.
SELECT size
FROM ledger.log_head
WHERE tenant_id = %(tenant)s;

-- name: present_keys
-- Which open-ended events of these entities were appended before, by their idempotency keys.
SELECT id, idempotency_key
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]) AND idempotency_key = ANY(%(keys)s::text[]);
