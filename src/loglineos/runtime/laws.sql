-- name: read_law_position
-- The newest position of anything that the law consists of: one probe of the index for each type.
SELECT max(newest.position)
FROM unnest(%(types)s::text[]) AS wanted (kind), LATERAL (
  SELECT r.position
  FROM ledger.universal_registry r
  WHERE r.tenant_id = %(tenant)s AND r.entity_type = wanted.kind
  ORDER BY r.position DESC
  LIMIT 1) AS newest;

-- name: count_ended
-- Executions that ended since a position, by minute, and how far the log goes. Those that the law
-- blocked or somebody cancelled are not counted: they did not run.
SELECT date_trunc('minute', r.recorded_at), count(*) FILTER (
    WHERE r.status IN ('complete', 'error', 'dead') AND r.recorded_at >= %(day)s), max(r.position)
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.entity_type = 'execution' AND r.position >= %(position_from)s
GROUP BY 1;

-- name: read_day_start
-- The first position of a day, by halving the log: positions are in the order of their recording.
WITH RECURSIVE search (low, high) AS (
  SELECT 0::bigint, h.size
  FROM ledger.log_head h
  WHERE h.tenant_id = %(tenant)s
  UNION ALL
  SELECT CASE WHEN r.recorded_at < %(day)s THEN r.position + 1 ELSE s.low END,
    CASE WHEN r.recorded_at < %(day)s THEN s.high ELSE r.position END
  FROM search s, LATERAL (
    SELECT u.position, u.recorded_at
    FROM ledger.universal_registry u
    WHERE u.tenant_id = %(tenant)s AND u.position = (s.low + s.high) / 2) AS r
  WHERE s.low < s.high)
SELECT coalesce(max(low), 0) FROM search;
