-- name: steps_of
-- The journal of an execution, in the order in which it was written.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.parent_id = %(execution)s AND r.entity_type = 'step'
ORDER BY r.position;

-- name: first_event
-- What was asked for: the first event of an execution.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(execution)s AND r.seq = 0;

-- name: wake_jobs
-- What waits becomes due: whoever takes it looks for itself whether the waiting is over.
UPDATE ledger.job
SET due_at = least(due_at, %(now)s)
WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]) AND status = 'waiting';

-- name: waiting_executions
-- What waits in a tenant, and for what: the latest event of each waiting execution.
SELECT r.id, r.metadata -> 'waiting_for'
FROM ledger.job j
JOIN ledger.universal_registry r ON r.tenant_id = j.tenant_id AND r.id = j.id AND r.seq = j.seq
WHERE j.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND j.status = 'waiting';
