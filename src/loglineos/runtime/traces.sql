-- name: first_events
-- How some lives began, or the first event of each that the reader may see; and how they stand now.
SELECT DISTINCT ON (r.id) r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = ANY(%(ids)s::uuid[])
ORDER BY r.id, r.seq;

-- name: caused_events
-- What some records led to: the first event of each life that names one of them as its cause.
SELECT DISTINCT ON (r.id) r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.cause_id = ANY(%(ids)s::uuid[])
  AND r.entity_type NOT IN ('step', 'policy_cursor')
ORDER BY r.id, r.seq;

-- name: latest_statuses
-- How some lives stand now.
SELECT e.id, e.status
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);
