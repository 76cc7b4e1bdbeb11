-- name: count_distributions
-- Every distribution in one pass over the records that the filter lets through. A tombstone hides
-- its record. `which` is the bit mask of GROUPING: the column whose bit is 0 is the one counted.
WITH wanted AS (
  SELECT r.status, r.who, r.did, r.confirmed_by, r.entity_type, r.id,
    ((r.at AT TIME ZONE %(zone)s::text)::date)::text AS day
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s AND NOT r.is_deleted
    AND (%(position_from)s::bigint IS NULL OR r.position >= %(position_from)s::bigint)
    AND (%(position_before)s::bigint IS NULL OR r.position < %(position_before)s::bigint)
    AND (%(who)s::text IS NULL OR r.who = %(who)s::text)
    AND (%(did)s::text IS NULL OR r.did = %(did)s::text)
    AND (%(this)s::text IS NULL OR r."this" = %(this)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(type)s::text IS NULL OR r.type = %(type)s::text)
    AND (%(entity_type)s::text IS NULL OR r.entity_type = %(entity_type)s::text)
    AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s::timestamptz)
    AND (NOT %(latest)s::boolean OR EXISTS (
      SELECT 1 FROM ledger.entity e
      WHERE e.tenant_id = %(tenant)s AND e.id = r.id AND e.seq = r.seq))
    AND (NOT %(is_searched)s::boolean OR r.position = ANY (ARRAY(SELECT found
      FROM ledger.search_positions(
        %(words)s::text[], %(prefixes)s::text[], %(tags)s::text[], %(who)s::text, %(did)s::text,
        %(this)s::text, %(status)s::text, %(type)s::text, %(entity_type)s::text,
        %(since)s::timestamptz, %(until)s::timestamptz, %(position_from)s::bigint,
        %(position_before)s::bigint, %(latest)s::boolean, true, 2147483647, %(terms)s::text[],
        %(openings)s::text[]) AS found)))
), counted AS (
  SELECT grouping(w.status, w.who, w.did, w.confirmed_by, w.entity_type, w.day) AS which,
    coalesce(w.status, w.who, w.did, w.confirmed_by, w.entity_type, w.day) AS value,
    count(*) AS records
  FROM wanted w
  GROUP BY GROUPING SETS ((w.status), (w.who), (w.did), (w.confirmed_by), (w.entity_type), (w.day), ())
), ranked AS (
  SELECT c.which, c.value, c.records,
    row_number() OVER (PARTITION BY c.which ORDER BY c.records DESC, c.value) AS place,
    count(*) OVER (PARTITION BY c.which) AS different
  FROM counted c
)
SELECT which, value, records, different
FROM ranked
WHERE place <= %(top)s OR which = 62
ORDER BY which, place;

-- name: count_ghosts
-- How many entities were a ghost among these records, and how many of them still are.
SELECT count(*), count(*) FILTER (WHERE e.status = 'ghost')
FROM (
  SELECT DISTINCT r.id
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s AND r.status = 'ghost' AND NOT r.is_deleted
    AND (%(position_from)s::bigint IS NULL OR r.position >= %(position_from)s::bigint)
    AND (%(position_before)s::bigint IS NULL OR r.position < %(position_before)s::bigint)
    AND (%(who)s::text IS NULL OR r.who = %(who)s::text)
    AND (%(did)s::text IS NULL OR r.did = %(did)s::text)
    AND (%(entity_type)s::text IS NULL OR r.entity_type = %(entity_type)s::text)
    AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s::timestamptz)
) AS born
JOIN ledger.entity e ON e.tenant_id = %(tenant)s AND e.id = born.id;

-- name: group_ghosts
-- Open ghosts by reason; one record of each reason tells its faults by field.
SELECT g.ghost_reason, g.ghosts, g.oldest, r.metadata -> 'faults', g.since
FROM (
  SELECT e.ghost_reason, count(*) AS ghosts, min(e.position) AS oldest, min(e.at) AS since
  FROM ledger.entity e
  WHERE e.tenant_id = %(tenant)s AND e.status = 'ghost' AND NOT e.is_deleted
  GROUP BY e.ghost_reason
) AS g
JOIN ledger.universal_registry r ON r.tenant_id = %(tenant)s AND r.position = g.oldest
ORDER BY g.ghosts DESC, g.ghost_reason;
