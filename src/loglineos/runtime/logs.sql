-- name: read_runs
-- The newest executions of a function: their first events.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.parent_id = %(function)s AND r.entity_type = 'execution'
  AND r.seq = 0
ORDER BY r.position DESC
LIMIT %(rows_max)s;

-- name: read_told
-- What executions logged, and how they stand: their own events and their steps that are words for
-- the log, in order.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.parent_id = ANY(%(executions)s::uuid[])
  AND r.entity_type = 'step' AND r.did = 'ctx.log'
ORDER BY r.position;

-- name: read_stand
-- The latest event of each of these executions.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND e.id = ANY(%(executions)s::uuid[]);
