-- name: read_heads
-- The latest event of each of these entities: what genesis would write, as the house has it.
SELECT DISTINCT ON (r.id) r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = ANY(%(ids)s::uuid[])
ORDER BY r.id, r.seq DESC;
