-- name: list_definitions
-- The latest event of each function, policy and prelude module, and each learned name, oldest first:
-- of two of one name the older one keeps it.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND e.entity_type = ANY(%(types)s::text[])
  AND e.name IS NOT NULL AND NOT e.is_deleted
ORDER BY e.first_position;
