-- name: list_sizes
-- tenant: all, because one look tells how many records each log has.
SELECT h.tenant_id, h.size
FROM ledger.log_head h
WHERE h.tenant_id NOT LIKE '@%%'
ORDER BY h.tenant_id;

-- name: count_all_jobs
-- What each queue holds, by where its executions stand now.
-- tenant: all, because one look tells of every queue of the node.
SELECT j.tenant_id, j.queue,
  CASE
    WHEN j.lease_until > %(now)s THEN 'running'
    WHEN j.due_at <= %(now)s THEN 'ready'
    WHEN j.status = 'waiting' THEN 'waiting'
    ELSE 'later'
  END AS stands, count(*)
FROM ledger.job j
GROUP BY j.tenant_id, j.queue, stands
ORDER BY j.tenant_id, j.queue, stands;

-- name: list_all_lags
-- How far behind its log each follower is.
-- tenant: all, because one look tells of every follower of the node.
SELECT c.tenant_id, c.name, c.position, h.size
FROM ledger.cursor c
JOIN ledger.log_head h ON h.tenant_id = c.tenant_id
ORDER BY c.tenant_id, c.name;

-- name: count_dead
-- How many executions ran out of attempts and wait for a person.
SELECT count(*)
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.status = 'dead' AND e.entity_type = 'execution';

-- name: count_ended
-- How executions ended between two positions of the log, by function and end.
SELECT coalesce(r.name, '?'), r.status, count(*), coalesce(sum(r.duration_ms), 0)::bigint,
  coalesce(max(r.duration_ms), 0)::bigint
FROM unnest(%(ends)s::text[]) AS ending (status)
CROSS JOIN LATERAL (
  SELECT u.name, u.status, u.duration_ms
  FROM ledger.universal_registry u
  WHERE u.tenant_id = %(tenant)s AND u.status = ending.status
    AND u.position >= %(start)s AND u.position < %(end)s
    AND u.entity_type = 'execution' AND u.recorded_at >= %(since)s) AS r
GROUP BY 1, 2
ORDER BY 1, 2;
