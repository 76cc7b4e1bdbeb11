-- name: count_jobs
-- What each queue of a tenant has: to be taken now, for later, running, waiting to be woken.
SELECT j.queue,
  count(*) FILTER (WHERE j.lease_until > %(now)s) AS running,
  count(*) FILTER (WHERE j.due_at <= %(now)s AND (j.lease_until IS NULL OR j.lease_until <= %(now)s)) AS ready,
  count(*) FILTER (WHERE j.due_at > %(now)s AND j.status <> 'waiting' AND j.lease_until IS NULL) AS later,
  count(*) FILTER (WHERE j.due_at > %(now)s AND j.status = 'waiting' AND j.lease_until IS NULL) AS waiting,
  min(j.due_at) FILTER (WHERE j.due_at <= %(now)s AND (j.lease_until IS NULL OR j.lease_until <= %(now)s)) AS oldest,
  min(j.due_at) FILTER (WHERE j.due_at > %(now)s AND j.due_at < 'infinity') AS next_due
FROM ledger.job j
WHERE j.tenant_id = %(tenant)s
GROUP BY j.queue
ORDER BY j.queue;

-- name: count_ends
-- How executions ended since then, by queue.
SELECT e.queue, e.status, count(*) AS executions
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.queue IS NOT NULL AND e.entity_type = 'execution'
  AND e.status = ANY(%(ends)s::text[]) AND e.at >= %(since)s
GROUP BY e.queue, e.status
ORDER BY e.queue, e.status;

-- name: list_ended
-- Executions that ended so, newest first.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND e.status = ANY(%(ends)s::text[]) AND e.entity_type = 'execution'
  AND (%(queue)s::text IS NULL OR e.queue = %(queue)s)
ORDER BY e.position DESC
LIMIT %(rows_max)s;

-- name: list_workers
-- Who works, on which tenant's jobs too; the workers are the node's.
SELECT w.id, w.started_at, w.seen_at, w.about,
  (SELECT count(*) FROM ledger.job j
   WHERE j.tenant_id = %(tenant)s AND j.worker = w.id AND j.lease_until > %(now)s) AS leases
FROM ledger.worker w
WHERE w.tenant_id = '@node' AND w.seen_at >= %(seen_after)s
ORDER BY w.id;
