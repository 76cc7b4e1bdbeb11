-- name: tenants_with_jobs
-- Whose jobs a worker looks for when no hint told it.
-- tenant: all, because a worker serves every tenant of its node.
SELECT h.tenant_id
FROM ledger.log_head h
WHERE EXISTS (SELECT 1 FROM ledger.job j WHERE j.tenant_id = h.tenant_id)
ORDER BY h.tenant_id;

-- name: ready_groups
-- Each queue and priority of a tenant that has jobs: whether one may be taken now, and when the next
-- is due. The walk jumps from group to group in the index, whatever the number of jobs.
WITH RECURSIVE job_group AS (
  (SELECT j.queue, j.priority
   FROM ledger.job j
   WHERE j.tenant_id = %(tenant)s
   ORDER BY j.queue, j.priority
   LIMIT 1)
  UNION ALL
  SELECT following.queue, following.priority
  FROM job_group g
  CROSS JOIN LATERAL (
    SELECT j.queue, j.priority
    FROM ledger.job j
    WHERE j.tenant_id = %(tenant)s AND (j.queue, j.priority) > (g.queue, g.priority)
    ORDER BY j.queue, j.priority
    LIMIT 1) AS following
)
SELECT g.queue, g.priority,
  coalesce((
    SELECT true
    FROM ledger.job j
    WHERE j.tenant_id = %(tenant)s AND j.queue = g.queue AND j.priority = g.priority
      AND j.due_at <= %(now)s AND (j.lease_until IS NULL OR j.lease_until <= %(now)s)
    ORDER BY j.due_at
    LIMIT 1), false) AS is_ready,
  (SELECT j.due_at
   FROM ledger.job j
   WHERE j.tenant_id = %(tenant)s AND j.queue = g.queue AND j.priority = g.priority
     AND j.due_at > %(now)s AND j.due_at < 'infinity'
   ORDER BY j.due_at
   LIMIT 1) AS next_due
FROM job_group g
ORDER BY g.priority, g.queue;

-- name: take_jobs
-- Lease the first jobs of these groups, in the order in which the groups are given. A row that another
-- worker is just taking is passed over. A lease that ran out is told with its worker: whoever takes
-- such a job records the loss before it runs again. The latest event may be younger than what this
-- statement sees; then its columns are null and the caller reads it by itself. The picked rows
-- are locked, so their places hold: a planner that saw the table empty must not look for each of them
-- through all of a tenant's jobs.
WITH picked AS (
  SELECT j.place, j.worker AS lost_by
  FROM unnest(%(queues)s::text[], %(priorities)s::bigint[]) WITH ORDINALITY AS g (queue, priority, place)
  CROSS JOIN LATERAL (
    SELECT w.ctid AS place, w.worker
    FROM ledger.job w
    WHERE w.tenant_id = %(tenant)s AND w.queue = g.queue AND w.priority = g.priority
      AND w.due_at <= %(now)s AND (w.lease_until IS NULL OR w.lease_until <= %(now)s)
    ORDER BY w.due_at, w.position
    LIMIT %(jobs_max)s
    FOR UPDATE SKIP LOCKED) AS j
  LIMIT %(jobs_max)s
), taken AS (
  UPDATE ledger.job j
  SET lease_until = %(lease_until)s, worker = %(worker)s, claimed_at = %(now)s, claims = j.claims + 1
  FROM picked p
  WHERE j.tenant_id = %(tenant)s AND j.ctid = p.place
  RETURNING j.id, j.seq, p.lost_by
)
SELECT t.id, t.lost_by,
  CASE WHEN t.seq > 0 THEN (
    SELECT f.input
    FROM ledger.universal_registry f
    WHERE f.tenant_id = %(tenant)s AND f.id = t.id AND f.seq = 0) END AS first_input,
  r.*
FROM taken t
LEFT JOIN ledger.universal_registry r ON r.tenant_id = %(tenant)s AND r.id = t.id AND r.seq = t.seq;

-- name: lock_limit
-- What a limited queue has let through, as its theoretical arrival time in microseconds; the lock makes
-- workers count one after the other.
INSERT INTO ledger.cursor (tenant_id, name, position, updated_at)
VALUES (%(tenant)s, %(name)s, 0, %(now)s)
ON CONFLICT (tenant_id, name) DO UPDATE SET updated_at = EXCLUDED.updated_at
RETURNING position;

-- name: count_leases
-- How many jobs of a queue (null: of all queues of the tenant) are being worked on.
SELECT count(*)
FROM ledger.job j
WHERE j.tenant_id = %(tenant)s AND (%(queue)s::text IS NULL OR j.queue = %(queue)s) AND j.lease_until > %(now)s;

-- name: move_limit
-- So much was let through.
UPDATE ledger.cursor
SET position = %(position)s
WHERE tenant_id = %(tenant)s AND name = %(name)s;

-- name: renew_leases
-- Whoever still works on a job says so; what does not come back is no longer this worker's.
UPDATE ledger.job j
SET lease_until = %(lease_until)s
WHERE j.tenant_id = %(tenant)s AND j.id = ANY(%(ids)s::uuid[]) AND j.worker = %(worker)s
RETURNING j.id;

-- name: release_leases
-- Jobs that were taken and never begun are free at once for others.
UPDATE ledger.job j
SET lease_until = NULL, worker = NULL
WHERE j.tenant_id = %(tenant)s AND j.id = ANY(%(ids)s::uuid[]) AND j.worker = %(worker)s;

-- name: tell_worker
-- This worker lives, and what it is. The tenant is '@node': workers serve all.
INSERT INTO ledger.worker AS w (tenant_id, id, started_at, seen_at, about)
VALUES ('@node', %(worker)s, %(now)s, %(now)s, %(about)s::jsonb)
ON CONFLICT (tenant_id, id) DO UPDATE SET seen_at = EXCLUDED.seen_at, about = EXCLUDED.about;

-- name: forget_workers
-- This worker ends; those that were not seen for a day go too.
DELETE FROM ledger.worker
WHERE tenant_id = '@node' AND (id = %(worker)s OR seen_at < %(seen_before)s);
