-- name: lock_heads
-- The row lock on each tenant's head orders appends; taken in the order of tenant ids, so that two
-- appenders never wait for each other. What is read afterwards is what the last append left.
SELECT tenant_id, size, root, keys_changed
FROM ledger.log_head
WHERE tenant_id = ANY(%(tenants)s::text[])
ORDER BY tenant_id
FOR UPDATE;

-- name: entity_heads
-- The latest event of each entity of a batch: what the next event must follow.
SELECT id, seq, status, curr_hash, entity_type
FROM ledger.entity
WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s::uuid[]);

-- name: stored_events
-- The events of a batch that are there already: a repeat is answered with what was stored.
SELECT r.*
FROM ledger.universal_registry r
JOIN unnest(%(ids)s::uuid[], %(seqs)s::int[]) AS wanted (id, seq) USING (id, seq)
WHERE r.tenant_id = %(tenant)s;

-- name: key_terms
-- The derived terms of a tenant's keys.
SELECT public_key, actor, role, custody, enrolled, revoked
FROM ledger.actor_key
WHERE tenant_id = %(tenant)s;

-- name: tail_of_log
-- The rows after the last full level-0 tile: their leaves make the partial tile.
SELECT id, seq, curr_hash, public_key, signature, recorded_at
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(position_from)s AND position < %(position_before)s
ORDER BY position;

-- name: tile_roots
-- The roots of the full tiles of one level after the last full tile above them.
SELECT root
FROM ledger.tile
WHERE tenant_id = %(tenant)s AND level = %(level)s AND index >= %(index_from)s AND index < %(index_before)s
ORDER BY index;

-- name: derive_and_move
-- What follows from the rows just inserted, in one statement because each one costs a caller who
-- waits: the latest event of each entity, the span of time of each block, and the new head. Were the
-- head not where the caller read it, or remembers it, its size would become null, which the column
-- refuses, and the whole batch with it.
WITH entities AS (
INSERT INTO ledger.entity (
  tenant_id, id, seq, position, first_position, entity_type, status, type, who, did, "this", at,
  confirmed_by, ghost_reason, owner_id, visibility, shared_with, is_deleted, name, queue, priority,
  run_at, attempt, max_attempts, idempotency_key, curr_hash)
SELECT
  tenant_id, id, seq, position, position, entity_type, status, type, who, did, "this", at,
  confirmed_by, ghost_reason, owner_id, visibility, shared_with, is_deleted, name, queue, priority,
  run_at, attempt, max_attempts, idempotency_key, curr_hash
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(position_from)s AND position < %(position_before)s
  AND NOT (position = ANY(%(superseded)s::bigint[]))
ON CONFLICT (tenant_id, id) DO UPDATE SET
  seq = EXCLUDED.seq, position = EXCLUDED.position, entity_type = EXCLUDED.entity_type,
  status = EXCLUDED.status, type = EXCLUDED.type, who = EXCLUDED.who, did = EXCLUDED.did,
  "this" = EXCLUDED."this", at = EXCLUDED.at, confirmed_by = EXCLUDED.confirmed_by,
  ghost_reason = EXCLUDED.ghost_reason, owner_id = EXCLUDED.owner_id,
  visibility = EXCLUDED.visibility, shared_with = EXCLUDED.shared_with,
  is_deleted = EXCLUDED.is_deleted, name = EXCLUDED.name, queue = EXCLUDED.queue,
  priority = EXCLUDED.priority, run_at = EXCLUDED.run_at, attempt = EXCLUDED.attempt,
  max_attempts = EXCLUDED.max_attempts, idempotency_key = EXCLUDED.idempotency_key,
  curr_hash = EXCLUDED.curr_hash
), blocks AS (
INSERT INTO ledger.timeline_block AS b (tenant_id, block, at_min, at_max)
SELECT tenant_id, position / %(width)s, min(at), max(at)
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(position_from)s AND position < %(position_before)s
GROUP BY tenant_id, position / %(width)s
ON CONFLICT (tenant_id, block) DO UPDATE SET
  at_min = least(b.at_min, EXCLUDED.at_min), at_max = greatest(b.at_max, EXCLUDED.at_max)
)
UPDATE ledger.log_head
SET size = CASE WHEN size = %(position_from)s AND root = %(root_before)s
    AND keys_changed = %(keys_before)s THEN %(position_before)s END,
  root = %(root)s, keys_changed = %(keys_changed)s, updated_at = %(now)s
WHERE tenant_id = %(tenant)s;

-- name: first_positions
-- Entities whose first event is in the same batch as a later one start where that first event is.
UPDATE ledger.entity e
SET first_position = r.position
FROM ledger.universal_registry r
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND r.id = e.id AND r.seq = 0
  AND r.position = ANY(%(superseded)s::bigint[]);

-- name: lock_jobs
-- The jobs that end with these rows, held until the commit, so that the next statement finds them where
-- they are. The order by id makes each a look into the key, whatever a planner believes of a table that
-- is now empty and now full: joined freely, a burst after a quiet hour was walked once for each row.
SELECT count(*)
FROM ledger.universal_registry l
CROSS JOIN LATERAL (
  SELECT w.id
  FROM ledger.job w
  WHERE w.tenant_id = l.tenant_id AND w.id >= l.id AND w.id <= l.id
  ORDER BY w.id
  LIMIT 1
  FOR UPDATE) AS held
WHERE l.tenant_id = %(tenant)s AND l.position >= %(position_from)s AND l.position < %(position_before)s
  AND l.entity_type = 'execution'
  AND (l.queue IS NULL OR l.status NOT IN ('scheduled', 'queued', 'running', 'waiting'));

-- name: derive_jobs
-- What waits to run, of the executions just inserted: the latest event of each. A run that goes on
-- keeps its lease; one that rests or is tried again is free to be taken, at its time.
WITH latest AS (
SELECT tenant_id, id, seq, position, queue, status, priority, run_at, name, idempotency_key
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(position_from)s AND position < %(position_before)s
  AND entity_type = 'execution' AND NOT (position = ANY(%(superseded)s::bigint[]))
), ended AS (
DELETE FROM ledger.job j USING (
  SELECT found.place
  FROM latest l
  CROSS JOIN LATERAL (
    SELECT w.ctid AS place
    FROM ledger.job w
    WHERE w.tenant_id = l.tenant_id AND w.id >= l.id AND w.id <= l.id
    ORDER BY w.id
    LIMIT 1) AS found
  WHERE l.queue IS NULL OR l.status NOT IN ('scheduled', 'queued', 'running', 'waiting')) AS gone
WHERE j.tenant_id = %(tenant)s AND j.ctid = gone.place
)
INSERT INTO ledger.job AS j (
  tenant_id, id, seq, position, queue, status, priority, due_at, name, key)
SELECT tenant_id, id, seq, position, queue, status, coalesce(priority, 0),
  coalesce(run_at, CASE WHEN status = 'waiting' THEN 'infinity' ELSE %(now)s END), name, idempotency_key
FROM latest
WHERE queue IS NOT NULL AND status IN ('scheduled', 'queued', 'running', 'waiting')
ON CONFLICT (tenant_id, id) DO UPDATE SET
  seq = EXCLUDED.seq, position = EXCLUDED.position, queue = EXCLUDED.queue, status = EXCLUDED.status,
  priority = EXCLUDED.priority, name = EXCLUDED.name, key = EXCLUDED.key,
  due_at = CASE WHEN EXCLUDED.status = 'running' THEN j.due_at ELSE EXCLUDED.due_at END,
  lease_until = CASE WHEN EXCLUDED.status = 'running' THEN j.lease_until END,
  worker = CASE WHEN EXCLUDED.status = 'running' THEN j.worker END;

-- name: insert_tile
-- Keep a tile that has become full; it never changes again.
INSERT INTO ledger.tile (tenant_id, level, index, root, hashes)
VALUES (%(tenant)s, %(level)s, %(index)s, %(root)s, %(hashes)s);

-- name: searched_values
-- What the terms of the unfinished block are made of, in the order of `search_terms.COLUMNS`.
SELECT who, did, "this", confirmed_by, name, status, type, entity_type, owner_id, visibility, tags, shared_with
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(position_from)s
ORDER BY position;

-- name: insert_terms
-- The search terms of a block that has become full; they never change again.
INSERT INTO ledger.search_term (tenant_id, term, block, place, places)
SELECT %(tenant)s, r.term, %(block)s, r.place, r.places
FROM json_to_recordset(%(rows)s::json) AS r(term text, place smallint, places bit(1024));

-- name: keep_key_term
-- Enrol a key, or end its term.
INSERT INTO ledger.actor_key (tenant_id, public_key, actor, role, custody, enrolled, revoked)
VALUES (%(tenant)s, %(public_key)s, %(actor)s, %(role)s, %(custody)s, %(enrolled)s, %(revoked)s)
ON CONFLICT (tenant_id, public_key) DO UPDATE SET revoked = EXCLUDED.revoked;

-- name: open_log
-- Give a tenant its empty log; a repeat changes nothing.
INSERT INTO ledger.log_head (tenant_id, size, root, updated_at)
VALUES (%(tenant)s, 0, %(root)s, %(now)s)
ON CONFLICT (tenant_id) DO NOTHING;

-- name: list_logs
-- tenant: all, because the node asks which tenants it has.
SELECT tenant_id
FROM ledger.log_head
WHERE tenant_id NOT LIKE '@%%' AND size > 0
ORDER BY tenant_id;

-- name: be_durable
-- A server or role that was told to answer before its disk did must not do so here: an answer of
-- ours means durable. Stricter settings (remote_apply, remote_write) stay as they are.
-- tenant: none, this is a setting of the session
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off';

-- name: prefer_indexes
-- Every statement here has its index. A plan that was made while the table was small, or before it was
-- analysed, must not read all of it at each append once it is large.
-- tenant: none, this is about the session
SELECT set_config('enable_seqscan', 'off', false);

-- name: plan_anew
-- Plans that were made for small tables choose among indexes as if each were as good; once the tables
-- have doubled they are made again. The statements stay prepared.
-- tenant: none, this is about the session
DISCARD PLANS;

-- name: is_distributed
-- Citus turns INSERT ... SELECT from a function into COPY, which row-level security refuses.
-- tenant: none, this reads the server's own catalog
SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus') AS answer;
