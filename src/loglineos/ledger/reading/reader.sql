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

-- name: span_of_time
-- Positions among which every record of a span of time lies: whole blocks, so never too few, even
-- where authors' times are out of order. NULL: no record can lie in it.
SELECT min(b.block) * %(block_positions)s::bigint, (max(b.block) + 1) * %(block_positions)s::bigint
FROM ledger.timeline_block b
WHERE b.tenant_id = %(tenant)s
  AND (%(since)s::timestamptz IS NULL OR b.at_max >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR b.at_min < %(until)s::timestamptz);

-- name: newest_events
-- A page by at most one column, from its index in order. Planned anew for each set of values: what
-- is NULL falls out of the plan. Whether an event is its entity's latest is asked row by row (a scalar,
-- not EXISTS, which the planner would turn into a join with every entity).
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND NOT r.is_deleted
  AND (%(position_from)s::bigint IS NULL OR r.position >= %(position_from)s::bigint)
  AND (%(position_before)s::bigint IS NULL OR r.position < %(position_before)s::bigint)
  AND (%(who)s::text IS NULL OR r.who = %(who)s::text)
  AND (%(did)s::text IS NULL OR r.did = %(did)s::text)
  AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
  AND (%(entity_type)s::text IS NULL OR r.entity_type = %(entity_type)s::text)
  AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s::timestamptz)
  AND (NOT %(latest)s::boolean OR r.seq = (
    SELECT e.seq FROM ledger.entity e WHERE e.tenant_id = %(tenant)s AND e.id = r.id))
ORDER BY r.position DESC
LIMIT %(rows_max)s;

-- name: oldest_events
-- The same page from its other end.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND NOT r.is_deleted
  AND (%(position_from)s::bigint IS NULL OR r.position >= %(position_from)s::bigint)
  AND (%(position_before)s::bigint IS NULL OR r.position < %(position_before)s::bigint)
  AND (%(who)s::text IS NULL OR r.who = %(who)s::text)
  AND (%(did)s::text IS NULL OR r.did = %(did)s::text)
  AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
  AND (%(entity_type)s::text IS NULL OR r.entity_type = %(entity_type)s::text)
  AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s::timestamptz)
  AND (NOT %(latest)s::boolean OR r.seq = (
    SELECT e.seq FROM ledger.entity e WHERE e.tenant_id = %(tenant)s AND e.id = r.id))
ORDER BY r.position
LIMIT %(rows_max)s;

-- name: searched_events
-- A page by words, tags or several columns: the positions come from the owner's search, the rows
-- under the reader's own rights.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND NOT r.is_deleted
  AND r.position = ANY (ARRAY(SELECT found FROM ledger.search_positions(
    %(words)s::text[], %(prefixes)s::text[], %(tags)s::text[], %(who)s::text, %(did)s::text,
    %(this)s::text, %(status)s::text, %(type)s::text, %(entity_type)s::text,
    %(since)s::timestamptz, %(until)s::timestamptz, %(position_from)s::bigint,
    %(position_before)s::bigint, %(latest)s::boolean, %(newest_first)s::boolean,
    %(rows_max)s::integer) AS found));

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
