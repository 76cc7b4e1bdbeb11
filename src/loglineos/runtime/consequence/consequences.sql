-- name: events_named
-- Some events of some entities, whole.
SELECT r.*
FROM ledger.universal_registry r
JOIN unnest(%(ids)s::uuid[], %(seqs)s::int[]) AS wanted (id, seq) USING (id, seq)
WHERE r.tenant_id = %(tenant)s;

-- name: latest_events
-- The latest event of each of some entities, whole.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);

-- name: pending_intents
-- Intents that still ask what they mean, oldest first, a page at a time.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND e.entity_type = 'intent'
  AND e.status = 'pending' AND e.position > %(after)s
ORDER BY e.position
LIMIT %(rows_max)s;
