-- name: lock_head
-- Nothing is appended while the derived tables are compared and written.
SELECT size
FROM ledger.log_head
WHERE tenant_id = %(tenant)s
FOR UPDATE;

-- name: read_size
-- The size of the log at the moment of a check that only looks.
SELECT size
FROM ledger.log_head
WHERE tenant_id = %(tenant)s;

-- name: find_wrong_entities
-- The latest event of each entity as the registry tells it, against what is kept; a row for each
-- difference. IS DISTINCT FROM on whole rows compares nulls as values.
WITH told AS (
  SELECT DISTINCT ON (r.id)
    r.tenant_id, r.id, r.seq, r.position,
    first_value(r.position) OVER (PARTITION BY r.id ORDER BY r.seq) AS first_position,
    r.entity_type, r.status, r.type, r.who, r.did, r."this", r.at, r.confirmed_by, r.ghost_reason,
    r.owner_id, r.visibility, r.shared_with, r.is_deleted, r.name, r.queue, r.priority, r.run_at,
    r.attempt, r.max_attempts, r.idempotency_key, r.curr_hash
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s
  ORDER BY r.id, r.seq DESC
), kept AS (
  SELECT e.tenant_id, e.id, e.seq, e.position, e.first_position, e.entity_type, e.status, e.type,
    e.who, e.did, e."this", e.at, e.confirmed_by, e.ghost_reason, e.owner_id, e.visibility,
    e.shared_with, e.is_deleted, e.name, e.queue, e.priority, e.run_at, e.attempt, e.max_attempts,
    e.idempotency_key, e.curr_hash
  FROM ledger.entity e
  WHERE e.tenant_id = %(tenant)s
)
SELECT coalesce(told.id, kept.id) AS id, row_to_json(told) AS told, row_to_json(kept) AS kept
FROM told FULL JOIN kept ON kept.id = told.id
WHERE told IS DISTINCT FROM kept
ORDER BY 1;

-- name: find_wrong_blocks
-- The span of time of each block of positions, told and kept.
WITH told AS (
  SELECT r.position / %(block_positions)s AS block, min(r.at) AS at_min, max(r.at) AS at_max
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s
  GROUP BY 1
), kept AS (
  SELECT b.block, b.at_min, b.at_max
  FROM ledger.timeline_block b
  WHERE b.tenant_id = %(tenant)s
)
SELECT coalesce(told.block, kept.block) AS block, row_to_json(told) AS told, row_to_json(kept) AS kept
FROM told FULL JOIN kept ON kept.block = told.block
WHERE told IS DISTINCT FROM kept
ORDER BY 1;

-- name: find_wrong_jobs
-- What waits to run, told and kept. When it is due and who holds a lease is operational, not derived.
WITH latest AS (
  SELECT DISTINCT ON (r.id) r.id, r.seq, r.position, r.queue, r.status,
    coalesce(r.priority, 0) AS priority, r.name, r.idempotency_key AS key
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s AND r.entity_type = 'execution'
  ORDER BY r.id, r.seq DESC
), told AS (
  SELECT l.id, l.seq, l.position, l.queue, l.status, l.priority, l.name, l.key
  FROM latest l
  WHERE l.queue IS NOT NULL AND l.status IN ('scheduled', 'queued', 'running', 'waiting')
), kept AS (
  SELECT j.id, j.seq, j.position, j.queue, j.status, j.priority, j.name, j.key
  FROM ledger.job j
  WHERE j.tenant_id = %(tenant)s
)
SELECT coalesce(told.id, kept.id) AS id, row_to_json(told) AS told, row_to_json(kept) AS kept
FROM told FULL JOIN kept ON kept.id = told.id
WHERE told IS DISTINCT FROM kept
ORDER BY 1;

-- name: key_records
-- What tells the keys of a house, in order: its founding and every record of a key.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND (r.entity_type = 'key' OR r.position = 0)
ORDER BY r.position;

-- name: kept_terms
-- The terms of keys as they are kept.
SELECT public_key, actor, role, custody, enrolled, revoked
FROM ledger.actor_key
WHERE tenant_id = %(tenant)s;

-- name: drop_entities
-- Wrong rows go; what the registry tells comes back by `put_entities`.
DELETE FROM ledger.entity
WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]);

-- name: put_entities
-- The latest event of each named entity, from the registry.
INSERT INTO ledger.entity (
  tenant_id, id, seq, position, first_position, entity_type, status, type, who, did, "this", at,
  confirmed_by, ghost_reason, owner_id, visibility, shared_with, is_deleted, name, queue, priority,
  run_at, attempt, max_attempts, idempotency_key, curr_hash)
SELECT DISTINCT ON (r.id)
  r.tenant_id, r.id, r.seq, r.position,
  first_value(r.position) OVER (PARTITION BY r.id ORDER BY r.seq),
  r.entity_type, r.status, r.type, r.who, r.did, r."this", r.at, r.confirmed_by, r.ghost_reason,
  r.owner_id, r.visibility, r.shared_with, r.is_deleted, r.name, r.queue, r.priority, r.run_at,
  r.attempt, r.max_attempts, r.idempotency_key, r.curr_hash
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = ANY(%(ids)s::uuid[])
ORDER BY r.id, r.seq DESC;

-- name: drop_blocks
-- Wrong spans of time go.
DELETE FROM ledger.timeline_block
WHERE tenant_id = %(tenant)s AND block = ANY(%(blocks)s::bigint[]);

-- name: put_blocks
-- The spans of time of the named blocks, from the registry.
INSERT INTO ledger.timeline_block (tenant_id, block, at_min, at_max)
SELECT r.tenant_id, wanted.block, min(r.at), max(r.at)
FROM unnest(%(blocks)s::bigint[]) AS wanted (block)
JOIN ledger.universal_registry r ON r.tenant_id = %(tenant)s
  AND r.position >= wanted.block * %(block_positions)s
  AND r.position < (wanted.block + 1) * %(block_positions)s
GROUP BY r.tenant_id, wanted.block;

-- name: drop_jobs
-- Wrong jobs go, and their leases with them: whoever works on one finds that it moved on.
DELETE FROM ledger.job
WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]);

-- name: put_jobs
-- The named jobs as the registry tells them, free to be taken at their time.
INSERT INTO ledger.job (tenant_id, id, seq, position, queue, status, priority, due_at, name, key)
SELECT tenant_id, id, seq, position, queue, status, coalesce(priority, 0),
  coalesce(run_at, CASE WHEN status = 'waiting' THEN 'infinity' ELSE recorded_at END), name,
  idempotency_key
FROM (
  SELECT DISTINCT ON (r.id) r.*
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s AND r.id = ANY(%(ids)s::uuid[]) AND r.entity_type = 'execution'
  ORDER BY r.id, r.seq DESC
) AS latest
WHERE queue IS NOT NULL AND status IN ('scheduled', 'queued', 'running', 'waiting');

-- name: drop_terms
-- Wrong terms of keys go.
DELETE FROM ledger.actor_key
WHERE tenant_id = %(tenant)s AND public_key = ANY(%(keys)s::text[]);

-- name: put_term
-- One term of a key, as the log tells it.
INSERT INTO ledger.actor_key (tenant_id, public_key, actor, role, custody, enrolled, revoked)
VALUES (%(tenant)s, %(public_key)s, %(actor)s, %(role)s, %(custody)s, %(enrolled)s, %(revoked)s);

-- name: note_keys_changed
-- Appenders that remember the old terms read them again.
UPDATE ledger.log_head
SET keys_changed = greatest(keys_changed + 1, size)
WHERE tenant_id = %(tenant)s;
