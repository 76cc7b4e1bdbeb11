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
    %(rows_max)s::integer, %(terms)s::text[], %(openings)s::text[]) AS found));
