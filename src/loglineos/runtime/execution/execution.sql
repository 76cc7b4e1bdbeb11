-- name: steps_of
-- The journal of an execution, in the order in which it was written: its steps, and what it emitted,
-- which is its own step. One index each. Only what the function itself said counts.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.parent_id = %(execution)s AND r.entity_type = 'step'
  AND r.who = %(who)s
UNION ALL
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.cause_id = %(execution)s AND r.who = %(who)s
  AND r.entity_type <> 'step' AND jsonb_typeof(r.metadata -> 'step') = 'object'
ORDER BY position;

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

-- name: events_of
-- The life of an entity, in order.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s
ORDER BY r.seq;

-- name: preludes_named
-- Every version of a module of the prelude.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s
  AND e.entity_type = 'prelude' AND e.name = %(name)s
ORDER BY r.seq;

-- name: children_of
-- The executions that others asked for: the first event of each child of these.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.cause_id = ANY(%(ids)s::uuid[]) AND r.entity_type = 'execution'
  AND r.seq = 0
ORDER BY r.position
LIMIT %(rows_max)s;

-- name: heads_of
-- The latest event of each of these entities.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);

-- name: ended_since
-- Executions that ended, in the order of their ends, a page at a time.
SELECT r.position, r.id
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.entity_type = 'execution' AND r.position > %(position)s
  AND r.status IN ('complete', 'error', 'dead') AND r.recorded_at >= %(since)s
ORDER BY r.position
LIMIT %(rows_max)s;

-- name: find_job
-- The unfinished execution of a function that was asked for under a key, if there is one.
SELECT j.id
FROM ledger.job j
WHERE j.tenant_id = %(tenant)s AND j.key = %(key)s AND j.name = %(name)s
ORDER BY j.position
LIMIT 1;

-- name: keep_snapshot
-- Where a long run stands, in place of where it stood before, unless it has ended; with it goes what
-- runs left behind that others ended: cancelled, dead, or ended while it was being kept.
WITH swept AS (
  DELETE FROM ledger.snapshot o
  WHERE o.tenant_id = %(tenant)s AND o.id <> %(id)s
    AND NOT EXISTS (
      SELECT 1 FROM ledger.job j WHERE j.tenant_id = o.tenant_id AND j.tenant_id = %(tenant)s
        AND j.id = o.id
    )
)
INSERT INTO ledger.snapshot AS s (tenant_id, id, step, engine, mac, body, kept_at)
SELECT %(tenant)s, %(id)s, %(step)s, %(engine)s, %(mac)s, %(body)s, %(now)s
FROM ledger.job j
WHERE j.tenant_id = %(tenant)s AND j.id = %(id)s
ON CONFLICT (tenant_id, id) DO UPDATE SET
  step = EXCLUDED.step, engine = EXCLUDED.engine, mac = EXCLUDED.mac, body = EXCLUDED.body,
  kept_at = EXCLUDED.kept_at;

-- name: find_snapshot
-- Where a run stood, as it was kept.
SELECT s.step, s.engine, s.mac, s.body
FROM ledger.snapshot s
WHERE s.tenant_id = %(tenant)s AND s.id = %(id)s;

-- name: drop_snapshot
-- A run that has ended stands nowhere.
DELETE FROM ledger.snapshot
WHERE tenant_id = %(tenant)s AND id = %(id)s;
