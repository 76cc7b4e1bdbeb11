-- name: event_at
-- One event by its place in the log.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.position = %(position)s::bigint;

-- name: event_of
-- One event of an entity; the latest that the reader may see when no seq is named.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s::uuid
  AND (%(seq)s::integer IS NULL OR r.seq = %(seq)s::integer)
ORDER BY r.seq DESC
LIMIT 1;

-- name: events_of
-- The life of an entity, tombstones included: what is hidden from the timeline is not removed.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s::uuid AND r.seq >= %(seq_from)s
ORDER BY r.seq
LIMIT %(rows_max)s;

-- name: entities_between
-- Entities whose id lies in a range: a short id is a prefix. Three rows tell one from several.
SELECT e.id
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.id BETWEEN %(first)s::uuid AND %(last)s::uuid
ORDER BY e.id
LIMIT 3;

-- name: latest_seqs
-- Which event is the latest of each entity: only there may something be done.
SELECT e.id, e.seq
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);

-- name: size_of_log
-- How many records the tenant's log has: every position below it is there to be read.
SELECT h.size
FROM ledger.log_head h
WHERE h.tenant_id = %(tenant)s;

-- name: head_of_log
-- The head of the tenant's log, and the last checkpoint that was signed for it.
SELECT h.size, h.root, h.updated_at, c.size, c.signed_at
FROM ledger.log_head h
LEFT JOIN LATERAL (
  SELECT k.size, k.signed_at
  FROM ledger.checkpoint k
  WHERE k.tenant_id = %(tenant)s
  ORDER BY k.size DESC
  LIMIT 1) AS c ON true
WHERE h.tenant_id = %(tenant)s;
