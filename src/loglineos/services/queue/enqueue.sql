-- name: live_keys
-- The unfinished executions of these keys; should there ever be two of one key, the first.
SELECT DISTINCT ON (j.name, j.key) coalesce(j.name, '') AS name, j.key, j.id
FROM ledger.job j
WHERE j.tenant_id = %(tenant)s AND j.key = ANY(%(keys)s::text[])
ORDER BY j.name, j.key, j.position;

-- name: existing_ids
-- Which of these executions were ever asked for.
SELECT e.id
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);
