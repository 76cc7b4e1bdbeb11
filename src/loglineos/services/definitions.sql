-- name: read_on
-- What was defined since the last look, in order. The index on type and position answers in one probe.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.entity_type = %(entity_type)s AND r.position >= %(position_from)s
ORDER BY r.position
LIMIT %(rows_max)s;
