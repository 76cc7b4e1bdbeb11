-- name: existing_ids
-- Which of these executions were ever asked for, and whether they have not ended.
SELECT e.id, coalesce(e.status = ANY(%(unfinished)s::text[]), false) AS is_alive
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);
